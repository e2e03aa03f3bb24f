//! Single calls of the system that fail, or kill their process, around a run and around a look at one: each in its turn.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nixmon_runs::Life;
use rustix::process::Signal;
use serde_json::Value;

use super::{Home, Ran, lives, names, wait_until};
use crate::common::require::skip;

const CALLS: [&str; 7] = ["open", "rename", "unlink", "mkdir", "flock", "fsync", "write"];
/// ENOSPC, EROFS, EIO, EMFILE, and SIGKILL. All but the first and the last are tried at every call only if asked for.
const ERRORS: [&str; 5] = ["28", "KILL", "30", "5", "24"];
/// Tries every error at every call.
const ALL: &str = "NIXMON_TEST_ALL_CALLS";
/// No run makes so many calls of a kind.
const MOST: usize = 500;
const SCRIPT: &str = "echo out; echo err >&2; sleep 0.3; exit 7";

/// The library that makes calls fail; `None` without a C compiler, which is said.
fn shim(dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/faults/shim.c");
    let library = dir.join("shim.so");
    let mut built = Command::new("cc");
    built.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    if !built.stderr(Stdio::inherit()).status().is_ok_and(|status| status.success()) {
        skip("there is no C compiler");
        return None;
    }
    Some(library)
}

struct Injector {
    home: Home,
    shim: PathBuf,
    call: &'static str,
    at: usize,
    error: &'static str,
}

impl Injector {
    fn new(shim: PathBuf, call: &'static str, at: usize, error: &'static str) -> Self {
        Self { home: Home::new(), shim, call, at, error }
    }

    /// Runs nixmon with the fault. Returns what it did, and whether the call was made.
    fn run(&self, args: &[&str]) -> (Ran, bool) {
        self.run_below("state", args)
    }

    /// The same, with faults of files whose path begins so below the home.
    fn run_below(&self, below: &str, args: &[&str]) -> (Ran, bool) {
        let count = self.home.path().join("count");
        std::fs::write(&count, [0; 8]).unwrap();
        let mut command = self.home.command(args);
        command
            .env("LD_PRELOAD", &self.shim)
            .env("SHIM_CALL", self.call)
            .env("SHIM_DIR", self.home.path().join(below))
            .env("SHIM_AT", self.at.to_string())
            .env("SHIM_ERROR", self.error)
            .env("SHIM_COUNT", &count);
        let ran = Ran::of(command.output().unwrap());
        (ran, self.n_made() >= self.at as u64)
    }

    /// Returns the number of calls so far.
    fn n_made(&self) -> u64 {
        u64::from_ne_bytes(std::fs::read(self.home.path().join("count")).unwrap().try_into().unwrap())
    }

    fn told(&self, what: &str, ran: &Ran) -> String {
        let Self { call, at, error, .. } = self;
        format!("{what}, {call} {at}: {error}: {:?}\n{}{}", ran.code, ran.out, ran.err)
    }

    fn is_kill(&self) -> bool {
        self.error == "KILL"
    }

    /// Errors name the file.
    fn check_words(&self, ran: &Ran, told: &str) {
        for line in ran.err.lines().filter(|line| line.starts_with("nixmon: ")) {
            assert!(!line.contains("(os error 0)") && !line.contains("panicked"), "{told}");
            let n_errors = line.matches("(os error").count();
            assert!(
                n_errors <= 1
                    && (n_errors == 0 || line.contains("/state") || line.contains("is not whole: ")),
                "{told}"
            );
        }
        assert!(!ran.err.contains("panicked"), "{told}");
    }

