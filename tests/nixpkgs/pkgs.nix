# `legacyPackages.<system>`: the builders run the host's cargo, the packages are empty.
{ lib, system }:
let
  # Set by `nix build --impure` from the caller's environment, absent otherwise. CARGO_TARGET_DIR lets builds share
  # compiled dependencies.
  host = removeEmpty (
    lib.genAttrs [
      "CARGO_HOME"
      "CARGO_TARGET_DIR"
      "HOME"
      "PATH"
      "RUSTUP_HOME"
      "RUSTUP_TOOLCHAIN"
    ] builtins.getEnv
  );

  removeEmpty =
    attrs: removeAttrs attrs (builtins.filter (name: attrs.${name} == "") (builtins.attrNames attrs));

  build =
    name: attrs:
    derivation (
      {
        inherit name system;
        builder = "/bin/sh";
        args = [ ./builder.sh ];
      }
      // host
      // attrs
    );

  # An environment variable takes strings only; the rest concerns evaluation, or nixpkgs.
  phases = args: {
    src = args.src;
    dontBuild = args.dontBuild or false;
    buildPhase = args.buildPhase or "";
    doCheck = args.doCheck or true;
    installPhase = args.installPhase or "";
    postInstall = args.postInstall or "";
    nativeBuildInputs =
      args.nativeBuildInputs or [ ] ++ (if args.doCheck or true then args.nativeCheckInputs or [ ] else [ ]);
  };

  # Takes up no place but its own, so that evaluation sees each input of a derivation.
  package =
    name:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo ${name} > $out"
      ];
    };

  platform = {
    inherit system;
    canExecute = other: other.system == system;
  };
in
lib.genAttrs [
  "cargo"
  "cargo-deny"
  "cargo-insta"
  "cargo-nextest"
  "clippy"
  "git"
  "installShellFiles"
  "rust-analyzer"
  "rustfmt"
  "tmux"
  "zstd"
] package
// {
  inherit lib system;

  stdenv = {
    buildPlatform = platform;
    hostPlatform = platform;
  };

  rustPlatform = {
    rustLibSrc = package "rust-lib-src";

    buildRustPackage =
      { pname, version, src, cargoLock, meta ? { }, ... }@args:
      # As importCargoLock, which downloads what the lock file names.
      assert builtins.isList (lib.importTOML cargoLock.lockFile).package;
      build "${pname}-${version}" (phases args) // { inherit meta pname version; };
  };

  runCommand =
    name: attrs: script:
    build name (
      attrs
      // {
        dontBuild = true;
        doCheck = false;
        installPhase = script;
      }
    );

  mkShell =
    { inputsFrom ? [ ], packages ? [ ], ... }@args:
    build "nix-shell" (
      removeAttrs args [
        "inputsFrom"
        "packages"
      ]
      // {
        nativeBuildInputs = packages ++ builtins.concatMap (drv: drv.nativeBuildInputs or [ ]) inputsFrom;
      }
    );
}
