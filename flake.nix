{
  description = "nixmon: a real Nix build in, a condensed and truthful summary out";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});

      manifest = lib.importTOML ./Cargo.toml;

      # Only what the program is compiled from, so that a change of a test or of the documentation rebuilds nothing.
      programSource = lib.fileset.toSource {
        root = ./.;
        fileset = lib.fileset.unions [
          ./Cargo.lock
          ./Cargo.toml
          ./crates
          ./src
          # Cargo refuses a manifest that names a missing bench.
          (lib.fileset.maybeMissing ./benches)
        ];
      };

      # No system library is needed: the zstd crate compiles the C sources that it carries.
      cargoPackage =
        pkgs: args:
        pkgs.rustPlatform.buildRustPackage (
          {
            inherit (manifest.workspace.package) version;
            cargoLock.lockFile = ./Cargo.lock;
          }
          // args
        );

      # A check compiles in the debug profile: the release profile links with LTO, which says nothing more.
      cargoCheck =
        pkgs: args:
        cargoPackage pkgs (
          {
            src = self;
            buildType = "debug";
            auditable = false;
            installPhase = "touch $out";
          }
          // args
        );
    in
    {
      packages = eachSystem (pkgs: {
        default = cargoPackage pkgs {
          pname = "nixmon";
          src = programSource;
          nativeBuildInputs = [ pkgs.installShellFiles ];
          # `checks.tests` runs them; here they would be compiled a second time with LTO.
          doCheck = false;
          postInstall = lib.optionalString (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) ''
            for shell in bash fish zsh; do
              $out/bin/nixmon completions $shell > nixmon.$shell
            done
            installShellCompletion nixmon.{bash,fish,zsh}
            mkdir man
            $out/bin/nixmon man --directory man
            installManPage man/*.1
          '';
          meta = {
            inherit (manifest.package) description;
            license = with lib.licenses; [
              mit
              asl20
            ];
            platforms = lib.platforms.unix;
            mainProgram = "nixmon";
          };
        };
      });

      # `services.nixmon-agent`: the agent of a host, see docs/fleet.md.
      nixosModules.agent = import ./nix/nixos.nix self;
      darwinModules.agent = import ./nix/darwin.nix self;
      homeModules.agent = import ./nix/home-manager.nix self;

      apps = eachSystem (
        pkgs:
        let
          monitor = {
            type = "app";
            program = lib.getExe self.packages.${pkgs.stdenv.hostPlatform.system}.default;
            meta.description = manifest.package.description;
          };
        in
        {
          inherit monitor;
          default = monitor;
        }
      );

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = [
            pkgs.cargo-deny
            pkgs.cargo-insta
            pkgs.cargo-nextest
            pkgs.clippy
            pkgs.git
            pkgs.rust-analyzer
            pkgs.rustfmt
            pkgs.tmux
            pkgs.zstd
          ];
          RUST_SRC_PATH = "${pkgs.rustPlatform.rustLibSrc}";
        };
      });

      checks = eachSystem (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;

        # Tests that need Nix itself find none here and say that they are skipped: they build through the host's cargo.
        tests = cargoCheck pkgs {
          pname = "nixmon-tests";
          dontBuild = true;
          useNextest = true;
          cargoTestFlags = [ "--workspace" ];
          nativeCheckInputs = [
            pkgs.git
            pkgs.tmux
            pkgs.zstd
          ];
        };

        clippy = cargoCheck pkgs {
          pname = "nixmon-clippy";
          nativeBuildInputs = [ pkgs.clippy ];
          buildPhase = "cargo clippy --offline --workspace --all-targets --all-features -- --deny warnings";
          doCheck = false;
        };

        fmt =
          pkgs.runCommand "nixmon-fmt"
            {
              nativeBuildInputs = [
                pkgs.cargo
                pkgs.rustfmt
              ];
            }
            ''
              export CARGO_HOME=$PWD
              cargo fmt --all --check --manifest-path ${self}/Cargo.toml
              touch $out
            '';
      });
    };
}
