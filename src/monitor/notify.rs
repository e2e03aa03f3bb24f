//! Notifications and the user's command at the end of a run.
//!
//! They do not change how the run ends, and they do not take long: 5 s for a notification, 60 s for the command.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use crate::drive::signals::Endings;
use crate::limited;
use crate::settings::{NotifyWays, TerminalNotice};
use nixmon_core::text::truncate;
use nixmon_log::escapes::sanitize;
use nixmon_runs::RunId;

/// Time limit for a notification.
const NOTIFY_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for the `--on-end` command, after which it is asked to end.
const ON_END_LIMIT: Duration = Duration::from_secs(60);
/// Time between SIGTERM and SIGKILL to that command.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes read of what tmux says of itself.
const MAX_ANSWER: u64 = 4096;
/// Notifications have room for about so many columns.
const MAX_TITLE: usize = 80;
const MAX_TEXT: usize = 200;

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    /// Its number.
    pub(crate) id: RunId,
    /// Its name.
    pub(crate) name: &'a str,
    /// The outcome's name in the summary record.
    pub(crate) outcome: &'a str,
    /// As a shell says it.
    pub(crate) exit_code: i32,
    /// One line that says how it ended.
    pub(crate) line: &'a str,
    /// The summary record, a line of JSON.
    pub(crate) summary: &'a str,
}

/// A failed notification or `--on-end` command. It is reported once and does not change how the run ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    /// There is no way to notify the user.
    #[error("--notify: the terminal does not support notifications and no desktop session was found")]
    NoWay,
    /// A program cannot be started.
    #[error("cannot run {program}")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The program for notifications failed.
    #[error("--notify: {program} {how}")]
    NotTold {
        /// Which.
        program: &'static str,
        /// `ended with exit status 1`, `took longer than 5 s`.
        how: String,
    },
    /// The command for the end ended badly.
    #[error("--on-end: the command {0}")]
    OnEnd(String),
}

/// Notifies the user: through the terminal if it supports that, which also works over SSH, else through the desktop.
///
/// # Errors
///
/// If there is no way, or it did not work.
pub(crate) fn notify(ways: &NotifyWays, end: &End<'_>) -> Result<(), EndError> {
    message(ways, &format!("nixmon: {} {}", end.name, verb(end.outcome)), end.line)
}

/// Notifies the user of anything else in the same ways.
///
/// # Errors
///
/// If there is no way, or it did not work.
pub(crate) fn message(ways: &NotifyWays, title: &str, text: &str) -> Result<(), EndError> {
    let (title, text) = (clean(title, MAX_TITLE), clean(text, MAX_TEXT));
    if let Some(sequence) = ways.terminal.and_then(|terminal| sequence(terminal, &title, &text)) {
        return io::stderr().write_all(sequence.as_bytes()).map_err(|source| EndError::NotTold {
            program: "the terminal",
            how: format!("cannot be written to: {source}"),
        });
    }
    let (program, command) = desktop(ways, &title, &text).ok_or(EndError::NoWay)?;
    tell(program, command, NOTIFY_LIMIT)
}

/// Runs a program that notifies the desktop.
fn tell(program: &'static str, mut command: Command, limit: Duration) -> Result<(), EndError> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => EndError::NoWay,
        _ => EndError::Start { program, source },
    })?;
    let how = match limited::wait(&mut child, limit) {
        Some(status) if status.success() => return Ok(()),
        Some(status) => ended(status),
        None => {
            limited::end(&mut child, Duration::ZERO);
            format!("took longer than {} s", limit.as_secs())
        }
    };
    Err(EndError::NotTold { program, how })
}

fn verb(outcome: &str) -> &str {
    match outcome {
        "success" => "is done",
        "failure" => "failed",
        "interrupted" => "was interrupted",
        "not-started" => "did not begin",
        _ => "ended in the middle",
    }
}

/// Makes a text short, and safe inside a control sequence.
fn clean(text: &str, columns: usize) -> String {
    truncate(sanitize(text).trim(), columns, "…").into_owned()
}

