# Builds for `make demo` and for tests with real Nix: no inputs, /bin/sh alone, no network, about 8 s with four jobs.
#
#   nix build --no-link path:./tests/demo            twelve derivations, all good
#   nix build --no-link path:./tests/demo#broken     a library fails in its buildPhase, two derivations depend on it
#   nix build --no-link path:./tests/demo#small      one derivation, at once
#
# With --impure each evaluation gives new derivations, so that a second run has something to build, too.
{
  description = "Small builds to watch";

  outputs =
    { self }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      eachSystem =
        f:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = f system;
          }) systems
        );
    in
    {
      packages = eachSystem (
        system:
        let
          # `tenths` is the length of each of the three phases; `fail` is the exit code of buildPhase.
          build =
            name: tenths: inputs:
            builder {
              inherit name tenths inputs;
              fail = 0;
            };

          builder =
            {
              name,
              tenths,
              inputs,
              fail,
            }:
            derivation {
              inherit
                name
                system
                tenths
                inputs
                fail
                ;
              builder = "/bin/sh";
              args = [ ./builder.sh ];
              PATH = "/usr/bin:/bin";
              run = builtins.currentTime or 0;
            };
        in
        rec {
          toolchain = build "toolchain-14.2" 3 [ ];

          compression = build "compression-1.3" 2 [ toolchain ];
          crypto = build "crypto-3.5" 10 [ toolchain ];
          regex = build "regex-10.44" 3 [ toolchain ];
          database = build "database-3.50" 5 [ toolchain ];

          http = build "http-8.14" 4 [
            compression
            crypto
          ];
          templates = build "templates-2.1" 2 [ regex ];
          interpreter = build "interpreter-3.13" 4 [
            compression
            database
            regex
          ];

          server = build "server-0.9" 7 [
            http
            database
          ];
          client = build "client-0.9" 3 [ http ];
          manual = build "manual-0.9" 3 [
            interpreter
            templates
          ];

          default = build "bundle-0.9" 2 [
            server
            client
            manual
          ];

          parser = builder {
            name = "parser-0.4";
            tenths = 4;
            inputs = [ compression ];
            fail = 2;
          };
          broken = build "reports-0.9" 1 [ (build "importer-0.9" 1 [ parser ]) ];

          small = build "small-0.1" 0 [ ];
        }
      );
    };
}
