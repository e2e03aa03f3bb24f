//! A clock that is wrong, or set while a command runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use nixmon_runs::RunDir;
use serde_json::Value;

use super::{Home, Ran, wait_until};
use crate::common::require::skip;

/// Returns the library that fakes the clock; `None` where it is missing, which is said.
fn library() -> Option<PathBuf> {
    let known = |parent: &Path| parent.join("faketime/libfaketimeMT.so.1");
    let mut parents: Vec<PathBuf> = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from).to_vec();
    // Debian has a directory for each architecture.
    let architectures = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    parents.extend(architectures.map(|entry| entry.path()));
    let found = parents.iter().map(|parent| known(parent)).find(|library| library.exists());
    if found.is_none() {
        skip("there is no libfaketime");
    }
    found
}

/// A command whose clock is as `file` says, at each moment, and whose monotonic clock is right.
fn faked(home: &Home, library: &Path, file: &Path, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

fn list(home: &Home) -> Vec<String> {
    let ran = home.run(&["list", "--all"]);
    ran.check(0, &[]);
    ran.out.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn a_clock_that_is_wrong_for_a_run_removes_no_others() {
    let Some(library) = library() else { return };
    let home = Home::new();
    let file = home.path().join("clock");
    for _ in 0..3 {
        home.run(&["run", "--", "true"]).check(0, &[]);
    }
    for (n, offset) in ["+400d", "-400d", "+4000d", "+0"].into_iter().enumerate() {
        std::fs::write(&file, offset).unwrap();
        let args = ["run", "--", "env", "-u", "LD_PRELOAD", "true"];
        Ran::of(faked(&home, &library, &file, &args).output().unwrap()).check(0, &["Complete"]);
        assert_eq!(list(&home).len(), 4 + n, "{offset}");
    }
}

#[test]
fn a_clock_that_is_set_while_a_command_runs() {
    let Some(library) = library() else { return };
    for offset in ["+400d", "-400d"] {
        let home = Home::new();
        for _ in 0..3 {
            home.run(&["run", "--", "true"]).check(0, &[]);
        }
        let file = home.path().join("clock");
        std::fs::write(&file, "+0").unwrap();
        let go = home.path().join("go");
        let script = format!("until [ -e '{}' ]; do sleep 0.1; done; exit 7", go.display());
        let args = ["run", "--name", "job", "--", "env", "-u", "LD_PRELOAD", "sh", "-c", &script];
        let child = faked(&home, &library, &file, &args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let runs = home.path().join("state/nixmon/runs/4");
        wait_until("the command runs", || {
            RunDir::at(&runs).is_some_and(|dir| dir.facts().is_ok_and(|facts| facts.process.is_some()))
        });
        std::fs::write(&file, offset).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        std::fs::write(&go, "").unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        ran.check(7, &["Failed after"]);
        assert_eq!(list(&home).len(), 4, "{offset}: {}", ran.err);
        let status: Value = home.status(&RunDir::at(&runs).unwrap());
        assert_eq!((&status["outcome"], &status["exit_code"]), (&"failure".into(), &7.into()), "{status}");
        // The report tells the time that passed, and not that of the clock.
        let after = ran.err.lines().find_map(|line| line.split("Failed after ").nth(1)).unwrap();
        let seconds: u64 = after.trim_end_matches('s').parse().unwrap();
        assert!((1..60).contains(&seconds), "{}", ran.err);
        home.run(&["status", "job"]).check(0, &["failure, exit status 7"]);
        assert_eq!(home.run(&["wait", "job"]).code, Some(7));
    }
}
