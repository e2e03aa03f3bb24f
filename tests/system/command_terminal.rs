//! A command below `nixmon run` in a terminal: it can ask, change modes, be interrupted and stopped, as without nixmon.

#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "a test in a terminal starts processes and reads files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::require::require;
use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A program that leads the session of a terminal of its own, with `nixmon` on PATH.
struct Session {
    pty: Arc<Pty>,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
    dir: TempDir,
}

impl Session {
    fn start(words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for part in ["bin", "home", "here"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_nixmon"), dir.path().join("bin/nixmon")).unwrap();
        let path = format!("{}:{}", dir.path().join("bin").display(), std::env::var("PATH").unwrap());
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(50, 200)).unwrap();
        let program = if words[0] == "nixmon" { env!("CARGO_BIN_EXE_nixmon") } else { words[0] };
        let child = Command::new(program)
            .args(&words[1..])
            .current_dir(dir.path().join("here"))
            .env("HOME", dir.path().join("home"))
            .env("PATH", path)
            .env("PS1", "$ ")
            .env("TERM", "dumb")
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .spawn(pts)
            .unwrap();
        let (pty, shown) = (Arc::new(pty), Arc::new(Mutex::new(Vec::new())));
        let (reader, to) = (Arc::clone(&pty), Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The other side is closed when all have ended.
            while let Ok(n @ 1..) = (&*reader).read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { pty, shown, child, dir }
    }

    fn keys(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}; shown:\n{}", self.shown());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn expect(&self, text: &str) {
        self.wait_for(text, || self.shown().contains(text));
    }

    fn modes(&self) -> Termios {
        tcgetattr(&*self.pty).unwrap()
    }

    fn echoes(&self) -> bool {
        self.modes().local_modes.contains(LocalModes::ECHO)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("here").join(name)
    }

    /// The process number that a script has written to a file.
    fn pid(&self, name: &str) -> i32 {
        let mut pid = None;
        self.wait_for(name, || {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            pid = text.strip_suffix('\n').and_then(|text| text.parse().ok());
            pid.is_some()
        });
        pid.unwrap()
    }

