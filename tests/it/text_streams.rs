//! Streams of text without an exit status: a success needs evidence, and what failed is found behind prefixes, in the last
//! words of an activation, and where the beginning or the end is missing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::play::summary;

/// A stream, its outcome, and what its failures say: `kind name step message`, each word of a line in one of them.
pub(crate) struct Case {
    log: &'static str,
    outcome: &'static str,
    failures: &'static [&'static [&'static str]],
}

pub(crate) const fn good(log: &'static str) -> Case {
    Case { log, outcome: "success", failures: &[] }
}

pub(crate) const fn incomplete(log: &'static str) -> Case {
    Case { log, outcome: "incomplete", failures: &[] }
}

pub(crate) const fn bad(log: &'static str, failures: &'static [&'static [&'static str]]) -> Case {
    Case { log, outcome: "failure", failures }
}

pub(crate) fn check(cases: &[Case]) {
    let mut faults = Vec::new();
    for Case { log, outcome, failures } in cases {
        let (said, _) = summary(log.as_bytes(), None);
        let told: Vec<String> = said["failures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| {
                let fields = ["stage", "kind", "name", "step", "unit", "machine", "message"];
                fields.iter().filter_map(|field| failure[*field].as_str()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        if said["outcome"] != *outcome {
            faults.push(format!("{}, not {outcome}, {told:?}:\n{log}", said["outcome"]));
            continue;
        }
        let are_told =
            failures.iter().all(|words| told.iter().any(|told| words.iter().all(|word| told.contains(word))));
        if !are_told || told.len() != failures.len() {
            faults.push(format!("{told:?}, not {failures:?}:\n{log}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

const LIST: &str = "these 2 derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv
";

#[test]
fn text_that_stops() {
    check(&[
        // Nothing of the second derivation.
        incomplete(
            "these 2 derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
lib> compiling
",
        ),
        // Within a list.
        incomplete(
            "these 3 derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
",
        ),
        // Downloads that were to come before the builds.
        incomplete(
            "this derivation will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
these 2 paths will be fetched (1.0 MiB download, 2.0 MiB unpacked):
  /nix/store/cccccccccccccccccccccccccccccccc-a
  /nix/store/dddddddddddddddddddddddddddddddd-b
copying path '/nix/store/cccccccccccccccccccccccccccccccc-a' from 'https://cache.example.org'...
",
        ),
        // Nix 2.3 says no number.
        incomplete(
            "these derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
",
        ),
    ]);
    check(&[
        // home-manager has more steps than its checks.
        incomplete(
            "Starting Home Manager activation\nActivating checkLinkTargets\nActivating writeBoundary\n",
        ),
        good("Starting Home Manager activation\nActivating writeBoundary\nActivating linkGeneration\n"),
    ]);
    check(&[
        good(LIST),
        good(
            "these 2 derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
building '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv' on 'ssh://builder'...
",
        ),
        // Another process has built the first one meanwhile.
        good(
            "these 2 derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv
building '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv'...
/nix/store/cccccccccccccccccccccccccccccccc-app
",
        ),
        // The build machine has fetched the path itself.
        good(
            "this derivation will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
this path will be fetched (1.0 MiB download, 2.0 MiB unpacked):
  /nix/store/cccccccccccccccccccccccccccccccc-a
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' on 'ssh://builder'...
",
        ),
        good(
            "this path will be fetched (1.0 MiB download, 2.0 MiB unpacked):
  /nix/store/cccccccccccccccccccccccccccccccc-a
copying path '/nix/store/cccccccccccccccccccccccccccccccc-a' from 'https://cache.example.org'...
",
        ),
        good("warning: Git tree '/home/demo/flake' is dirty\n"),
    ]);
}

#[test]
fn text_that_is_interrupted() {
    let interrupted = |log| Case { log, outcome: "interrupted", failures: &[] };
    check(&[
        interrupted("warning: Git tree '/x' is dirty\n\rshutting down\x1b[Kerror: interrupted by the user\n"),
        interrupted("shutting downerror: interrupted by the user\n"),
        interrupted("[0/2 built, 1 copied (3.0 MiB)] building liberror: interrupted by the user\n"),
        interrupted(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...\nerror: interrupted by the user\n",
        ),
        // GCC erases behind its colours.
        good("\r\x1b[01m\x1b[K/x.c:3:1:\x1b[m\x1b[K warning: unused\n"),
        good("shutting down the old service\n"),
    ]);
}

#[test]
fn nix_crashes() {
    check(&[
        bad(
            "nix-build: src/libexpr/eval.cc:12: void nix::EvalState::f(): Assertion `v' failed.\n",
            &[&["nix-aborted", "Assertion"]],
        ),
        bad(
            "/bin/sh: line 1:  4711 Segmentation fault      (core dumped) nix build .#x\n",
            &[&["nix-aborted", "Segmentation"]],
        ),
        bad("evaluating file '/x.nix'\nKilled\n", &[&["nix-aborted", "Killed"]]),
        bad(
            "terminate called after throwing an instance of 'nix::SysError'\n  what():  error: x\nAborted\n",
            &[&["nix-aborted", "terminate called"]],
        ),
        bad(
            "building the system configuration...\nCommand '['nix', 'build', '.#x']' died with <Signals.SIGSEGV: 11>.\n",
            &[&["SIGSEGV"]],
        ),
        bad(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
nix: ../src/libstore/goal.cc:77: nix::Goal::Co nix::G::step(): Assertion `left == 0' failed.
zsh: abort      nix build
",
            &[&["nix-aborted", "build", "Assertion"]],
        ),
    ]);
    check(&[
        // A test of the builder's.
        good(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
test: main.c:12: main: Assertion `x == 1' failed.
Aborted (core dumped)
ok 1 - aborts
/nix/store/cccccccccccccccccccccccccccccccc-lib
",
        ),
        good("Killed the old process\n"),
        good("Aborted\ntrying again\ndone\n"),
    ]);
}

#[test]
fn text_behind_prefixes() {
    check(&[
        // GitHub.
        bad(
            "2026-03-25T17:19:50.0000000Z this derivation will be built:
2026-03-25T17:19:50.0000001Z   /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
2026-03-25T17:19:51.1234567Z building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
2026-03-25T17:19:52.1234567Z error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'.
2026-03-25T17:19:52.1234568Z        Reason: builder failed with exit code 3.
2026-03-25T17:19:52.1234569Z        Output paths:
2026-03-25T17:19:52.1234570Z          /nix/store/cccccccccccccccccccccccccccccccc-lib
2026-03-25T17:19:53.0000000Z ##[error]Process completed with exit code 1.
",
            &[&["builder-failed", "lib"]],
        ),
        // GitLab, with an error of the evaluation first.
        bad(
            "2026-03-25T17:19:50.000000Z 00O Running with gitlab-runner
2026-03-25T17:19:51.000000Z 01E error: attribute 'fo' missing
2026-03-25T17:19:51.000000Z 01E        at /x/flake.nix:3:5:
",
            &[&["eval-missing-attribute", "'fo'"]],
        ),
        // A machine's name.
        bad(
            "[web] building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
[web] error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2;
[web]        last 1 log lines:
[web]        > no
",
            &[&["builder-failed", "lib"]],
        ),
        bad(
            "deploy: building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
deploy: error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2
",
            &[&["builder-failed", "lib"]],
        ),
        bad(
            "builder-1  | this derivation will be built:
builder-1  |   /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
builder-1  | building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
builder-1  | error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2;
builder-1  |        last 1 log lines:
builder-1  |        > no
",
            &[&["builder-failed", "lib"]],
        ),
        // Errors of two machines at once.
        bad(
            "[web] building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
[db] building '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv'...
[web] error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2;
[db] error: builder for '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv' failed with exit code 3;
[web]        last 1 log lines:
[db]        last 1 log lines:
[db]        > db
[web]        > web
",
            &[&["builder-failed", "lib"], &["builder-failed", "app"]],
        ),
        // Two machines switch at once.
        bad(
            "[web] activating the configuration...
[db] activating the configuration...
[web] setting up /etc...
[db] setting up /etc...
[web] restarting the following units: nginx.service
[db] starting the following units: pg.service
[web] warning: the following units failed: nginx.service
",
            &[&["units-failed", "nginx.service", "web"]],
        ),
        bad(
            "Jun 03 16:18:10 host nixos-upgrade[12]: building the system configuration...
Jun 03 16:18:12 host nixos-upgrade[12]: activating the configuration...
Jun 03 16:18:13 host nixos-upgrade[12]: warning: the following units failed: a.service
Jun 03 16:18:40 host systemd[1]: nixos-upgrade.service: Failed with result 'exit-code'.
",
            &[&["units-failed", "a.service"]],
        ),
    ]);
    check(&[
        good(
            "#9 1.000 this derivation will be built:
#9 1.001   /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
#9 1.002 building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
#9 4.000 /nix/store/cccccccccccccccccccccccccccccccc-lib
#9 DONE 4.1s
",
        ),
        good(
            "Jun 03 16:18:10 host hm-activate-u[206]: Starting Home Manager activation
Jun 03 16:18:10 host hm-activate-u[206]: Activating writeBoundary
Jun 03 16:18:10 host hm-activate-u[206]: Activating linkGeneration
Jun 03 16:18:11 host systemd[1]: Finished Home Manager environment for u.
",
        ),
        good(
            "### Installing NixOS ###
installing the boot loader...
installation finished!
### Rebooting ###
### Done! ###
",
        ),
        good(
            "-- Boot 5c1f --
Jun 03 16:18:10 host nix[12]: warning: Git tree '/x' is dirty
Jun 03 16:18:11 host nix[12]: /nix/store/cccccccccccccccccccccccccccccccc-lib
",
        ),
        good("gcc: error: x.c: No such file\ngcc: error: y.c\ngcc: error: z.c\ncc failed as it should\n"),
        good("lib> 12:00:01 error: a line of a builder\nlib> 12:00:02 error: b\nlib> 12:00:03 error: c\n"),
        good("[1/3] Compiling a\n[2/3] Compiling b\n[3/3] Linking error.o\n"),
    ]);
}

#[test]
fn errors_in_the_words_of_others() {
    check(&[
        bad(
            "┏━ 1 Errors:
┃ error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'.
┃        Reason: builder failed with exit code 1.
┃        Last 1 log lines:
┃        > no
┗━ ∑ ⏵ 0 │ ✔ 3 │ ⏸ 1 │ ⚠ 1
",
            &[&["builder-failed", "lib"]],
        ),
        bad(
            "checking:
  stderr:
    error: attribute 'fo' missing
           at /x/flake.nix:3:5:
                2|   a
                3|   b.fo
    end of it
",
            &[&["eval-missing-attribute", "'fo'"]],
        ),
        bad(
            "    error:
           … while evaluating the attribute 'x'

           error: undefined variable 'y'
           at /x/default.nix:3:5:
",
            &[&["eval-undefined-variable", "'y'"]],
        ),
        bad(
            "these derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.tar.gz.drv
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.tar.gz.drv'...
fixed-output derivation produced path '/nix/store/cccccccccccccccccccccccccccccccc-x.tar.gz' with sha256 hash '0b' instead of the expected hash '0a'
error: build of '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x.tar.gz.drv' failed
",
            &[&["hash-mismatch", "x.tar.gz"]],
        ),
        good("┏━ Dependency Graph:\n┃ ✔ lib ⏱ 2s\n┗━ ∑ ⏵ 0 │ ✔ 3 │ ⏸ 0 │ Finished at 10:43:39 after 5s\n"),
    ]);
}

#[test]
fn switches_without_their_beginning() {
    check(&[
        bad(
            "Activating linkGeneration
Activating reloadSystemd
Activating seedKeys
install: cannot create regular file '/srv/k': Permission denied
",
            &[&["seedKeys", "Permission denied"]],
        ),
        bad(
            "the following new units were started: a.timer
warning: the following units failed: web.service
",
            &[&["units-failed", "web.service"]],
        ),
        bad(
            "evaluating derivation 'git+file:///x#nixosConfigurations.h'activating the configuration...
setting up /etc...
mount: /boot: unknown filesystem type 'x'
Activation script snippet 'mountBoot' failed (32)
Failed to run activate script
",
            &[&["activation-step", "mountBoot", "unknown filesystem"]],
        ),
    ]);
    check(&[
        good(
            "restarting the following units: a.service\nstarting the following units: b.service\nthe following new units were started: c.timer\n",
        ),
        good("Stopping units: a.service\nStarting units: a.service\n"),
        good("Activating linkGeneration\n"),
    ]);
}

#[test]
fn reasons_of_steps() {
    check(&[
        bad(
            "activating the configuration...
setting up secrets...
age: error: no identity matched any of the recipients
Activation script snippet 'agenixInstall' failed (1)
Failed to run activate script
",
            &[&["activation-step", "agenixInstall", "no identity matched"]],
        ),
        bad(
            "activating the configuration...
/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-x/bin/sops-install-secrets: failed to decrypt '/s.yaml': 0 successful groups
Activation script snippet 'setupSecrets' failed (1)
mkdir: cannot create directory '/b': Read-only file system
Activation script snippet 'makeB' failed (1)
Failed to run activate script
",
            &[&["setupSecrets", "0 successful groups"], &["makeB", "Read-only"]],
        ),
        bad(
            "installing the boot loader...
updating systemd-boot from 257.1 to 257.3
Traceback (most recent call last):
  File \"/x.py\", line 3, in main
    write()
OSError: [Errno 28] No space left on device: '/boot/x'
Failed to install bootloader
",
            &[&["bootloader", "No space left on device"]],
        ),
        bad(
            "building the flake in path:/etc/nixos...
installing the boot loader...
setting up /etc...
updating GRUB 2 menu...
cannot copy /nix/store/x to /boot/y: No space left on device at /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-install-grub.pl line 300.
",
            &[&["bootloader", "No space left on device"]],
        ),
        bad(
            "### Formatting hard drive with disko ###
+ sgdisk --zap-all /dev/sda
### Uploading the system closure ###
### Installing NixOS ###
installing the boot loader...
updating GRUB 2 menu...
Died at /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-install-grub.pl line 586.
",
            &[&["bootloader", "Died at"]],
        ),
        bad(
            "### Gathering machine facts ###
### Formatting hard drive with disko ###
mkfs.ext4: /dev/sda2: Device or resource busy
",
            &[&["disko", "resource busy"]],
        ),
        bad(
            "activating the configuration...
setting up /etc...
chown: invalid user: 'a:b'
Activation script snippet 'chownA' failed (1)
Failed to run activate script
restarting the following units: a.service
warning: the following units failed: a.service
",
            &[&["units-failed", "a.service"], &["activation-step", "chownA", "invalid user"]],
        ),
        bad(
            "Starting Home Manager activation
Activating writeBoundary
Activating fetchNotes
fatal: could not read Username for 'https://example.org'
Please make sure you have the correct access rights
",
            &[&["fetchNotes", "could not read Username"]],
        ),
        bad(
            "Starting Home Manager activation
Activating writeBoundary
Activating installFonts
error: getting status of '/x': No such file or directory
",
            &[&["installFonts", "getting status"]],
        ),
    ]);
    check(&[
        good(
            "copying channel...
building the configuration in /mnt/etc/nixos/configuration.nix...
installing the boot loader...
setting up /etc...
updating GRUB 2 menu...
installing the GRUB 2 boot loader on /dev/sda...
Installing for i386-pc platform.
Installation finished. No error reported.
installation finished!
",
        ),
        good(
            "Starting Home Manager activation
Activating writeBoundary
Activating reloadKeys
rm: cannot remove '/x': No such file or directory
keys reloaded
",
        ),
        good(
            "Starting Home Manager activation\nActivating setupLaunchAgents\nBoot-out failed: 3: No such process\n",
        ),
    ]);
}

#[test]
fn lines_after_a_deployment_is_confirmed() {
    check(&[
        bad(
            "🚀 ℹ️ [deploy] [INFO] Activating profile `system` for node `web`
⭐ ℹ️ [activate] [INFO] Activating profile
🚀 ℹ️ [deploy] [INFO] Success activating, attempting to confirm activation
🚀 ℹ️ [deploy] [INFO] Deployment confirmed.
⭐ ⚠️ [activate] [WARN] De-activating due to error
⭐ ℹ️ [activate] [INFO] Attempting to re-activate the last generation
",
            &[&["web"]],
        ),
        bad(
            "🚀 ℹ️ [deploy] [INFO] Activating profile `system` for node `web`
⭐ ℹ️ [activate] [INFO] Activating profile
🚀 ℹ️ [deploy] [INFO] Success activating, done!
activating the configuration...
Activation script snippet 'copyA' failed (1)
Failed to run activate script
⭐ ❌ [activate] [ERROR] The activation script resulted in a bad exit code: Some(2)
",
            &[&["web", "copyA"]],
        ),
    ]);
    check(&[
        good(
            "🚀 ℹ️ [deploy] [INFO] Activating profile `system` for node `web`
⭐ ℹ️ [activate] [INFO] Activating profile
🚀 ℹ️ [deploy] [INFO] Success activating, attempting to confirm activation
🚀 ℹ️ [deploy] [INFO] Deployment confirmed.
activating the configuration...
setting up /etc...
⭐ ℹ️ [activate] [INFO] Activation succeeded!
👀 ℹ️ [wait] [INFO] Found canary file, done waiting!
",
        ),
        good(
            "🚀 ℹ️ [deploy] [INFO] Activating profile `system` for node `web`
🚀 ℹ️ [deploy] [INFO] Deployment confirmed.
🚀 ℹ️ [deploy] [INFO] Activating profile `system` for node `db`
⭐ ℹ️ [activate] [INFO] Activating profile
🚀 ℹ️ [deploy] [INFO] Deployment confirmed.
",
        ),
    ]);
}

#[test]
fn activations_that_stop_before_the_files_are_linked() {
    check(&[
        incomplete(
            "Starting Home Manager activation\nActivating checkFilesChanged\nActivating writeBoundary\nActivating installPackages\nreplacing old 'home-manager-path'\n",
        ),
        incomplete(
            "Starting Home Manager activation\nActivating writeBoundary\nActivating createXdgUserDirectories\n",
        ),
        // Another order of steps, and a step of the user's.
        good(
            "Starting Home Manager activation\nActivating writeBoundary\nActivating linkGeneration\nActivating installPackages\n",
        ),
        good("Starting Home Manager activation\nActivating writeBoundary\nActivating seedKeys\n"),
    ]);
}

#[test]
fn failures_that_are_told_twice() {
    check(&[
        bad(
            "copying path '/nix/store/cccccccccccccccccccccccccccccccc-src' from 'ssh://cache'...
error: hash mismatch importing path '/nix/store/cccccccccccccccccccccccccccccccc-src';
         specified: sha256:0a
         got:       sha256:0b
error: some substitutes for the outputs of derivation '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-src.drv' failed (usually happens due to networking issues); try '--fallback' to build derivation from source
",
            // The mismatch is its detail.
            &[&["substitution-failed", "src"]],
        ),
        bad(
            "error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2
error: 1 dependencies of derivation '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv' failed to build
error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2
",
            &[&["builder-failed", "lib"]],
        ),
        // Two causes are two.
        bad(
            "error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2
error: builder for '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv' failed with exit code 2
",
            &[&["builder-failed", "lib"], &["builder-failed", "app"]],
        ),
    ]);
}

#[test]
fn systems_and_features_that_are_missing() {
    check(&[
        bad(
            "error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-vm.drv'.
       Reason: required system or feature not available
       Required system: 'x86_64-linux' with features {kvm, nixos-test}
       Current system: 'x86_64-linux' with features {benchmark}
",
            &[&["vm", "kvm"]],
        ),
        bad(
            "error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-fw.drv'.
       Reason: required system or feature not available
       Required system: 'riscv64-linux' with features {}
       Current system: 'x86_64-linux' with features {kvm}
",
            &[&["platform-mismatch", "fw", "riscv64-linux"]],
        ),
        bad(
            "error: a 'aarch64-linux' with features {} is required to build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-img.drv', but I am a 'x86_64-linux' with features {kvm}
",
            &[&["platform-mismatch", "img", "aarch64-linux"]],
        ),
        good(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-img.drv'...
img> Required system: 'riscv64-linux' is cross-compiled
/nix/store/cccccccccccccccccccccccccccccccc-img
",
        ),
    ]);
}

#[test]
fn text_of_nix_before_2_3() {
    check(&[
        bad(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-src.tgz.drv'...
fixed-output derivation produced path '/nix/store/cccccccccccccccccccccccccccccccc-src.tgz' with sha256 hash '0b' instead of the expected hash '0a'
cannot build derivation '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv': 1 dependencies couldn't be built
error: build of '/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv' failed
",
            &[&["hash-mismatch", "src.tgz"]],
        ),
        bad(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2
error: build of '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed
",
            &[&["builder-failed", "lib"]],
        ),
        good(
            "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
test: builder for 'x' failed with exit code 2, as it should
/nix/store/cccccccccccccccccccccccccccccccc-lib
",
        ),
    ]);
}

/// Each line behind a prefix.
fn behind(prefix: &str, log: &str) -> String {
    log.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

fn check_text(log: &str, outcome: &str, n_failures: usize, nodes: &[&str]) {
    let (said, _) = summary(log.as_bytes(), None);
    assert_eq!(said["outcome"], outcome, "{said}\n{log}");
    assert_eq!(said["failures"].as_array().unwrap().len(), n_failures, "{said}\n{log}");
    let failures = said["failures"].as_array().unwrap().iter();
    let machines: Vec<&str> = failures.filter_map(|failure| failure["machine"].as_str()).collect();
    assert_eq!(machines, nodes, "{log}");
}

const BUILD_FAILS: &str = "this derivation will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
lib> cc: x.c: No such file or directory
error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 1;
       last 1 log lines:
       > cc: x.c: No such file or directory
       For full logs, run 'nix log /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'.
";
const SWITCH: &str = "activating the configuration...
setting up /etc...
restarting the following units: nginx.service
";
const UNITS_FAIL: &str = "warning: the following units failed: nginx.service\n";

#[test]
fn machines_before_an_angle_bracket() {
    check_text(&behind("web> ", BUILD_FAILS), "failure", 1, &[]);
    check_text(&behind("web> ", &format!("{SWITCH}{UNITS_FAIL}")), "failure", 1, &["web"]);
    check_text(
        &behind("web.example.org> ", &format!("warning: Git tree '/x' is dirty\n{BUILD_FAILS}")),
        "failure",
        1,
        &[],
    );
    // One of two machines.
    let one = behind("web> ", SWITCH) + &behind("db> ", SWITCH) + &behind("db> ", UNITS_FAIL);
    check_text(&one, "failure", 1, &["db"]);
    // Controls: both are well, and builders that run Nix, or print its words.
    check_text(&(behind("web> ", SWITCH) + &behind("db> ", SWITCH)), "success", 0, &[]);
    let nested = behind("nix-tests> ", BUILD_FAILS);
    let path = "/nix/store/cccccccccccccccccccccccccccccccc-nix-tests";
    check_text(&format!("building '{path}.drv'...\n{nested}{path}\n"), "success", 0, &[]);
    let phases = behind("nix-tests> ", &format!("Running phase: unpackPhase\n{BUILD_FAILS}"));
    check_text(&format!("{phases}{path}\n"), "success", 0, &[]);
}

#[test]
fn times_of_a_build_server() {
    // Of Jenkins, with its own lines around the command.
    let jenkins = |log: &str, end: &str| {
        behind(
            "[2026-11-02T10:00:00.123Z] ",
            &format!("Started by user demo\n[Pipeline] sh\n+ nix build\n{log}{end}"),
        )
    };
    check_text(&jenkins(BUILD_FAILS, "[Pipeline] }\nFinished: FAILURE\n"), "failure", 1, &[]);
    check_text(&jenkins(&format!("{SWITCH}{UNITS_FAIL}"), ""), "failure", 1, &[]);
    check_text(&jenkins("error: flake 'path:/x' does not provide attribute 'y'\n", ""), "failure", 1, &[]);
    check_text(&jenkins(SWITCH, "[Pipeline] }\nFinished: SUCCESS\n"), "success", 0, &[]);
    let (list, _) = BUILD_FAILS.split_once("error: ").unwrap();
    check_text(&jenkins(list, "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib\n"), "success", 0, &[]);
}
