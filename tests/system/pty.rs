//! The program in a terminal: what stands on the screen while it runs, is resized, typed into, stopped and ended.

#![expect(clippy::disallowed_methods, reason = "a test in a terminal needs the clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// The program in a terminal of its own, which is as large as we say.
struct Session {
    pty: Arc<Pty>,
    screen: Arc<Mutex<Screen>>,
    /// The terminal is being read: a slow one is not.
    reads: Arc<AtomicBool>,
    stdin: Option<ChildStdin>,
    child: Child,
}

struct Screen {
    parser: vt100::Parser,
    /// All bytes that were written.
    bytes: Vec<u8>,
    last: Instant,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Session {
    fn start(rows: u16, columns: u16, args: &[&str]) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nixmon"))
            .args(args)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("TERM_PROGRAM")
            .stdin(Stdio::piped())
            .spawn(pts)
            .unwrap();
        let stdin = child.stdin.take();
        let pty = Arc::new(pty);
        let parser = vt100::Parser::new(rows, columns, 1000);
        let screen = Arc::new(Mutex::new(Screen { parser, bytes: Vec::new(), last: Instant::now() }));
        let reads = Arc::new(AtomicBool::new(true));
        let (reader, to, reading) = (Arc::clone(&pty), Arc::clone(&screen), Arc::clone(&reads));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                while !reading.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                // The other side is closed when the program has ended.
                let Ok(n @ 1..) = (&*reader).read(&mut buffer) else { return };
                let mut screen = to.lock().unwrap();
                screen.parser.process(&buffer[..n]);
                screen.bytes.extend_from_slice(&buffer[..n]);
                screen.last = Instant::now();
            }
        });
        Self { pty, screen, reads, stdin, child }
    }

    fn feed(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn keys(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        // In one go, as a terminal does it: no frame comes in between.
        let mut screen = self.screen.lock().unwrap();
        screen.parser.screen_mut().set_size(rows, columns);
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    /// The lines on the screen, without empty ones at the end.
    fn lines(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let (_, columns) = screen.parser.screen().size();
        let mut lines: Vec<String> =
            screen.parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Waits until the screen is as it should be.
    fn expect(&self, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let lines = self.lines();
            if holds(&lines) {
                return lines;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}:\n{}\n", lines.join("\n"));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the number of bytes written.
    fn written(&self) -> usize {
        self.screen.lock().unwrap().bytes.len()
    }

    fn cursor_is_hidden(&self) -> bool {
        self.screen.lock().unwrap().parser.screen().hide_cursor()
    }

    /// Ends the input and waits for the end; returns the exit status.
    fn end(&mut self) -> Option<i32> {
        drop(self.stdin.take());
        self.wait()
    }

    fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // Its last bytes are still to be read.
                thread::sleep(Duration::from_millis(100));
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn has_stopped(&self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&self.child)), options).unwrap().is_some()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reads.store(true, Ordering::Relaxed);
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drv(name: &str) -> String {
    format!("/nix/store/{}-{name}.drv", "a".repeat(32))
}

fn announce(names: &[&str]) -> String {
    let list: String = names.iter().map(|name| format!("  {}\n", drv(name))).collect();
    format!("these {} derivations will be built:\n{list}", names.len())
}

fn start(id: u32, name: &str) -> String {
    let drv = drv(name);
    format!(
        "@nix {{\"action\":\"start\",\"id\":{id},\"level\":3,\"parent\":0,\"text\":\"building '{drv}'\",\"type\":105,\
         \"fields\":[\"{drv}\",\"\",1,1]}}\n"
    )
}

fn phase(id: u32, phase: &str) -> String {
    format!("@nix {{\"action\":\"result\",\"id\":{id},\"type\":104,\"fields\":[\"{phase}\"]}}\n")
}

fn log(id: u32, line: &str) -> String {
    format!("@nix {{\"action\":\"result\",\"id\":{id},\"type\":101,\"fields\":[\"{line}\"]}}\n")
}

fn stop(id: u32) -> String {
    format!("@nix {{\"action\":\"stop\",\"id\":{id}}}\n")
}

fn count(lines: &[String], what: &str) -> usize {
    lines.iter().map(|line| line.matches(what).count()).sum()
}

/// Exactly one view, whole, at the end of the screen's text, and nothing of another.
fn one_view(lines: &[String], rows: u16, n_built: usize) -> bool {
    let (Some(status), Some(_)) = (lines.last(), lines.first()) else { return false };
    let of_view = |line: &String| line.contains("▶ ") || line.contains("/5 built");
    let shown = lines.iter().filter(|line| of_view(line)).count();
    let running = lines.iter().filter(|line| line.contains("▶ ")).count();
    let distinct: std::collections::BTreeSet<_> =
        lines.iter().filter_map(|line| line.split("▶ ").nth(1)?.split(' ').next()).collect();
    status.contains(&format!("{n_built}/5 built"))
        && count(lines, "/5 built") == 1
        && shown == running + 1
        && running == distinct.len()
        // Two of five rows are for the status and for the builds without room.
        && running == if rows == 5 { 3 } else { 5 - n_built }
        // The keys leave nothing.
        && count(lines, "zzz") == 0
}

#[test]
fn resized_and_typed_into() {
    let mut session = Session::start(24, 80, &[]);
    session.feed("a line of another program\n");
    session.feed(&announce(&["alpha-1", "beta-2", "gamma-3", "delta-4", "epsilon-5"]));
    for (id, name) in [(1, "alpha-1"), (2, "beta-2"), (3, "gamma-3"), (4, "delta-4"), (5, "epsilon-5")] {
        session.feed(&start(id, name));
        session.feed(&phase(id, "buildPhase"));
    }
    let lines = session.expect("at first", |lines| one_view(lines, 24, 0));
    assert_eq!(count(&lines, "a line of another program"), 1);
    assert!(session.cursor_is_hidden());
    let sizes =
        [(24, 40), (10, 40), (10, 120), (40, 120), (5, 30), (24, 80), (60, 200), (12, 33), (8, 80), (24, 80)];
    for (n, (rows, columns)) in sizes.into_iter().enumerate() {
        let before = session.written();
        session.resize(rows, columns);
        session.expect(&format!("{columns}x{rows}"), |lines| {
            one_view(lines, rows, 0) && session.written() > before
        });
        session.keys(if n % 2 == 0 { "zzz" } else { "zzz\n" });
        session.feed(&log(1, &format!("line {n} of a log that is as long as it takes to be cut somewhere")));
        session.expect(&format!("keys at {columns}x{rows}"), |lines| one_view(lines, rows, 0));
        session.feed(&format!("message {n}\n"));
        session.expect(&format!("text at {columns}x{rows}"), |lines| {
            one_view(lines, rows, 0) && (rows <= 6 || count(lines, &format!("message {n}")) == 1)
        });
    }
    session.feed(&stop(3));
    session.expect("a build has ended", |lines| one_view(lines, 24, 1) && count(lines, "gamma-3") == 0);
    for id in [1, 2, 4, 5] {
        session.feed(&stop(id));
    }
    assert_eq!(session.end(), Some(0));
    let lines = session.lines();
    assert_eq!(lines.last().map(|line| line.contains("✓ Complete: 5 built")), Some(true), "{lines:#?}");
    assert_eq!(count(&lines, "Complete"), 1);
    assert_eq!(count(&lines, "▶") + count(&lines, "/5 built"), 0, "{lines:#?}");
    assert!(!session.cursor_is_hidden());
}

#[test]
fn all_sizes() {
    let mut session = Session::start(1, 1, &[]);
    session.feed(&announce(&["alpha-1", "beta-2"]));
    session.feed(&start(1, "alpha-1"));
    session.feed(&start(2, "beta-2"));
    session.expect("1x1", |lines| lines.len() == 1 && session.cursor_is_hidden());
    for (rows, columns) in [(2, 1), (1, 500), (200, 1), (3, 3), (200, 500), (2, 20), (1, 1)] {
        session.resize(rows, columns);
        session.feed(&phase(1, &format!("phase{rows}x{columns}")));
        session.expect(&format!("{columns}x{rows}"), |lines| {
            !lines.is_empty() && count(lines, "/2 built") <= 1 && lines.len() <= usize::from(rows)
        });
    }
    session.resize(24, 80);
    session.expect("24x80", |lines| lines.last().is_some_and(|line| line.contains("0/2 built")));
}

#[test]
fn foreign_control_sequences_removed() {
    let mut session = Session::start(24, 80, &["--logs", "all"]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.feed(&log(1, "\\u001b[2J\\u001b[Hgone\\u001b]2;title\\u0007 \\u001b[31mred 漢字 e\\u0301"));
    session.feed("before \x1b[5A\x1b[2J\x1b]0;title\x07\x1b[?1049h after\n");
    let lines = session.expect("text", |lines| count(lines, "before  after") == 1);
    assert_eq!(count(&lines, "alpha-1> gone"), 1, "{lines:#?}");
    let bytes = session.screen.lock().unwrap().bytes.clone();
    let text = String::from_utf8_lossy(&bytes);
    for foreign in ["\x1b[2J", "\x1b[H", "\x1b[5A", "\x1b[?1049h", ";title", "\x1b[31mred"] {
        assert!(!text.contains(foreign), "{foreign:?}");
    }
    session.feed(&stop(1));
    assert_eq!(session.end(), Some(0));
}

#[test]
fn failure_shown_at_once_and_in_report() {
    let mut session = Session::start(24, 100, &[]);
    session.feed(&announce(&["alpha-1", "beta-2"]));
    session.feed(&start(1, "alpha-1"));
    session.feed(&start(2, "beta-2"));
    session.feed(&log(1, "src/main.c:3:1: error: no such thing"));
    session.feed(&format!(
        "@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"error: builder for '{}' failed with exit code 2\"}}\n",
        drv("alpha-1")
    ));
    session.feed(&stop(1));
    let told = |lines: &[String]| {
        let block = lines.iter().position(|line| line.contains("✗ alpha-1 failed, exit 2"));
        let why = lines.iter().position(|line| line.contains("error: no such thing"));
        let status = lines.iter().position(|line| line.contains("0/2 built"));
        block.is_some() && block < why && why < status
    };
    session.expect("told", told);
    session.feed(&stop(2));
    session.end();
    let lines = session.lines();
    assert_eq!(count(&lines, "Build failed"), 1, "{lines:#?}");
    assert_eq!(count(&lines, "0/2 built"), 0, "{lines:#?}");
}

/// However it ends, the terminal is as it was and the view is gone.
fn check_end(signal: Signal, status: Option<i32>) {
    let mut session = Session::start(24, 80, &[]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.expect("view", |lines| count(lines, "▶ alpha-1") == 1);
    assert!(session.cursor_is_hidden());
    session.signal(signal);
    if signal == Signal::INT {
        // Nix may have something to say; the second time is meant for us.
        thread::sleep(Duration::from_secs(1));
        session.signal(signal);
    }
    assert_eq!(session.wait(), status, "{signal:?}");
    let lines = session.lines();
    assert!(!session.cursor_is_hidden(), "{signal:?}");
    assert_eq!(count(&lines, "▶") + count(&lines, "0/1 built"), 0, "{signal:?} {lines:#?}");
    assert_eq!(count(&lines, "Interrupted"), 1, "{signal:?} {lines:#?}");
}

#[test]
fn ended_by_signals() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        check_end(signal, Some(130));
    }
}

#[test]
fn stopped_and_continued() {
    let mut session = Session::start(24, 80, &[]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.expect("view", |lines| count(lines, "▶ alpha-1") == 1);
    session.signal(Signal::TSTP);
    session.expect("no view", |lines| lines.is_empty() && !session.cursor_is_hidden());
    // It stops a moment later, and would do so also if it had been told to go on before.
    session.expect("a stop", |_| session.has_stopped());
    session.signal(Signal::CONT);
    session.expect("view again", |lines| count(lines, "▶ alpha-1") == 1 && session.cursor_is_hidden());
    session.feed(&stop(1));
    assert_eq!(session.end(), Some(0));
}

#[test]
fn status_on_sigusr1() {
    let mut session = Session::start(24, 80, &[]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.expect("view", |lines| count(lines, "▶ alpha-1") == 1);
    session.signal(Signal::USR1);
    session.expect("twice", |lines| count(lines, "▶ alpha-1") == 2 && count(lines, "0/1 built") == 2);
    session.feed(&stop(1));
    assert_eq!(session.end(), Some(0));
}

/// A terminal that takes nothing does not keep us from reading.
#[test]
fn a_slow_terminal_does_not_slow_the_build() {
    let mut session = Session::start(24, 80, &[]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.expect("view", |lines| count(lines, "▶ alpha-1") == 1);
    session.reads.store(false, Ordering::Relaxed);
    let line = "text of another program ".repeat(8);
    let flood: String = (0..1000).map(|n| format!("{n} {line}\n")).collect();
    let begun = Instant::now();
    for _ in 0..40 {
        session.feed(&flood);
    }
    // For a terminal that reads nothing it would wait for ever.
    assert!(begun.elapsed() < 6 * PATIENCE, "{:?}", begun.elapsed());
    session.feed(&stop(1));
    session.reads.store(true, Ordering::Relaxed);
    assert_eq!(session.end(), Some(0));
    let lines = session.lines();
    assert_eq!(count(&lines, "Complete: 1 built"), 1, "{lines:#?}");
}

/// A question stays if its program turns the echo off to read a password.
#[test]
fn a_password_is_asked_for() {
    let mut session = Session::start(24, 80, &[]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.expect("view", |lines| count(lines, "▶ alpha-1") == 1);
    let mut modes = tcgetattr(&*session.pty).unwrap();
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&*session.pty, OptionalActions::Now, &modes).unwrap();
    thread::sleep(Duration::from_millis(1500));
    let before = session.written();
    session.feed("a line that has to wait\n");
    session.feed(&phase(1, "buildPhase"));
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(session.written(), before);
    modes.local_modes.insert(LocalModes::ECHO);
    tcsetattr(&*session.pty, OptionalActions::Now, &modes).unwrap();
    session.expect("view again", |lines| {
        count(lines, "buildPhase") == 1 && count(lines, "a line that has to wait") == 1
    });
    session.feed(&stop(1));
    assert_eq!(session.end(), Some(0));
}

/// While nothing changes but a clock, little is written, and nothing where no clock is shown.
#[test]
fn idle() {
    let mut session = Session::start(24, 80, &[]);
    session.feed(&announce(&["alpha-1"]));
    session.feed(&start(1, "alpha-1"));
    session.expect("view", |lines| count(lines, "▶ alpha-1") == 1);
    let before = session.written();
    thread::sleep(Duration::from_secs(4));
    let written = session.written() - before;
    assert!((1..=5 * 500).contains(&written), "{written} bytes in 4 s");
    session.feed(&stop(1));
    assert_eq!(session.end(), Some(0));
}
