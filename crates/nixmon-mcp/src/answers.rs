//! The answers of the tools. Fields that a status has too bear its names; those without a value are left out, unless their
//! absence is the answer.

use nixmon_runs::{Activity, RunOutcome, RunPhase, RunState};
use schemars::JsonSchema;
use serde::Serialize;

use crate::program::Generation;

/// The answer of `build_start`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct StartAnswer {
    /// The id of the run, for all other tools.
    pub(crate) id: String,
    /// The name of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The stage of its life.
    pub(crate) state: RunState,
    /// Expected duration in milliseconds; null if nothing is known.
    pub(crate) eta_ms: Option<u64>,
    /// The lower end of it, which one run in ten falls below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_low_ms: Option<u64>,
    /// The upper end of it, which one run in ten exceeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_high_ms: Option<u64>,
    /// A reservation about the estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_note: Option<&'static str>,
    /// No run of this target has succeeded before; null if that is not known.
    pub(crate) first_run: Option<bool>,
    /// The generation to roll back to, for a switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<Generation>,
    /// Seconds that may pass before the next call, which waits up to 50 s itself; absent if the end is near or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_s: Option<u64>,
    /// The next call.
    pub(crate) next: String,
}

/// The answer of `build_wait`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct WaitAnswer {
    /// The id of the run.
    pub(crate) id: String,
    /// The stage of its life.
    pub(crate) state: RunState,
    /// The outcome, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<RunOutcome>,
    /// Exit status of the command, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    /// The root cause that was seen first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// One line that describes the status.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) line: String,
    /// The new lines, or the last of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<String>,
    /// Number of new lines that were left out to keep the answer short.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) omitted: usize,
    /// Pass this as `since` next time.
    pub(crate) cursor: u64,
    /// Estimated time until the end, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_ms: Option<u64>,
    /// Seconds that may pass before the next call, which waits up to 50 s itself; absent once the run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_s: Option<u64>,
    /// The next call, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// The answer of `build_status` in short.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct StatusAnswer {
    /// The id of the run.
    pub(crate) id: String,
    /// The name of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The stage of its life.
    pub(crate) state: RunState,
    /// The outcome, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<RunOutcome>,
    /// Exit status of the command, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    /// The phase of the build.
    pub(crate) phase: RunPhase,
    /// Activity of its processes, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) activity: Option<Activity>,
    /// Duration so far, or of the whole run, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) elapsed_ms: Option<u64>,
    /// Estimated time until the end, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_ms: Option<u64>,
    /// The lower end of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_low_ms: Option<u64>,
    /// The upper end of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_high_ms: Option<u64>,
    /// A reservation about the estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eta_note: Option<&'static str>,
    /// One line that describes the status.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) line: String,
    /// The root cause that was seen first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// Derivations wanted.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) wanted: usize,
    /// Derivations that are being built.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) running: usize,
    /// Derivations built.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) built: usize,
    /// Derivations that failed by themselves.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) failed: usize,
    /// Why the record of the run is incomplete, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<String>,
    /// Number of condensed lines so far, for `since`.
    pub(crate) cursor: u64,
    /// Everything that is known but its packages, as `nixmon status --json` prints it; with `detail` `full` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<serde_json::Value>,
}

/// The answer of `build_stop`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct StopAnswer {
    /// The id of the run.
    pub(crate) id: String,
    /// The stage of its life.
    pub(crate) state: RunState,
    /// The outcome, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<RunOutcome>,
    /// It had ended before.
    pub(crate) had_ended: bool,
    /// SIGKILL was needed.
    pub(crate) killed: bool,
}

/// The answer of `build_list`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ListAnswer {
    /// The newest runs, the newest first.
    pub(crate) runs: Vec<ListedRun>,
    /// Number of older runs.
    pub(crate) older: usize,
}

/// A run in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct ListedRun {
    /// The id of the run.
    pub(crate) id: String,
    /// The name of the run, or its command if it has none.
    pub(crate) name: String,
    /// `queued`, `running`, `lost`, or once it has ended its outcome.
    pub(crate) state: String,
    /// Duration so far, or of the whole run, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s: Option<u64>,
}

