//! Child processes with a time limit.

#![expect(clippy::disallowed_methods, reason = "a time limit needs the clock")]

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Time between two looks whether a child has ended.
const POLL: Duration = Duration::from_millis(20);

/// Children of this process for which [`output`] waits.
static AWAITED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Calls `work` with the children for which [`output`] waits. None is started meanwhile, so that a dead child that is not among them
/// belongs to nobody here and may be reaped.
pub(super) fn with_awaited<T>(work: impl FnOnce(&BTreeSet<i32>) -> T) -> T {
    work(&AWAITED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A child that nothing else may reap.
struct Awaited {
    child: Child,
}

impl Awaited {
    fn spawn(command: &mut Command) -> Option<Self> {
        // Held while it starts: otherwise it could end and be taken before it is known.
        let mut awaited = AWAITED.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().ok()?;
        awaited.insert(child.id().cast_signed());
        Some(Self { child })
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        end(&mut self.child, Duration::ZERO);
        AWAITED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.child.id().cast_signed());
    }
}

/// Waits for a child; `None` if it has not ended within `limit`.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if begun.elapsed() < limit => thread::sleep(POLL),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Asks a child and its process group to end, and kills them if they have not within `grace`.
pub(super) fn end(child: &mut Child, grace: Duration) {
    let group = Pid::from_child(child);
    // A child that leads no group is killed alone; an error means that it has ended.
    let _ = rustix::process::kill_process_group(group, Signal::TERM);
    if grace.is_zero() || wait(child, grace).is_none() {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Runs a program and returns what it prints, up to `most` bytes; `None` if it cannot be started or takes longer than
/// `limit`. A program that prints more is killed.
pub(super) fn output(command: &mut Command, limit: Duration, most: u64) -> Option<String> {
    let mut awaited =
        Awaited::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let stdout = awaited.child.stdout.take()?;
    let (send, answer) = mpsc::channel();
    // A read from a pipe has no time limit, so a thread does it. It ends with the last process that holds the pipe.
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(most).read_to_end(&mut text);
        // The receiver is gone if it took too long.
        let _ = send.send(read.map(|_| text));
    });
    let answer = answer.recv_timeout(limit);
    drop(awaited);
    Some(String::from_utf8_lossy(&answer.ok()?.ok()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_is_waited_for_is_known_until_it_was_waited_for() {
        let is_known = |pid: i32| with_awaited(|awaited| awaited.contains(&pid));
        let child = Awaited::spawn(Command::new("sh").args(["-c", "exit 3"])).unwrap();
        let pid = child.child.id().cast_signed();
        // It stays so when it has died: whoever reaps dead children leaves it alone.
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
        let begun = Instant::now();
        while stat().is_ok_and(|stat| !stat.contains(") Z ")) && begun.elapsed() < Duration::from_secs(20) {
            thread::sleep(POLL);
        }
        assert!(is_known(pid));
        drop(child);
        assert!(!is_known(pid));
        let printed = output(Command::new("sh").args(["-c", "echo x; sleep 60"]), Duration::from_secs(20), 1);
        assert_eq!(printed.as_deref(), Some("x"));
    }
}
