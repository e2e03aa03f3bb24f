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
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
            |error| match error.kind() {
                std::io::ErrorKind::NotFound => "it is not installed".to_owned(),
                _ => format!("it cannot be started: {error}"),
            },
        )?;
    let too_long = || format!("it takes longer than {} s", limit.as_secs());
    let stdout = child.stdout.take().map(|stream| read(stream, most));
    let stderr = child.stderr.take().map(|stream| read(stream, most));
    let mut texts = [String::new(), String::new()];
    for (text, stream) in texts.iter_mut().zip([stdout, stderr]) {
        let left = limit.saturating_sub(begun.elapsed());
        match stream.map(|stream| stream.recv_timeout(left)) {
            Some(Ok(read)) => *text = read,
            _ => {
                end(&mut child, Duration::ZERO);
                return Err(too_long());
            }
        }
    }
    let status = wait(&mut child, limit.saturating_sub(begun.elapsed()).max(POLL));
    if status.is_none() {
        end(&mut child, Duration::ZERO);
    }
    let [stdout, stderr] = texts;
    let success = status.ok_or_else(too_long)?.success();
    Ok(Answer { success, stdout, stderr })
}

/// Reads a stream on a thread, since a read from a pipe has no time limit.
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
