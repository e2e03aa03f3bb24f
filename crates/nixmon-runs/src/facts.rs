//! The facts of a run, which hardly change during it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunId;

/// The facts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Which run.
    pub id: RunId,
    /// Its name.
    pub name: Option<String>,
    /// It is a target of the configuration.
    pub is_target: bool,
    /// The program and its arguments; what is not UTF-8 is replaced, so this is for reading only.
    pub command: Vec<String>,
    /// Its working directory.
    pub directory: String,
    /// The way to read its recording; `None` if an older nixmon started it.
    pub reading: Option<Reading>,
    /// It was started by `start`, without a terminal.
    pub background: bool,
    /// The run that has to succeed before.
    pub after: Option<RunId>,
    /// The number of the command of a hub that asked for it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// When it was asked for, in milliseconds since 1970.
    pub created_at: u64,
    /// Its usual duration, in milliseconds.
    pub expected_ms: Option<u64>,
    /// Time after which it is reported what hangs, in milliseconds; zero if never.
    pub timeout_ms: Option<u64>,
    /// No run with this name has succeeded before.
    pub is_first: bool,
    /// The build directory that the user named with `--project`.
    pub project: Option<String>,
    /// `-j` of make, ninja, cargo or CMake: of its command line, else of its environment.
    pub tool_jobs: Option<u32>,
    /// The machine and the programs.
    pub environment: Environment,
    /// The nixmon that watches.
    pub monitor: Option<ProcessId>,
    /// The nixmon that is the command's parent, and keeps its output should the monitor die.
    pub guard: Option<ProcessId>,
    /// The command, which leads a process group of its own.
    pub process: Option<ProcessId>,
    /// The socket that Nix writes its log to; `None` if every path would be too long.
    pub socket: Option<String>,
}

/// The way to read the recording of a command, which the recording itself does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// The use of the command's standard output.
    pub stdout: StdoutUse,
    /// The command may be any program, not only Nix or a tool around it.
    pub any_program: bool,
}

impl Default for Reading {
    /// Reads text of any program, which loses nothing.
    fn default() -> Self {
        Self { stdout: StdoutUse::Text, any_program: true }
    }
}

/// The use of a command's standard output.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Environment {
    /// Version of nixmon.
    pub nixmon: String,
    /// The version of Nix, if there is one.
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

/// A process, distinguished from a later one with the same number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it began, in words of the system: on Linux the boot's id and the ticks since boot.
    pub began: Option<String>,
}

/// The end of a command.
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
    /// Returns the exit status as a shell reports it: 128+N if signal N killed it.
    pub fn status(&self) -> i32 {
        self.code.unwrap_or_else(|| 128 + self.signal.unwrap_or(0))
    }
}
