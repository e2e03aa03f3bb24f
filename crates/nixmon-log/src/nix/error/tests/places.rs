//! Places in nixpkgs, in other libraries and in files of the user: not captured, written after the sources of Nix, Lix
//! and nixpkgs.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        origin: "constructed: module-in-store",
        text: r#"error:
       … while calling the 'head' builtin
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/attrsets.nix:1571:11:
         1570|         || pred here (elemAt values 1) (head values) then
         1571|           head values
             |           ^
         1572|         else

       … while evaluating the option `system.build.toplevel':

       … while evaluating definitions from `/nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/nixos/modules/system/activation/top-level.nix':

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error: The option `services.foo' does not exist. Definition values:
       - In `/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/hosts/web.nix':
           {
             enable = true;
           }"#,
        expect: r#"
eval-module-option: The option `services.foo' does not exist
at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/attrsets.nix:1571:11
user /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/hosts/web.nix
| - In `/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/hosts/web.nix':
| {
| enable = true;
| }
… while evaluating definitions from `/nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/nixos/modules/system/activation/top-level.nix':
… while evaluating the option `system.build.toplevel':
… while calling the 'head' builtin at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/attrsets.nix:1571:11
"#,
    },
    Case {
        origin: "constructed: own-nixos-modules",
        text: r#"error:
       … while evaluating the attribute 'outPath'
         at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/nixos/modules/services/mine.nix:4:3:
            3| {
            4|   foo = bar;
             |   ^

       … while calling 'mkIf'
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:1:2:
            1| x

       error: undefined variable 'bar'
       at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/nixos/modules/services/mine.nix:4:9:
            3| {
            4|   foo = bar;
             |         ^"#,
        expect: r#"
eval-undefined-variable: undefined variable 'bar'
at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/nixos/modules/services/mine.nix:4:9
user /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/nixos/modules/services/mine.nix:4:9
|      3| {
|      4|   foo = bar;
|       |         ^
… while calling 'mkIf' at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:1:2
… while evaluating the attribute 'outPath' at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/nixos/modules/services/mine.nix:4:3
"#,
    },
    Case {
        origin: "constructed: own-etc-nixos",
        text: r#"error: undefined variable 'bar'

       at /etc/nixos/modules/mine.nix:4:9:

            3| {
            4|   foo = bar;
             |         ^"#,
        expect: r#"
eval-undefined-variable: undefined variable 'bar'
at /etc/nixos/modules/mine.nix:4:9
user /etc/nixos/modules/mine.nix:4:9
|      3| {
|      4|   foo = bar;
|       |         ^
"#,
    },
    Case {
        origin: "constructed: name-position",
        text: r#"error:
       … while calling the 'derivationStrict' builtin
         at <nix/derivation-internal.nix>:37:12:
           36|
           37|   strict = derivationStrict drvAttrs;
             |            ^

       … while evaluating derivation 'hello-2.12'
         whose name attribute is located at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/make-derivation.nix:353:7

       … while evaluating attribute 'src' of derivation 'hello-2.12'
         at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/default.nix:3:5:
            2| x
            3|     src = 1 + "a";
             |     ^

       error: cannot add a string to an integer
       at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/default.nix:3:11:
            2| x
            3|     src = 1 + "a";
             |           ^"#,
        expect: r#"
eval-type: cannot add a string to an integer
at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/default.nix:3:11
user /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/default.nix:3:11
|      2| x
|      3|     src = 1 + "a";
|       |           ^
… while evaluating attribute 'src' of derivation 'hello-2.12' at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/default.nix:3:5
… while evaluating derivation 'hello-2.12' at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/make-derivation.nix:353:7
… while calling the 'derivationStrict' builtin at <nix/derivation-internal.nix>:37:12
"#,
    },
    Case {
        origin: "constructed: lix-derivations",
        text: r#"error:
       … while evaluating derivation 'hello-2.12'
         whose name attribute is located at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/make-derivation.nix:353:7

       note: trace involved the following derivations:
       derivation 'hello-2.12'
       derivation 'world'

       error: attribute 'foo' missing"#,
        expect: r#"
eval-missing-attribute: attribute 'foo' missing
at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/make-derivation.nix:353:7
… while evaluating derivation 'hello-2.12' at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/make-derivation.nix:353:7
"#,
    },
    Case {
        origin: "constructed: string",
        text: r#"error: syntax error, unexpected end of file
       at «string»:1:5:
            1| { a
             |     ^"#,
        expect: r#"
eval-syntax: syntax error, unexpected end of file
at «string»:1:5
|      1| { a
|       |     ^
"#,
    },
    Case {
        origin: "constructed: missing-import",
        text: r#"error:
       … while calling the 'import' builtin
         at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/flake.nix:3:4:
            3| import ./x.nix

       error: path '/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/x.nix' does not exist"#,
        expect: r#"
eval-missing-file: path '/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/x.nix' does not exist
at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/flake.nix:3:4
user /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/flake.nix:3:4
|      3| import ./x.nix
… while calling the 'import' builtin at /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/flake.nix:3:4
"#,
    },
    Case {
        origin: "constructed: failed-assertions",
        text: r#"error:
       … while calling the 'head' builtin
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/attrsets.nix:1571:11:
         1571|           head values
             |           ^

       … while evaluating the attribute 'system.build.toplevel'
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:1:2:
            1| x

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error:
       Failed assertions:
       - The ‘fileSystems’ option does not specify your root file system.
       - You must set the option ‘boot.loader.grub.devices’ or 'boot.loader.grub.mirroredBoots' to make the system bootable."#,
        expect: r#"
eval-module-option: The ‘fileSystems’ option does not specify your root file system.
at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:1:2
| - You must set the option ‘boot.loader.grub.devices’ or 'boot.loader.grub.mirroredBoots' to make the system bootable.
|      1| x
… while evaluating the attribute 'system.build.toplevel' at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:1:2
… while calling the 'head' builtin at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/attrsets.nix:1571:11
"#,
    },
    Case {
        origin: "constructed: unfree-2",
        text: r#"error:
       … while evaluating a branch condition
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/customisation.nix:1:2:
            1| x

       … while calling the 'throw' builtin
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/check-meta.nix:5:6:
            5| y

       error: Package ‘discord-0.1’ in /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/by-name/di/discord/package.nix:12 has an unfree license (‘unfree’), refusing to evaluate.

       a) To temporarily allow unfree packages, you can use an environment variable
          for a single invocation of the nix tools.

            $ export NIXPKGS_ALLOW_UNFREE=1"#,
        expect: r#"
eval-throw: Package ‘discord-0.1’ in /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/by-name/di/discord/package.nix:12 has an unfree license (‘unfree’), refusing to evaluate.
at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/check-meta.nix:5:6
| a) To temporarily allow unfree packages, you can use an environment variable
| for a single invocation of the nix tools.
| $ export NIXPKGS_ALLOW_UNFREE=1
|      5| y
… while calling the 'throw' builtin at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/pkgs/stdenv/generic/check-meta.nix:5:6
… while evaluating a branch condition at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/customisation.nix:1:2
"#,
    },
    Case {
        origin: "constructed: conflict-2",
        text: r#"error: The option `networking.hostName' has conflicting definition values:
       - In `/etc/nixos/a.nix': "a"
       - In `/etc/nixos/b.nix': "b"
       Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions."#,
        expect: r#"
eval-module-option: The option `networking.hostName' has conflicting definition values
user /etc/nixos/a.nix
| - In `/etc/nixos/a.nix': "a"
| - In `/etc/nixos/b.nix': "b"
| Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.
"#,
    },
    Case {
        origin: "constructed: hm-definitions",
        text: r#"error:
       … while evaluating the option `programs.git.userName':

       … while evaluating the attribute 'value'
         at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:816:9:
          815|     in warnDeprecation opt //
          816|       { value = addErrorContext
             |         ^
          817|         x

       (stack trace truncated; use '--show-trace' to show the full, detailed trace)

       error: The option `programs.git.userName' has conflicting definition values:
       - In `/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-source/modules/home-environment.nix': "a"
       - In `/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/home.nix': "b""#,
        expect: r#"
eval-module-option: The option `programs.git.userName' has conflicting definition values
at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:816:9
user /nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/home.nix
| - In `/nix/store/rpj5khhk84rdzxgafzd2arw44vgb225b-source/modules/home-environment.nix': "a"
| - In `/nix/store/zykm1ihqfs5nij89vhj90s5sdxnmpfb5-source/home.nix': "b"
… while evaluating the attribute 'value' at /nix/store/0bccbw9lzmbhzyqb0rz0q8lwpvjjyq5l-source/lib/modules.nix:816:9
… while evaluating the option `programs.git.userName':
"#,
    },
    Case {
        origin: "constructed: flake-ref",
        text: r#"error:
       … while calling the 'head' builtin
         at «github:NixOS/nixpkgs/a1b2c3»/lib/attrsets.nix:1571:11:
         1570|         x

       … from call site
         at «path:/home/demo/flake»/flake.nix:12:9:
           12|         foo = lib.getAttr "x" y;
             |         ^

       error: expected a set but found a string: "z"
       at «github:NixOS/nixpkgs/a1b2c3»/lib/attrsets.nix:20:3:
           19|   a
           20|   b
             |   ^"#,
        expect: r#"
eval-type: expected a set but found a string: "z"
at «github:NixOS/nixpkgs/a1b2c3»/lib/attrsets.nix:20:3
user «path:/home/demo/flake»/flake.nix:12:9
|     12|         foo = lib.getAttr "x" y;
|       |         ^
… from call site at «path:/home/demo/flake»/flake.nix:12:9
… while calling the 'head' builtin at «github:NixOS/nixpkgs/a1b2c3»/lib/attrsets.nix:1571:11
"#,
    },
    Case {
        origin: "constructed: channel",
        text: r#"error: attribute 'helo' missing

       at /nix/var/nix/profiles/per-user/root/channels/nixos/pkgs/top-level/aliases.nix:3:4:

            2| x
            3|   y
             |   ^

       … while evaluating 'callPackage'

       at /etc/nixos/modules/desktop.nix:8:3:

            7| {
            8|   environment.systemPackages = [ pkgs.helo ];
             |   ^"#,
        expect: r#"
eval-missing-attribute: attribute 'helo' missing
at /nix/var/nix/profiles/per-user/root/channels/nixos/pkgs/top-level/aliases.nix:3:4
user /etc/nixos/modules/desktop.nix:8:3
|      7| {
|      8|   environment.systemPackages = [ pkgs.helo ];
|       |   ^
… while evaluating 'callPackage' at /etc/nixos/modules/desktop.nix:8:3
"#,
    },
];
