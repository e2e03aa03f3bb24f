//! One line for each change.

use serde::Serialize;

use super::summary::{SummaryFailure, failure};
use super::{SCHEMA, millis};
use crate::activation::{ActivationChange, RunStage, Unit, Verb};
use crate::state::{BuildEnd, Change, Moment, State, TextKind};

/// A change, as a line.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// What changed; with the fields that belong to it.
    #[serde(flatten)]
    pub event: Event,
    /// [`SCHEMA`].
    pub schema: u32,
    /// Since nixmon began to read.
    pub at_ms: u64,
}

/// What changed.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    Phase { phase: &'static str },
    BuildStarted { derivation: String, name: String, machine: Option<String> },
    BuildPhase { derivation: String, name: String, phase: Option<String> },
    BuildEnded { derivation: String, name: String, result: &'static str, elapsed_ms: Option<u64> },
    FetchStarted { path: String, from: Option<String> },
    FetchEnded { path: String, arrived: bool, bytes: u64 },
    Failure { failure: Box<SummaryFailure> },
    Retracted { derivation: Option<String> },
    Text { kind: &'static str, text: String },
    FlakeInputs { updated: Vec<String>, added: Vec<String>, removed: Vec<String> },
    ActivationBegan { tool: &'static str, node: Option<String> },
    ActivationStep { step: String },
    ActivationUnits { verb: &'static str, units: Vec<String> },
    ActivationNote { kind: &'static str, text: String },
    ActivationEnded { result: &'static str },
    Problem { problem: String },
    Notice { text: String },
}

/// The line for a change; `None` for the end, which the summary tells, for lines of logs, and for changes of an activation
/// that have no record.
pub fn from_change(state: &State, change: &Change, at: Moment) -> Option<Record> {
    let names = |units: &[Unit]| units.iter().map(|unit| unit.name.clone()).collect();
    let derivation = |id| {
        let derivation = state.derivations().get(id);
        (derivation.path.to_string(), derivation.name().to_owned(), derivation)
    };
    let event = match change {
        Change::Phase(phase) => Event::Phase { phase: phase.as_str() },
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
                BuildEnd::Built => "built",
                BuildEnd::Failed => "failed",
                // Lines of text do not say when a build ends, nor how.
                BuildEnd::Cancelled if derivation.is_endless() => "unknown",
                BuildEnd::Cancelled => "cancelled",
            };
            Event::BuildEnded {
                derivation: path,
                name,
                result,
                elapsed_ms: derivation.known_elapsed(at).map(millis),
            }
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
        Change::Text(kind, text) => Event::Text { kind: text_kind(*kind), text: text.clone() },
        Change::FlakeInputs => {
            let inputs = state.flake_inputs();
            let names =
                |list: &[crate::activation::FlakeInput]| list.iter().map(|i| i.name.clone()).collect();
            Event::FlakeInputs {
                updated: names(&inputs.updated),
                added: names(&inputs.added),
                removed: names(&inputs.removed),
            }
        }
        Change::Activation(change) => match change {
            ActivationChange::Began { tool, node, .. } => {
                Event::ActivationBegan { tool: tool.name(), node: node.clone() }
            }
            ActivationChange::Step { name, .. } => Event::ActivationStep { step: name.clone() },
            ActivationChange::Units { verb, units, .. } => {
                Event::ActivationUnits { verb: verb_name(*verb), units: names(units) }
            }
            ActivationChange::UnitsFailed { units, .. } => {
                Event::ActivationUnits { verb: "failed", units: names(units) }
            }
            ActivationChange::Warning { text, .. } => {
                Event::ActivationNote { kind: "warning", text: text.clone() }
            }
            ActivationChange::Problem { text, .. } => {
                Event::ActivationNote { kind: "problem", text: text.clone() }
            }
            ActivationChange::RollingBack { .. } => {
                Event::ActivationNote { kind: "rolling-back", text: String::new() }
            }
            ActivationChange::RebootNeeded { .. } => {
                Event::ActivationNote { kind: "reboot-needed", text: String::new() }
            }
            ActivationChange::Ended { stage, .. } => Event::ActivationEnded { result: stage_name(*stage) },
            _ => return None,
        },
        Change::Problem(problem) => Event::Problem { problem: problem.clone() },
        Change::LogLine(..) | Change::Ended(_) => return None,
    };
    Some(Record { event, schema: SCHEMA, at_ms: millis(at) })
}

/// A line of nixmon's own about the run: that it takes long, what hangs.
pub fn notice(text: &str, at: Moment) -> Record {
    Record { event: Event::Notice { text: text.to_owned() }, schema: SCHEMA, at_ms: millis(at) }
}

fn text_kind(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Warning => "warning",
        TextKind::Trace => "trace",
        TextKind::Notice => "notice",
        TextKind::Result => "result",
        TextKind::Activation => "activation",
        TextKind::Other => "other",
        TextKind::Unnamed => "unnamed",
    }
}

fn stage_name(stage: RunStage) -> &'static str {
    match stage {
        RunStage::Activating => "activating",
        RunStage::Refused => "refused",
        RunStage::Done => "done",
        RunStage::Failed => "failed",
        RunStage::RolledBack => "rolled-back",
        RunStage::Interrupted => "interrupted",
    }
}

fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Started => "started",
        Verb::Restarted => "restarted",
        Verb::Stopped => "stopped",
        Verb::Reloaded => "reloaded",
    }
}
