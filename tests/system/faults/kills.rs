//! `kill -9` in the middle of a real build.

use std::io::BufRead;
use std::process::{Child, Stdio};
use std::time::Duration;

use nixmon_runs::{Facts, RunDir};
use rustix::process::Signal;
use serde_json::Value;

use super::{PATIENCE, Ran, lives, names, wait_until, write};
use crate::common::nix::Nix;

/// Derivations of a build.
const DERIVATIONS: usize = 200;
/// Variable for the number of deaths of each kind; the environment may ask for more.
const MOMENTS: &str = "NIXMON_TEST_KILLS";
/// Age in seconds beyond which no output may be missing.
const UNSYNCED: f64 = 1.0;

/// Twenty chains of derivations. Each prints at which second of the machine it ran, and keeps it as its output.
const BUILD: &str = r#"
{ salt }:
let
  part = chain: n: derivation {
    name = "part-${toString chain}-${toString n}-${salt}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "read up rest < /proc/uptime; echo \"ran $name\"; echo $up > $out" ];
    before = if n == 0 then "" else part chain (n - 1);
  };
in builtins.genList (chain: part chain 9) 20
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Monitor,
    Guard,
    Command,
}
use Victim::{Command, Guard, Monitor};

#[derive(Debug)]
struct Case {
    background: bool,
    /// In front of a terminal, with the live view.
    terminal: bool,
    victims: &'static [Victim],
}

fn uptime() -> f64 {
    std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Kills at several moments, of which each depends on its number only.
fn check(case: &Case) {
    let Some(nix) = Nix::new() else { return };
    write(nix.root().join("build.nix"), BUILD);
    let moments = std::env::var(MOMENTS).ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ (case.victims.len() as u64) << 7;
    for n in 0..moments {
        for _ in 0..8 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
        }
        let wait = Duration::from_millis(random % 2000);
        kill(&nix, case, n + 1, wait);
    }
    let socket_dirs: Vec<_> =
        names(&nix.root().join("tmp")).into_iter().filter(|name| name.starts_with("nixmon")).collect();
    assert!(socket_dirs.is_empty(), "{socket_dirs:?}");
}

fn nixmon(nix: &Nix, args: &[&str]) -> std::process::Command {
    let mut command = nix.command(env!("CARGO_BIN_EXE_nixmon"));
    command
        .args(args)
        .env("XDG_STATE_HOME", nix.root().join("state"))
        .env_remove("XDG_RUNTIME_DIR")
        .env("TMPDIR", nix.root().join("tmp"))
        .current_dir(nix.root());
    command
}

/// The same at a terminal of its own.
fn at_terminal(nix: &Nix, args: &[&str]) -> std::process::Command {
    let mut script = nix.command("script");
    let line = [&[env!("CARGO_BIN_EXE_nixmon")], args].concat().join(" ");
    script
        .args(["-qefc", &format!("exec {line}"), "/dev/null"])
        .env("XDG_STATE_HOME", nix.root().join("state"))
        .env_remove("XDG_RUNTIME_DIR")
        .env("TMPDIR", nix.root().join("tmp"))
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null())
        .current_dir(nix.root());
    script
}

fn status(nix: &Nix, id: u64) -> Value {
    let ran = Ran::of(nixmon(nix, &["status", &id.to_string(), "--json"]).output().unwrap());
    ran.check(0, &[]);
    serde_json::from_str(&ran.out).unwrap()
}

fn kill(nix: &Nix, case: &Case, id: u64, wait: Duration) {
    let told = format!("run {id}, {case:?} after {wait:?}");
    std::fs::create_dir_all(nix.root().join("tmp")).unwrap();
    let salt = format!("salt{id}");
    let build = ["nix", "build", "--no-link", "-L", "-j", "4", "-f", "build.nix", "--argstr", "salt", &salt];
    let mode = if case.background { "start" } else { "run" };
    let words = [&[mode, "--"], &build[..]].concat();
    let mut child = if case.terminal { at_terminal(nix, &words) } else { nixmon(nix, &words) }
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let dir = RunDir::at(&nix.root().join(format!("state/nixmon/runs/{id}"))).unwrap();
    wait_until("the command begins", || dir.facts().is_ok_and(|facts| facts.process.is_some()));
    std::thread::sleep(wait);
    let facts = dir.facts().unwrap();
    let killed_at = uptime();
    let mut hit = Vec::new();
    for victim in case.victims {
        let process = match victim {
            Monitor => &facts.monitor,
            Guard => &facts.guard,
            Command => &facts.process,
        };
        if process.as_ref().unwrap().signal(Signal::KILL) {
            hit.push(*victim);
        }
    }
    // A build that was faster than we.
    if hit.len() < case.victims.len() {
        eprintln!("{told}: only {hit:?} lived still");
    }
    if hit.contains(&Monitor) && !case.background {
        reap(&mut child);
    }
    // Asked while the system may still be tidying up after them.
    let at_once = status(nix, id);
    let goes_on = !hit.contains(&Command) && lives(facts.process.as_ref());
    if goes_on && hit.contains(&Monitor) {
        assert_eq!(at_once["state"], "lost", "{told}: {at_once}");
        let kept = if hit.contains(&Guard) {
            "keeps running unmonitored"
        } else {
            "keeps running, and its output is recorded"
        };
        assert!(at_once["incomplete"].as_str().unwrap().contains(kept), "{told}: {at_once}");
    } else if goes_on {
        assert_eq!(at_once["state"], "running", "{told}: {at_once}");
    }
    if hit == [Guard] && goes_on {
        check_no_zombies(&facts, &told);
    }
    for process in [&facts.process, &facts.guard, &facts.monitor] {
        wait_until(&told, || !lives(process.as_ref()));
    }
    let front = reap(&mut child);
    let last = status(nix, id);
    assert_eq!(last, status(nix, id), "{told}");
    // A guard that is killed may have seen the end just before.
    let nobody_sees = hit.contains(&Monitor) && hit.contains(&Guard);
    let is_seen = !nobody_sees || dir.exit().unwrap().is_some();
    check_end(case, &hit, is_seen, &last, &told);
    if !case.background && !hit.contains(&Monitor) {
        assert_eq!(front.map(i64::from), last["exit_code"].as_i64(), "{told}");
    }
    check_record(nix, &dir, &hit, &salt, killed_at, &told);
    let lines = std::fs::read_to_string(dir.lines()).unwrap();
    assert_eq!(last["cursor"].as_u64().unwrap(), lines.lines().count() as u64, "{told}: {lines}");
    assert!(lines.is_empty() || lines.ends_with('\n'), "{told}: {lines}");
    let files = names(dir.path());
    assert!(
        files.iter().all(|name| !name.starts_with('.') && !matches!(name.as_str(), "log.sock" | "reserve")),
        "{told}: {files:?}"
    );
}

