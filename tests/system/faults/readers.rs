//! Readers of our output that stand still or go, and processes that stay behind.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Home, PATIENCE, wait_until};

/// Lines without end; the shell itself says nothing.
const FLOOD: &str = "exec yes a line that is neither short nor long";

impl Home {
    /// Runs a command whose output is a pipe that is not read, and the pipe.
    fn unread(&self, args: &[&str], stream: Stream) -> (Child, File) {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match stream {
            Stream::Stdout => command.stdout(writer),
            Stream::Stderr => command.stderr(writer),
        };
        (command.spawn().unwrap(), File::from(std::os::fd::OwnedFd::from(reader)))
    }
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

#[track_caller]
fn status(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_reader_who_stands_still_keeps_nobody_from_ending_it() {
    let to_stderr = format!("{FLOOD} >&2");
    for (args, stream) in [
        (&["run", "--", "sh", "-c", FLOOD][..], Stream::Stdout),
        (&["run", "--passthrough", "all", "--", "sh", "-c", &to_stderr], Stream::Stderr),
        (&["run", "--output", "json", "--", "sh", "-c", &to_stderr], Stream::Stdout),
    ] {
        let home = Home::new();
        let (mut child, _unread) = home.unread(args, stream);
        let dir = home.dir_of("1");
        wait_until("it runs", || dir.facts().is_ok_and(|facts| facts.process.is_some()));
        std::thread::sleep(Duration::from_secs(2));
        // Signs of life still come.
        let before = dir.status().unwrap().unwrap().heartbeat_at;
        wait_until("a sign of life", || dir.status().unwrap().unwrap().heartbeat_at > before);
        signal(&child, Signal::TERM);
        assert_eq!(status(&mut child), Some(128 + 15), "{args:?}");
        assert_eq!(home.status(&dir)["outcome"], "interrupted");
    }
}

#[test]
fn an_answer_to_a_signal_does_not_wait_for_the_reader_of_stderr() {
    let home = Home::new();
    let (_unread, writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while rustix::io::write(&writer, &[b'x'; 512]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    let mut command = home.command(&["run", "--output", "json", "--", "sleep", "60"]);
    let mut child = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    let dir = home.dir_of("1");
    wait_until("it runs", || dir.facts().is_ok_and(|facts| facts.process.is_some()));
    wait_until("a first status", || dir.status().is_ok_and(|status| status.is_some()));
    signal(&child, Signal::USR1);
    let before = dir.status().unwrap().unwrap().heartbeat_at;
    wait_until("a later status", || dir.status().unwrap().unwrap().heartbeat_at > before);
    signal(&child, Signal::TERM);
    assert_eq!(status(&mut child), Some(128 + 15));
    assert_eq!(home.status(&dir)["outcome"], "interrupted");
}

#[test]
fn a_reader_who_stands_still_for_a_while_gets_all_of_it() {
    for args in [
        &["run", "--", "seq", "100000"][..],
        &["run", "--passthrough", "all", "--", "sh", "-c", "seq 100000 >&2"],
    ] {
        let stream = if args.contains(&"all") { Stream::Stderr } else { Stream::Stdout };
        let home = Home::new();
        let (mut child, mut reader) = home.unread(args, stream);
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(child.try_wait().unwrap(), None, "{args:?}");
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(status(&mut child), Some(0), "{args:?}");
        let numbers = text.lines().filter_map(|line| line.parse::<u32>().ok());
        assert!(numbers.eq(1..=100_000), "{args:?}: {} bytes", text.len());
    }
}

#[test]
fn a_pipe_that_somebody_has_set_to_be_non_blocking_gets_all_of_it() {
    let home = Home::new();
    let (mut child, mut reader) = {
        let (reader, writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
        let mut command = home.command(&["run", "--", "seq", "100000"]);
        (command.stdout(writer).stderr(Stdio::null()).spawn().unwrap(), reader)
    };
    std::thread::sleep(Duration::from_millis(500));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(status(&mut child), Some(0));
    assert_eq!(text.lines().count(), 100_000);
}

#[test]
fn a_result_that_cannot_be_written_is_told() {
    let home = Home::new();
    for (args, told) in [
        (&["run", "--", "seq", "100000"][..], "cannot write to standard output any more"),
        (&["run", "--output", "json", "--", "true"], "cannot write to standard output"),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let out = home.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr);
        // The command has done what it should.
        assert_eq!(out.status.code(), Some(0), "{args:?}: {err}");
        assert!(err.contains(told) && err.contains("No space left"), "{args:?}: {err}");
    }
}

#[test]
fn a_signal_ends_what_comes_after_the_end() {
    let home = Home::new();
    let mut command = home.command(&["run", "--on-end", "touch begun; sleep 50", "--", "sh", "-c", "exit 3"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("it begins", || home.path().join("begun").exists());
    let begun = Instant::now();
    // The first may come before it is heard.
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
        signal(&child, Signal::TERM);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(status(&mut child), Some(3));
}

/// Ends what a test has left behind.
struct Orphan(std::path::PathBuf);

impl Drop for Orphan {
    fn drop(&mut self) {
        // It is gone with its file.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_process_that_stays_behind_and_prints_is_not_waited_for() {
    let home = Home::new();
    let go = home.path().join("go");
    for print in ["echo x; sleep 0.1", "echo a line that comes as fast as it can"] {
        std::fs::write(&go, "").unwrap();
        let _orphan = Orphan(go.clone());
        let script = format!("setsid sh -c 'while [ -e go ]; do {print} >&2; done' & sleep 0.2; exit 3");
        let mut command: Command = home.command(&["run", "--", "sh", "-c", &script]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert_eq!(status(&mut child), Some(3), "{print}");
    }
    let said: Value = home.status(&home.dir_of("1"));
    assert_eq!((&said["state"], &said["exit_code"]), (&"ended".into(), &3.into()));
}