    /// Everything that was kept is readable, and nothing else is left.
    fn check_store(&self, may_be_unseen: bool, told: &str) {
        let runs = self.home.path().join("state/nixmon/runs");
        for id in names(&runs).into_iter().filter(|name| name.parse::<u64>().is_ok()) {
            let dir = self.home.dir_of(&id);
            if let Ok(facts) = dir.facts() {
                for process in [&facts.process, &facts.guard, &facts.monitor] {
                    wait_until(told, || !lives(process.as_ref()));
                }
            }
            // The facts of one whose monitor died early do not tell its command.
            wait_until(told, || {
                dir.life(nixmon_runs::clock::unix_ms()).is_ok_and(|life| !matches!(life, Life::Guarded))
            });
            let mut status = Value::Null;
            // A guard that comes late finds its monitor dead and goes.
            wait_until(told, || {
                let ran = self.home.run(&["status", &id, "--json"]);
                assert_eq!(ran.code, Some(0), "{told}: {}", ran.err);
                status = serde_json::from_str(&ran.out).unwrap();
                status["state"] != "lost"
            });
            // One that was being made when its process died has no command, and may still get a monitor for a while.
            if status["state"] == "running" || status["outcome"] == "not-started" {
                assert!(may_be_unseen && dir.facts().unwrap().process.is_none(), "{told}: {status}");
                continue;
            }
            assert_eq!(status["state"], "ended", "{told}: {status}");
            match status["exit_code"].as_i64() {
                Some(126) => assert!(may_be_unseen && status["outcome"] == "failure", "{told}: {status}"),
                Some(code) => {
                    assert_eq!((code, &status["outcome"]), (7, &"failure".into()), "{told}: {status}")
                }
                None => assert!(may_be_unseen && status["outcome"] != "success", "{told}: {status}"),
            }
            let log = self.home.run(&["log", &id]);
            assert!(matches!(log.code, Some(0 | 66)), "{told}: {}", log.err);
            let files = names(dir.path());
            let is_left = |name: &String| name.starts_with('.') || name == "reserve" || name == "log.sock";
            assert!(!files.iter().any(is_left), "{told}: {files:?}");
        }
        let list = self.home.run(&["list"]);
        assert_eq!(list.code, Some(0), "{told}: {}", list.err);
        // The next one tidies up the rest.
        self.home.run(&["run", "--", "true"]).check(0, &[]);
        let left: Vec<_> = names(&runs).into_iter().filter(|name| name.starts_with('.')).collect();
        assert!(left.is_empty(), "{told}: {left:?}");
    }
}

/// A command in front. Its streams and its status are what they are without a fault, unless its own monitor is killed.
fn run(injector: &Injector) -> bool {
    let (ran, is_made) = injector.run(&["run", "--", "env", "-u", "LD_PRELOAD", "sh", "-c", SCRIPT]);
    let told = injector.told("run", &ran);
    if !injector.is_kill() || ran.code == Some(7) {
        assert_eq!((ran.code, ran.out.as_str()), (Some(7), "out\n"), "{told}");
        assert!(ran.err.contains("err\n"), "{told}");
    } else {
        // The monitor died, or the guard before it could start the command.
        assert!(matches!(ran.code, None | Some(126)) && is_made, "{told}");
    }
    injector.check_words(&ran, &told);
    injector.check_store(injector.is_kill(), &told);
    is_made
}

/// A command in the background. It runs and its end is known, or `start` fails and says why.
fn start(injector: &Injector) -> bool {
    let home = &injector.home;
    let (ran, is_made) = injector.run(&["start", "--", "env", "-u", "LD_PRELOAD", "sh", "-c", SCRIPT]);
    let told = injector.told("start", &ran);
    match ran.code {
        Some(0) => {
            // Its processes may meet the fault later.
            let wait = home.run(&["wait", ran.out.trim(), "--since", "0"]);
            let is_unseen = injector.is_kill() && !wait.out.contains("success");
            assert!(wait.code == Some(7) || is_unseen, "{told}{:?} {}{}", wait.code, wait.out, wait.err);
        }
        Some(_) => assert!(is_made && ran.err.contains("nixmon: ") && ran.out.is_empty(), "{told}"),
        None => assert!(injector.is_kill() && is_made, "{told}"),
    }
    injector.check_words(&ran, &told);
    injector.check_store(injector.is_kill() || ran.code != Some(0), &told);
    injector.n_made() >= injector.at as u64
}

