//! The status of a run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunId;
use nixmon_core::state;
use nixmon_core::wire::{Eta, Package, SCHEMA, Work};

/// The status of a run: as its monitor wrote it last, and as `status`, `list` and `wait` print it with `--json`. Times are
/// in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Status {
    /// The number of the run.
    #[serde(rename = "run", alias = "id")]
    pub id: RunId,
    /// The name of the run.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The stage of its life.
    pub state: RunState,
    /// When it was asked for.
    pub created_at: u64,
    /// When the command began.
    pub started_at: Option<u64>,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// When its monitor last gave a sign of life.
    pub heartbeat_at: u64,
    /// The run that has to succeed before this one starts.
    pub after: Option<RunId>,
    /// Activity of its processes, while it runs.
    pub activity: Option<Activity>,
    /// Time for which it has printed nothing, in milliseconds.
    pub silent_ms: u64,
    /// Processor time of its processes so far, in milliseconds, if it is known.
    pub cpu_ms: Option<u64>,
    /// The phase of the build.
    pub phase: RunPhase,
    /// One line that describes the status.
    pub line: String,
    /// Slow or hanging builds and steps, one line each.
    pub slow: Vec<String>,
    /// It has taken longer than its timeout.
    pub overdue: bool,
    /// Its usual duration, in milliseconds.
    pub expected_ms: Option<u64>,
    /// Derivations wanted.
    pub wanted: usize,
    /// Derivations that are being built.
    pub running: usize,
    /// Derivations built.
    pub built: usize,
    /// Derivations that failed by themselves.
    pub failed: usize,
    /// Store paths wanted from elsewhere.
    pub to_fetch: usize,
    /// Store paths that arrived.
    pub fetched: usize,
    /// The end of the run as it is foreseen from the history of builds; null if too little is known.
    pub eta: Option<Eta>,
    /// Derivations that the end of the run waits for, one after the other, as it is foreseen: names.
    pub waits_for: Vec<String>,
    /// Derivations that are ready or in progress beside them: names.
    pub parallel_opportunities: Vec<String>,
    /// The inside of the command, if that is not Nix, and of builds in progress, the longest first.
    pub work: Vec<Work>,
    /// The packages of the first of these, sorted by name.
    pub packages: Vec<Package>,
    /// Derivations as packages, sorted by name: those that failed or are in progress, the next, and the last that were built.
    /// Only `status --packages` prints them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derivations: Vec<Package>,
    /// The root cause that was seen first.
    pub first_failure: Option<RootCause>,
    /// The root cause that was seen last.
    pub last_failure: Option<RootCause>,
    /// Place in the recording that says more about the failure than this status does.
    pub read_on: Option<ReadOn>,
    /// The outcome of the run.
    pub outcome: Option<RunOutcome>,
    /// Exit status of the command as a shell reports it: 128+N if signal N killed it.
    pub exit_code: Option<i32>,
    /// Number of condensed lines so far; later lines are new.
    pub cursor: u64,
    /// Why the record of the run is incomplete, if it is.
    pub incomplete: Option<String>,
}

impl Status {
    /// Returns whether the command is known to have ended well: its exit status was seen, and is 0.
    pub fn has_succeeded(&self) -> bool {
        self.has_ended() && self.outcome == Some(RunOutcome::Success) && self.exit_code == Some(0)
    }

    /// Returns whether the run has ended.
    pub fn has_ended(&self) -> bool {
        self.state == RunState::Ended
    }
}

/// The status of a recorded run: of `status`, `list` and `wait`, with `--json`. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRecord {
    /// Type of the line.
    #[schemars(with = "String", extend("const" = "status"))]
    pub r#type: StatusType,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// The status itself.
    #[serde(flatten)]
    pub status: Status,
}

impl From<Status> for StatusRecord {
    fn from(status: Status) -> Self {
        // Whoever asks for a status wants to know how the run stands, and pays for each of dozens of rows.
        let status = Status { derivations: Vec::new(), ..status };
        Self { r#type: StatusType::Status, schema: SCHEMA, status }
    }
}

/// The type of a line with a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatusType {
    /// `status`.
    #[default]
    Status,
}

/// A status as it is stored. It is read as a [`Status`] alone.
#[derive(Serialize)]
pub(super) struct StoredStatus<S> {
    /// [`super::FORMAT`].
    pub(super) format: u32,
    /// Bytes of the condensed lines before the report, which is about to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report_at: Option<u64>,
    #[serde(flatten)]
    pub(super) status: S,
}

/// The stage of a run's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It is queued behind another run.
    Queued,
    /// The command runs.
    #[default]
    Running,
    /// The command has ended.
    Ended,
    /// Its monitor has died, but the guard or the command is alive. If the command has ended too, the run is
    /// [`RunState::Ended`], with the outcome that its recording tells.
    Lost,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// Everything that was wanted is there.
    Success,
    /// Something failed.
    Failure,
    /// The user or a signal ended it.
    Interrupted,
    /// Its end was not seen.
    Incomplete,
    /// Its command never began: the run before it failed, it was stopped, or its monitor died.
    NotStarted,
}

impl RunOutcome {
    /// Returns the name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
            Self::Incomplete => "incomplete",
            Self::NotStarted => "not-started",
        }
    }
}

impl From<state::Outcome> for RunOutcome {
    fn from(outcome: state::Outcome) -> Self {
        match outcome {
            state::Outcome::Success => Self::Success,
            state::Outcome::Failure => Self::Failure,
            state::Outcome::Interrupted => Self::Interrupted,
            state::Outcome::Incomplete => Self::Incomplete,
        }
    }
}

/// The phase of a run's build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunPhase {
    /// It is not known yet; an empty string in JSON.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// Nix evaluates expressions.
    Evaluating,
    /// Store paths arrive, and nothing is to be built.
    Fetching,
    /// Derivations are built.
    Building,
    /// A configuration is activated.
    Activating,
    /// The run has ended.
    Done,
}

impl From<state::Phase> for RunPhase {
    fn from(phase: state::Phase) -> Self {
        match phase {
            state::Phase::Evaluating => Self::Evaluating,
            state::Phase::Fetching => Self::Fetching,
            state::Phase::Building => Self::Building,
            state::Phase::Activating => Self::Activating,
            state::Phase::Done => Self::Done,
        }
    }
}

/// Activity of a run's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// They have printed something of late.
    #[default]
    Busy,
    /// They have been silent, but are not known to be stuck.
    Quiet,
    /// They have been silent, and used less than 1 % of a processor and less than 1 KiB/s of the network.
    Stuck,
}

/// Place in a recording that says more about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReadOn {
    /// Its last lines.
    End,
    /// The log of the derivation that failed first.
    Derivation,
}

/// A root cause, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootCause {
    /// The derivation, unit or step that failed.
    pub name: Option<String>,
    /// Manner and reason of the failure, to be read after the name.
    pub message: String,
}
