//! The summary record, and snapshots of a run in progress.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{Outcome, Phase, Stage};
use super::{Package, SCHEMA, Work, inside, millis};
use crate::activation::{FlakeInput, Unit};
use crate::state::{self, DerivationState, Dropped, Failure, Moment, PathState, State};
use crate::view::Evidence;
use nixmon_log::input::InputCounts;
use nixmon_log::nix::error;

/// The summary of a run: always the last line of `--output json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Type of the line.
    #[schemars(extend("const" = "summary"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// The outcome of the run.
    pub outcome: Outcome,
    /// Exit status of nixmon itself.
    pub exit_code: i32,
    /// The stage of the failure or of the interruption; null on success, for a wrong command line, and for a command that
    /// printed nothing from Nix.
    pub failed_stage: Option<Stage>,
    /// Time from the first input to the end, in milliseconds.
    pub elapsed_ms: u64,
    /// Numbers of derivations and store paths.
    pub counts: SummaryCounts,
    /// Root causes in the order in which they were seen.
    pub failures: Vec<SummaryFailure>,
    /// The activation of a configuration; null if none was seen.
    pub activation: Option<SummaryActivation>,
    /// Changes of a lock file.
    pub flake_inputs: FlakeInputs,
    /// The work of the command, if that is not Nix, as its build tool told it last.
    #[serde(default)]
    pub work: Vec<Work>,
    /// The packages of that work, sorted by name.
    #[serde(default)]
    pub packages: Vec<Package>,
    /// Amount of input.
    pub input: InputSummary,
    /// Information that was not kept because there was too much of it.
    pub dropped: DroppedSummary,
}

/// Numbers of derivations and store paths. A derivation counts in at most one of the first four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryCounts {
    /// Derivations whose outputs became valid by a build, here or on another machine.
    pub built: usize,
    /// Derivations that failed by themselves.
    pub failed: usize,
    /// Derivations that were started and neither built nor failed, as far as is known: a build announced by a line of text
    /// has no known end.
    pub cancelled: usize,
    /// Derivations that are known to be wanted and were never started.
    pub not_started: usize,
    /// Store paths that arrived.
    pub fetched: usize,
    /// Bytes that arrived for them.
    pub fetched_bytes: u64,
    /// Store paths that were sent to another store.
    pub uploaded: usize,
}

/// A position in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Path of the file.
    pub file: String,
    /// Line number, from 1.
    pub line: Option<u64>,
    /// Column number, from 1.
    pub column: Option<u64>,
}

/// A root cause: never a failure that follows from another one, and never the same failure twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryFailure {
    /// The stage of the run; null for a wrong command line.
    pub stage: Option<Stage>,
    /// The kind of failure, such as `builder-failed` or `eval-undefined-variable`. Readers must accept new kinds.
    pub kind: String,
    /// Path of the `.drv` file, if it is known.
    pub derivation: Option<String>,
    /// Name of the derivation without digest and `.drv`, if it is known.
    pub name: Option<String>,
    /// The build phase that failed.
    pub phase: Option<String>,
    /// Exit status of the builder, or of the program that failed.
    pub exit_status: Option<i32>,
    /// The signal that killed the builder.
    pub signal: Option<i32>,
    /// The error in one line, without terminal escapes.
    #[schemars(extend("pattern" = r"^[^\n\r\u001b]*$"))]
    pub message: String,
    /// Further lines that explain the error.
    pub details: Vec<String>,
    /// Position of the error, else of its innermost frame.
    pub location: Option<Location>,
    /// The most helpful position in the user's own files.
    pub user_location: Option<Location>,
    /// Frames of the evaluation in the user's own files, innermost first, at most 8. Nix prints them with `--show-trace`.
    pub trace: Vec<Frame>,
    /// Both hashes of a hash mismatch.
    pub hashes: Option<Hashes>,
    /// The few lines of the build log that explain the failure.
    pub log_excerpt: Vec<String>,
    /// The last lines of the build log.
    pub log_tail: Vec<String>,
    /// Places of the whole log: a command (`nix log`, `journalctl`, `launchctl`) or the path of a file.
    pub log_hints: Vec<String>,
    /// The next thing to do, if that is certain.
    pub advice: Option<String>,
    /// Number of wanted derivations that cannot be built because of this failure, as far as is known.
    pub blocks: usize,
    /// The build machine; null for a local build.
    pub machine: Option<String>,
    /// The unit of an activation that failed.
    pub unit: Option<String>,
    /// The step of an activation that failed.
    pub step: Option<String>,
    /// Duration of the build until it failed, in milliseconds.
    pub after_ms: Option<u64>,
    /// The package inside the build whose source failed: a CMake target, a cargo crate.
    #[serde(default)]
    pub package: Option<String>,
    /// The target that the build tool says failed, such as an object file.
    #[serde(default)]
    pub target: Option<String>,
    /// The command that failed to make it, if the tool printed it.
    #[serde(default)]
    pub command: Option<String>,
}

