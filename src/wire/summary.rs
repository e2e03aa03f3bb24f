//! The summary record, and snapshots of a run that goes on.

use serde::Serialize;

use super::{SCHEMA, millis};
use crate::activation::Unit;
use crate::input::InputCounts;
use crate::nix::error;
use crate::state::{DerivationState, Dropped, Failure, Moment, Outcome, PathState, State};
use crate::view::Evidence;

/// What came of a run: the last line.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `summary`.
    pub r#type: &'static str,
    /// [`SCHEMA`].
    pub schema: u32,
    /// `success`, `failure`, `interrupted`, `incomplete`.
    pub outcome: &'static str,
    /// What nixmon itself exits with.
    pub exit_code: i32,
    /// `evaluation`, `fetch`, `build`, `activation`.
    pub failed_stage: Option<&'static str>,
    /// From when nixmon began to read to the end.
    pub elapsed_ms: u64,
    /// What became of what was wanted.
    pub counts: SummaryCounts,
    /// Root causes, in the order in which they were seen.
    pub failures: Vec<SummaryFailure>,
    /// What was switched to.
    pub activation: Option<SummaryActivation>,
    /// What became of a lock file.
    pub flake_inputs: FlakeInputs,
    /// How much was read.
    pub input: InputSummary,
    /// What was not kept because there was too much of it.
    pub dropped: DroppedSummary,
}

/// Counts of derivations and store paths.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SummaryCounts {
    /// Derivations built.
    pub built: usize,
    /// Derivations that failed by themselves.
    pub failed: usize,
    /// Derivations started and stopped.
    pub cancelled: usize,
    /// Derivations wanted and never started.
    pub not_started: usize,
    /// Store paths that arrived.
    pub fetched: usize,
    /// Bytes that arrived for them.
    pub fetched_bytes: u64,
    /// Store paths sent.
    pub uploaded: usize,
}

/// A position in a file.
#[derive(Clone, Debug, Serialize)]
pub struct Location {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: Option<u64>,
    /// From 1.
    pub column: Option<u64>,
}

/// A root cause.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryFailure {
    /// Where the run was.
    pub stage: Option<&'static str>,
    /// What kind it is; readers must accept new ones.
    pub kind: &'static str,
    /// The `.drv` file.
    pub derivation: Option<String>,
    /// The derivation's name.
    pub name: Option<String>,
    /// The build phase.
    pub phase: Option<String>,
    /// The builder's exit status.
    pub exit_status: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// One line.
    pub message: String,
    /// Further lines.
    pub details: Vec<String>,
    /// Where the error is.
    pub location: Option<Location>,
    /// Where in the user's own files.
    pub user_location: Option<Location>,
    /// What was being evaluated, innermost first, where Nix was asked for a trace.
    pub trace: Vec<Frame>,
    /// Of a hash mismatch.
    pub hashes: Option<Hashes>,
    /// The lines of the log that say why.
    pub log_excerpt: Vec<String>,
    /// The last lines of the log.
    pub log_tail: Vec<String>,
    /// Where the whole log is.
    pub log_hints: Vec<String>,
    /// What to do next.
    pub advice: Option<&'static str>,
    /// How many wanted derivations cannot be built because of it.
    pub blocks: usize,
    /// The machine it was built on.
    pub machine: Option<String>,
    /// The unit of an activation.
    pub unit: Option<String>,
    /// The step of an activation.
    pub step: Option<String>,
    /// How long the build had run.
    pub after_ms: Option<u64>,
}

/// What was being evaluated, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    /// In Nix's words.
    pub message: String,
    /// The position.
    pub location: Option<Location>,
}

/// Both hashes of a mismatch.
#[derive(Clone, Debug, Serialize)]
pub struct Hashes {
    /// What the expression says.
    pub specified: String,
    /// What came.
    pub got: String,
}

