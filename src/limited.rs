//! Child processes with a time limit.

#![expect(clippy::disallowed_methods, reason = "a time limit needs the clock")]

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Time between two looks whether a child has ended.
const POLL: Duration = Duration::from_millis(20);

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
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let stdout = child.stdout.take()?;
    let (send, answer) = mpsc::channel();
    // A read from a pipe has no time limit, so a thread does it. It ends with the last process that holds the pipe.
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(most).read_to_end(&mut text);
        // The receiver is gone if it took too long.
        let _ = send.send(read.map(|_| text));
    });
    let answer = answer.recv_timeout(limit);
    end(&mut child, Duration::ZERO);
    Some(String::from_utf8_lossy(&answer.ok()?.ok()?).into_owned())
}
