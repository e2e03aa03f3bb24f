//! Texts that were not captured, written after the sources of Nix, Lix and nixpkgs.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        origin: "constructed: lix-hash",
        text: r#"error: hash mismatch in fixed-output derivation '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz.drv':
           likely URL: https://example.org/src.tar.gz
            specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
                  got: sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
        expected path: /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz
             got path: /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz"#,
        expect: r#"
hash-mismatch: hash mismatch in fixed-output derivation '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz.drv': specified sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, got sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz.drv
name src.tar.gz
specified sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
got sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
likely https://example.org/src.tar.gz
| likely URL: https://example.org/src.tar.gz
| specified: sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
| got: sha256-XIlyyMab8mUQfROq5v/OOoFg+bIhnquDYW/vLP2YMdY=
| expected path: /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz
| got path: /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-src.tar.gz
"#,
    },
    Case {
        origin: "constructed: lix-fail",
        text: "error: builder for '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' failed with exit code 1;\n\
\x20      last 2 log lines:\n\
\x20      > a\n\
\x20      > \u{1b}]0;title without end\n\
\x20      >\n\
\x20      For full logs, run:\n\
\x20      \t\u{1b}[1mnix log /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv\u{1b}[0m",
        expect: r#"
builder-failed: builder for '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' failed with exit code 1
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
name x-1
exit 1
> a
> 
> 
log nix log /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
"#,
    },
    Case {
        origin: "constructed: 2.30-system",
        text: r#"error: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv'.
       Reason: required system or feature not available
       Required system: 'aarch64-darwin' with features {}
       Current system: 'x86_64-linux' with features {kvm}"#,
        expect: r#"
platform-mismatch: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv': required system or feature not available; Required system: 'aarch64-darwin' with features {}; Current system: 'x86_64-linux' with features {kvm}
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv
name x
| Required system: 'aarch64-darwin' with features {}
| Current system: 'x86_64-linux' with features {kvm}
"#,
    },
    Case {
        origin: "constructed: 2.30-feature",
        text: r#"error: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv'.
       Reason: required system or feature not available
       Required system: 'x86_64-linux' with features {kvm}
       Current system: 'x86_64-linux' with features {}"#,
        expect: r#"
missing-feature: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv': required system or feature not available; Required system: 'x86_64-linux' with features {kvm}; Current system: 'x86_64-linux' with features {}
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv
name x
| Required system: 'x86_64-linux' with features {kvm}
| Current system: 'x86_64-linux' with features {}
"#,
    },
    Case {
        origin: "constructed: 2.34-platform",
        text: r#"error: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv'.
       Reason: platform mismatch
       Required system: 'aarch64-darwin'
       Current system: 'x86_64-linux'"#,
        expect: r#"
platform-mismatch: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv': platform mismatch; Required system: 'aarch64-darwin'; Current system: 'x86_64-linux'
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv
name x
| Required system: 'aarch64-darwin'
| Current system: 'x86_64-linux'
"#,
    },
    Case {
        origin: "constructed: 2.34-local",
        text: r#"error: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv'.
       Reason: local builds are disabled (max-jobs = 0)
       Required system: 'x86_64-linux'"#,
        expect: r#"
local-builds-disabled: Cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv': local builds are disabled (max-jobs = 0); Required system: 'x86_64-linux'
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv
name x
| Required system: 'x86_64-linux'
"#,
    },
    Case {
        origin: "constructed: logtoolong",
        text: r#"error: building of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv^out' from .drv file killed after writing more than 100 bytes of log output"#,
        expect: r#"
log-too-long: building of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv^out' from .drv file killed after writing more than 100 bytes of log output
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
name x-1
"#,
    },
    Case {
        origin: "constructed: logtoolong-name",
        text: r#"error: x-1.0 killed after writing more than 100 bytes of log output"#,
        expect: r#"
log-too-long: x-1.0 killed after writing more than 100 bytes of log output
name x-1.0
"#,
    },
    Case {
        origin: "constructed: logtoolong-229",
        text: r#"error: building derivation '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' killed after writing more than 100 bytes of log output"#,
        expect: r#"
log-too-long: building derivation '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' killed after writing more than 100 bytes of log output
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
name x-1
"#,
    },
    Case {
        origin: "constructed: lot",
        text: r#"error: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a.drv', '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b.drv' failed"#,
        expect: r#"
builds-failed: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a.drv', '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b.drv' failed
failed /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a.drv /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b.drv
"#,
    },
    Case {
        origin: "constructed: summary-outputs",
        text: r#"error: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a.drv^out', '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b.drv^*' failed"#,
        expect: r#"
builds-failed: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a.drv^out', '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b.drv^*' failed
failed /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a.drv /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b.drv
"#,
    },
    Case {
        origin: "constructed: mach",
        text: r#"Failed to find a machine for remote build!
derivation: 6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
required (system, features): (aarch64-linux, [])
1 available machines:
(systems, maxjobs, supportedFeatures, mandatoryFeatures)
([x86_64-linux], 1, [], [])"#,
        expect: r#"
remote-machine: Failed to find a machine for remote build!
name x-1
| derivation: 6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv
| required (system, features): (aarch64-linux, [])
| 1 available machines:
| (systems, maxjobs, supportedFeatures, mandatoryFeatures)
| ([x86_64-linux], 1, [], [])
"#,
    },
    Case {
        origin: "constructed: flake-registry",
        text: r#"error: cannot find flake 'flake:nixpkgz' in the flake registries"#,
        expect: r#"
flake-not-found: cannot find flake 'flake:nixpkgz' in the flake registries
url flake:nixpkgz
"#,
    },
    Case {
        origin: "constructed: 404input",
        text: r#"error:
       … while updating the lock file of flake 'path:/home/demo/flake?lastModified=1'

       … while updating the flake input 'foo'

       … while fetching the input 'github:demo/foo'

       error: unable to download 'https://api.github.com/repos/demo/foo/commits/HEAD': HTTP error 404

       response body:

       {
         "message": "Not Found"
       }"#,
        expect: r#"
download-failed: unable to download 'https://api.github.com/repos/demo/foo/commits/HEAD': HTTP error 404
url https://api.github.com/repos/demo/foo/commits/HEAD
| Not Found
… while fetching the input 'github:demo/foo'
… while updating the flake input 'foo'
… while updating the lock file of flake 'path:/home/demo/flake?lastModified=1'
"#,
    },
    Case {
        origin: "constructed: git128",
        text: r#"error:
       … while fetching the input 'git+ssh://git@example.org/x'

       error: program 'git' failed with exit code 128"#,
        expect: r#"
download-failed: program 'git' failed with exit code 128
exit 128
program git
… while fetching the input 'git+ssh://git@example.org/x'
"#,
    },
    Case {
        origin: "constructed: narhash",
        text: r#"error: NAR hash mismatch in input 'github:a/b/c?narHash=sha256-x' (/nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source), expected 'sha256-AAAA', got 'sha256-BBBB'"#,
        expect: r#"
input-hash-mismatch: NAR hash mismatch in input 'github:a/b/c?narHash=sha256-x' (/nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source), expected 'sha256-AAAA', got 'sha256-BBBB'
specified sha256-AAAA
got sha256-BBBB
"#,
    },
    Case {
        origin: "constructed: fetchurl",
        text: r#"error: hash mismatch in file downloaded from 'https://example.org/x':
         specified: sha256-AAAA
         got:       sha256-BBBB"#,
        expect: r#"
input-hash-mismatch: hash mismatch in file downloaded from 'https://example.org/x': specified sha256-AAAA, got sha256-BBBB
url https://example.org/x
specified sha256-AAAA
got sha256-BBBB
| specified: sha256-AAAA
| got:       sha256-BBBB
"#,
    },
    Case {
        origin: "constructed: nartampered",
        text: r#"error: hash mismatch importing path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x';
         specified: sha256:aaa
         got:       sha256:bbb"#,
        expect: r#"
nar-hash-mismatch: hash mismatch importing path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x': specified sha256:aaa, got sha256:bbb
output /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x
name x
specified sha256:aaa
got sha256:bbb
| specified: sha256:aaa
| got:       sha256:bbb
"#,
    },
    Case {
        origin: "constructed: sig",
        text: r#"error: cannot add path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x' because it lacks a signature by a trusted key"#,
        expect: r#"
missing-signature: cannot add path '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x' because it lacks a signature by a trusted key
output /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x
name x
"#,
    },
    Case {
        origin: "constructed: assert-failed",
        text: r#"error:
       … while calling the 'head' builtin
         at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/attrsets.nix:1701:13:
         1700|           if
         1701|             head values
             |             ^

       … while evaluating the attribute 'value'
         at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/modules.nix:1118:7:

       … while evaluating definitions from `/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/hosts/web.nix':

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error:
       Failed assertions:
       - services.nginx: enableReload needs systemd.
         Second line.
       - Another one"#,
        expect: r#"
eval-module-option: services.nginx: enableReload needs systemd.
at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/modules.nix:1118:7
user /nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/hosts/web.nix
| Second line.
| - Another one
… while evaluating definitions from `/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/hosts/web.nix':
… while evaluating the attribute 'value' at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/modules.nix:1118:7
… while calling the 'head' builtin at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/attrsets.nix:1701:13
"#,
    },
    Case {
        origin: "constructed: conflict",
        text: r#"error: The option `networking.hostName' has conflicting definition values:
       - In `/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/a.nix': "a"
       - In `/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/b.nix': "b"
       Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions."#,
        expect: r#"
eval-module-option: The option `networking.hostName' has conflicting definition values
user /nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/a.nix
| - In `/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/a.nix': "a"
| - In `/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/b.nix': "b"
| Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.
"#,
    },
    Case {
        origin: "constructed: noval",
        text: r#"error:
       … while evaluating the option `system.build.toplevel':

       error: The option `fileSystems."/".device' was accessed but has no value defined. Try setting the option."#,
        expect: r#"
eval-module-option: The option `fileSystems."/".device' was accessed but has no value defined. Try setting the option.
… while evaluating the option `system.build.toplevel':
"#,
    },
    Case {
        origin: "constructed: didyoumean",
        text: r#"error: undefined variable 'ripgrp'
       at /nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/home/demo.nix:14:5:
           13|     pkgs.fd
           14|     ripgrp
             |     ^
           15|   ];
       Did you mean 'ripgrep'?"#,
        expect: r#"
eval-undefined-variable: undefined variable 'ripgrp'. Did you mean 'ripgrep'?
at /nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/home/demo.nix:14:5
user /nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/home/demo.nix:14:5
| Did you mean 'ripgrep'?
|     13|     pkgs.fd
|     14|     ripgrp
|       |     ^
|     15|   ];
"#,
    },
    Case {
        origin: "constructed: gittracked",
        text: r#"error: Path 'foo.nix' in the repository "/home/demo/flake" is not tracked by Git.

       To make it visible to Nix, run:

       git -C "/home/demo/flake" add "foo.nix""#,
        expect: r#"
eval-missing-file: Path 'foo.nix' in the repository "/home/demo/flake" is not tracked by Git.
| To make it visible to Nix, run:
| git -C "/home/demo/flake" add "foo.nix"
"#,
    },
    Case {
        origin: "constructed: missing",
        text: r#"error: getting status of '/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/foo.nix': No such file or directory"#,
        expect: r#"
eval-missing-file: getting status of '/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/foo.nix': No such file or directory
"#,
    },
    Case {
        origin: "constructed: missing2",
        text: r#"error:
       … while evaluating the file '/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/flake.nix':

       error: path '/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/foo.nix' does not exist"#,
        expect: r#"
eval-missing-file: path '/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/foo.nix' does not exist
user /nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/flake.nix
… while evaluating the file '/nix/store/1g7ls20qr5mimzgrqzcv14mbbl3ay3lx-source/flake.nix':
"#,
    },
    Case {
        origin: "constructed: unfree",
        text: r#"error:
       … while evaluating the attribute 'drvPath'
         at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/customisation.nix:365:7:

       … while calling the 'throw' builtin
         at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/pkgs/stdenv/generic/check-meta.nix:400:1:

       error: Package ‘vscode-1.90’ in /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/pkgs/applications/editors/vscode/vscode.nix:102 has an unfree license (‘unfree’), refusing to evaluate.

       a) To temporarily allow unfree packages, you can use an environment variable"#,
        expect: r#"
eval-throw: Package ‘vscode-1.90’ in /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/pkgs/applications/editors/vscode/vscode.nix:102 has an unfree license (‘unfree’), refusing to evaluate.
at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/pkgs/stdenv/generic/check-meta.nix:400:1
| a) To temporarily allow unfree packages, you can use an environment variable
… while calling the 'throw' builtin at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/pkgs/stdenv/generic/check-meta.nix:400:1
… while evaluating the attribute 'drvPath' at /nix/store/rz7idzvh8q83zjz8sd8g7bn0cclipmaa-source/lib/customisation.nix:365:7
"#,
    },
    Case {
        origin: "constructed: so",
        text: r#"error: stack overflow; max-call-depth exceeded"#,
        expect: r#"
eval-stack-overflow: stack overflow; max-call-depth exceeded
"#,
    },
    Case {
        origin: "constructed: lock",
        text: r#"error: opening lock file "/nix/var/nix/profiles/system.lock": Permission denied"#,
        expect: r#"
permission-denied: opening lock file "/nix/var/nix/profiles/system.lock": Permission denied
"#,
    },
    Case {
        origin: "constructed: daemon",
        text: r#"error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused"#,
        expect: r#"
daemon-connection: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused
"#,
    },
    Case {
        origin: "constructed: collision",
        text: r#"error: An existing package already provides the following file:

         /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a/bin/x

       This is the conflicting file from the new package:

         /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b/bin/x"#,
        expect: r#"
profile-conflict: An existing package already provides the following file: /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-a/bin/x
| This is the conflicting file from the new package:
| /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-b/bin/x
"#,
    },
    Case {
        origin: "constructed: typ",
        text: r#"error:
       … while evaluating the attribute 'x'
         at «string»:1:3:
            1| { x = 1 + "a"; }

       error: expected an integer but found a string: "a"
       at «string»:1:10:"#,
        expect: r#"
eval-type: expected an integer but found a string: "a"
at «string»:1:10
… while evaluating the attribute 'x' at «string»:1:3
"#,
    },
    Case {
        origin: "constructed: pure",
        text: r#"error: cannot look up '<nixpkgs>' in pure evaluation mode (use '--impure' to override)"#,
        expect: r#"
eval-impure: cannot look up '<nixpkgs>' in pure evaluation mode (use '--impure' to override)
"#,
    },
    Case {
        origin: "constructed: plain",
        text: r#"error: something entirely new
       and more of it"#,
        expect: r#"
unknown: something entirely new
| and more of it
"#,
    },
    Case {
        origin: "constructed: empty",
        text: r#"error:"#,
        expect: r#"
unknown: error:
"#,
    },
    Case {
        origin: "constructed: flakes",
        text: r#"error: experimental Nix feature 'flakes' is disabled; add '--extra-experimental-features flakes' to enable it"#,
        expect: r#"
feature-disabled: experimental Nix feature 'flakes' is disabled; add '--extra-experimental-features flakes' to enable it
"#,
    },
    Case {
        origin: "constructed: 23hash",
        text: r#"hash mismatch in fixed-output derivation '/nix/store/4cbqc6lpj6c9lp2xyh0z4pv8mr4vgxq3-source-1.0.tar.gz':
  wanted: sha256:0000000000000000000000000000000000000000000000000000
  got:    sha256:1jc5zwxlp6ysgx5sx7krlfkybjf1xapqpyd8fl5zcixqnxphkbz8"#,
        expect: r#"
hash-mismatch: hash mismatch in fixed-output derivation '/nix/store/4cbqc6lpj6c9lp2xyh0z4pv8mr4vgxq3-source-1.0.tar.gz': specified sha256:0000000000000000000000000000000000000000000000000000, got sha256:1jc5zwxlp6ysgx5sx7krlfkybjf1xapqpyd8fl5zcixqnxphkbz8
output /nix/store/4cbqc6lpj6c9lp2xyh0z4pv8mr4vgxq3-source-1.0.tar.gz
name source-1.0.tar.gz
specified sha256:0000000000000000000000000000000000000000000000000000
got sha256:1jc5zwxlp6ysgx5sx7krlfkybjf1xapqpyd8fl5zcixqnxphkbz8
| wanted: sha256:0000000000000000000000000000000000000000000000000000
| got:    sha256:1jc5zwxlp6ysgx5sx7krlfkybjf1xapqpyd8fl5zcixqnxphkbz8
"#,
    },
    Case {
        origin: "constructed: remote-hash",
        text: r#"error: build of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-s.drv' on 'ssh://b' failed: hash mismatch in fixed-output derivation '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-s.drv':
         specified: sha256-AAAA
            got:    sha256-BBBB"#,
        expect: r#"
hash-mismatch: hash mismatch in fixed-output derivation '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-s.drv': specified sha256-AAAA, got sha256-BBBB
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-s.drv
name s
machine ssh://b
specified sha256-AAAA
got sha256-BBBB
| specified: sha256-AAAA
| got:    sha256-BBBB
"#,
    },
    Case {
        origin: "constructed: nested-old",
        text: r#"error: --- Error ---
foo"#,
        expect: r#"
unknown: --- Error ---
| foo
"#,
    },
    Case {
        origin: "constructed: hostnp",
        text: r#"error:
       … while evaluating the attribute 'x'
         at «github:NixOS/nixpkgs/abc»/lib/modules.nix:1:2:

       … while evaluating definitions from `«git+file:///home/demo/cfg»/host.nix':

       error: value is a string while a set was expected"#,
        expect: r#"
eval-type: value is a string while a set was expected
at «github:NixOS/nixpkgs/abc»/lib/modules.nix:1:2
user «git+file:///home/demo/cfg»/host.nix
… while evaluating definitions from `«git+file:///home/demo/cfg»/host.nix':
… while evaluating the attribute 'x' at «github:NixOS/nixpkgs/abc»/lib/modules.nix:1:2
"#,
    },
    Case {
        origin: "constructed: cmd",
        text: r#"error: '--foo' requires an argument"#,
        expect: r#"
usage: '--foo' requires an argument
"#,
    },
    Case {
        origin: "constructed: disk",
        text: r#"error: writing to file: No space left on device"#,
        expect: r#"
disk-full: writing to file: No space left on device
"#,
    },
    Case {
        origin: "constructed: fod-note",
        text: r#"error: builder for '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv' failed due to signal 9 (Killed);
       last 1 log lines:
       > cc1plus: out of memory
       For full logs, run 'nix-store -l /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv'."#,
        expect: r#"
killed-by-signal: builder for '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv' failed due to signal 9 (Killed)
derivation /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv
name x
signal 9
> cc1plus: out of memory
log nix-store -l /nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x.drv
"#,
    },
    Case {
        origin: "constructed: answers of servers",
        text: "error: unable to download 'https://api.github.com/x': HTTP error 403\n\n       response body:\n\n       \
               {\"message\":\"API rate limit exceeded for 192.0.2.1.\",\"documentation_url\":\"https://x\"}",
        expect: r#"
download-failed: unable to download 'https://api.github.com/x': HTTP error 403
url https://api.github.com/x
| API rate limit exceeded for 192.0.2.1.
"#,
    },
    Case {
        origin: "constructed: an answer in words",
        text: "error: unable to download 'https://c/x': HTTP error 429\n\n       response body:\n\n       Too many requests\n       Try later",
        expect: r#"
download-failed: unable to download 'https://c/x': HTTP error 429
url https://c/x
| Too many requests
| Try later
"#,
    },
    Case {
        origin: "constructed: a corrupt archive",
        text: "error: failed to read compressed data (truncated input)",
        expect: r#"
corrupt-nar: failed to read compressed data (truncated input)
"#,
    },
    Case {
        origin: "constructed: nix log",
        text: "error: build log of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' is not available",
        expect: r#"
command-failed: build log of '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' is not available
"#,
    },
    Case {
        origin: "constructed: import from derivation",
        text: "error: cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' during evaluation because the option 'allow-import-from-derivation' is disabled",
        expect: r#"
eval-needs-build: cannot build '/nix/store/6nqqfqnkhy5p8k1hgrhs2vcaij1d524r-x-1.drv' during evaluation because the option 'allow-import-from-derivation' is disabled
"#,
    },
    Case {
        origin: "constructed: flake check",
        text: "error: some errors were encountered during the evaluation",
        expect: r#"
eval-errors: some errors were encountered during the evaluation
"#,
    },
];
