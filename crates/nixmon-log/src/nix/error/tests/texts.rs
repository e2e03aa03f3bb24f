//! Human-readable output of real runs.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        origin: "Nix 2.18.1:23-build-fail",
        text: r#"error: builder for '/nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv' failed with exit code 1;
       last 3 log lines:
       > Running phase: buildPhase
       > compiling badlib
       > error: linker command failed with exit code 1
       For full logs, run 'nix log /nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv'."#,
        expect: r#"
builder-failed: builder for '/nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv' failed with exit code 1
derivation /nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv
name badlib-0.9
exit 1
> Running phase: buildPhase
> compiling badlib
> error: linker command failed with exit code 1
log nix log /nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv
"#,
    },
    Case {
        origin: "Nix 2.18.1:23-build-fail",
        text: r#"error: 1 dependencies of derivation '/nix/store/fsbhinnqq8najfsghr9cr76mrapwa213-uses-bad-1.drv' failed to build"#,
        expect: r#"
dependency-failed: 1 dependencies of derivation '/nix/store/fsbhinnqq8najfsghr9cr76mrapwa213-uses-bad-1.drv' failed to build
derivation /nix/store/fsbhinnqq8najfsghr9cr76mrapwa213-uses-bad-1.drv
name uses-bad-1
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.18.1:23-build-fail",
        text: r#"error: 1 dependencies of derivation '/nix/store/j09jhfij1k1sgks81ihx8v3kv9agrjib-cascade-top.drv' failed to build"#,
        expect: r#"
dependency-failed: 1 dependencies of derivation '/nix/store/j09jhfij1k1sgks81ihx8v3kv9agrjib-cascade-top.drv' failed to build
derivation /nix/store/j09jhfij1k1sgks81ihx8v3kv9agrjib-cascade-top.drv
name cascade-top
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.24.9:22-develop",
        text: r#"error: 'nix develop' only works on derivations that use 'bash' as their builder"#,
        expect: r#"
usage: 'nix develop' only works on derivations that use 'bash' as their builder
"#,
    },
    Case {
        origin: "Nix 2.24.9:23-build-eval-error",
        text: r#"error:
       … while calling the 'throw' builtin
         at /nix/store/0g4a7g7i0c7x3jmg1140mp1n8pfyrx5s-source/evalerr/throwing.nix:3:35:
            2| let
            3|   check = pkg: if pkg.broken then throw "Package ‘${pkg.name}’ is marked as broken, refusing to evaluate." else pkg;
             |                                   ^
            4| in

       error: Package ‘demo-1.0’ is marked as broken, refusing to evaluate."#,
        expect: r#"
eval-throw: Package ‘demo-1.0’ is marked as broken, refusing to evaluate.
at /nix/store/0g4a7g7i0c7x3jmg1140mp1n8pfyrx5s-source/evalerr/throwing.nix:3:35
user /nix/store/0g4a7g7i0c7x3jmg1140mp1n8pfyrx5s-source/evalerr/throwing.nix:3:35
|      2| let
|      3|   check = pkg: if pkg.broken then throw "Package ‘${pkg.name}’ is marked as broken, refusing to evaluate." else pkg;
|       |                                   ^
|      4| in
… while calling the 'throw' builtin at /nix/store/0g4a7g7i0c7x3jmg1140mp1n8pfyrx5s-source/evalerr/throwing.nix:3:35
"#,
    },
    Case {
        origin: "Nix 2.26.3:24-daemon-nix-build-fail",
        text: r#"error: builder for '/nix/store/6k5gd7n00c9b6q5pl4wz3i246sgdb9ra-mixed-bad.drv' failed with exit code 1;
       last 2 log lines:
       > Running phase: buildPhase
       > mixed
       For full logs, run:
         nix log /nix/store/6k5gd7n00c9b6q5pl4wz3i246sgdb9ra-mixed-bad.drv"#,
        expect: r#"
builder-failed: builder for '/nix/store/6k5gd7n00c9b6q5pl4wz3i246sgdb9ra-mixed-bad.drv' failed with exit code 1
derivation /nix/store/6k5gd7n00c9b6q5pl4wz3i246sgdb9ra-mixed-bad.drv
name mixed-bad
exit 1
> Running phase: buildPhase
> mixed
log nix log /nix/store/6k5gd7n00c9b6q5pl4wz3i246sgdb9ra-mixed-bad.drv
"#,
    },
    Case {
        origin: "Nix 2.3.7:05-fail-L",
        text: r#"builder for '/nix/store/yi4sa36iqhlr6wndxbdsc48xq6iip8mh-broken-1.0.drv' failed with exit code 2; last 10 log lines:
  cc -c src/part24.c
  cc -c src/part25.c
  cc -c src/part26.c
  cc -c src/part27.c
  cc -c src/part28.c
  cc -c src/part29.c
  cc -c src/part30.c
  src/part31.c: In function 'main':
  src/part31.c:12:5: error: 'undeclared_thing' undeclared (first use in this function)
  make: *** [Makefile:7: part31.o] Error 1"#,
        expect: r#"
builder-failed: builder for '/nix/store/yi4sa36iqhlr6wndxbdsc48xq6iip8mh-broken-1.0.drv' failed with exit code 2
derivation /nix/store/yi4sa36iqhlr6wndxbdsc48xq6iip8mh-broken-1.0.drv
name broken-1.0
exit 2
> cc -c src/part24.c
> cc -c src/part25.c
> cc -c src/part26.c
> cc -c src/part27.c
> cc -c src/part28.c
> cc -c src/part29.c
> cc -c src/part30.c
> src/part31.c: In function 'main':
> src/part31.c:12:5: error: 'undeclared_thing' undeclared (first use in this function)
> make: *** [Makefile:7: part31.o] Error 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:06-cascade-v",
        text: r#"builder for '/nix/store/xqar6ifvs1lmcr4inng9q3pfw8j6ifnx-badlib-0.9.drv' failed with exit code 1; last 3 log lines:
  Running phase: buildPhase
  compiling badlib
  error: linker command failed with exit code 1"#,
        expect: r#"
builder-failed: builder for '/nix/store/xqar6ifvs1lmcr4inng9q3pfw8j6ifnx-badlib-0.9.drv' failed with exit code 1
derivation /nix/store/xqar6ifvs1lmcr4inng9q3pfw8j6ifnx-badlib-0.9.drv
name badlib-0.9
exit 1
> Running phase: buildPhase
> compiling badlib
> error: linker command failed with exit code 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:06-cascade-v",
        text: r#"cannot build derivation '/nix/store/x641m4j79ip69j6szp1n35sd46xhq74c-uses-bad-1.drv': 1 dependencies couldn't be built"#,
        expect: r#"
dependency-failed: cannot build derivation '/nix/store/x641m4j79ip69j6szp1n35sd46xhq74c-uses-bad-1.drv': 1 dependencies couldn't be built
derivation /nix/store/x641m4j79ip69j6szp1n35sd46xhq74c-uses-bad-1.drv
name uses-bad-1
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:06-cascade-v",
        text: r#"cannot build derivation '/nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv': 1 dependencies couldn't be built"#,
        expect: r#"
dependency-failed: cannot build derivation '/nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv': 1 dependencies couldn't be built
derivation /nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv
name cascade-top
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:06-cascade-v",
        text: r#"error: build of '/nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv' failed"#,
        expect: r#"
builds-failed: build of '/nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv' failed
derivation /nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv
name cascade-top
failed /nix/store/hkh9rvhyjb16yrncadcrqd629klxhf6x-cascade-top.drv
"#,
    },
    Case {
        origin: "Nix 2.3.7:08-hash-mismatch-v",
        text: r#"hash mismatch in fixed-output derivation '/nix/store/rvddj7k34iqm29xwvfyc80czcqk27ir5-source-1.0.tar.gz':
  wanted: sha256:0000000000000000000000000000000000000000000000000000
  got:    sha256:0gysb808yk1bri9ly7alq9yd43pwpr10vr2s7zpxgw7j76bi3s7i"#,
        expect: r#"
hash-mismatch: hash mismatch in fixed-output derivation '/nix/store/rvddj7k34iqm29xwvfyc80czcqk27ir5-source-1.0.tar.gz': specified sha256:0000000000000000000000000000000000000000000000000000, got sha256:0gysb808yk1bri9ly7alq9yd43pwpr10vr2s7zpxgw7j76bi3s7i
output /nix/store/rvddj7k34iqm29xwvfyc80czcqk27ir5-source-1.0.tar.gz
name source-1.0.tar.gz
specified sha256:0000000000000000000000000000000000000000000000000000
got sha256:0gysb808yk1bri9ly7alq9yd43pwpr10vr2s7zpxgw7j76bi3s7i
| wanted: sha256:0000000000000000000000000000000000000000000000000000
| got:    sha256:0gysb808yk1bri9ly7alq9yd43pwpr10vr2s7zpxgw7j76bi3s7i
"#,
    },
    Case {
        origin: "Nix 2.3.7:08-hash-mismatch-v",
        text: r#"cannot build derivation '/nix/store/7ax627ki755i30n005kwpwrqd64hl9b0-uses-source-1.0.drv': 1 dependencies couldn't be built"#,
        expect: r#"
dependency-failed: cannot build derivation '/nix/store/7ax627ki755i30n005kwpwrqd64hl9b0-uses-source-1.0.drv': 1 dependencies couldn't be built
derivation /nix/store/7ax627ki755i30n005kwpwrqd64hl9b0-uses-source-1.0.drv
name uses-source-1.0
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-aborting",
        text: r#"error: evaluation aborted with the following error message: 'this must never happen'"#,
        expect: r#"
eval-abort: evaluation aborted with the following error message: 'this must never happen'
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-attr",
        text: r#"error: attribute 'doesNotExist' in selection path 'doesNotExist' not found"#,
        expect: r#"
eval-missing-attribute: attribute 'doesNotExist' in selection path 'doesNotExist' not found
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-calling",
        text: r#"error: 'f' at /home/demo/flake/evalerr/calling.nix:2:9 called without required argument 'b', at /home/demo/flake/evalerr/calling.nix:3:4"#,
        expect: r#"
eval-call: 'f' at /home/demo/flake/evalerr/calling.nix:2:9 called without required argument 'b'
at /home/demo/flake/evalerr/calling.nix:3:4
user /home/demo/flake/evalerr/calling.nix:3:4
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-infinite",
        text: r#"error: infinite recursion encountered, at /home/demo/flake/evalerr/infinite.nix:2:20"#,
        expect: r#"
eval-infinite-recursion: infinite recursion encountered
at /home/demo/flake/evalerr/infinite.nix:2:20
user /home/demo/flake/evalerr/infinite.nix:2:20
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-nix-build",
        text: r#"error: Package ‘demo-1.0’ is marked as broken, refusing to evaluate."#,
        expect: r#"
eval-throw: Package ‘demo-1.0’ is marked as broken, refusing to evaluate.
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-syntax",
        text: r#"error: syntax error, unexpected '=', expecting ';', at /home/demo/flake/evalerr/syntax.nix:4:5"#,
        expect: r#"
eval-syntax: syntax error, unexpected '=', expecting ';'
at /home/demo/flake/evalerr/syntax.nix:4:5
user /home/demo/flake/evalerr/syntax.nix:4:5
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-typeerr",
        text: r#"error: cannot coerce an integer to a string, at /home/demo/flake/evalerr/typeerr.nix:3:4"#,
        expect: r#"
eval-type: cannot coerce an integer to a string
at /home/demo/flake/evalerr/typeerr.nix:3:4
user /home/demo/flake/evalerr/typeerr.nix:3:4
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-undefined-v",
        text: r#"error: undefined variable 'undefinedVariable' at /home/demo/flake/evalerr/undefined.nix:3:8"#,
        expect: r#"
eval-undefined-variable: undefined variable 'undefinedVariable'
at /home/demo/flake/evalerr/undefined.nix:3:8
user /home/demo/flake/evalerr/undefined.nix:3:8
"#,
    },
    Case {
        origin: "Nix 2.3.7:10-module-syntax",
        text: r#"error: syntax error, unexpected '=', expecting ';', at /home/demo/flake/modules/badsyntax.nix:5:23"#,
        expect: r#"
eval-syntax: syntax error, unexpected '=', expecting ';'
at /home/demo/flake/modules/badsyntax.nix:5:23
user /home/demo/flake/modules/badsyntax.nix:5:23
"#,
    },
    Case {
        origin: "Nix 2.3.7:13-remote-fail-v",
        text: r#"error: build of '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' on 'ssh://root@localhost?remote-program=/home/demo/bin/remote-store' failed: builder for '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' failed with exit code 3"#,
        expect: r#"
builder-failed: builder for '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' failed with exit code 3
derivation /nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv
name remote-bad
exit 3
machine ssh://root@localhost?remote-program=/home/demo/bin/remote-store
"#,
    },
    Case {
        origin: "Nix 2.3.7:13-remote-fail-v",
        text: r#"builder for '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' failed with exit code 1; last 4 log lines:
  Running phase: buildPhase
  on the builder
  remote failure
  builder for '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' failed with exit code 3"#,
        expect: r#"
builder-failed: builder for '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' failed with exit code 1
derivation /nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv
name remote-bad
exit 1
> Running phase: buildPhase
> on the builder
> remote failure
> builder for '/nix/store/n9plfxbpcqiizariz3qf8dv5b7hz01b4-remote-bad.drv' failed with exit code 3
"#,
    },
    Case {
        origin: "Nix 2.3.7:13-remote-fail-v",
        text: r#"cannot build derivation '/nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv': 1 dependencies couldn't be built"#,
        expect: r#"
dependency-failed: cannot build derivation '/nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv': 1 dependencies couldn't be built
derivation /nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv
name remote-fail-top
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:13-remote-fail-v",
        text: r#"error: build of '/nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv' failed"#,
        expect: r#"
builds-failed: build of '/nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv' failed
derivation /nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv
name remote-fail-top
failed /nix/store/gbjjzpgxwkwzx2f2bzqcs3lprkw0cw7z-remote-fail-top.drv
"#,
    },
    Case {
        origin: "Nix 2.3.7:16-max-silent-v",
        text: r#"building of '/nix/store/aimqskbhk9fav4m0ca8a3ldc4qshcxy5-silent-build.drv' timed out after 2 seconds of silence"#,
        expect: r#"
silent-timeout: building of '/nix/store/aimqskbhk9fav4m0ca8a3ldc4qshcxy5-silent-build.drv' timed out after 2 seconds of silence
derivation /nix/store/aimqskbhk9fav4m0ca8a3ldc4qshcxy5-silent-build.drv
name silent-build
"#,
    },
    Case {
        origin: "Nix 2.3.7:17-sigint-v",
        text: r#"error: interrupted by the user"#,
        expect: r#"
interrupted: interrupted by the user
"#,
    },
    Case {
        origin: "Nix 2.3.7:29-disk-full-v",
        text: r#"builder for '/nix/store/l55mf404aj0b7sfg5dbihf5gq5jhfxd8-disk-full.drv' failed with exit code 1; last 3 log lines:
  Running phase: buildPhase
  writing
  head: error writing 'standard output': No space left on device"#,
        expect: r#"
disk-full: builder for '/nix/store/l55mf404aj0b7sfg5dbihf5gq5jhfxd8-disk-full.drv' failed with exit code 1
derivation /nix/store/l55mf404aj0b7sfg5dbihf5gq5jhfxd8-disk-full.drv
name disk-full
exit 1
> Running phase: buildPhase
> writing
> head: error writing 'standard output': No space left on device
"#,
    },
    Case {
        origin: "Nix 2.3.7:30-missing-feature",
        text: r#"error: a 'x86_64-linux' with features {kvm, nixos-test} is required to build '/nix/store/44pgf63msgr2ik3z87rzyl2d1ni87rgx-needs-kvm.drv', but I am a 'x86_64-linux' with features {nixos-test}"#,
        expect: r#"
missing-feature: a 'x86_64-linux' with features {kvm, nixos-test} is required to build '/nix/store/44pgf63msgr2ik3z87rzyl2d1ni87rgx-needs-kvm.drv', but I am a 'x86_64-linux' with features {nixos-test}
derivation /nix/store/44pgf63msgr2ik3z87rzyl2d1ni87rgx-needs-kvm.drv
name needs-kvm
"#,
    },
    Case {
        origin: "Nix 2.3.7:31-signal-v",
        text: r#"builder for '/nix/store/dlkqr6rp169ajmfc0y28a8bs43yibw97-killed-by-signal.drv' failed due to signal 9 (Killed); last 2 log lines:
  Running phase: buildPhase
  eating memory"#,
        expect: r#"
killed-by-signal: builder for '/nix/store/dlkqr6rp169ajmfc0y28a8bs43yibw97-killed-by-signal.drv' failed due to signal 9 (Killed)
derivation /nix/store/dlkqr6rp169ajmfc0y28a8bs43yibw97-killed-by-signal.drv
name killed-by-signal
signal 9
> Running phase: buildPhase
> eating memory
"#,
    },
    Case {
        origin: "Nix 2.3.7:32-bad-builder-v",
        text: "builder for '/nix/store/4xkn9gdkidr9h0fh9b4lgdyn7wnvgb7v-bad-builder.drv' failed with exit code 1; last 1 log lines:\n\
\x20 \u{1}while setting up the build environment: executing '/no/such/interpreter': No such file or directory",
        expect: r#"
bad-builder: builder for '/nix/store/4xkn9gdkidr9h0fh9b4lgdyn7wnvgb7v-bad-builder.drv' failed with exit code 1
derivation /nix/store/4xkn9gdkidr9h0fh9b4lgdyn7wnvgb7v-bad-builder.drv
name bad-builder
exit 1
> while setting up the build environment: executing '/no/such/interpreter': No such file or directory
"#,
    },
    Case {
        origin: "Nix 2.3.7:36-bad-option",
        text: r#"error: unrecognised flag '--no-such-option'"#,
        expect: r#"
usage: unrecognised flag '--no-such-option'
"#,
    },
    Case {
        origin: "Nix 2.34.8:23-build-fail",
        text: r#"error: Cannot build '/nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv'.
       Reason: builder failed with exit code 1.
       Output paths:
         /nix/store/95yczaxdq00gzzvgw539albrcggixwkv-badlib-0.9
       Last 3 log lines:
       > Running phase: buildPhase
       > compiling badlib
       > error: linker command failed with exit code 1
       For full logs, run:
         nix log /nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv"#,
        expect: r#"
builder-failed: Cannot build '/nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv': builder failed with exit code 1
derivation /nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv
name badlib-0.9
exit 1
> Running phase: buildPhase
> compiling badlib
> error: linker command failed with exit code 1
log nix log /nix/store/x7bd2fpdxacpc2l8cnk8ynhslxxnrh82-badlib-0.9.drv
"#,
    },
    Case {
        origin: "Nix 2.34.8:23-build-fail",
        text: r#"error: Cannot build '/nix/store/fsbhinnqq8najfsghr9cr76mrapwa213-uses-bad-1.drv'.
       Reason: 1 dependency failed.
       Output paths:
         /nix/store/0s7r1i7c8wk07ll0aylqm7f1z9v9va7b-uses-bad-1"#,
        expect: r#"
dependency-failed: Cannot build '/nix/store/fsbhinnqq8najfsghr9cr76mrapwa213-uses-bad-1.drv': 1 dependency failed
derivation /nix/store/fsbhinnqq8najfsghr9cr76mrapwa213-uses-bad-1.drv
name uses-bad-1
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.34.8:23-build-fail",
        text: r#"error: Cannot build '/nix/store/j09jhfij1k1sgks81ihx8v3kv9agrjib-cascade-top.drv'.
       Reason: 1 dependency failed.
       Output paths:
         /nix/store/pgc5vj80g9666pi9fx03gcmbljk5a2v0-cascade-top"#,
        expect: r#"
dependency-failed: Cannot build '/nix/store/j09jhfij1k1sgks81ihx8v3kv9agrjib-cascade-top.drv': 1 dependency failed
derivation /nix/store/j09jhfij1k1sgks81ihx8v3kv9agrjib-cascade-top.drv
name cascade-top
dependencies 1
"#,
    },
    Case {
        origin: "Nix 2.3.7:09-eval-deep-trace",
        text: r#"error: while evaluating anonymous function at /home/demo/flake/evalerr/deep.nix:1:1, called from /home/demo/flake/default.nix:2:63:
while computing the demo value
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:5:60:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69:
deep failure at the bottom"#,
        expect: r#"
eval-other: deep failure at the bottom
at /home/demo/flake/evalerr/deep.nix:3:7
user /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:3:69: at /home/demo/flake/evalerr/deep.nix:3:7
… while evaluating 'g' at /home/demo/flake/evalerr/deep.nix:3:7, called from /home/demo/flake/evalerr/deep.nix:5:60: at /home/demo/flake/evalerr/deep.nix:3:7
… while computing the demo value
… while evaluating anonymous function at /home/demo/flake/evalerr/deep.nix:1:1, called from /home/demo/flake/default.nix:2:63: at /home/demo/flake/evalerr/deep.nix:1:1
"#,
    },
    Case {
        origin: "Nix 2.3.7:10-module-type",
        text: r#"error: A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'. Definition values:
- In `/home/demo/flake/modules/web.nix': "eighty"
(use '--show-trace' to show detailed location information)"#,
        expect: r#"
eval-module-option: A definition for option `services.web.port' is not of type `16 bit unsigned integer; between 0 and 65535 (both inclusive)'
user /home/demo/flake/modules/web.nix
| - In `/home/demo/flake/modules/web.nix': "eighty"
"#,
    },
    Case {
        origin: "Nix 2.3.7:33-rebuild-differs",
        text: r#"derivation '/nix/store/ibmhd2gdsf7hkafc14x7y859pykx4nnn-nondeterministic.drv' may not be deterministic: output '/nix/store/a6rlyvnx556546z3lclw74v83krc5rkr-nondeterministic' differs from '/nix/store/a6rlyvnx556546z3lclw74v83krc5rkr-nondeterministic.check'"#,
        expect: r#"
not-deterministic: derivation '/nix/store/ibmhd2gdsf7hkafc14x7y859pykx4nnn-nondeterministic.drv' may not be deterministic: output '/nix/store/a6rlyvnx556546z3lclw74v83krc5rkr-nondeterministic' differs from '/nix/store/a6rlyvnx556546z3lclw74v83krc5rkr-nondeterministic.check'
derivation /nix/store/ibmhd2gdsf7hkafc14x7y859pykx4nnn-nondeterministic.drv
name nondeterministic
"#,
    },
    Case {
        origin: "Nix 2.3.7:34-forbidden-reference",
        text: r#"output '/nix/store/5xvjk88153ri4np2185z6wsaclqkmm4a-forbidden-reference' is not allowed to refer to the following paths:
  /nix/store/gfqk5na7gnlc76bf27i51r2azkb09bmy-hello-2.12.1"#,
        expect: r#"
forbidden-reference: output '/nix/store/5xvjk88153ri4np2185z6wsaclqkmm4a-forbidden-reference' is not allowed to refer to the following paths: /nix/store/gfqk5na7gnlc76bf27i51r2azkb09bmy-hello-2.12.1
output /nix/store/5xvjk88153ri4np2185z6wsaclqkmm4a-forbidden-reference
name forbidden-reference
"#,
    },
    Case {
        origin: "Nix 2.3.7:11-nar-broken",
        text: r#"unable to download 'http://127.0.0.1:32967/nar/0dkxmbg2ma7ciqq8x7iz2lahhsk6kc5ja2dilzgyb9cpgfidwlpg.nar.xz': HTTP error 500"#,
        expect: r#"
download-failed: unable to download 'http://127.0.0.1:32967/nar/0dkxmbg2ma7ciqq8x7iz2lahhsk6kc5ja2dilzgyb9cpgfidwlpg.nar.xz': HTTP error 500
url http://127.0.0.1:32967/nar/0dkxmbg2ma7ciqq8x7iz2lahhsk6kc5ja2dilzgyb9cpgfidwlpg.nar.xz
"#,
    },
];