    /// The exit status, as a shell has it.
    fn end(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(begun.elapsed() < PATIENCE, "does not end; shown:\n{}", self.shown());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Types each of the keys once what stands before them is shown; says with which status it ends, which is shown, and
/// whether the terminal's modes are as they were.
fn check(words: &[&str], steps: &[(&str, &str)], status: i32, shown: &str) {
    let mut session = Session::start(words);
    let before = session.modes();
    for (text, keys) in steps {
        session.expect(text);
        session.keys(keys);
    }
    assert_eq!(session.end(), status, "{words:?}:\n{}", session.shown());
    session.expect(shown);
    let after = session.modes();
    assert_eq!(
        (before.local_modes, before.input_modes, before.output_modes),
        (after.local_modes, after.input_modes, after.output_modes),
        "{words:?}"
    );
}

#[test]
fn a_shell_of_nix_has_the_terminal() {
    let all =
        "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && printf 'name? ' && read x && echo \"got <$x>\" >&2; exit 5";
    for command in ["nix-shell -p hello", "nix repl", "nix edit .#a", "nix-shell --run bash"] {
        let program = command.split(' ').next().unwrap();
        // A Nix of our own, which shows what it has.
        let script = format!(
            "printf '#!/bin/sh\\n%s\\n' '{}' > ../bin/{program}; chmod +x ../bin/{program}; nixmon run -- {command}",
            all.replace('\'', "'\\''")
        );
        check(&["sh", "-c", &script], &[("name? ", "some words\n")], 5, "got <some words>");
    }
}

const RUN: [&str; 5] = ["nixmon", "run", "--", "sh", "-c"];

#[test]
fn a_command_reads_from_the_terminal() {
    for script in [
        "read x </dev/tty; echo \"got <$x>\"; exit 4",
        "read x; echo \"got <$x>\"; exit 4",
        "exec 3</dev/tty; read x <&3; echo \"got <$x>\"; exit 4",
        "(read x; echo \"got <$x>\"); exit 4",
        "x=$(head -n 1); echo \"got <$x>\"; exit 4",
    ] {
        check(&[&RUN[..], &[script]].concat(), &[("", "some words\n")], 4, "got <some words>");
    }
    check(
        &[&RUN[..], &["printf 'name? '; read x; printf 'again? '; read y; echo \"$x-$y\""]].concat(),
        &[("name? ", "one\n"), ("again? ", "two\n")],
        0,
        "one-two",
    );
    check(&[&RUN[..], &["cat; exit 3"]].concat(), &[("", "line\n"), ("line\r\nline\r\n", "\x04")], 3, "line");
}

#[test]
fn commands_of_a_script_read_one_after_another() {
    let script = "nixmon run -- sh -c 'read x; echo \"first $x\"'; read y; echo \"second $y\"; \
                  nixmon run -- sh -c 'read z </dev/tty; echo \"third $z\"'; nixmon run -- true; read z; echo \"fourth $z\"";
    check(
        &["sh", "-c", script],
        &[("", "a\n"), ("first a", "b\n"), ("second b", "c\n"), ("third c", "d\n")],
        0,
        "fourth d",
    );
}

#[test]
fn keys_that_end_a_command() {
    for (script, keys, status) in [
        ("echo up; exec sleep 20", "\x03", 130),
        ("trap 'exit 7' INT; echo up; while :; do sleep 0.05; done", "\x03", 7),
        ("ulimit -c 0; echo up; exec sleep 20", "\x1c", 131),
    ] {
        check(&[&RUN[..], &[script]].concat(), &[("up\r\n", keys)], status, "up");
    }
    // It has the terminal, and so it alone meets the key.
    check(&[&RUN[..], &["read x; echo up; read x"]].concat(), &[("", "x\n"), ("up\r\n", "\x03")], 130, "up");
    check(
        &[&RUN[..], &["read x; trap 'exit 8' INT; echo up; read x"]].concat(),
        &[("", "x\n"), ("up\r\n", "\x03")],
        8,
        "up",
    );
    // A command that does not want to is killed by the second one.
    check(
        &[&RUN[..], &["trap 'echo once' INT; echo up; while :; do sleep 0.05; done"]].concat(),
        &[("up\r\n", "\x03"), ("once\r\n", "\x03")],
        137,
        "up",
    );
}

#[test]
fn a_password_is_read_without_echo() {
    let mut session = Session::start(
        &[&RUN[..], &["stty -echo; printf 'password: '; read x; stty echo; echo; echo \"got <$x>\""]]
            .concat(),
    );
    session.wait_for("no echo", || !session.echoes());
    session.keys("secret\n");
    session.expect("got <secret>");
    assert_eq!(session.end(), 0);
    assert_eq!(session.shown().matches("secret").count(), 1, "{}", session.shown());
    assert!(session.echoes());
}

#[test]
fn stopped_with_the_command_and_continued() {
    // A command that never asked for the terminal, and one that has it.
    for before in ["", "read x;"] {
        let script = format!("mkfifo go; {before} echo $$ >pid; read y <go; exit 6");
        let mut session = Session::start(&[&RUN[..], &[&script]].concat());
        if !before.is_empty() {
            session.keys("x\n");
        }
        let command = session.pid("pid");
        let nixmon = Pid::from_child(&session.child);
        for _ in 0..2 {
            session.keys("\x1a");
            session.wait_for("a stop", || is_stopped(command) && is_stopped(nixmon.as_raw_nonzero().get()));
            kill_process(nixmon, Signal::CONT).unwrap();
            session
                .wait_for("going on", || !is_stopped(command) && !is_stopped(nixmon.as_raw_nonzero().get()));
        }
        fs::write(session.path("go"), "\n").unwrap();
        assert_eq!(session.end(), 6);
    }
}

#[test]
fn a_job_of_an_interactive_shell() {
    if require("bash").is_none() {
        return;
    }
    let bash = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    // Quotes, so that what is typed is not taken for what is printed.
    let job = "nixmon run -- sh -c 'read x; echo g\"\"ot $x; read x; echo g\"\"ot $x; exit 9'";
    check(
        &bash,
        &[
            ("$ ", &format!("{job}\n")),
            ("", "one\n"),
            ("got one", "\x1a"),
            ("Stopped", "echo in \"\"the shell\n"),
            ("in the shell", "fg\n"),
            ("", "two\n"),
            ("got two", "echo status \"\"$?\n"),
            ("status 9", "exit 3\n"),
        ],
        3,
        "exit",
    );
    // Stopped while it has the terminal, it goes on in the background.
    check(
        &bash,
        &[
            ("$ ", "mkfifo go; nixmon run -- sh -c 'read x; echo g\"\"ot $x; read y <go; exit 9'\n"),
            ("", "one\n"),
            ("got one", "\x1a"),
            ("Stopped", "bg; echo >go; wait %1; echo status \"\"$?\n"),
            ("status 9", "exit 3\n"),
        ],
        3,
        "exit",
    );
    // In the background it wants the terminal, and gets it once it comes to the foreground.
    check(
        &bash,
        &[
            (
                "$ ",
                "nixmon run -- sh -c 'echo $$ >pid; read x; echo g\"\"ot $x; exit 9' & until \
                    grep -qs 'State:.T' /proc/$(cat pid 2>/dev/null)/status; do sleep 0.02; done; echo st\"\"ill\n",
            ),
            ("still", "fg\n"),
            ("still", "one\n"),
            ("got one", "echo status \"\"$?\n"),
            ("status 9", "exit 3\n"),
        ],
        3,
        "exit",
    );
}

#[test]
fn an_interactive_shell_is_the_command() {
    if require("bash").is_none() {
        return;
    }
    check(
        &["nixmon", "run", "--", "bash", "--norc", "--noprofile", "--noediting", "-i"],
        &[
            ("", "echo $((6 * 7))0\n"),
            // It might still read text that is typed before it has died.
            (
                "420",
                "sh -c 'trap \"echo $((6 * 7))2; trap - INT; kill -INT \\$\\$\" INT; echo $((6 * 7))1; while read x; do echo $x; done'\n",
            ),
            ("421", "typed\n"),
            ("typed\r\ntyped", "\x03"),
            ("422", "echo $((6 * 8))0\n"),
            ("480", "exit 5\n"),
        ],
        5,
        "exit",
    );
}
