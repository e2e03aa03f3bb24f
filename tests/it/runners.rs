//! Streams of programs that run others: their prefixes of any form, and the words in which they say that a command failed.

use crate::text_streams::{bad, check, good, incomplete};

#[test]
fn prefixes_of_any_form() {
    check(&[
        // Terraform.
        bad(
            "null_resource.web (local-exec): Executing: [\"/bin/sh\" \"-c\" \"nix build\"]
null_resource.web (local-exec): building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
null_resource.web (local-exec): error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2;
null_resource.web (local-exec):        last 1 log lines:
null_resource.web (local-exec):        > no
",
            &[&["builder-failed", "lib"]],
        ),
        // Vagrant.
        bad(
            "    default: activating the configuration...
    default: setting up /etc...
    default: warning: the following units failed: nginx.service
",
            &[&["units-failed", "nginx.service"]],
        ),
        // Python's logging.
        bad(
            "2026-03-25 10:00:01,123 - deploy - INFO - this derivation will be built:
2026-03-25 10:00:01,124 - deploy - INFO -   /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
2026-03-25 10:00:01,125 - deploy - INFO - building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
2026-03-25 10:00:09,120 - deploy - ERROR - error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'.
2026-03-25 10:00:09,121 - deploy - ERROR -        Reason: builder failed with exit code 3.
",
            &[&["builder-failed", "lib"]],
        ),
        // A runner of tasks, and an error of the evaluation.
        bad(
            "web:build: warning: Git tree '/x' is dirty
web:build: error: attribute 'fo' missing
web:build:        at /x/flake.nix:3:5:
",
            &[&["eval-missing-attribute", "'fo'"]],
        ),
    ]);
    check(&[
        good(
            "    default: activating the configuration...
    default: setting up /etc...
    default: restarting the following units: nginx.service
",
        ),
        good(
            "    > building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...
    > error: builder for '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv' failed with exit code 2
quoted as it should be
",
        ),
        good("tool: error: a\ntool: error: b\nall of it as it should be\n"),
    ]);
}

#[test]
fn words_of_runners() {
    let built = "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...\n";
    for end in [
        "Finished: FAILURE",
        "🚨 Error: The command exited with status 1",
        "[1]    4242 killed     nix build .#x",
        "[1]+  Exit 1                  nix build .#x",
        "task: Failed to run task \"build\": exit status 201",
        "##[error]Process completed with exit code 1.\nPost job cleanup.\nCleaning up orphan processes",
        "web : ok=3 changed=1 unreachable=0 failed=1 skipped=0",
        "┗━ ∑ ⏵ 0 │ ✔ 3 │ ⏸ 1 │ ⚠ 1 │ ⚠ Exited after 1 build failures at 10:43:39 after 5s",
    ] {
        let log = format!("{built}{end}\n");
        check_outcome(&log, "failure");
    }
    for end in [
        "Finished: SUCCESS",
        "The command exited with status 0",
        "[1]+  Done                    nix build .#x",
        "expected exit code 1, got exit code 1 as it should",
        "web : ok=3 changed=1 unreachable=0 failed=0 skipped=0",
        "┗━ ∑ ⏵ 0 │ ✔ 3 │ ⏸ 0 │ Finished at 10:43:39 after 5s",
    ] {
        let log = format!("{built}{end}\n");
        check_outcome(&log, "success");
    }
    let system = built.replace("-lib", "-nixos-system-web-25.11");
    check_outcome(&format!("{system}doas: Operation not permitted\n"), "failure");
    check_outcome("formatted 1 files\nError: unexpected changes detected\n", "failure");
}

fn check_outcome(log: &str, outcome: &str) {
    let (said, _) = crate::common::play::summary(log.as_bytes(), None);
    assert_eq!(said["outcome"], outcome, "{log}");
}

#[test]
fn text_that_is_cut_within_a_line() {
    check(&[incomplete(
        "these 2 derivations will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv
  /nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-app.drv
building '/nix/store/aaaaaaaaaaaa",
    )]);
}