/// Reaps a program in front of us; `start` has returned before.
fn reap(child: &mut Child) -> Option<i32> {
    let begun = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Checks that every process that died below the monitor is reaped, soon or when its run has ended.
fn check_no_zombies(facts: &Facts, told: &str) {
    let guard = facts.guard.as_ref().unwrap().pid;
    wait_until(told, || {
        let stat = std::fs::read_to_string(format!("/proc/{guard}/stat")).unwrap_or_default();
        stat.is_empty() || !lives(facts.process.as_ref())
    });
}

fn check_end(case: &Case, hit: &[Victim], is_seen: bool, last: &Value, told: &str) {
    assert_eq!(last["state"], "ended", "{told}: {last}");
    let (code, outcome) = if hit.contains(&Command) { (Some(137), None) } else { (Some(0), Some("success")) };
    if is_seen {
        assert_eq!(last["exit_code"].as_i64(), code, "{told}: {last}");
        if let Some(outcome) = outcome {
            assert_eq!(last["outcome"], outcome, "{told}: {last}");
        }
    } else {
        assert!(last["exit_code"].is_null(), "{told}: {last}");
        assert_ne!(last["outcome"], "success", "{told}: {last}");
    }
    if is_seen && !hit.contains(&Command) && !hit.contains(&Monitor) {
        assert_eq!(last["built"], DERIVATIONS, "{told}: {last}");
    }
    assert_eq!(last["failed"], 0, "{told}: {last}");
    // A monitor that is killed may have told all of it just before.
    let is_whole = last["incomplete"].is_null();
    assert!(
        !is_whole || !case.victims.contains(&Monitor) || hit.is_empty() || last["built"] == DERIVATIONS,
        "{told}: {last}"
    );
}

/// Compares the recording with the store, which knows the builds and their times.
fn check_record(nix: &Nix, dir: &RunDir, hit: &[Victim], salt: &str, killed_at: f64, told: &str) {
    let store = nix.root().join("nix/store");
    let built: Vec<_> =
        names(&store).into_iter().filter(|name| name.ends_with(&format!("-{salt}"))).collect();
    if !hit.contains(&Command) && !hit.contains(&Guard) || hit == [Guard] {
        assert_eq!(built.len(), DERIVATIONS, "{told}");
    }
    let raw = nixmon(nix, &["log", "--raw", &dir.id().to_string()]).output().unwrap();
    assert!(raw.status.success(), "{told}: {}", String::from_utf8_lossy(&raw.stderr));
    let mut missing = Vec::new();
    let log: Vec<String> = raw.stdout.lines().map_while(Result::ok).collect();
    let log = log.join("\n");
    for name in &built {
        // An output that its builder has not finished.
        let Ok(text) = std::fs::read_to_string(store.join(name)) else { continue };
        let Ok(at) = text.trim().parse::<f64>() else { continue };
        let name = name.split_once('-').unwrap().1;
        // The last letter is the salt's: no name begins another.
        if log.contains(&format!("ran {name}\"")) || log.contains(&format!("ran {name}\n")) {
            continue;
        }
        let monitor_died = hit.contains(&Monitor);
        let nobody_lives = monitor_died && hit.contains(&Guard) || hit.contains(&Command);
        let in_the_gap = monitor_died && at > killed_at - UNSYNCED && at < killed_at + UNSYNCED / 3.0;
        if !(in_the_gap || nobody_lives && at > killed_at - UNSYNCED) {
            missing.push(format!("{name} at {:.2}", at - killed_at));
        }
    }
    assert!(missing.is_empty(), "{told}: {missing:?}");
}

#[test]
fn the_monitor_in_front() {
    check(&Case { background: false, terminal: false, victims: &[Monitor] });
}

#[test]
fn the_monitor_in_the_background() {
    check(&Case { background: true, terminal: false, victims: &[Monitor] });
}

#[test]
fn the_monitor_at_a_terminal() {
    check(&Case { background: false, terminal: true, victims: &[Monitor] });
}

#[test]
fn the_guard_at_a_terminal() {
    check(&Case { background: false, terminal: true, victims: &[Guard] });
}

#[test]
fn the_guard() {
    check(&Case { background: false, terminal: false, victims: &[Guard] });
}

#[test]
fn the_command() {
    check(&Case { background: true, terminal: false, victims: &[Command] });
}

#[test]
fn the_monitor_and_the_command() {
    check(&Case { background: false, terminal: false, victims: &[Monitor, Command] });
}

#[test]
fn the_monitor_and_the_guard() {
    check(&Case { background: true, terminal: false, victims: &[Monitor, Guard] });
}