/// A frame of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// One line in Nix's words, without terminal escapes.
    pub message: String,
    /// Position of the frame.
    pub location: Option<Location>,
}

/// Both hashes of a hash mismatch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hashes {
    /// The hash in the expression.
    pub specified: String,
    /// The hash of the content that arrived.
    pub got: String,
}

/// The activation of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryActivation {
    /// The tool that activates, by its own name, such as `home-manager`, `nix-darwin`, `nixos-rebuild`, `colmena`,
    /// `deploy-rs`, `nh` or `system-manager`; `unknown` if the output does not tell. Readers must accept other names.
    pub tool: String,
    /// The step that failed or was interrupted.
    pub failed_step: Option<String>,
    /// Names of units by what happened to them.
    pub units: SummaryUnits,
    /// Commands and files that show more.
    pub log_hints: Vec<String>,
}

/// Names of units by what happened to them. A unit that was stopped and started counts as restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SummaryUnits {
    /// Units that were started.
    pub started: Vec<String>,
    /// Units that were restarted.
    pub restarted: Vec<String>,
    /// Units that were stopped.
    pub stopped: Vec<String>,
    /// Units that were reloaded.
    pub reloaded: Vec<String>,
    /// Units that failed. They are also listed under the action that failed.
    pub failed: Vec<String>,
}

/// Changes of the inputs in a lock file, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlakeInputs {
    /// Inputs that were updated.
    pub updated: Vec<String>,
    /// Inputs that were added.
    pub added: Vec<String>,
    /// Inputs that were removed.
    pub removed: Vec<String>,
}

/// Amount of input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputSummary {
    /// Number of bytes.
    pub bytes: u64,
    /// Number of records in Nix's internal-json format.
    pub records: u64,
    /// Number of lines of text.
    pub text_lines: u64,
    /// Number of pieces that could not be used.
    pub problems: u64,
}

/// Information that was not kept because there was too much of it: how often each limit was met. In a run of usual size,
/// only `log_lines`, `other_lines` and `lines_cut` are not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DroppedSummary {
    /// Mentions of derivations that had no entry of their own.
    pub derivations: u64,
    /// Mentions of store paths that had no entry of their own.
    pub store_paths: u64,
    /// Activities that were not followed.
    pub activities: u64,
    /// Activities of processes that had no entry of their own.
    pub processes: u64,
    /// Ends of builds and transfers that were forgotten before their result was known.
    pub ends: u64,
    /// Inputs and outputs of derivations that were left out of the graph.
    pub graph: u64,
    /// Root causes.
    pub failures: u64,
    /// Errors without a derivation.
    pub errors: u64,
    /// Lines of build logs between their first errors and their ends.
    pub log_lines: u64,
    /// Texts that are shown again if they are printed again.
    pub texts: u64,
    /// Lines of other programs before the last ones.
    pub other_lines: u64,
    /// Lines of build logs and of other programs whose ends were not kept.
    pub lines_cut: u64,
    /// Lines of build logs and of commands that were not searched for progress, since there were too many.
    #[serde(default)]
    pub progress_lines: u64,
    /// Lines of input that were too long to be read whole.
    pub long_lines: u64,
    /// Bytes of those lines that were not read.
    pub long_line_bytes: u64,
    /// Store paths whose ends were not kept.
    pub paths_cut: u64,
    /// Rows of the history of builds that could not be written.
    #[serde(default)]
    pub history: u64,
}

impl From<InputCounts> for InputSummary {
    fn from(counts: InputCounts) -> Self {
        let InputCounts { bytes, records, text_lines, problems, .. } = counts;
        Self { bytes, records, text_lines, problems }
    }
}

