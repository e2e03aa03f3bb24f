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

/// Children of this process for which [`output`] and [`answer`] wait.
static AWAITED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Calls `work` with the children for which [`output`] and [`answer`] wait. None is started meanwhile, so that a dead child that is not among them
/// belongs to nobody here and may be reaped.
pub(super) fn with_awaited<T>(work: impl FnOnce(&BTreeSet<i32>) -> T) -> T {
    work(&AWAITED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A child that nothing else may reap.
struct Awaited {
    child: Child,
}

impl Awaited {
    fn spawn(command: &mut Command) -> std::io::Result<Self> {
        // Held while it starts: otherwise it could end and be taken before it is known.
        let mut awaited = AWAITED.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        awaited.insert(child.id().cast_signed());
        Ok(Self { child })
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
        Awaited::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null())).ok()?;
    let text = read(awaited.child.stdout.take()?, most).recv_timeout(limit);
    drop(awaited);
    text.ok()
}

/// The end of a program, and what it printed.
#[derive(Debug)]
pub(super) struct Answer {
    /// It ended with status 0.
    pub(super) success: bool,
    /// Its standard output.
    pub(super) stdout: String,
    /// Its standard error.
    pub(super) stderr: String,
}

impl Answer {
    /// Returns the last line of its errors that says something, without `error: `.
    pub(super) fn last_error(&self) -> Option<String> {
        let lines = || self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        // The first error says more than what follows from it.
        let line = lines().find_map(|line| line.strip_prefix("error: ")).or_else(|| lines().next_back())?;
        Some(line.to_owned())
    }
}

/// Runs a program and returns how it ended and what it printed, up to `most` bytes of each stream.
///
/// # Errors
///
/// If it cannot be started or takes longer than `limit`: a reason, to be read after the program's name.
pub(super) fn answer(command: &mut Command, limit: Duration, most: u64) -> Result<Answer, String> {
    let begun = Instant::now();
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut awaited = Awaited::spawn(command).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "it is not installed".to_owned(),
        _ => format!("it cannot be started: {error}"),
    })?;
    let too_long = || format!("it takes longer than {} s", limit.as_secs());
    let stdout = awaited.child.stdout.take().map(|stream| read(stream, most));
    let stderr = awaited.child.stderr.take().map(|stream| read(stream, most));
    let mut texts = [String::new(), String::new()];
    for (text, stream) in texts.iter_mut().zip([stdout, stderr]) {
        let left = limit.saturating_sub(begun.elapsed());
        match stream.map(|stream| stream.recv_timeout(left)) {
            Some(Ok(read)) => *text = read,
            _ => return Err(too_long()),
        }
    }
    let status = wait(&mut awaited.child, limit.saturating_sub(begun.elapsed()).max(POLL));
    let [stdout, stderr] = texts;
    let success = status.ok_or_else(too_long)?.success();
    Ok(Answer { success, stdout, stderr })
}

/// Reads a stream on a thread, since a read from a pipe has no time limit. It ends with the last process that holds the pipe.
fn read(stream: impl Read + Send + 'static, most: u64) -> mpsc::Receiver<String> {
    let (send, answer) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let mut stream = stream.take(most);
        // What was read before an error may say enough. The receiver is gone if it took too long.
        let _ = stream.read_to_end(&mut text);
        let _ = send.send(String::from_utf8_lossy(&text).into_owned());
    });
    answer
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

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn answers_have_an_end_and_both_streams() {
        let limit = Duration::from_secs(60);
        let said =
            answer(&mut sh("echo out; echo 'error: no' >&2; echo then >&2; exit 3"), limit, 100).unwrap();
        assert!(!said.success);
        assert_eq!((said.stdout.as_str(), said.last_error().as_deref()), ("out\n", Some("no")));
        let said = answer(&mut sh("echo a; echo b"), limit, 3).unwrap();
        assert_eq!(said.stdout, "a\nb");
        assert_eq!((said.success, said.last_error()), (true, None));
        let missing = answer(&mut Command::new("no-such-program-at-all"), limit, 3).unwrap_err();
        assert_eq!(missing, "it is not installed");
        let slow = answer(&mut sh("exec sleep 600"), Duration::from_millis(50), 3).unwrap_err();
        assert!(slow.starts_with("it takes longer"), "{slow}");
    }
}