/// What was switched to.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryActivation {
    /// The tool's name, as `home-manager` or `nixos-rebuild`, or `unknown`.
    pub tool: &'static str,
    /// The step that failed or was interrupted.
    pub failed_step: Option<String>,
    /// By what happened to them.
    pub units: SummaryUnits,
    /// Where to look.
    pub log_hints: Vec<String>,
}

/// Names of units.
#[derive(Clone, Debug, Serialize)]
pub struct SummaryUnits {
    /// Started.
    pub started: Vec<String>,
    /// Restarted, or stopped and started.
    pub restarted: Vec<String>,
    /// Stopped.
    pub stopped: Vec<String>,
    /// Reloaded.
    pub reloaded: Vec<String>,
    /// Failed.
    pub failed: Vec<String>,
}

/// What became of the inputs of a lock file.
#[derive(Clone, Debug, Serialize)]
pub struct FlakeInputs {
    /// Their names.
    pub updated: Vec<String>,
    /// Their names.
    pub added: Vec<String>,
    /// Their names.
    pub removed: Vec<String>,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct InputSummary {
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Lines of text.
    pub text_lines: u64,
    /// Pieces that could not be used.
    pub problems: u64,
}

/// What was not kept because there was too much of it: how often each limit was met. In a run of usual size only
/// `log_lines`, `other_lines` and `lines_cut` are not 0.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DroppedSummary {
    /// Times that a derivation was named for which there was no entry of its own.
    pub derivations: u64,
    /// Times that a store path was named for which there was no entry of its own.
    pub store_paths: u64,
    /// Activities that were not followed.
    pub activities: u64,
    /// Activities of processes that had no entry of their own.
    pub processes: u64,
    /// Ends of builds and transfers that were forgotten before it was known how.
    pub ends: u64,
    /// Inputs and outputs of derivations that were left out of the graph.
    pub graph: u64,
    /// Root causes.
    pub failures: u64,
    /// Errors without a derivation.
    pub errors: u64,
    /// Lines of builds' logs between their first errors and their ends.
    pub log_lines: u64,
    /// Texts that are shown again if they come again.
    pub texts: u64,
    /// Lines of other programs that came before the last ones.
    pub other_lines: u64,
    /// Lines of logs and of other programs whose ends were not kept.
    pub lines_cut: u64,
    /// Lines of the stream that were too long to be read whole.
    pub long_lines: u64,
    /// Bytes of them that were not read.
    pub long_line_bytes: u64,
    /// Store paths whose ends were not kept.
    pub paths_cut: u64,
}

impl From<InputCounts> for InputSummary {
    fn from(counts: InputCounts) -> Self {
        let InputCounts { bytes, records, text_lines, problems, .. } = counts;
        Self { bytes, records, text_lines, problems }
    }
}

/// The summary of a run that has ended.
pub fn summary(state: &State, evidence: &Evidence, input: InputCounts, exit_code: i32) -> Summary {
    let mut failures: Vec<_> = state.failures().map(|(_, f)| known_failure(state, f, evidence)).collect();
    let stage = state.failed_stage();
    failures.extend(activation_failures(state, evidence));
    let inputs = state.flake_inputs();
    let names =
        |list: &[crate::activation::FlakeInput]| list.iter().map(|input| input.name.clone()).collect();
    Summary {
        r#type: "summary",
        schema: SCHEMA,
        outcome: state.outcome().unwrap_or(Outcome::Incomplete).as_str(),
        exit_code,
        failed_stage: stage.map(error::Stage::as_str),
        elapsed_ms: millis(state.now()),
        counts: counts(state),
        failures,
        activation: activation(state, evidence),
        flake_inputs: FlakeInputs {
            updated: names(&inputs.updated),
            added: names(&inputs.added),
            removed: names(&inputs.removed),
        },
        input: input.into(),
        dropped: dropped(state.dropped(), input),
    }
}

