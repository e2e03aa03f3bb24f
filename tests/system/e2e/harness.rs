//! Commands in a pipe, and what came out of it.

use std::fs;
use std::io::{PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::common::nix::Nix;

/// No test may take longer; what stands still is killed, so that the test fails instead of the whole run.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, in an environment that says nothing about colour and has UTF-8.
pub(super) fn nixmon(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nixmon"));
    command.args(args).env("LC_ALL", "C.UTF-8").stdout(Stdio::piped()).stderr(Stdio::piped());
    // Nobody's settings: there is no such directory, and no test makes it.
    command.env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-config"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "TERM", "LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    command
}

/// The same, with the directories of a Nix.
pub(super) fn nixmon_beside(nix: &Nix, args: &[&str]) -> Command {
    let mut command = nixmon(args);
    let nix = nix.command("true");
    command.envs(nix.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// What a process has left.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit status; `None` if a signal has killed it.
    pub(super) status: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// Waits for a process, and reads what is left of its output.
    pub(super) fn of(mut child: Child) -> Ended {
        let stdout = in_background(child.stdout.take());
        let stderr = in_background(child.stderr.take());
        let status = wait(&mut child);
        let text = |bytes: mpsc::Receiver<Vec<u8>>| {
            let bytes = bytes.recv_timeout(PATIENCE).expect("a descendant keeps the output open");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ended { status, stdout: text(stdout), stderr: text(stderr) }
    }
}

fn in_background(output: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut output) = output {
            output.read_to_end(&mut bytes).unwrap();
        }
        sender.send(bytes)
    });
    receiver
}

/// Its exit status, in good time.
pub(super) fn wait(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("process {} does not end", child.id());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A command and nixmon after it in the pipe: `COMMAND |& nixmon ARGS`, both in a process group of their own.
pub(super) struct Pipeline {
    pub(super) command: Child,
    pub(super) nixmon: Child,
    group: Pid,
    shown: Lines,
}

/// What a pipeline has left.
#[derive(Debug)]
pub(super) struct PipelineEnded {
    pub(super) command: Option<i32>,
    pub(super) nixmon: Ended,
}

impl Pipeline {
    /// Starts both.
    pub(super) fn start(mut command: Command, mut nixmon: Command) -> Pipeline {
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer).process_group(0);
        let child = command.spawn().unwrap();
        // The writing ends go with the command: nixmon must see the end when the processes have ended.
        drop(command);
        let group = Pid::from_child(&child);
        let mut nixmon = nixmon.stdin(reader).process_group(group.as_raw_nonzero().get()).spawn().unwrap();
        let shown = Lines::of(nixmon.stdout.take().unwrap());
        Pipeline { command: child, nixmon, group, shown }
    }

    /// Waits until nixmon prints something with this in it.
    pub(super) fn wait_for(&mut self, text: &str) {
        self.shown.wait_for(text, PATIENCE).unwrap();
    }

    /// Sends a signal to both, as a terminal does.
    pub(super) fn signal_all(&self, signal: Signal) {
        kill_process_group(self.group, signal).unwrap();
    }

    /// Sends a signal to nixmon.
    pub(super) fn signal_nixmon(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.nixmon), signal).unwrap();
    }

    /// Sends a signal to the command.
    pub(super) fn signal_command(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.command), signal).unwrap();
    }

    /// Waits for both.
    pub(super) fn end(mut self) -> PipelineEnded {
        let command = wait(&mut self.command);
        let mut nixmon = Ended::of(self.nixmon);
        nixmon.stdout = self.shown.rest();
        PipelineEnded { command, nixmon }
    }
}

/// Output that is read as it comes.
pub(super) struct Lines {
    pieces: mpsc::Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl Lines {
    /// Reads on a thread, to the end.
    pub(super) fn of(mut output: impl Read + Send + 'static) -> Lines {
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let n = output.read(&mut buffer).unwrap();
                if n == 0 || sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Lines { pieces, shown: Vec::new() }
    }

    /// Waits until the text has come, and says how long that took; an error is what has come instead.
    pub(super) fn wait_for(&mut self, text: &str, patience: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let shown = String::from_utf8_lossy(&self.shown);
            if shown.contains(text) {
                return Ok(begun.elapsed());
            }
            match self.pieces.recv_timeout(patience.saturating_sub(begun.elapsed())) {
                Ok(piece) => self.shown.extend(piece),
                Err(error) => return Err(format!("no {text:?} ({error}) in {shown:?}")),
            }
        }
    }