/// Makes the summary of a run that has ended.
pub fn summary(state: &State, evidence: &Evidence, input: InputCounts, exit_code: i32) -> Summary {
    let mut failures: Vec<_> = state.failures().map(|(_, f)| known_failure(state, f, evidence)).collect();
    let stage = state.failed_stage();
    failures.extend(activation_failures(state, evidence));
    let inputs = state.flake_inputs();
    Summary {
        r#type: "summary".into(),
        schema: SCHEMA,
        outcome: state.outcome().unwrap_or(state::Outcome::Incomplete).into(),
        exit_code,
        failed_stage: stage.map(Stage::from),
        elapsed_ms: millis(state.now()),
        counts: counts(state),
        failures,
        activation: activation(state, evidence),
        flake_inputs: FlakeInputs {
            updated: input_names(&inputs.updated),
            added: input_names(&inputs.added),
            removed: input_names(&inputs.removed),
        },
        work: inside::work(state),
        packages: inside::packages(state, state.now()),
        input: input.into(),
        dropped: dropped(state.dropped(), input),
    }
}

/// Names of the inputs of a flake.
pub(super) fn input_names(inputs: &[FlakeInput]) -> Vec<String> {
    inputs.iter().map(|input| input.name.clone()).collect()
}

/// Names of units.
pub(super) fn unit_names(units: &[Unit]) -> Vec<String> {
    units.iter().map(|unit| unit.name.clone()).collect()
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
        progress_lines,
        long_lines,
        paths_cut,
        history,
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
        progress_lines,
        long_lines,
        long_line_bytes: input.dropped_bytes,
        paths_cut,
        history,
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

/// Makes the record of a failure, with the log that was found.
fn known_failure(state: &State, failure: &Failure, evidence: &Evidence) -> SummaryFailure {
    let mut record = self::failure(state, failure);
    let path = failure.derivation.map(|id| &state.derivations().get(id).path);
    record.log_hints.extend(path.and_then(|path| evidence.of_build(path)).map(str::to_owned));
    record
}

/// Makes the record of a failure.
pub(super) fn failure(state: &State, failure: &Failure) -> SummaryFailure {
    SummaryFailure {
        stage: failure.stage.map(Stage::from),
        kind: failure.kind.as_str().to_owned(),
        derivation: failure.derivation.map(|id| state.derivations().get(id).path.to_string()),
        name: failure.name.clone(),
        phase: failure.phase.clone(),
        exit_status: failure.exit_status,
        signal: failure.signal,
        message: failure.message.clone(),
        details: failure.details.clone(),
        location: failure.place().as_ref().map(location),
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
        advice: failure.advice.map(str::to_owned),
        blocks: state.blocked_by(failure),
        machine: failure.machine.clone(),
        unit: None,
        step: failure.step.clone(),
        after_ms: failure.after.map(millis),
        package: failure.cause.as_ref().and_then(|cause| cause.package.clone()),
        target: failure.cause.as_ref().and_then(|cause| cause.target.clone()),
        command: failure.cause.as_ref().and_then(|cause| cause.command.clone()),
    }
}

/// Makes the records of failed activations: one for each machine, and one for each failed step of a script that goes on.
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
            kind: "activation-step".to_owned(),
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

/// Makes the record of a failed activation.
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
        stage: Some(Stage::Activation),
        kind: if units.failed.is_empty() { "activation-step" } else { "units-failed" }.to_owned(),
        exit_status: run.exit_status,
        message,
        details: run.files.clone(),
        log_excerpt: lines.clone(),
        log_tail: lines,
        log_hints: evidence.hints(&units.failed, run.log_hints()),
        machine: run.node.clone(),
        unit,
        step: run.failed_step.clone(),
        ..SummaryFailure::default()
    }
}

