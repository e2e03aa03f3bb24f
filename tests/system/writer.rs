//! The filter behind real writers: how it ends where the exit status of what it reads from is known.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts processes")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::common::corpus::{self, Case};
use crate::common::require;
use serde_json::{Value, json};

/// Returns whether this system tells how a process ended that is not ours.
fn is_told() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    cfg!(target_os = "linux") && (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// Runs a line of a shell; `$N` is the program. Returns the exit status and what was printed.
fn shell(line: &str) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(home.path())
        .env("N", env!("CARGO_BIN_EXE_nixmon"))
        .env("HOME", home.path())
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines of a shell, and how each ends.
#[track_caller]
fn check(cases: &[(&str, i32)]) {
    if !is_told() {
        require::skip("a kernel that tells how processes ended (Linux 6.15)");
        return;
    }
    for (line, expected) in cases {
        let (status, printed) = shell(line);
        assert_eq!(status, *expected, "{line}\n{printed}");
    }
}

const FAILED: &str = "error: Cannot build '/nix/store/00000000000000000000000000000000-a-1.0.drv'.";

#[test]
fn one_writer() {
    check(&[
        ("(sleep .3; exit 0) | $N", 0),
        ("(sleep .3; exit 7) | $N", 7),
        ("sh -c 'sleep .3; kill -9 $$' | $N", 137),
        ("(sleep .3; exit 7) | $N --status-from-writer=never", 0),
        ("(sleep .3; exit 7) | $N --status-from-writer=auto", 7),
        // Not the writer that the file had.
        ("(sleep .1; exit 7) > f; $N < f", 0),
    ]);
}

#[test]
fn programs_that_pass_on_what_they_read() {
    check(&[
        ("(sleep .3; exit 7) | tee log | $N", 7),
        ("(sleep .3; exit 7) | tee log | cat | sed s/a/b/ | $N", 7),
        // Finds nothing, and ends with 1.
        ("(sleep .3; exit 0) | grep x | $N", 0),
        ("(sleep .3; exit 7) | while read -r line; do echo \"$line\"; done | $N", 7),
        // A log that is read: that it could be read is no success.
        (&format!("echo \"{FAILED}\" > f; (sleep .3; cat f) > g; cat g | $N"), 1),
        // Whoever reads from it leaves before the end.
        ("sh -c 'sleep .3; kill -PIPE $$' | cat | $N", 0),
        ("yes | sh -c 'sleep .3; exit 7' | $N", 7),
    ]);
}

#[test]
fn families() {
    check(&[
        ("{ sleep .3; sh -c 'exit 7'; } | $N", 7),
        // What the shell ran last is not what was built.
        (&format!("{{ sleep .2; echo \"{FAILED}\"; sleep .2; }} | $N"), 1),
        // Others hold the pipe after the end.
        ("sh -c 'sleep .4 & sleep .2; exit 7' | $N", 7),
        // The writer goes on without the pipe.
        ("sh -c 'sleep .3; exec >&-; sleep 2; exit 7' | $N", 0),
    ]);
}

#[test]
fn every_capture_ends_as_its_command_did() {
    if !is_told() {
        require::skip("a kernel that tells how processes ended (Linux 6.15)");
        return;
    }
    let cases = corpus::archive_of(|name| !name.ends_with("-v") && !name.ends_with("-L"));
    assert!(cases.len() > 400, "{} captures", cases.len());
    let wrong: Vec<String> = corpus::each(&cases, piped_twice).into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Tries it once more: a process that ends holds nothing any more some time before it counts as ended, and on a machine that is
/// busy with other tests that can be longer than is waited.
fn piped_twice(case: &Case) -> Option<String> {
    piped(case).and_then(|_| piped(case))
}

/// Pipes a capture from a writer that ends as the command did; says so if something else is told.
fn piped(case: &Case) -> Option<String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&case.log).unwrap();
    let expected = case.exit_status();
    // As a shell's job. The writer is waited for last, so that it can be asked however fast it was.
    let mut writer = Command::new("sh")
        .args(["-c", "cat \"$0\"; exit \"$1\""])
        .arg(file.path())
        .arg(expected.to_string())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nixmon"))
        .args(["--output", "json"])
        .env("HOME", file.path().parent().unwrap())
        .env_remove("XDG_CONFIG_HOME")
        .stdin(writer.stdout.take().unwrap())
        .process_group(writer.id().cast_signed())
        .output()
        .unwrap();
    writer.wait().unwrap();
    let last = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty())?;
    let summary: Value = serde_json::from_slice(last).unwrap();
    let outcome = case.truth["outcome"].as_str().unwrap_or_default();
    let wanted: &[&str] = match outcome {
        _ if case.scenario() == "17-sigkill" => &["incomplete", "interrupted"],
        "success" => &["success"],
        "interrupted" => &["interrupted"],
        "build-error-then-success" => &["failure"],
        "" if expected == 0 => &["success"],
        _ => &["failure"],
    };
    // What failed on the way is told, though the shell went on.
    let code = if outcome == "build-error-then-success" { 1 } else { expected };
    let said = summary["outcome"].as_str().unwrap();
    let status = output.status.code().unwrap();
    (!wanted.contains(&said) || status != code || summary["exit_code"] != json!(code))
        .then(|| format!("{}: said {said} with {status}, true is {outcome} with {expected}", case.name))
}