/// Returns the control sequence of a notification.
fn sequence(terminal: TerminalNotice, title: &str, text: &str) -> Option<String> {
    match terminal {
        // A text that began with a number and a semicolon would be another request.
        TerminalNotice::Osc9 => Some(format!("\x1b]9;{title}: {text}\x1b\\")),
        TerminalNotice::Osc777 => {
            Some(format!("\x1b]777;notify;{};{}\x1b\\", title.replace(';', ","), text.replace(';', ",")))
        }
        TerminalNotice::Tmux => {
            let behind = behind_tmux()?;
            let inner = sequence(behind, title, text)?;
            Some(format!("\x1bPtmux;{}\x1b\\", inner.replace('\x1b', "\x1b\x1b")))
        }
    }
}

/// The terminal behind tmux, if tmux passes sequences on to it (its option `allow-passthrough`, of 3.3).
fn behind_tmux() -> Option<TerminalNotice> {
    let format = "#{allow-passthrough}\n#{client_termname}\n#{client_termtype}";
    let said = limited::output(
        Command::new("tmux").args(["display-message", "-p", format]),
        NOTIFY_LIMIT,
        MAX_ANSWER,
    )?;
    parse_tmux(&said)
}

fn parse_tmux(said: &str) -> Option<TerminalNotice> {
    let mut lines = said.lines();
    let passes = !matches!(lines.next()?, "" | "0" | "off");
    let (term, program) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    TerminalNotice::of(term, program).filter(|_| passes)
}

/// Returns the program that notifies the desktop.
fn desktop(ways: &NotifyWays, title: &str, text: &str) -> Option<(&'static str, Command)> {
    if cfg!(target_os = "macos") {
        let mut command = Command::new("osascript");
        for line in
            ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"]
        {
            command.args(["-e", line]);
        }
        command.args([title, text]);
        return Some(("osascript", command));
    }
    if !ways.session_bus {
        return None;
    }
    let mut command = Command::new("notify-send");
    // Its text may be markup (Desktop Notifications Specification).
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    command.args(["--app-name=nixmon", "--", title, &text]);
    Some(("notify-send", command))
}

/// Runs the user's command for the end with `sh`, with the summary record on its standard input and in its environment
/// `NIXMON_RUN`, `NIXMON_NAME`, `NIXMON_OUTCOME` and `NIXMON_EXIT_CODE`. What it prints goes to our standard error. After 60 s it
/// gets SIGTERM, with what it has started, and SIGKILL 5 s later if it is still there.
///
/// # Errors
///
/// If it cannot be started, ends with another status than 0, or takes too long.
pub(crate) fn on_end(command: &str, end: &End<'_>) -> Result<(), EndError> {
    run_on_end(command, end, ON_END_LIMIT)
}

fn run_on_end(command: &str, end: &End<'_>, limit: Duration) -> Result<(), EndError> {
    let stderr = || io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env("NIXMON_RUN", end.id.to_string())
        .env("NIXMON_NAME", end.name)
        .env("NIXMON_OUTCOME", end.outcome)
        .env("NIXMON_EXIT_CODE", end.exit_code.to_string())
        .stdin(Stdio::piped())
        .stdout(stderr())
        .stderr(stderr())
        .process_group(0)
        .spawn()
        .map_err(|source| EndError::Start { program: "sh", source })?;
    let _passing = pass_signals_on(Pid::from_child(&child));
    let record = format!("{}\n", end.summary.trim_end());
    if let Some(mut stdin) = child.stdin.take() {
        // Beside us: a command need not read, and a record can be longer than a pipe.
        thread::spawn(move || {
            let _ = stdin.write_all(record.as_bytes());
        });
    }
    let status = match limited::wait(&mut child, limit) {
        Some(status) => status,
        None => {
            limited::end(&mut child, GRACE);
            return Err(EndError::OnEnd(format!("took longer than {} s and was ended", limit.as_secs())));
        }
    };
    if status.success() { Ok(()) } else { Err(EndError::OnEnd(ended(status))) }
}

