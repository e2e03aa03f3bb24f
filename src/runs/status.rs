//! How a run stands.

use serde::{Deserialize, Serialize};

use super::RunId;

/// How a run stands, as its monitor wrote it last. Everything that `status` and `list` print.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// [`super::FORMAT`].
    pub format: u32,
    /// Which run.
    pub id: RunId,
    /// What it is called.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it is.
    pub state: RunState,
    /// When it was asked for, in milliseconds since 1970.
    pub created_at: u64,
    /// When the command began, in milliseconds since 1970.
    pub started_at: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    pub ended_at: Option<u64>,
    /// When this was written, in milliseconds since 1970.
    pub heartbeat_at: u64,
    /// The run that has to end well before.
    pub after: Option<RunId>,
    /// What its processes do.
    pub activity: Activity,
    /// For how long it has printed nothing, in milliseconds.
    pub silent_ms: u64,
    /// Processor time of its processes so far, in milliseconds, where it is known.
    pub cpu_ms: Option<u64>,
    /// The run's phase: `evaluating`, `fetching`, `building`, `activating`, `done`.
    pub phase: String,
    /// One line that says how it stands.
    pub line: String,
    /// What is slow or hangs, a line each.
    pub slow: Vec<String>,
    /// It has taken longer than its timeout.
    pub overdue: bool,
    /// How long it usually takes, in milliseconds.
    pub expected_ms: Option<u64>,
    /// Derivations wanted.
    pub wanted: usize,
    /// Derivations whose builders run.
    pub running: usize,
    /// Derivations built.
    pub built: usize,
    /// Derivations that failed by themselves.
    pub failed: usize,
    /// Store paths wanted from elsewhere.
    pub to_fetch: usize,
    /// Store paths that arrived.
    pub fetched: usize,
    /// The root cause that was seen first.
    pub first_failure: Option<RootCause>,
    /// The one that was seen last.
    pub last_failure: Option<RootCause>,
    /// Where the recording says more of how it failed than this does.
    pub read_on: Option<ReadOn>,
    /// `success`, `failure`, `interrupted`, `incomplete`; or `not-started`: its command
    /// never began, because the run before it failed, it was stopped, or its monitor died.
    pub outcome: Option<String>,
    /// As a shell says it.
    pub exit_code: Option<i32>,
    /// Lines in `lines.txt`: what comes later is new.
    pub cursor: u64,
    /// Why the record is not whole, if it is not.
    pub incomplete: Option<String>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Waits for another run.
    Queued,
    /// The command runs.
    #[default]
    Running,
    /// The command has ended.
    Ended,
    /// The monitor has died; the guard or only the command lives. A run whose end nobody saw is [`RunState::Ended`], as
    /// what its recording tells.
    Lost,
}

/// What the processes of a run do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// It has printed something of late.
    #[default]
    Busy,
    /// It has not, and is not known to be stuck.
    Quiet,
    /// It has not, and its processes took less than 1 % of a processor and the network less than 1 KiB/s.
    Stuck,
}

/// Where a recording says more of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadOn {
    /// In what was printed last.
    End,
    /// In the log of the derivation that failed first.
    Derivation,
}

/// A root cause, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCause {
    /// What failed.
    pub name: Option<String>,
    /// How and why, to be read behind the name if there is one.
    pub message: String,
}
