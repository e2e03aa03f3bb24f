//! Scripts that call Nix: what they say after it, and what is said of them.

use super::harness::{Ended, nixmon_beside};
use crate::common::nix::Nix;

/// A script, its exit status, and parts of what stands on standard error, in this order.
type Case = (&'static str, i32, &'static [&'static str]);

const CASES: [Case; 4] = [
    (
        "nix-build --no-out-link {} -A good; echo 'host unreachable' >&2; exit 5",
        5,
        &["host unreachable\n", "✗ Failed after ", "  the command exited with status 5\n"],
    ),
    (
        "nix build --no-link -f {} app; echo 'host unreachable' >&2; exit 5",
        5,
        &["✗ Failed after ", "  the command exited with status 5\n", "    host unreachable\n"],
    ),
    (
        "nix-build --no-out-link {} -A bad; echo 'host unreachable' >&2; exit 5",
        5,
        &[
            "✗ Build failed after ",
            "  bad-1.0 failed",
            ", exit 3",
            "    main.c:3:1: error: expected expression\n",
        ],
    ),
    // nix-shell looks for a bash of nixpkgs, which is not there, and does without.
    (
        "nix-shell {} -A good --run 'echo inside >&2; exit 9'",
        9,
        &["will use bash from your environment\n", "✗ Failed after ", "  the command exited with status 9\n"],
    ),
];

#[test]
fn the_last_words_of_a_script_are_told_and_kept() {
    let Some(nix) = Nix::new() else { return };
    let builds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix");
    let state = nix.root().join("state");
    let nixmon =
        |args: &[&str]| Ended::of(nixmon_beside(&nix, args).env("XDG_STATE_HOME", &state).spawn().unwrap());
    for (script, status, parts) in CASES {
        let script = script.replace("{}", builds);
        let ended = nixmon(&["run", "--", "sh", "-c", &script]);
        assert_eq!(ended.status, Some(status), "{script}\n{}", ended.stderr);
        let mut rest = ended.stderr.as_str();
        for part in parts {
            let (_, after) =
                rest.split_once(part).unwrap_or_else(|| panic!("{script}: no {part:?}\n{}", ended.stderr));
            rest = after;
        }
        if script.contains("unreachable") {
            let log = nixmon(&["log"]);
            assert!(log.stdout.lines().any(|line| line == "host unreachable"), "{script}\n{}", log.stdout);
        }
    }
}