/// Passes signals that would end this process on to a process group, as long as the result lives: the sender does not want
/// to wait for the command.
fn pass_signals_on(group: Pid) -> tokio::sync::oneshot::Sender<()> {
    let (done, mut is_done) = tokio::sync::oneshot::channel();
    let pass = async move {
        let Ok(mut endings) = Endings::listen() else { return };
        loop {
            tokio::select! {
                signal = endings.recv() => {
                    // It may have ended.
                    let _ = rustix::process::kill_process_group(group, signal);
                }
                _ = &mut is_done => return,
            }
        }
    };
    // Without a thread nothing is passed on, and the wait is bounded all the same.
    let _ = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(pass);
        }
    });
    done
}

/// Describes how a program ended.
fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended badly".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn end<'a>() -> End<'a> {
        End {
            id: RunId(12),
            name: "home",
            outcome: "failure",
            exit_code: 1,
            line: "FAIL after 12m",
            summary: r#"{"type":"summary"}"#,
        }
    }

    #[test]
    fn sequences_hold_nothing_foreign() {
        use TerminalNotice::{Osc9, Osc777};
        let text = clean("a\x1b]9;b\x07\u{9c}c\nd;e \x1b\\f", MAX_TEXT);
        for (terminal, expected) in [
            (Osc9, format!("\x1b]9;t: {text}\x1b\\")),
            (Osc777, format!("\x1b]777;notify;t;{}\x1b\\", text.replace(';', ","))),
        ] {
            let sequence = sequence(terminal, "t", &text).unwrap();
            assert_eq!(sequence, expected);
            let inner = sequence.strip_prefix('\x1b').and_then(|s| s.strip_suffix("\x1b\\")).unwrap();
            assert!(!inner.contains(|c: char| c.is_control()), "{sequence:?}");
        }
        assert!(clean(&"x".repeat(10_000), MAX_TEXT).len() <= MAX_TEXT + 2);
    }

    #[test]
    fn tmux_says_what_is_behind_it() {
        for (said, expected) in [
            ("1\nxterm-kitty\nkitty(0.36.4)\n", Some(TerminalNotice::Osc9)),
            ("all\nxterm-256color\nWezTerm 20240203\n", Some(TerminalNotice::Osc777)),
            ("0\nxterm-kitty\nkitty(0.36.4)\n", None),
            ("1\nxterm-256color\n\n", None),
            // Before 3.3 there is no such option; nobody is attached.
            ("\nxterm-kitty\n\n", None),
            ("1\n\n\n", None),
            ("", None),
        ] {
            assert_eq!(parse_tmux(said), expected, "{said:?}");
        }
    }

    #[test]
    fn the_command_for_the_end_gets_the_record_and_its_failure_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("out");
        let to = file.display();
        let cases = [
            (
                format!(
                    "cat > {to}; echo $NIXMON_RUN $NIXMON_NAME $NIXMON_OUTCOME $NIXMON_EXIT_CODE >> {to}"
                ),
                None,
            ),
            ("exit 3".to_owned(), Some("--on-end: the command ended with exit status 3")),
            ("kill -9 $$".to_owned(), Some("--on-end: the command was killed by signal 9")),
            ("no-such-program-at-all".to_owned(), Some("--on-end: the command ended with exit status 127")),
        ];
        for (command, expected) in cases {
            let error = on_end(&command, &end()).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{command}");
        }
        let said = std::fs::read_to_string(file).unwrap();
        assert_eq!(said, "{\"type\":\"summary\"}\n12 home failure 1\n");
    }

    #[test]
    fn a_command_that_does_not_read_a_long_record_is_no_failure() {
        let summary = "x".repeat(1 << 20);
        on_end("true", &End { summary: &summary, ..end() }).unwrap();
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let begun = Instant::now();
        let command = format!("sleep 100 & echo $! > {}; wait", file.display());
        let error = run_on_end(&command, &end(), Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().ends_with("took longer than 0 s and was ended"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let gone = || rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_err();
        // It belongs to nobody now; whoever reaps orphans here does so soon, or leaves a zombie.
        let is_zombie = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() && !is_zombie() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it goes on");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_told() {
        for (script, expected) in [
            ("exit 0", None),
            ("exit 1", Some("--notify: notify-send ended with exit status 1")),
            ("exec sleep 100", Some("--notify: notify-send took longer than 0 s")),
        ] {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let error = tell("notify-send", command, Duration::from_millis(200)).err();
            assert_eq!(error.map(|error| error.to_string()).as_deref(), expected, "{script}");
        }
        let missing = Command::new("/nonexistent/notify-send");
        let error = tell("notify-send", missing, NOTIFY_LIMIT).unwrap_err();
        assert!(matches!(error, EndError::NoWay), "{error}");
    }

    /// The other tests run this one, in surroundings that a test cannot give itself.
    #[test]
    fn child() {
        if std::env::var_os("NIXMON_TEST_NOTIFY").is_some() {
            let ways = crate::settings::Environment::read().notify;
            if let Err(error) = notify(&ways, &end()) {
                let _ = writeln!(io::stderr(), "{error}");
            }
        }
    }

    /// The arguments that run [`child`] alone.
    const CHILD: [&str; 4] = ["--exact", "monitor::notify::tests::child", "--nocapture", "--quiet"];

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_desktop_is_told_by_notify_send() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (program, out) = (directory.path().join("notify-send"), directory.path().join("out"));
        std::fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", out.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        for (bus, expected) in [("unix:path=/nonexistent", true), ("", false)] {
            let _ = std::fs::remove_file(&out);
            let status = Command::new(std::env::current_exe().unwrap())
                .args(CHILD)
                .env("NIXMON_TEST_NOTIFY", "1")
                .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
                .env("DBUS_SESSION_BUS_ADDRESS", bus)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .output()
                .unwrap();
            let said = std::fs::read_to_string(&out).ok();
            let told = "--app-name=nixmon\n--\nnixmon: home failed\nFAIL after 12m\n";
            assert_eq!(said.as_deref(), expected.then_some(told));
            let complained = String::from_utf8_lossy(&status.stderr).contains("no desktop session was found");
            assert_eq!(complained, !expected, "{}", String::from_utf8_lossy(&status.stderr));
        }
    }

    #[test]
    fn a_terminal_that_takes_it_is_told_by_a_sequence() {
        use std::io::Read;
        for (term, expected) in [
            ("foot", "\x1b]777;notify;nixmon: home failed;FAIL after 12m\x1b\\"),
            ("xterm-kitty", "\x1b]9;nixmon: home failed: FAIL after 12m\x1b\\"),
            ("xterm-256color", ""),
        ] {
            let (pty, pts) = pty_process::blocking::open().unwrap();
            let mut child = pty_process::blocking::Command::new(std::env::current_exe().unwrap())
                .args(CHILD)
                .env("NIXMON_TEST_NOTIFY", "1")
                .env("TERM", term)
                .env_remove("TERM_PROGRAM")
                .env_remove("TMUX")
                .env_remove("DBUS_SESSION_BUS_ADDRESS")
                .spawn(pts)
                .unwrap();
            let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
            // The other side is closed when the program has ended.
            while let Ok(n @ 1..) = (&pty).read(&mut buffer) {
                said.extend_from_slice(&buffer[..n]);
            }
            child.wait().unwrap();
            let said = String::from_utf8_lossy(&said);
            assert!(said.contains(expected), "{said:?}");
            assert_eq!(said.contains("]9;") || said.contains("]777;"), !expected.is_empty(), "{said:?}");
            assert!(!said.contains('\x07'), "{said:?}");
        }
    }

    #[test]
    fn without_a_terminal_and_a_desktop_nobody_can_be_told() {
        if cfg!(not(target_os = "macos")) {
            let error = notify(&NotifyWays::default(), &end()).unwrap_err();
            assert!(matches!(error, EndError::NoWay), "{error}");
        }
    }
}