    /// All that has come, to the end.
    pub(super) fn rest(mut self) -> String {
        self.shown.extend(self.pieces.iter().flatten());
        String::from_utf8_lossy(&self.shown).into_owned()
    }
}

/// What came of a build: condensed lines and summary of the same run, and the exit statuses.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) command: Option<i32>,
    pub(super) nixmon: Option<i32>,
    pub(super) lines: String,
    pub(super) summary: Value,
}

/// Runs a command once with `nixmon --record`, replays the recording as lines and as JSON, and holds the three together:
/// whatever is true for one of them is true for all.
pub(super) fn watch(nix: &Nix, command: Command) -> Watched {
    let recording = nix.root().join(format!("{:?}.nixrec", thread::current().id()));
    let record = ["--record", recording.to_str().unwrap()];
    let PipelineEnded { command, nixmon } = Pipeline::start(command, nixmon_beside(nix, &record)).end();
    assert_eq!(nixmon.stderr, "");

    let replay = |form: &str| {
        let args = ["replay", "--output", form, recording.to_str().unwrap()];
        let replayed = Ended::of(nixmon_beside(nix, &args).spawn().unwrap());
        assert_eq!((replayed.status, replayed.stderr.as_str()), (nixmon.status, ""));
        replayed.stdout
    };
    assert_eq!(without_times(&replay("lines")), without_times(&nixmon.stdout));
    let json = replay("json");
    let records: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = records.last().unwrap().clone();
    assert_eq!(summary["exit_code"].as_i64(), nixmon.status.map(i64::from));
    Watched { command, nixmon: nixmon.status, lines: nixmon.stdout, summary }
}

/// What does not depend on when the clock ticks: texts that passed and the report, without `in 3s` and `after 3s`, and
/// without `, after 1s`, which a build of a second has or not.
fn without_times(lines: &str) -> String {
    let report = lines.lines().filter(|line| line.starts_with('[')).count();
    let mut stamped = 0;
    let mut kept = Vec::new();
    for line in lines.lines() {
        stamped += usize::from(line.starts_with('['));
        // Of lines with a time the last is the first of the report.
        if stamped == report || !line.starts_with('[') {
            kept.push(line);
        }
    }
    let is_time = |word: &&str| {
        let word = word.trim_matches(['[', ']', ',']);
        word.ends_with('s') && word.starts_with(|c: char| c.is_ascii_digit())
    };
    let without = |line: &&str| {
        let mut words: Vec<&str> = Vec::new();
        for word in line.split(' ') {
            match (words.as_slice(), is_time(&word)) {
                ([.., before, "after"], true) if before.ends_with(',') => {
                    let before = if word.ends_with(',') { before } else { before.trim_end_matches(',') };
                    words.truncate(words.len() - 2);
                    words.push(before);
                }
                (_, true) => {}
                (_, false) => words.push(word),
            }
        }
        words.join(" ")
    };
    kept.iter().map(without).collect::<Vec<_>>().join("\n")
}

/// Whether a value is as expected: of an object only the keys that are expected count, `"…x"` is a text with x in it.
pub(super) fn matches(value: &Value, expected: &Value) -> Result<(), String> {
    let differs = || Err(format!("{value} is not {expected}"));
    match (value, expected) {
        (Value::Object(value), Value::Object(expected)) => expected.iter().try_for_each(|(key, expected)| {
            matches(value.get(key).unwrap_or(&Value::Null), expected)
                .map_err(|error| format!("{key}: {error}"))
        }),
        (Value::Array(values), Value::Array(expected)) if values.len() == expected.len() => {
            values.iter().zip(expected).try_for_each(|(value, expected)| matches(value, expected))
        }
        (Value::String(value), Value::String(expected)) => match expected.strip_prefix('…') {
            Some(part) if value.contains(part) => Ok(()),
            None if value == expected => Ok(()),
            _ => differs(),
        },
        (value, expected) if value == expected => Ok(()),
        _ => differs(),
    }
}

/// `sh -c SCRIPT`.
pub(super) fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

/// Writes a file of the test.
pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A pipe that nobody reads.
pub(super) fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer): (PipeReader, _) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

/// Writes all of it, or says why not.
pub(super) fn feed(child: &mut Child, bytes: &[u8]) -> std::io::Result<()> {
    child.stdin.as_mut().unwrap().write_all(bytes)
}