fn activation(state: &State, evidence: &Evidence) -> Option<SummaryActivation> {
    let summary = state.activation().summary()?;
    let names = unit_names;
    Some(SummaryActivation {
        tool: summary.tool.name().to_owned(),
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

/// The state of a run in progress, written with `--snapshots`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Type of the line.
    #[schemars(extend("const" = "snapshot"))]
    pub r#type: Cow<'static, str>,
    /// Version of the schema: raised when a name or a meaning changes.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Time since nixmon began to read, in milliseconds.
    pub at_ms: u64,
    /// The phase of the run.
    pub phase: Phase,
    /// Number of wanted derivations, as far as is known.
    pub wanted: usize,
    /// Builds in progress, the longest first.
    pub running: Vec<RunningBuild>,
    /// Number of store paths to fetch, as far as is known.
    pub to_fetch: usize,
    /// Number of paths that are being fetched now.
    pub fetching: usize,
    /// Bytes to download, as announced by Nix.
    pub to_fetch_bytes: u64,
    /// Current download rate in bytes per second.
    pub fetch_rate: u64,
    /// Numbers of derivations and store paths so far.
    pub counts: SummaryCounts,
    /// The end of the run as it is foreseen from the history of builds; null if too little is known.
    pub eta: Option<Eta>,
    /// Derivations that the end of the run waits for, one after the other, as it is foreseen: names.
    pub waits_for: Vec<String>,
    /// Derivations that are ready or in progress beside them: names.
    pub parallel_opportunities: Vec<String>,
    /// The inside of the command, if that is not Nix, and of builds in progress, the longest first: where their tools are.
    #[serde(default)]
    pub work: Vec<Work>,
    /// The packages of the first of these, sorted by name.
    #[serde(default)]
    pub packages: Vec<Package>,
}

/// The end of a run as it is foreseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Eta {
    /// The milliseconds that remain; as likely too few as too many.
    pub remaining_ms: u64,
    /// The lower end of the band.
    pub low_ms: u64,
    /// The upper end of the band.
    pub high_ms: u64,
    /// The foreseen end, in milliseconds since 1970; null in a replay.
    pub finish_at: Option<u64>,
    /// The share of cases in which the band is meant to hold the truth.
    pub coverage: f64,
    /// The derivations that are still to be built and were built before.
    pub known: u32,
    /// The derivations that are still to be built and never were before.
    pub unknown: u32,
}

impl From<state::Eta> for Eta {
    fn from(eta: state::Eta) -> Self {
        let state::Eta { remaining_ms, low_ms, high_ms, coverage, known, unknown, finish_at } = eta;
        Self { remaining_ms, low_ms, high_ms, finish_at, coverage, known, unknown }
    }
}

/// Largest number of names of each kind in a snapshot.
const MAX_NAMED: usize = 20;

/// A build in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningBuild {
    /// Path of the `.drv` file.
    pub derivation: String,
    /// Name of the derivation.
    pub name: String,
    /// The current build phase.
    pub phase: Option<String>,
    /// Time since the build began, in milliseconds.
    pub elapsed_ms: u64,
    /// The build machine; null for a local build.
    pub machine: Option<String>,
    /// The time that the whole build is expected to take, in milliseconds; null if it was never built before.
    pub expected_ms: Option<u64>,
}

/// Makes a snapshot of a run in progress.
pub fn snapshot(state: &State, now: Moment) -> Snapshot {
    let forecast = state.forecast();
    let names = |ids: &[state::DerivationId]| -> Vec<String> {
        ids.iter().take(MAX_NAMED).map(|id| state.derivations().get(*id).name().to_owned()).collect()
    };
    let mut running: Vec<_> = state
        .derivations()
        .iter()
        .filter(|(_, derivation)| derivation.state() == DerivationState::Building)
        .map(|(id, derivation)| RunningBuild {
            derivation: derivation.path.to_string(),
            name: derivation.name().to_owned(),
            phase: derivation.phase.as_deref().map(str::to_owned),
            elapsed_ms: millis(derivation.elapsed(now)),
            machine: derivation.machine.as_deref().map(str::to_owned),
            expected_ms: forecast.expected.get(&id).map(|expected| millis(expected.total)),
        })
        .collect();
    running.sort_by_key(|build| std::cmp::Reverse(build.elapsed_ms));
    Snapshot {
        r#type: "snapshot".into(),
        schema: SCHEMA,
        at_ms: millis(now),
        phase: state.phase().into(),
        wanted: state.derivations().counts().wanted(),
        running,
        to_fetch: state.transfers().wanted(),
        fetching: state.transfers().count(PathState::Fetching),
        to_fetch_bytes: state.transfers().announced.download,
        fetch_rate: state.transfers().rate(now),
        counts: counts(state),
        eta: state.eta(now).map(Eta::from),
        waits_for: names(&forecast.waits_for),
        parallel_opportunities: names(&forecast.beside),
        work: inside::work(state),
        packages: inside::packages(state, now),
    }
}
