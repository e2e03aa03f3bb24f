//! What hardly changes while a run goes on.

use serde::{Deserialize, Serialize};

use super::RunId;

/// What was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Which run.
    pub id: RunId,
    /// What it is called.
    pub name: Option<String>,
    /// It is a target of the configuration.
    pub is_target: bool,
    /// The program and its arguments; what is not UTF-8 is replaced, so this is for reading only.
    pub command: Vec<String>,
    /// Where it runs.
    pub directory: String,
    /// How its recording is to be read; `None` if an older nixmon started it.
    pub reading: Option<Reading>,
    /// Begun by `start`: nobody looks on.
    pub background: bool,
    /// The run that has to end well before.
    pub after: Option<RunId>,
    /// When it was asked for, in milliseconds since 1970.
    pub created_at: u64,
    /// How long it usually takes, in milliseconds.
    pub expected_ms: Option<u64>,
    /// After how long it is said what hangs, in milliseconds; zero if never.
    pub timeout_ms: Option<u64>,
    /// No run of this name has ended well before.
    pub is_first: bool,
    /// Where it runs and with what.
    pub environment: Environment,
    /// The nixmon that watches.
    pub monitor: Option<ProcessId>,
    /// The nixmon that is the command's parent, and keeps its output should the monitor die.
    pub guard: Option<ProcessId>,
    /// The command, which leads a process group of its own.
    pub process: Option<ProcessId>,
    /// Where the socket is that Nix writes its log to; none where every path would be too long.
    pub socket: Option<String>,
}

/// How the recording of a command is to be read, which it does not tell itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// How the command's standard output is used.
    pub stdout: StdoutUse,
    /// The command may be any program, not only Nix or a tool around it.
    pub any_program: bool,
}

/// How a command's standard output is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StdoutUse {
    /// It is text to be condensed, as standard error is.
    #[default]
    Text,
    /// It went where the user wanted it, and is not text of the report.
    Passed,
    /// Each of its lines is a result.
    Results,
}

/// The machine and the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Version of nixmon.
    pub nixmon: String,
    /// What `nix --version` prints, if there is one.
    pub nix: Option<String>,
    /// Name of the machine.
    pub host: String,
    /// System in Nix's words, as `x86_64-linux`.
    pub system: String,
    /// Processors.
    pub cores: usize,
    /// Nix's setting `max-jobs`, where it is known.
    pub jobs: Option<String>,
}

/// A process, told from a later one of the same number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it began, in words of the system: on Linux the boot's id and the ticks since boot.
    pub began: Option<String>,
}

/// What became of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

impl Exit {
    /// As a shell says it: the exit status, or 128 and the signal.
    pub fn status(&self) -> i32 {
        self.code.unwrap_or_else(|| 128 + self.signal.unwrap_or(0))
    }
}