fn dropped(dropped: Dropped, input: InputCounts) -> DroppedSummary {
    let Dropped {
        derivations,
        store_paths,
        activities,
        processes,
        ends,
        graph,
        failures,
        errors,
        log_lines,
        texts,
        other_lines,
        lines_cut,
        long_lines,
        paths_cut,
    } = dropped;
    DroppedSummary {
        derivations,
        store_paths,
        activities,
        processes,
        ends,
        graph,
        failures,
        errors,
        log_lines,
        texts,
        other_lines,
        lines_cut: lines_cut + input.texts_cut,
        long_lines,
        long_line_bytes: input.dropped_bytes,
        paths_cut,
    }
}

fn counts(state: &State) -> SummaryCounts {
    let counts = state.counts();
    SummaryCounts {
        built: counts.built,
        failed: counts.failed,
        cancelled: counts.cancelled,
        not_started: counts.not_started,
        fetched: counts.fetched,
        fetched_bytes: counts.fetched_bytes,
        uploaded: counts.uploaded,
    }
}

fn location(location: &error::Location) -> Location {
    Location { file: location.file.clone(), line: location.line, column: location.column }
}

/// A failure in the form of the record, with the log that was found.
fn known_failure(state: &State, failure: &Failure, evidence: &Evidence) -> SummaryFailure {
    let mut record = self::failure(state, failure);
    let path = failure.derivation.map(|id| &state.derivations().get(id).path);
    record.log_hints.extend(path.and_then(|path| evidence.of_build(path)).map(str::to_owned));
    record
}

/// A failure in the form of the record.
pub(super) fn failure(state: &State, failure: &Failure) -> SummaryFailure {
    SummaryFailure {
        stage: failure.stage.map(error::Stage::as_str),
        kind: failure.kind.as_str(),
        derivation: failure.derivation.map(|id| state.derivations().get(id).path.to_string()),
        name: failure.name.clone(),
        phase: failure.phase.clone(),
        exit_status: failure.exit_status,
        signal: failure.signal,
        message: failure.message.clone(),
        details: failure.details.clone(),
        location: failure.location.as_ref().map(location),
        user_location: failure.user_location.as_ref().map(location),
        trace: failure
            .trace
            .iter()
            .map(|frame| Frame {
                message: frame.message.clone(),
                location: frame.location.as_ref().map(location),
            })
            .collect(),
        hashes: failure
            .hashes
            .as_ref()
            .map(|hashes| Hashes { specified: hashes.specified.clone(), got: hashes.got.clone() }),
        log_excerpt: failure.excerpt.iter().flatten().cloned().collect(),
        log_tail: failure.log_tail.clone(),
        log_hints: failure.log_hints.clone(),
        advice: failure.advice,
        blocks: state.blocked_by(failure),
        machine: failure.machine.clone(),
        unit: None,
        step: failure.step.clone(),
        after_ms: failure.after.map(millis),
    }
}

/// The failures of activations: one for each machine, and for each step of a script that goes on after one.
fn activation_failures(state: &State, evidence: &Evidence) -> Vec<SummaryFailure> {
    let mut failures = Vec::new();
    for run in state.activations_failed() {
        let failure = activation_failure(run, evidence);
        let others = run
            .failed_snippets()
            .iter()
            // The failed units are the first failure where there are any, but not the reason of its step.
            .filter(|other| {
                let is_said = failure.unit.is_none() || other.reason.is_none();
                !is_said || Some(&other.step) != failure.step.as_ref()
            });
        let of_others = others.map(|other| SummaryFailure {
            kind: "activation-step",
            message: other.reason.clone().unwrap_or_else(|| format!("activation failed in {}", other.step)),
            step: Some(other.step.clone()),
            unit: None,
            details: Vec::new(),
            ..failure.clone()
        });
        let of_others: Vec<_> = of_others.collect();
        failures.push(failure);
        failures.extend(of_others);
    }
    failures
}

