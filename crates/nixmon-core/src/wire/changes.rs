//! The JSON line of each change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{ActivationResult, BuildResult, NoteKind, Phase, TextKind, UnitAction};
use super::summary::{SummaryFailure, failure, input_names, unit_names};
use super::{SCHEMA, millis};
use crate::activation::ActivationChange;
use crate::state::{BuildEnd, Change, Moment, State};

/// A change, as a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The change with its own fields.
    #[serde(flatten)]
    pub event: Event,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Time since nixmon began to read, in milliseconds.
    pub at_ms: u64,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The run entered another phase.
    Phase {
        /// The new phase.
        phase: Phase,
    },
    /// A build began.
    BuildStarted {
        /// Path of the `.drv` file.
        derivation: String,
        /// Name of the derivation.
        name: String,
        /// The build machine; null for a local build.
        machine: Option<String>,
    },
    /// A build entered another phase.
    BuildPhase {
        /// Path of the `.drv` file.
        derivation: String,
        /// Name of the derivation.
        name: String,
        /// The build phase, such as `buildPhase`.
        phase: Option<String>,
    },
    /// A build ended.
    BuildEnded {
        /// Path of the `.drv` file.
        derivation: String,
        /// Name of the derivation.
        name: String,
        /// The result of the build.
        result: BuildResult,
        /// Duration of the build in milliseconds; null if the output does not tell when it ended.
        elapsed_ms: Option<u64>,
    },
    /// A store path began to arrive.
    FetchStarted {
        /// The store path.
        path: String,
        /// The store that it comes from.
        from: Option<String>,
    },
    /// The fetch of a store path ended.
    FetchEnded {
        /// The store path.
        path: String,
        /// The path has arrived.
        arrived: bool,
        /// Number of bytes that arrived for it.
        bytes: u64,
    },
    /// A root cause became known. The summary holds those that were not retracted.
    Failure {
        /// The root cause.
        failure: Box<SummaryFailure>,
    },
    /// A failure was retracted: the derivation was built after all.
    Retracted {
        /// Path of the `.drv` file.
        derivation: Option<String>,
    },
    /// A message for people, without terminal escapes.
    Text {
        /// The source of the text.
        kind: TextKind,
        /// The text; it may have several lines.
        text: String,
    },
    /// A lock file changed. Each such line lists everything that is known so far.
    FlakeInputs {
        /// Names of the inputs that were updated.
        updated: Vec<String>,
        /// Names of the inputs that were added.
        added: Vec<String>,
        /// Names of the inputs that were removed.
        removed: Vec<String>,
    },
    /// An activation began, or was refused before it could begin.
    ActivationBegan {
        /// The tool that activates, by its own name, such as `home-manager`, `nix-darwin`, `nixos-rebuild`, `colmena`,
        /// `deploy-rs`, `nh` or `system-manager`; `unknown` if the output does not tell. Readers must accept other names.
        tool: String,
        /// The machine, if the tool handles several.
        node: Option<String>,
    },
    /// A step of an activation began.
    ActivationStep {
        /// Name of the step.
        step: String,
    },
    /// An activation acted on units.
    ActivationUnits {
        /// The action.
        verb: UnitAction,
        /// Names of the units.
        units: Vec<String>,
    },
    /// A further message from an activation.
    ActivationNote {
        /// The kind of the message.
        kind: NoteKind,
        /// One line; empty if the kind says everything.
        text: String,
    },
    /// An activation ended.
    ActivationEnded {
        /// The result of the activation.
        result: ActivationResult,
    },
    /// A part of the input could not be used; only the first of its kind is reported.
    Problem {
        /// The reason, and the beginning of the unusable part.
        problem: String,
    },
    /// A message from nixmon about the run itself: it takes long, or something hangs and this can be done about it.
    Notice {
        /// One line for people.
        text: String,
    },
    /// A line of a type that this version does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Makes the line for a change. Returns `None` for the end, which the summary reports, for lines of build logs, and for
