//! Faults around a watched command: killed processes, full disks, and many runs at once.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test of the program starts it, writes files and needs the clock"
)]
#![expect(clippy::print_stderr, reason = "what was seen helps where a test fails")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod background;
mod bombs;
mod calls;
mod clock;
pub(crate) mod disks;
mod gaps;
mod held;
mod kills;
mod readers;
mod signals;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::home::at_home;
use crate::common::ran::Ran;
use nixmon_runs::{ProcessId, RunDir};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(300);

/// A home directory with a store of runs.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_with(Command::new(env!("CARGO_BIN_EXE_nixmon")), args)
    }

    /// The same, started by another program.
    fn command_with(&self, command: Command, args: &[&str]) -> Command {
        at_home(command, self.path(), args)
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Starts a script in the background and returns its run.
    #[track_caller]
    fn start(&self, options: &[&str], script: &str) -> RunDir {
        let ran = self.run(&[&["start"], options, &["--", "sh", "-c", script]].concat());
        ran.check(0, &[]);
        self.dir_of(ran.out.trim())
    }

    fn dir_of(&self, id: &str) -> RunDir {
        RunDir::at(&self.path().join("state/nixmon/runs").join(id)).unwrap()
    }

    fn status(&self, dir: &RunDir) -> Value {
        let ran = self.run(&["status", &dir.id().to_string(), "--json"]);
        ran.check(0, &[]);
        serde_json::from_str(&ran.out).unwrap()
    }
}

impl Drop for Home {
    /// Nothing that a test has started outlives it, also if it fails.
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.path().join("state/nixmon/runs")).into_iter().flatten().flatten()
        {
            if let Some(dir) = RunDir::at(&entry.path()) {
                kill_all(&dir);
            }
        }
    }
}

fn kill_all(dir: &RunDir) {
    let Ok(facts) = dir.facts() else { return };
    if let Some(process) = &facts.process {
        process.signal_group(rustix::process::Signal::KILL);
    }
    for process in [&facts.monitor, &facts.guard].into_iter().flatten() {
        process.signal(rustix::process::Signal::KILL);
    }
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lives(process: Option<&ProcessId>) -> bool {
    process.is_some_and(ProcessId::lives)
}

/// Names in a directory; none if it is missing.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Writes a script that can be run.
fn write(path: PathBuf, text: &str) -> String {
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