fn activation_failure(run: &crate::activation::Run, evidence: &Evidence) -> SummaryFailure {
    let units = run.units();
    let lines: Vec<String> = run.evidence().map(str::to_owned).collect();
    let unit = units.failed.first().map(|unit| unit.name.clone());
    let message = run.message().map(str::to_owned).unwrap_or_else(|| match (&run.failed_step, &unit) {
        (Some(step), _) => format!("activation failed in {step}"),
        (None, Some(unit)) => format!("{unit} failed"),
        (None, None) => "activation failed".to_owned(),
    });
    SummaryFailure {
        stage: Some(error::Stage::Activation.as_str()),
        kind: if units.failed.is_empty() { "activation-step" } else { "units-failed" },
        derivation: None,
        name: None,
        phase: None,
        exit_status: run.exit_status,
        signal: None,
        message,
        details: run.files.clone(),
        location: None,
        user_location: None,
        trace: Vec::new(),
        hashes: None,
        log_excerpt: lines.clone(),
        log_tail: lines,
        log_hints: evidence.hints(&units.failed, run.log_hints()),
        advice: None,
        blocks: 0,
        machine: run.node.clone(),
        unit,
        step: run.failed_step.clone(),
        after_ms: None,
    }
}

fn activation(state: &State, evidence: &Evidence) -> Option<SummaryActivation> {
    let summary = state.activation().summary()?;
    let names = |units: &[Unit]| units.iter().map(|unit| unit.name.clone()).collect();
    Some(SummaryActivation {
        tool: summary.tool.name(),
        failed_step: summary.failed_step.clone(),
        units: SummaryUnits {
            started: names(&summary.units.started),
            restarted: names(&summary.units.restarted),
            stopped: names(&summary.units.stopped),
            reloaded: names(&summary.units.reloaded),
            failed: names(&summary.units.failed),
        },
        log_hints: evidence.hints(&summary.units.failed, summary.log_hints),
    })
}

/// The state of a run that goes on, for `--snapshots`.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// `snapshot`.
    pub r#type: &'static str,
    /// [`SCHEMA`].
    pub schema: u32,
    /// Since nixmon began to read.
    pub at_ms: u64,
    /// What the run does.
    pub phase: &'static str,
    /// Derivations that are wanted, as far as is known.
    pub wanted: usize,
    /// Derivations whose builders run.
    pub running: Vec<RunningBuild>,
    /// Store paths that are to arrive, as far as is known.
    pub to_fetch: usize,
    /// Paths that arrive now.
    pub fetching: usize,
    /// Bytes to download, as announced.
    pub to_fetch_bytes: u64,
    /// Bytes per second of late.
    pub fetch_rate: u64,
    /// What became of what was wanted so far.
    pub counts: SummaryCounts,
}

/// A build that runs.
#[derive(Clone, Debug, Serialize)]
pub struct RunningBuild {
    /// The `.drv` file.
    pub derivation: String,
    /// Its name.
    pub name: String,
    /// Its phase.
    pub phase: Option<String>,
    /// How long it runs.
    pub elapsed_ms: u64,
    /// The machine, if it is another one.
    pub machine: Option<String>,
}

/// The state of a run that goes on.
pub fn snapshot(state: &State, now: Moment) -> Snapshot {
    let mut running: Vec<_> = state
        .derivations()
        .iter()
        .filter(|(_, derivation)| derivation.state() == DerivationState::Building)
        .map(|(_, derivation)| RunningBuild {
            derivation: derivation.path.to_string(),
            name: derivation.name().to_owned(),
            phase: derivation.phase.as_deref().map(str::to_owned),
            elapsed_ms: millis(derivation.elapsed(now)),
            machine: derivation.machine.as_deref().map(str::to_owned),
        })
        .collect();
    running.sort_by_key(|build| std::cmp::Reverse(build.elapsed_ms));
    Snapshot {
        r#type: "snapshot",
        schema: SCHEMA,
        at_ms: millis(now),
        phase: state.phase().as_str(),
        wanted: state.derivations().counts().wanted(),
        running,
        to_fetch: state.transfers().wanted(),
        fetching: state.transfers().count(PathState::Fetching),
        to_fetch_bytes: state.transfers().announced.download,
        fetch_rate: state.transfers().rate(now),
        counts: counts(state),
    }
}
