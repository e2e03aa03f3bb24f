//! Output of the state: changes it has accepted, and questions it cannot answer itself.

use std::sync::Arc;
use std::time::Duration;

use super::ids::{DerivationId, FailureId, PathId};
use super::inside::Worked;
use crate::activation::ActivationChange;

/// Phase of a run. A run goes forward only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Reading expressions, fetching sources, asking caches.
    #[default]
    Evaluating,
    /// Store paths arrive, and nothing is to be built.
    Fetching,
    /// Derivations are built; paths may still arrive.
    Building,
    /// A configuration is switched to.
    Activating,
    /// The stream has ended.
    Done,
}

impl Phase {
    /// The name in JSON lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaluating => "evaluating",
            Self::Fetching => "fetching",
            Self::Building => "building",
            Self::Activating => "activating",
            Self::Done => "done",
        }
    }
}

/// End of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was wanted is there.
    Success,
    /// Something failed.
    Failure,
    /// The user, or a signal, ended it.
    Interrupted,
    /// The stream ended in the middle without saying why.
    Incomplete,
}

impl Outcome {
    /// The name in the summary record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
            Self::Incomplete => "incomplete",
        }
    }
}

/// End of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildEnd {
    /// Its outputs are valid.
    Built,
    /// It failed by itself.
    Failed,
    /// It was stopped because something else failed or the user asked.
    Cancelled,
}

/// Importance of a text to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// A warning of Nix's.
    Warning,
    /// Output of `builtins.trace`.
    Trace,
    /// Anything else that Nix says at level 0 to 2, and errors that turned out not to end anything.
    Notice,
    /// A store path alone on its line: the result of a command.
    Result,
    /// A line that an activation prints; its meaning is reported as [`Change::Activation`].
    Activation,
    /// A line of another program.
    Other,
    /// A line of a build tool or of a compiler that it runs, in a command that is not Nix: what it says is told as progress,
    /// and by the failure.
    Tool,
    /// A line without a name that came while builders may have printed theirs so: a builder's, or another program's. Told
    /// only where [`State::report_unnamed_lines`](super::State::report_unnamed_lines) asks for it.
    Unnamed,
}

/// A difference that the state has accepted, in order and without loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// The run does something else now.
    Phase(Phase),
    /// A build began.
    BuildStarted(DerivationId),
    /// A build is in another phase.
    BuildPhase(DerivationId),
    /// A build ended.
    BuildEnded(DerivationId, BuildEnd),
    /// A store path begins to arrive.
    FetchStarted(PathId),
    /// A store path has arrived, or will not.
    FetchEnded(PathId, bool),
    /// A root cause is known.
    Failed(FailureId),
    /// A build that had failed was built after all.
    Retracted(FailureId),
    /// Text for people, free of escapes.
    Text(TextKind, String),
    /// A line of a build's log, as the builder wrote it; only where
    /// [`State::report_log_lines`](super::State::report_log_lines) asks for it, since log lines are most of a long
    /// stream.
    LogLine(DerivationId, String),
    /// The list of what was built inside a derivation, or by the command, is complete. Comes with its end, where
    /// [`State::report_work`](super::State::report_work) asks for it.
    Worked(Box<Worked>),
    /// A flake's lock file changed; the state has the inputs.
    FlakeInputs,
    /// An activation goes on.
    Activation(ActivationChange),
    /// Input that could not be used, the first of its kind.
    Problem(String),
    /// The stream has ended.
    Ended(Outcome),
}

/// A question that only the driver can answer: late, or never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read this `.drv` file.
    ReadDerivation(Arc<str>),
}

/// Results of one input. The driver empties it after each.
#[derive(Debug, Default)]
pub struct Effects {
    /// In order.
    pub changes: Vec<Change>,
    /// In any order.
    pub requests: Vec<Request>,
}

/// A time since the beginning of the stream.
pub type Moment = Duration;
