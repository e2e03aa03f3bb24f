//! Recorded runs, for `status --json`, `list --json` and `wait --json`.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SCHEMA;
use super::names::names;

/// The status of a recorded run: of `status`, `list` and `wait`, with `--json`. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStatus {
    /// Type of the line.
    #[schemars(extend("const" = "status"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Number of the run.
    #[schemars(range(min = 1))]
    pub run: u64,
    /// Name of the run.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The state of the run.
    pub state: RunState,
    /// Time at which the run was requested.
    pub created_at: u64,
    /// Time at which the command began.
    pub started_at: Option<u64>,
    /// Time at which the command ended.
    pub ended_at: Option<u64>,
    /// Time at which the monitor last wrote the status.
    pub heartbeat_at: u64,
    /// The run that must succeed before this one starts.
    #[schemars(range(min = 1))]
    pub after: Option<u64>,
    /// Activity of its processes; null unless the run is in progress.
    pub activity: Option<RunActivity>,
    /// Time since the last output, in milliseconds.
    pub silent_ms: u64,
    /// Processor time of its processes so far in milliseconds, if it is known.
    pub cpu_ms: Option<u64>,
    /// The phase of the run; empty if it is not known yet.
    pub phase: String,
    /// The state of the run in one line for people.
    pub line: String,
    /// Parts that are slow or hang, one line each.
    pub slow: Vec<String>,
    /// The run has taken longer than its timeout.
    pub overdue: bool,
    /// Usual duration of the run in milliseconds.
    pub expected_ms: Option<u64>,
    /// Number of wanted derivations.
    pub wanted: usize,
    /// Number of derivations whose builders are running.
    pub running: usize,
    /// Number of derivations that were built.
    pub built: usize,
    /// Number of derivations that failed by themselves.
    pub failed: usize,
    /// Number of store paths to fetch.
    pub to_fetch: usize,
    /// Number of store paths that arrived.
    pub fetched: usize,
    /// The root cause that was seen first.
    pub first_failure: Option<RunFailure>,
    /// The root cause that was seen last.
    pub last_failure: Option<RunFailure>,
    /// The outcome of the run. A run did not start if the run before it failed, if it was stopped before, or if its monitor
    /// died.
    pub outcome: Option<RunOutcome>,
    /// Exit status of the command, or 128 plus the number of the signal that killed it; null if it is not known.
    pub exit_code: Option<i32>,
    /// Number of condensed lines; in `wait`, of those that were printed. Lines after it are new.
    pub cursor: u64,
    /// The reason why this information is incomplete.
    pub incomplete: Option<String>,
}

names! {
    /// The state of a recorded run.
    RunState {
        /// The run waits for another one.
        Queued "queued";
        /// The command is running.
        Running "running";
        /// The command has ended.
        Ended "ended";
        /// The run is in progress, but its monitor has died.
        Lost "lost";
    }
}

names! {
    /// Activity of the processes of a run.
    RunActivity {
        /// They have printed something recently.
        Busy "busy";
        /// They have printed nothing recently, and are not known to be stuck.
        Quiet "quiet";
        /// They have printed nothing recently, and used hardly any processor time or network.
        Stuck "stuck";
    }
}

names! {
    /// The outcome of a recorded run.
    RunOutcome {
        /// The command succeeded.
        Success "success";
        /// Something failed.
        Failure "failure";
        /// The user or a signal ended the run.
        Interrupted "interrupted";
        /// The run ended in the middle without giving a reason.
        Incomplete "incomplete";
        /// The command never began.
        NotStarted "not-started";
    }
}

/// A root cause in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunFailure {
    /// Name of the derivation that failed.
    pub name: Option<String>,
    /// The reason, to be read after the name: `failed, exit 2: main.c:3:1: error: expected expression`.
    pub message: String,
}

/// One of the condensed lines of a run, from `wait --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunLine {
    /// Type of the line.
    #[schemars(extend("const" = "line"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Number of the run.
    #[schemars(range(min = 1))]
    pub run: u64,
    /// The cursor after this line.
    #[schemars(range(min = 1))]
    pub cursor: u64,
    /// The line.
    pub text: String,
}

/// A run whose files cannot be read, from `list --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadableRun {
    /// Type of the line.
    #[schemars(extend("const" = "unreadable-run"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Number of the run.
    #[schemars(range(min = 1))]
    pub run: u64,
    /// The error.
    pub error: String,
}