/// A look at a run whose monitor has died. If it is killed, the next one finishes what it began.
fn look(injector: &Injector) -> bool {
    let home = &injector.home;
    // What is printed before the monitor has died may be lost.
    let gate = home.path().join("gate");
    let script = format!("until [ -e '{}' ]; do sleep 0.02; done; echo err >&2; exit 7", gate.display());
    let dir = home.start(&[], &script);
    let facts = dir.facts().unwrap();
    facts.monitor.as_ref().unwrap().signal(Signal::KILL);
    wait_until("the monitor ends", || !lives(facts.monitor.as_ref()));
    std::fs::write(&gate, "").unwrap();
    for process in [&facts.process, &facts.guard] {
        wait_until("all end", || !lives(process.as_ref()));
    }
    let (ran, is_made) = injector.run(&["status"]);
    let told = injector.told("look", &ran);
    injector.check_words(&ran, &told);
    assert!(!ran.out.contains("success"), "{told}");
    if injector.is_kill() {
        assert!(ran.code.is_none() || !is_made, "{told}");
    }
    let wait = home.run(&["wait", "1", "--since", "0"]);
    assert_eq!(wait.code, Some(7), "{told}: {}", wait.out);
    assert_eq!(wait.out.matches("Failed after").count(), 1, "{told}: {}", wait.out);
    assert_eq!(wait.out.lines().filter(|line| *line == "err").count(), 1, "{told}: {}", wait.out);
    injector.check_store(false, &told);
    is_made
}

/// Every call in its turn, until one is asked for that is not made.
fn check(calls: &[&'static str], round: fn(&Injector) -> bool) {
    let all = std::env::var_os(ALL).is_some();
    let temp = tempfile::tempdir().unwrap();
    let Some(shim) = shim(temp.path()) else { return };
    let mut n_rounds = 0;
    for call in calls {
        for (n, error) in ERRORS.into_iter().enumerate() {
            for at in 1..MOST {
                let injector = Injector::new(shim.clone(), call, at, error);
                n_rounds += 1;
                // Errors are much alike, a killed process is not.
                if !round(&injector) || n >= 2 && !all {
                    break;
                }
            }
        }
    }
    eprintln!("{n_rounds} rounds of {calls:?}");
    assert!(n_rounds > calls.len() * ERRORS.len(), "nothing was made to fail");
}

/// A monitor that dies when its guard is there and shows no sign of life yet. A look may find the run over then, so the command must
/// not begin.
#[test]
fn a_monitor_that_dies_before_its_guard_has_a_lock() {
    let temp = tempfile::tempdir().unwrap();
    let Some(shim) = shim(temp.path()) else { return };
    let injector = Injector::new(shim, "flock", 1, "KILL_PARENT");
    let begun = injector.home.path().join("begun");
    let script = format!("echo > '{}'", begun.display());
    let args = ["run", "--", "env", "-u", "LD_PRELOAD", "sh", "-c", &script];
    let (ran, is_made) = injector.run_below("state/nixmon/runs/1/guard.lock", &args);
    let told = injector.told("run", &ran);
    assert!(ran.code.is_none() && is_made, "{told}");
    let dir = injector.home.dir_of("1");
    let ended = || !dir.life(nixmon_runs::clock::unix_ms()).is_ok_and(nixmon_runs::Life::goes_on);
    wait_until("nobody looks after it", ended);
    let status = injector.home.status(&dir);
    assert_eq!((&status["outcome"], &status["exit_code"]), (&"not-started".into(), &Value::Null), "{status}");
    // For as long as a guard would take.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!begun.exists(), "a command that is told never to have begun runs");
}

#[test]
fn a_run_with_files_that_fail() {
    check(&CALLS[..4], run);
}

#[test]
fn a_run_with_disks_that_fail() {
    check(&CALLS[4..], run);
}

#[test]
fn a_start_with_files_that_fail() {
    check(&CALLS[..4], start);
}

#[test]
fn a_start_with_disks_that_fail() {
    check(&CALLS[4..], start);
}

#[test]
fn a_look_at_files_that_fail() {
    check(&CALLS[..4], look);
}

#[test]
fn a_look_at_disks_that_fail() {
    check(&CALLS[4..], look);
}
