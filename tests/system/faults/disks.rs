//! Disks that are full or read-only, directories that are missing, and streams that are closed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Home, Ran, write};
use crate::common::require::skip;

/// Prints about a megabyte that does not pack well, and a result.
const NOISE: &str = "head -c 800000 /dev/urandom | od -An -tx1 >&2; echo the result; exit 6";

/// A file system of its own, removed at the end.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// `None` where mounting is not allowed, which is said.
    pub(crate) fn new(dir: PathBuf, args: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(&dir).unwrap();
        let mounted = Command::new("mount").args(args).arg(&dir).stderr(Stdio::null()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            skip("mounting is not allowed");
            return None;
        }
        Some(Self(dir))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: somebody may look at it still.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Counts nixmon's own messages, apart from the report.
fn complaints(ran: &Ran) -> usize {
    ran.err.lines().filter(|line| line.starts_with("nixmon: ")).count()
}

#[track_caller]
fn check_runs(ran: &Ran, n_complaints: usize) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(6), "the result\n"), "{}", ran.err);
    assert_eq!(complaints(ran), n_complaints, "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

#[test]
fn a_disk_that_fills_up() {
    let home = Home::new();
    let Some(disk) = Mounted::new(home.path().join("state"), &["-t", "tmpfs", "-o", "size=256k", "none"])
    else {
        return;
    };
    // A second passes in between, so that what is kept is written.
    let script = format!("echo first >&2; sleep 1.5; {{ {NOISE}; }}");
    let script = script.replace("echo the result", "sleep 2; echo the result");
    let ran = home.run(&["run", "--", "sh", "-c", &script]);
    check_runs(&ran, 1);
    assert!(ran.err.contains("is not whole: "), "{}", ran.err);
    let status = home.run(&["status", "1"]);
    assert_eq!(status.code, Some(0), "{}", status.err);
    assert!(status.out.contains("run 1"), "{}", status.out);
    home.run(&["list"]).check(0, &["1"]);
    let log = home.run(&["log", "1"]);
    assert!(log.code == Some(0) && log.out.contains("first"), "{} {}", log.out, log.err);
    eprintln!("{}\n{}", status.out, names_and_sizes(&disk.0));
}

fn names_and_sizes(dir: &std::path::Path) -> String {
    let output = Command::new("find").arg(dir).args(["-type", "f", "-size", "+0", "-ls"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_disk_that_is_full() {
    let home = Home::new();
    let Some(disk) = Mounted::new(home.path().join("state"), &["-t", "tmpfs", "-o", "size=64k", "none"])
    else {
        return;
    };
    let filler = "x".repeat(128 << 10);
    let _ = std::fs::write(disk.0.join("filler"), filler);
    check_runs(&home.run(&["run", "--", "sh", "-c", NOISE]), 1);
    home.run(&["start", "--", "true"]).check(74, &["No space left"]);
    home.run(&["list"]).check(0, &[]);
}

#[test]
fn a_disk_that_fills_up_below_a_run_in_the_background() {
    let home = Home::new();
    let Some(_disk) = Mounted::new(home.path().join("state"), &["-t", "tmpfs", "-o", "size=256k", "none"])
    else {
        return;
    };
    let dir = home.start(&[], &NOISE.replace("echo the result", "sleep 1; touch over"));
    super::wait_until("the command ends", || home.path().join("over").exists());
    let facts = dir.facts().unwrap();
    for process in [&facts.process, &facts.monitor, &facts.guard] {
        super::wait_until("all end", || !super::lives(process.as_ref()));
    }
    let first = home.run(&["status", "1"]);
    first.check(0, &["run 1"]);
    eprintln!("{}", first.out);
    assert_eq!(first.out, home.run(&["status", "1"]).out);
}

#[test]
fn a_state_directory_that_is_read_only() {
    let home = Home::new();
    let state = home.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let path = state.to_str().unwrap().to_owned();
    let Some(_bind) = Mounted::new(state.clone(), &["--bind", &path]) else { return };
    let Some(_read_only) = Mounted::new(state, &["-o", "remount,bind,ro"]) else { return };
    check_runs(&home.run(&["run", "--", "sh", "-c", NOISE]), 1);
    home.run(&["start", "--", "true"]).check(74, &["Read-only"]);
}

#[test]
fn places_that_are_none() {
    let home = Home::new();
    write(home.path().join("file"), "");
    /// Variables to set, or to remove if empty.
    type Changes<'a> = &'a [(&'a str, &'a str)];
    let with = |args: &[&str], changes: Changes<'_>| {
        let mut command = home.command(args);
        for (name, value) in changes {
            match value.is_empty() {
                true => command.env_remove(name),
                false => command.env(name, value),
            };
        }
        Ran::of(command.output().unwrap())
    };
    let run = ["run", "--", "sh", "-c", NOISE];
    let start = ["start", "--", "true"];
    let file = home.path().join("file");
    let is_file = [("XDG_STATE_HOME", file.to_str().unwrap())];
    check_runs(&with(&run, &is_file), 1);
    with(&start, &is_file).check(74, &["cannot make"]);
    let homeless = [("HOME", ""), ("XDG_STATE_HOME", "")];
    let ran = with(&run, &homeless);
    check_runs(&ran, 1);
    assert!(ran.err.contains("this run is not kept: there is no home directory"), "{}", ran.err);
    with(&start, &homeless).check(66, &["must be kept", "neither XDG_STATE_HOME nor HOME"]);
    for missing in ["TMPDIR", "XDG_RUNTIME_DIR"] {
        let missing = (missing, "/nonexistent");
        check_runs(&with(&run, &[missing]), 0);
        check_runs(&with(&run, &[missing, homeless[0], homeless[1]]), 1);
    }
}

#[test]
fn streams_that_are_closed_or_full() {
    let home = Home::new();
    let nixmon = env!("CARGO_BIN_EXE_nixmon");
    let mut n = 0;
    for redirection in
        [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"]
    {
        for options in ["", "-o json"] {
            n += 1;
            let script = format!(
                "{nixmon} run {options} -- sh -c 'echo one; echo two >&2; echo three; touch done{n}; exit 6' {redirection}"
            );
            let ran = Ran::of(home.command_with(Command::new("sh"), &["-c", &script]).output().unwrap());
            ran.check(6, &[]);
            assert!(home.path().join(format!("done{n}")).exists());
            let status = home.run(&["status", &n.to_string()]);
            status.check(0, &["exit status 6"]);
            home.run(&["log", &n.to_string()]).check(0, &["one", "two", "three"]);
        }
    }
    // `start` cannot say the number: the run goes on all the same.
    let mut command = home.command(&["start", "--", "true"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let started = Ran::of(command.stdout(full).output().unwrap());
    assert!(started.code.is_some(), "{}", started.err);
    home.run(&["wait", &(n + 1).to_string()]).check(0, &["ended"]);
}

#[test]
fn few_open_files() {
    let home = Home::new();
    let nixmon = env!("CARGO_BIN_EXE_nixmon");
    for limit in [64, 40, 30, 20, 12, 8] {
        let script = format!("ulimit -n {limit}; exec {nixmon} run -- sh -c 'echo the result; exit 6'");
        let begun = std::time::Instant::now();
        let ran = Ran::of(home.command_with(Command::new("sh"), &["-c", &script]).output().unwrap());
        eprintln!("{limit}: {:?} {:?} {}", ran.code, begun.elapsed(), ran.err);
        // It runs, or it is said why not.
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        match ran.code {
            Some(6) => assert_eq!(ran.out, "the result\n"),
            code => assert!(
                limit < 40 && code == Some(71) && complaints(&ran) > 0,
                "{limit}: {code:?} {}",
                ran.err
            ),
        }
    }
}
