//! Ctrl-C, and processes that are killed.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::harness::{Ended, Lines, Pipeline, feed, nixmon, nixmon_beside, sh, wait};
use crate::common::nix::Nix;

const BUILDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/e2e/builds.nix");

/// Builds that are under way, behind nixmon.
fn slow_build(nix: &Nix, command: &[&str]) -> Pipeline {
    let mut build: Command = nix.command(command[0]);
    build.args(&command[1..]);
    let mut pipeline = Pipeline::start(build, nixmon_beside(nix, &[]));
    pipeline.wait_for("Building…");
    pipeline
}

const JSON: &[&str] =
    &["nix", "build", "--no-link", "--log-format", "internal-json", "-v", "--file", BUILDS, "slow"];
const TEXT: &[&str] = &["nix-build", "--no-out-link", BUILDS, "-A", "slow"];

#[test]
fn interrupt_of_both_reported_once() {
    let Some(nix) = Nix::new() else { return };
    for command in [JSON, TEXT] {
        let pipeline = slow_build(&nix, command);
        pipeline.signal_all(Signal::INT);
        let ended = pipeline.end();
        let shown = ended.nixmon.stdout;
        // Nix ends itself with the signal, as a shell wants it, or with a status.
        assert_ne!(ended.command, Some(0), "{command:?}");
        assert_eq!(
            (ended.nixmon.status, ended.nixmon.stderr.as_str()),
            (Some(130), ""),
            "{command:?}\n{shown}"
        );
        assert!(shown.contains("✗ Interrupted after "), "{command:?}\n{shown}");
        assert!(!shown.contains("failed"), "{command:?}\n{shown}");
        // A text says when a build began, so that the last one was still in progress.
        let known = if command == JSON { "  stopped: slow-1.0 after " } else { " · 1 stopped\n" };
        assert!(shown.contains(known), "{command:?}\n{shown}");
    }
}

#[test]
fn a_build_whose_nix_is_killed_is_incomplete() {
    let Some(nix) = Nix::new() else { return };
    let pipeline = slow_build(&nix, JSON);
    pipeline.signal_command(Signal::KILL);
    let ended = pipeline.end();
    let shown = ended.nixmon.stdout;
    assert_eq!(ended.command, None);
    // Where the system tells how the writer ended, the kill is known.
    let seen = shown.contains("✗ Killed (SIGKILL)") && ended.nixmon.status == Some(137);
    let unseen = shown.contains("✗ Incomplete") && ended.nixmon.status == Some(1);
    assert!(seen || unseen, "{:?}\n{shown}", ended.nixmon.status);
    assert_eq!(ended.nixmon.stderr, "");
    assert!(shown.contains("  in progress: slow-1.0 after "), "{shown}");
}

#[test]
fn sigusr1_prints_status() {
    let Some(nix) = Nix::new() else { return };
    let mut pipeline = slow_build(&nix, JSON);
    pipeline.signal_nixmon(Signal::USR1);
    pipeline.wait_for("1 running");
    pipeline.signal_all(Signal::INT);
    assert_eq!(pipeline.end().nixmon.status, Some(130));
}

#[test]
fn the_first_interrupt_waits_for_nix_and_the_second_does_not() {
    let mut child = nixmon(&[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut shown = Lines::of(child.stdout.take().unwrap());
    let process = rustix::process::Pid::from_child(&child);
    feed(&mut child, b"before\n").unwrap();
    shown.wait_for("before", Duration::from_secs(20)).unwrap();

    rustix::process::kill_process(process, Signal::INT).unwrap();
    feed(&mut child, b"what Nix has to say\n").unwrap();
    shown.wait_for("what Nix has to say", Duration::from_secs(20)).unwrap();
    // The signal has been seen when this long nothing else happened.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None);

    rustix::process::kill_process(process, Signal::INT).unwrap();
    // Standard input is still open.
    assert_eq!(wait(&mut child), Some(130));
    let shown = shown.rest();
    assert!(shown.contains("✗ Interrupted after "), "{shown}");
}

#[test]
fn termination_ends_at_once_with_a_report() {
    let mut child = nixmon(&[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut shown = Lines::of(child.stdout.take().unwrap());
    feed(&mut child, b"before\n").unwrap();
    shown.wait_for("before", Duration::from_secs(20)).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(wait(&mut child), Some(130));
    let stdin = child.stdin.take();
    let ended = Ended::of(child);
    assert_eq!(ended.stderr, "");
    drop(stdin);
    let shown = shown.rest();
    assert!(shown.contains("✗ Interrupted after "), "{shown}");
}

#[test]
fn reported_interrupt() {
    // nixmon got no signal: Nix was interrupted from another terminal.
    let command = sh("echo 'error: interrupted by the user' >&2; exit 1");
    let ended = Pipeline::start(command, nixmon(&[])).end();
    assert_eq!(ended.nixmon.status, Some(130), "{}", ended.nixmon.stdout);
}
