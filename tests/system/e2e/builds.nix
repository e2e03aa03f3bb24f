# Builds that end in every way there is; /bin/sh alone, no network. `nix build -f builds.nix NAME`.
let
  sh =
    name: script: more:
    derivation (
      {
        inherit name;
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [
          "-c"
          script
        ];
        PATH = "/usr/bin:/bin";
      }
      // more
    );
  touch = "echo x > $out";
  phase = name: "echo '@nix { \"action\": \"setPhase\", \"phase\": \"${name}\" }' >&2; ";
in
rec {
  good = sh "good-1.0" "echo hello; ${touch}" { };
  app = sh "app-1.0" "echo $good > $out" { inherit good; };

  # A library fails; two depend on it, one of them through the other.
  bad =
    sh "bad-1.0" "${phase "buildPhase"} echo compiling; echo 'main.c:3:1: error: expected expression'; exit 3"
      { };
  dependent = sh "dependent-1.0" "echo $bad; ${touch}" { inherit bad; };
  top = sh "top-1.0" "echo $dependent; ${touch}" { inherit dependent; };

  bad2 = sh "bad2-1.0" "echo 'configure: error: no acceptable C compiler found in PATH' >&2; exit 77" { };
  several = sh "several-1.0" touch { inherit top bad2 good; };

  # Fixed-output derivations whose content is another.
  source = sh "source-1.0.tar.gz" "echo other > $out" {
    outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
  };
  usesSource = sh "uses-source-1.0" touch { inherit source; };

  killed = sh "killed-1.0" "echo linking; kill -9 $$" { };
  # Longer than any test waits: those who build it stop it.
  slow = sh "slow-1.0" "echo working; sleep 5; ${touch}" { };
  short = sh "short-1.0" "sleep 0.5; ${touch}" { };
  loud = sh "loud-1.0" "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i + 1)); done; ${touch}" { };
  noOutput = sh "no-output-1.0" "echo forgot" { };
  otherSystem = sh "other-system-1.0" touch { system = "riscv64-none"; };
  feature = sh "feature-1.0" touch { requiredSystemFeatures = [ "warp-drive" ]; };
  reference = sh "reference-1.0" "echo $good > $out" {
    inherit good;
    allowedReferences = [ ];
  };

  thrown = throw "this package is broken";
  assertion = assert 1 + 1 == 3; good;
  missing = good.nope;
  type = sh "x" (1 + "a") { };
  traced = builtins.trace "a trace" (builtins.trace "warning: a remark" good);
}
