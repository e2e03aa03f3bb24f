//! The past of targets for agents: the history of builds, as `nixmon history` and `nixmon jobs` read it.

use nixmon_core::text::bytes;
use nixmon_history::estimate::Foreseen;
use nixmon_history::jobs::JobsReport;
use nixmon_history::record::RunOutcome;
use nixmon_history::stats::{self, median};
use nixmon_history::store::{RunFilter, Store, StoreError, StoredRun};
use nixmon_mcp::{Estimate, History, HistoryAnswer, JobsAnswer, Order, PastRun, ResourcePrediction};
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::Look;
use nixmon_runs::{RunState, Status};

use crate::commands::history::own_host;
use crate::commands::jobs;
use crate::history::Subject;
use crate::settings::Settings;

/// Runs that a median and a share of successes are made of at most, the newest.
const RUNS: u32 = 40;
/// Runs that are listed at most.
const LISTED: usize = 8;

/// The history of builds, opened for each question: it may come into being while the server waits.
#[derive(Debug)]
pub(super) struct Past {
    settings: Settings,
}

impl Past {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone() }
    }

    /// Opens the history. `None` if there is none.
    fn open(&self) -> Result<Option<Store>, StoreError> {
        let Some(path) = self.settings.history_path() else { return Ok(None) };
        match Store::open_read_only(&path) {
            Err(StoreError::Missing) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Foresees a run that has taken so long, from the past of its target.
    fn foresee(&self, subject: &Subject, elapsed_ms: u64) -> Result<Estimate, StoreError> {
        let (Some(target), true) = (&subject.target, self.settings.history.enabled) else {
            return Ok(Estimate::default());
        };
        let Some(store) = self.open()? else { return Ok(Estimate::default()) };
        let past = store.target_past(target, &own_host())?;
        let is_first = Some(past.runs.is_empty());
        let Some(Foreseen { eta, other_jobs }) = past.foresee(elapsed_ms, subject.jobs()) else {
            return Ok(Estimate { is_first, ..Estimate::default() });
        };
        Ok(Estimate {
            remaining_ms: Some(eta.remaining_ms),
            range_ms: Some((eta.low_ms, eta.high_ms)),
            is_first,
            other_jobs,
        })
    }

    fn past_runs(&self, target: &str) -> Result<Option<HistoryAnswer>, StoreError> {
        let Some(store) = self.open()? else { return Ok(None) };
        let Some((target, runs)) = find(&store, target)? else { return Ok(None) };
        // A run that goes on has neither an outcome nor a duration.
        let ended: Vec<&StoredRun> =
            runs.iter().filter(|run| run.record.outcome != RunOutcome::Unknown).collect();
        let is_success = |run: &&StoredRun| run.record.outcome == RunOutcome::Success;
        let successes: Vec<&StoredRun> = ended.iter().copied().filter(is_success).collect();
        // Runs with other numbers of jobs are other measures, so the newest setting counts.
        let jobs = successes.first().and_then(|run| jobs_of(run));
        let alike: Vec<f64> = successes
            .iter()
            .filter(|run| jobs_of(run) == jobs)
            .filter_map(|run| Some(run.record.elapsed_ms? as f64))
            .collect();
        let (_, attempts): (Vec<_>, Vec<_>) = store.target_attempts(&target, RUNS)?.into_iter().unzip();
        Ok(Some(HistoryAnswer {
            sample_count: alike.len() as u64,
            median_ms: median(alike).map(|ms| ms as u64),
            success_percent: stats::health(&attempts).map(|health| health.success.round()),
            runs: ended.iter().take(LISTED).map(|run| past_run(run)).collect(),
            build_history_key: Some(match jobs {
                Some(jobs) => format!("{target}_j{jobs}"),
                None => target.clone(),
            }),
            target,
            note: None,
        }))
    }

    fn jobs(&self, target: &str) -> Result<Option<JobsAnswer>, StoreError> {
        let Some(store) = self.open()? else { return Ok(None) };
        let target = find(&store, target)?.map_or_else(|| target.to_owned(), |(target, _)| target);
        Ok(jobs::report(&store, &target)?.map(|report| answer(target, report)))
    }
}

/// Finds the runs of a target, which may be given as the command line of a run, with its numbers of jobs. The newest come first.
fn find(store: &Store, target: &str) -> Result<Option<(String, Vec<StoredRun>)>, StoreError> {
    let words: Vec<String> = target.split_whitespace().map(str::to_owned).collect();
    let without_jobs = Subject::of(None, &words).target;
    for name in [Some(target.to_owned()), without_jobs].into_iter().flatten() {
        let filter = RunFilter { target: Some(&name), limit: Some(RUNS), ..RunFilter::default() };
        let runs = store.runs(&filter)?;
        if !runs.is_empty() {
            return Ok(Some((name, runs)));
        }
    }
    Ok(None)
}

fn jobs_of(run: &StoredRun) -> Option<u32> {
    run.record.tool_jobs.or(run.record.max_jobs)
}

fn past_run(run: &StoredRun) -> PastRun {
    let id = &run.record.id;
    // Runs of other programs and of streams are not in the store of runs.
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    PastRun {
        id: if is_number { format!("run-{id}") } else { id.clone() },
        outcome: match run.record.outcome {
            RunOutcome::Success => Some(nixmon_runs::RunOutcome::Success),
            RunOutcome::Failure => Some(nixmon_runs::RunOutcome::Failure),
            RunOutcome::Cancelled => Some(nixmon_runs::RunOutcome::Interrupted),
            RunOutcome::Unknown => None,
        },
        elapsed_ms: run.record.elapsed_ms,
        jobs: jobs_of(run),
    }
}

fn answer(target: String, report: JobsReport) -> JobsAnswer {
    let predicted = report.resource_prediction;
    let cpus = f64::from(jobs::machine_size().cpus);
    JobsAnswer {
        target,
        optimal_job_count: Some(report.optimal_job_count.into()),
        eta: report.eta,
        parallel_efficiency: report.parallel_efficiency,
        resource_prediction: (predicted.based_on > 0).then(|| ResourcePrediction {
            peak_memory: predicted.peak_memory.map(bytes),
            avg_cpu: predicted.avg_cpu.map(|busy| format!("{:.0} %", busy * 100.0 / cpus)),
            based_on: predicted.based_on.into(),
        }),
        recommendations: report.recommendations,
        build_history_key: Some(report.build_history_key),
        note: None,
    }
}

/// Returns the estimate that a monitor made, moved on to `now`.
fn of_monitor(status: &Status, now: u64) -> Option<Estimate> {
    let eta = status.eta.as_ref().filter(|_| status.state == RunState::Running)?;
    let passed = now.saturating_sub(status.heartbeat_at);
    let left = |ms: u64| ms.saturating_sub(passed);
    Some(Estimate {
        remaining_ms: Some(left(eta.remaining_ms)),
        range_ms: Some((left(eta.low_ms), left(eta.high_ms))),
        is_first: None,
        other_jobs: eta.other_jobs,
    })
}

/// Returns what is known, or says why the history cannot be read.
fn known<T>(found: Result<Option<T>, StoreError>, note: impl FnOnce(String) -> T) -> Option<T> {
    found.unwrap_or_else(|error| Some(note(error.to_string())))
}

impl History for Past {
    fn estimate(&self, look: &Look) -> Estimate {
        let (status, now) = (&look.status, unix_ms());
        if status.has_ended() {
            return Estimate::default();
        }
        if let Some(estimate) = of_monitor(status, now) {
            return estimate;
        }
        let elapsed_ms = status.started_at.map_or(0, |began| now.saturating_sub(began));
        let subject = Subject::of(status.name.as_deref(), &status.command);
        let estimate = self.foresee(&subject, elapsed_ms).unwrap_or_else(unreadable);
        let configured = status.expected_ms.filter(|_| estimate.remaining_ms.is_none());
        match configured.and_then(|expected| expected.checked_sub(elapsed_ms)) {
            Some(left) => Estimate { remaining_ms: Some(left), ..estimate },
            None => estimate,
        }
    }

    fn expected(&self, order: &Order) -> Estimate {
        self.foresee(&Subject::of(order.name.as_deref(), &order.command), 0).unwrap_or_else(unreadable)
    }

    fn history(&self, target: &str) -> Option<HistoryAnswer> {
        let note = |note| HistoryAnswer { note: Some(note), ..HistoryAnswer::default() };
        known(self.past_runs(target), note)
    }

    fn optimal_jobs(&self, target: &str) -> Option<JobsAnswer> {
        let note = |note| JobsAnswer { note: Some(note), ..JobsAnswer::default() };
        known(self.jobs(target), note)
    }
}

/// An estimate without a history that can be read, which the log says.
fn unreadable(error: StoreError) -> Estimate {
    tracing::debug!(%error, "nothing is foreseen");
    Estimate::default()
}
