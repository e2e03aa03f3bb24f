//! Output of a command on standard output and on standard error keeps its order below `nixmon run`.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts processes")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};

/// Number of tries of each, since the order changes by chance.
const TRIES: usize = 15;

/// A shell's line, in which `$N` is the program; returns what it prints.
fn shell(line: &str, script: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", line, "sh", script])
        .current_dir(home.path())
        .env("N", env!("CARGO_BIN_EXE_nixmon"))
        .env("HOME", home.path())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a script in each of the ways to run it, and looks for lines that are to be told in this order.
#[track_caller]
fn check(ways: &[&str], script: &str, expected: &[&str]) {
    for way in ways {
        for _ in 0..TRIES {
            let printed = shell(way, script);
            let mut rest = printed.as_str();
            for part in expected {
                let (_, behind) = rest
                    .split_once(part)
                    .unwrap_or_else(|| panic!("{way}: {part} is not where it belongs:\n{printed}"));
                rest = behind;
            }
        }
    }
}

const SAME: &str = "$N run -- sh -c \"$1\" 2>&1";
const BACKGROUND: &str =
    "n=$($N start -- sh -c \"$1\" 2>/dev/null); $N wait $n >/dev/null 2>&1; $N replay $n 2>&1";
const APART: &str = "$N run -- sh -c \"$1\" 2>&1 >out";
const ALL: [&str; 3] = [SAME, BACKGROUND, APART];

#[test]
fn lines_of_both() {
    let script = "echo 1 out; echo 2 out; echo 3 err >&2; echo 4 out; echo 5 err >&2";
    check(&[SAME, BACKGROUND], script, &["1 out\n", "2 out\n", "3 err\n", "4 out\n", "5 err\n"]);
}

#[test]
fn a_reason_belongs_to_its_step() {
    let script = "set -eu; echo 'Starting Home Manager activation'; echo 'Activating writeBoundary'; \
                  echo 'Activating myStep'; echo x > /nonexistent/y";
    check(&ALL, script, &["✗ Activation failed in myStep", "/nonexistent/y"]);
}

#[test]
fn news_end_no_activation() {
    let begin = "echo 'Starting Home Manager activation'; echo 'Activating reloadSystemd'; ";
    let failed = "echo 'Starting units: rclone-mount.service'; echo 'rclone-mount.service failed'; ";
    let news = "echo 'There are 3 unread and relevant news items.' >&2; ";
    check(&ALL, &format!("{begin}{failed}{news}"), &["with 1 failed unit"]);
    // Though they come first.
    check(&[SAME], &format!("{begin}{news}{failed}"), &["with 1 failed unit"]);
    // And without a failure it stays a success.
    check(&[SAME], &format!("{begin}{news}"), &["✓ Configuration applied"]);
}
