//! Runs that are kept, for `status --json`, `list --json` and `wait --json`.

use serde::Serialize;

/// How a run stands. Times are in milliseconds since 1970.
#[derive(Clone, Debug, Serialize)]
pub struct RunStatus {
    /// `status`.
    pub r#type: &'static str,
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the run.
    pub run: u64,
    /// What it is called.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `queued`, `running`, `ended`, `lost`.
    pub state: &'static str,
    /// When it was asked for.
    pub created_at: u64,
    /// When the command began.
    pub started_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// When its monitor last gave a sign of life.
    pub heartbeat_at: u64,
    /// The run that has to end well before.
    pub after: Option<u64>,
    /// What its processes do, while it goes on: `busy`, `quiet`, `stuck`.
    pub activity: Option<&'static str>,
    /// For how long it has printed nothing.
    pub silent_ms: u64,
    /// Processor time of its processes so far, where it is known.
    pub cpu_ms: Option<u64>,
    /// What it does; empty where that is not known yet.
    pub phase: String,
    /// One line that says how it stands.
    pub line: String,
    /// What is slow or hangs.
    pub slow: Vec<String>,
    /// It has taken longer than its timeout.
    pub overdue: bool,
    /// How long it usually takes.
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
    pub first_failure: Option<RunFailure>,
    /// The one that was seen last.
    pub last_failure: Option<RunFailure>,
    /// How it ended: `success`, `failure`, `interrupted`, `incomplete`, `not-started`.
    pub outcome: Option<String>,
    /// Its exit status as a shell says it.
    pub exit_code: Option<i32>,
    /// So many condensed lines there are: what comes later is new.
    pub cursor: u64,
    /// Why what is known is not whole.
    pub incomplete: Option<String>,
}

/// A root cause, in short.
#[derive(Clone, Debug, Serialize)]
pub struct RunFailure {
    /// What failed.
    pub name: Option<String>,
    /// How and why, to be read behind the name.
    pub message: String,
}

/// One of a run's condensed lines.
#[derive(Clone, Debug, Serialize)]
pub struct RunLine {
    /// `line`.
    pub r#type: &'static str,
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the run.
    pub run: u64,
    /// The cursor behind this line.
    pub cursor: u64,
    /// The line.
    pub text: String,
}

/// A run of which nothing can be told.
#[derive(Clone, Debug, Serialize)]
pub struct UnreadableRun {
    /// `unreadable-run`.
    pub r#type: &'static str,
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the run.
    pub run: u64,
    /// Why.
    pub error: String,
}