/// changes of an activation that have no record.
pub fn from_change(state: &State, change: &Change, at: Moment) -> Option<Record> {
    let derivation = |id| {
        let derivation = state.derivations().get(id);
        (derivation.path.to_string(), derivation.name().to_owned(), derivation)
    };
    let event = match change {
        Change::Phase(phase) => Event::Phase { phase: (*phase).into() },
        Change::BuildStarted(id) => {
            let (path, name, derivation) = derivation(*id);
            let machine = derivation.machine.as_deref().map(str::to_owned);
            Event::BuildStarted { derivation: path, name, machine }
        }
        Change::BuildPhase(id) => {
            let (path, name, derivation) = derivation(*id);
            let phase = derivation.phase.as_deref().map(str::to_owned);
            Event::BuildPhase { derivation: path, name, phase }
        }
        Change::BuildEnded(id, end) => {
            let (path, name, derivation) = derivation(*id);
            let result = match end {
                // Lines of text do not say when a build ends, nor how.
                BuildEnd::Cancelled if derivation.is_endless() => BuildResult::Unknown,
                end => (*end).into(),
            };
            let elapsed_ms = derivation.known_elapsed(at).map(millis);
            Event::BuildEnded { derivation: path, name, result, elapsed_ms }
        }
        Change::FetchStarted(id) => {
            let path = state.transfers().get(*id);
            Event::FetchStarted { path: path.path.to_string(), from: path.from.as_deref().map(str::to_owned) }
        }
        Change::FetchEnded(id, arrived) => {
            let path = state.transfers().get(*id);
            Event::FetchEnded { path: path.path.to_string(), arrived: *arrived, bytes: path.done }
        }
        Change::Failed(id) => Event::Failure { failure: Box::new(failure(state, state.failure(*id))) },
        Change::Retracted(id) => {
            let derivation = state.failure(*id).derivation;
            Event::Retracted { derivation: derivation.map(|id| state.derivations().get(id).path.to_string()) }
        }
        Change::Text(kind, text) => Event::Text { kind: (*kind).into(), text: text.clone() },
        Change::FlakeInputs => {
            let inputs = state.flake_inputs();
            Event::FlakeInputs {
                updated: input_names(&inputs.updated),
                added: input_names(&inputs.added),
                removed: input_names(&inputs.removed),
            }
        }
        Change::Activation(change) => match change {
            ActivationChange::Began { tool, node, .. } => {
                Event::ActivationBegan { tool: tool.name().to_owned(), node: node.clone() }
            }
            ActivationChange::Step { name, .. } => Event::ActivationStep { step: name.clone() },
            ActivationChange::Units { verb, units, .. } => {
                Event::ActivationUnits { verb: (*verb).into(), units: unit_names(units) }
            }
            ActivationChange::UnitsFailed { units, .. } => {
                Event::ActivationUnits { verb: UnitAction::Failed, units: unit_names(units) }
            }
            ActivationChange::Warning { text, .. } => {
                Event::ActivationNote { kind: NoteKind::Warning, text: text.clone() }
            }
            ActivationChange::Problem { text, .. } => {
                Event::ActivationNote { kind: NoteKind::Problem, text: text.clone() }
            }
            ActivationChange::RollingBack { .. } => {
                Event::ActivationNote { kind: NoteKind::RollingBack, text: String::new() }
            }
            ActivationChange::RebootNeeded { .. } => {
                Event::ActivationNote { kind: NoteKind::RebootNeeded, text: String::new() }
            }
            ActivationChange::Ended { stage, .. } => Event::ActivationEnded { result: (*stage).into() },
            _ => return None,
        },
        Change::Problem(problem) => Event::Problem { problem: problem.clone() },
        Change::LogLine(..) | Change::Worked(_) | Change::Ended(_) => return None,
    };
    Some(Record { event, schema: SCHEMA, at_ms: millis(at) })
}

/// Makes the line for a message from nixmon about the run itself.
pub fn notice(text: &str, at: Moment) -> Record {
    Record { event: Event::Notice { text: text.to_owned() }, schema: SCHEMA, at_ms: millis(at) }
}