/// The answer of `build_plan`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct PlanAnswer {
    /// The plan, for `build_apply`.
    pub(crate) plan: String,
    /// The run that works out what would be built.
    pub(crate) id: String,
    /// The stage of its life.
    pub(crate) state: RunState,
    /// The outcome, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<RunOutcome>,
    /// The actions of the switch, or the last lines of them.
    pub(crate) lines: Vec<String>,
    /// Number of lines that were left out to keep the answer short.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) omitted: usize,
    /// The generation to roll back to.
    pub(crate) generation: Option<Generation>,
    /// The next call.
    pub(crate) next: String,
}

/// The answer of `build_package_status`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PackageStatusAnswer {
    /// The id of the run.
    pub session_id: String,
    /// Packages that are being built.
    pub active_packages: Option<Vec<String>>,
    /// The progress of the run.
    pub build_progress: Option<BuildProgress>,
    /// Name of the history that was used, as `home_j4`.
    pub build_history_key: Option<String>,
    /// A sentence about what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The progress of a run.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct BuildProgress {
    /// Time until the end, as `2m 15s@14:30`.
    pub overall_eta: Option<String>,
    /// Packages on the longest way to the end, in order.
    pub critical_path: Vec<String>,
    /// Packages that are ready and not on it.
    pub parallel_opportunities: Vec<String>,
    /// Each package with its state and what is expected of it: name, status, current_file, done, total, progress_pct,
    /// elapsed_ms, eta_ms, depends_on, health. Fields that say nothing are left out.
    pub packages: Vec<serde_json::Value>,
    /// Number of packages that were left out to keep the answer short.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

/// The answer of `build_package_history`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PackageHistoryAnswer {
    /// The package.
    pub package_name: String,
    /// Its past; null if none is known.
    pub package_history: Option<PackageTimes>,
    /// Name of the history that was used.
    pub build_history_key: Option<String>,
    /// A sentence about what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The past of a package.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PackageTimes {
    /// Average duration in seconds.
    pub avg_duration: Option<f64>,
    /// Confidence in it, from 0 to 1.
    pub confidence: Option<f64>,
    /// Number of builds that it is made of.
    pub sample_count: u64,
    /// Number of files that such a build compiles.
    pub typical_files: Option<u64>,
    /// Files that take longest.
    pub bottleneck_files: Vec<String>,
}

/// The answer of `build_optimal_jobs`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct JobsAnswer {
    /// The target.
    pub target: String,
    /// Fewest jobs that are about as fast as any number; null if unknown.
    pub optimal_job_count: Option<u64>,
    /// Expected duration with so many jobs, and the time of day at which a run that begins now would end, as `2m 15s@14:30`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<String>,
    /// Share of the jobs' time that was used in the last run's setting, from 0 to 100.
    pub parallel_efficiency: Option<f64>,
    /// Memory and processor time to expect.
    pub resource_prediction: Option<ResourcePrediction>,
    /// Sentences of advice.
    pub recommendations: Vec<String>,
    /// Name of the history that was used.
    pub build_history_key: Option<String>,
    /// A sentence about what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Memory and processor time to expect.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ResourcePrediction {
    /// Peak memory, as `9.1 GiB`.
    pub peak_memory: Option<String>,
    /// Average use of all processors of this machine, as `85 %`.
    pub avg_cpu: Option<String>,
    /// Number of runs that both are made of.
    pub based_on: u64,
}

/// The answer of `build_history`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct HistoryAnswer {
    /// The target.
    pub target: String,
    /// Median duration of the successes that `build_history_key` names, in milliseconds; null if unknown.
    pub median_ms: Option<u64>,
    /// Number of runs that the median is made of.
    pub sample_count: u64,
    /// Share of the runs that succeeded, from 0 to 100; null if none has ended.
    pub success_percent: Option<f64>,
    /// The newest runs, the newest first.
    pub runs: Vec<PastRun>,
    /// Name of the history that was used.
    pub build_history_key: Option<String>,
    /// A sentence about what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A run of the past.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PastRun {
    /// The id of the run.
    pub id: String,
    /// The outcome.
    pub outcome: Option<RunOutcome>,
    /// Duration in milliseconds.
    pub elapsed_ms: Option<u64>,
    /// Jobs at once, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
}

/// The answer of `watch_events`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct EventAnswer {
    /// The new events, one line each; null if there is no sensor.
    pub events: Option<Vec<String>>,
    /// Pass this as `since` next time.
    pub cursor: u64,
    /// A sentence about what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}
