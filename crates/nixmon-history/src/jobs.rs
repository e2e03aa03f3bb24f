//! The best number of jobs for a target, from its past runs.
//!
//! For each setting that was used: how long runs took, and how busy the jobs were. For those that were not: the time foreseen, by
//! simulating the last graph where one is known, and else by stretching or shrinking the times at which all jobs were busy. Pure.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use crate::estimate::{Estimator, NodeId, Past, PastRun, Plan, Sample, Slowdown};
use crate::name::DrvName;

/// A build or unit of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// The name of the derivation, or the file.
    pub name: String,
    /// The moment at which it began, in milliseconds of the run.
    pub start_ms: u64,
    /// The moment at which it ended.
    pub stop_ms: u64,
    /// The positions of those it depended on, in [`JobsRun::spans`].
    pub needs: Vec<usize>,
    /// Its peak of memory, if it was measured.
    pub peak_bytes: Option<u64>,
}

/// A successful run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobsRun {
    /// The number of jobs.
    pub jobs: u32,
    /// The cores of each, if they were set.
    pub cores: Option<u32>,
    /// The moment at which it began.
    pub started_ms: i64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
    /// Builds that ran in it.
    pub spans: Vec<Span>,
    /// The most memory of all processes, if it was measured.
    pub peak_bytes: Option<u64>,
    /// The CPU seconds, if they were measured.
    pub cpu_s: Option<f64>,
}

/// The machine that the question is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineSize {
    /// The CPUs.
    pub cpus: u32,
    /// The memory in bytes, if it is known.
    pub memory_bytes: Option<u64>,
}

/// The way in which a time was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Runs with this setting.
    Seen,
    /// A simulation of the graph of the last run.
    Graph,
    /// The times at which past runs had all jobs busy.
    Timeline,
}

/// One number of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct JobsRow {
    /// The jobs.
    pub jobs: u32,
    /// The cores of each, where runs set them.
    pub cores: Option<u32>,
    /// The runs seen.
    pub runs: u32,
    /// The median time, or the time foreseen.
    pub elapsed_ms: u64,
    /// The way in which that was found.
    pub basis: Basis,
    /// The busy time over the time and the jobs, from 0 to 100.
    pub parallel_efficiency: Option<f64>,
    /// The most memory, measured or scaled from what was.
    pub peak_bytes: Option<u64>,
    /// The mean number of busy CPUs.
    pub mean_cpus: Option<f64>,
}

/// The fall of the time with the number of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// Nearly as much as the jobs grow.
    Linear,
    /// Clearly, but less.
    Sublinear,
    /// Hardly.
    Diminishing,
}

/// The memory and CPU that the next run is expected to need.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ResourcePrediction {
    /// The most memory in bytes.
    pub peak_memory: Option<u64>,
    /// The mean number of busy CPUs.
    pub avg_cpu: Option<f64>,
    /// The number of measured runs behind it.
    pub based_on: u32,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct JobsReport {
    /// The target and the optimum, as in `home_j4`.
    pub build_history_key: String,
    /// The time foreseen with the optimum and the time of day at which a run that begins now would end, as in `2m 15s@14:30`.
    pub eta: Option<String>,
    /// The milliseconds foreseen with the optimum.
    pub eta_ms: u64,
    /// The efficiency with the setting of the last run, from 0 to 100.
    pub parallel_efficiency: Option<f64>,
    /// The fewest jobs within 5 % of the best time and within the memory.
    pub optimal_job_count: u32,
    /// The optimum that the memory forbids, if it does.
    pub memory_limits: Option<u32>,
    /// The scaling.
    pub scaling: Option<Scaling>,
    /// Resources that the next run is expected to need.
    pub resource_prediction: ResourcePrediction,
    /// All settings, by jobs.
    pub rows: Vec<JobsRow>,
    /// Advice, as sentences.
    pub recommendations: Vec<String>,
}

/// Answers how many jobs would be best for `target`, or `None` without a run. The runs come in order, the oldest first.
pub fn analyse(target: &str, runs: &[JobsRun], machine: MachineSize) -> Option<JobsReport> {
    let last = runs.last()?;
    let estimator = Estimator::new(&past(runs));
    let slow = estimator.slowdown().clone();
    let mut rows = seen(runs);
    let known: Vec<u32> = rows.iter().map(|r| r.jobs).collect();
    let reference =
        runs.iter().rev().find(|run| run.spans.iter().any(|s| !s.needs.is_empty())).unwrap_or(last);
    let timeline = runs.iter().max_by_key(|run| (run.jobs, run.started_ms)).unwrap_or(last);
    for jobs in candidates(machine.cpus, &known) {
        let (elapsed_ms, basis) = match simulate(reference, jobs, &estimator) {
            Some(ms) => (ms, Basis::Graph),
            None => (stretch(timeline, jobs, &slow), Basis::Timeline),
        };
        rows.push(JobsRow {
            jobs,
            cores: None,
            runs: 0,
            elapsed_ms,
            basis,
            parallel_efficiency: None,
            peak_bytes: memory(runs, jobs),
            mean_cpus: None,
        });
    }
    rows.sort_by_key(|row| (row.jobs, row.cores));
    Some(report(target, runs, machine, rows))
}

/// Returns the settings that were used.
fn seen(runs: &[JobsRun]) -> Vec<JobsRow> {
    let mut by_setting: BTreeMap<(u32, Option<u32>), Vec<&JobsRun>> = BTreeMap::new();
    for run in runs {
        by_setting.entry((run.jobs.max(1), run.cores)).or_default().push(run);
    }
    by_setting
        .into_iter()
        .map(|((jobs, cores), of)| {
            let efficiency: Vec<f64> = of.iter().filter_map(|run| efficiency(run)).collect();
            let cpus: Vec<f64> = of
                .iter()
                .filter_map(|run| Some(run.cpu_s? * 1000.0 / run.elapsed_ms.max(1) as f64))
                .collect();
            JobsRow {
                jobs,
                cores,
                runs: of.len() as u32,
                elapsed_ms: crate::stats::median(of.iter().map(|run| run.elapsed_ms as f64)).unwrap_or(0.0)
                    as u64,
                basis: Basis::Seen,
                parallel_efficiency: crate::stats::median(efficiency).map(tenth),
                peak_bytes: of.iter().filter_map(|run| run.peak_bytes).max(),
                mean_cpus: crate::stats::median(cpus).map(tenth),
            }
        })
        .collect()
}

fn tenth(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

/// Returns busy time over time and jobs in percent.
fn efficiency(run: &JobsRun) -> Option<f64> {
    if run.spans.is_empty() || run.elapsed_ms == 0 {
        return None;
    }
    let busy: u64 = run.spans.iter().map(|s| s.stop_ms.saturating_sub(s.start_ms)).sum();
    Some((busy as f64 * 100.0 / (run.elapsed_ms as f64 * f64::from(run.jobs.max(1)))).min(100.0))
}

/// Returns the numbers of jobs worth a look that were not used.
fn candidates(cpus: u32, known: &[u32]) -> Vec<u32> {
    let cpus = cpus.max(1);
    let mut all: Vec<u32> = (0..=10).map(|i| 1 << i).take_while(|&j| j < cpus).collect();
    all.extend([cpus, cpus * 3 / 4, known.iter().copied().max().unwrap_or(1) * 2]);
    all.retain(|j| *j > 0 && *j <= cpus.max(2) && !known.contains(j));
    all.sort_unstable();
    all.dedup();
    all
}

fn past(runs: &[JobsRun]) -> Past {
    let mut past = Past::default();
    for (i, run) in runs.iter().enumerate() {
        past.runs.push(PastRun { host: String::new(), started_ms: run.started_ms, jobs: run.jobs });
        past.samples.extend(run.spans.iter().map(|span| Sample {
            run: i as u32,
            name: DrvName::parse(&span.name),
            start_ms: span.start_ms,
            stop_ms: span.stop_ms,
            ok: true,
            ..Sample::default()
        }));
    }
    past.count_concurrency();
    past
}

/// Simulates the graph of a run with other jobs, or returns `None` where it has none.
///
/// Time outside the builds, such as the evaluation, stays as it was.
fn simulate(run: &JobsRun, jobs: u32, estimator: &Estimator) -> Option<u64> {
    if run.spans.len() < 2 || run.spans.iter().all(|span| span.needs.is_empty()) {
        return None;
    }
    let mut plan = Plan::new("", jobs, run.cores.unwrap_or(0));
    let ids: Vec<NodeId> = run.spans.iter().map(|span| plan.build(&span.name, None, None)).collect();
    for (span, &id) in run.spans.iter().zip(&ids) {
        for &need in &span.needs {
            if let Some(&need) = ids.get(need) {
                plan.depends(id, need);
            }
        }
    }
    let end = |jobs: u32| -> Option<u64> {
        let mut plan = plan.clone();
        plan.machines[0].slots = jobs;
        estimator.clone().timeline(&plan, 0).into_iter().map(|(_, _, stop)| stop).max()
    };
    // The model may be off by a factor that is the same for all numbers of jobs; this run tells it.
    let (there, here) = (end(jobs)?, end(run.jobs)?);
    let first = run.spans.iter().map(|s| s.start_ms).min().unwrap_or(0);
    let built = run.spans.iter().map(|s| s.stop_ms).max().unwrap_or(0).saturating_sub(first);
    let outside = run.elapsed_ms.saturating_sub(built);
    Some(outside + (there as f64 * built as f64 / here.max(1) as f64) as u64)
}

/// Foresees the time from a timeline alone: with fewer jobs the time at which more ran is stretched; with more jobs the time at
/// which all were busy shrinks, at best by as much.
fn stretch(run: &JobsRun, jobs: u32, slow: &Slowdown) -> u64 {
    let mut edges: Vec<(u64, i64)> =
        run.spans.iter().flat_map(|s| [(s.start_ms, 1), (s.stop_ms.max(s.start_ms), -1)]).collect();
    edges.sort_unstable();
    let (mut total, mut at, mut busy) = (0.0, 0, 0i64);
    for (time, change) in edges {
        let length = time.saturating_sub(at) as f64;
        let k = busy.max(0).unsigned_abs() as usize;
        let (k, new) = (k.max(1), jobs.max(1) as usize);
        let pace = |n: usize| slow.factor(n) / n as f64;
        total +=
            length * if new < k || (busy as u32 >= run.jobs && new > k) { pace(new) / pace(k) } else { 1.0 };
        (at, busy) = (time, busy + change);
    }
    (total + run.elapsed_ms.saturating_sub(at) as f64) as u64
}

/// Returns the memory that a number of jobs is expected to need.
fn memory(runs: &[JobsRun], jobs: u32) -> Option<u64> {
    // The largest builds at once, where builds were measured.
    let mut peaks: Vec<u64> =
        runs.iter().rev().take(5).flat_map(|run| &run.spans).filter_map(|s| s.peak_bytes).collect();
    if !peaks.is_empty() {
        let mut by_name: HashMap<&str, u64> = HashMap::new();
        for span in runs.iter().rev().take(5).flat_map(|run| &run.spans) {
            if let Some(peak) = span.peak_bytes {
                let entry = by_name.entry(&span.name).or_default();
                *entry = peak.max(*entry);
            }
        }
        peaks = by_name.into_values().collect();
        peaks.sort_unstable_by(|a, b| b.cmp(a));
        return Some(peaks.iter().take(jobs as usize).sum());
    }
    // Else in proportion to the jobs, from the nearest setting that was measured. More jobs need no less, and fewer no more.
    let measured = || runs.iter().filter_map(|run| Some((run.jobs.max(1), run.peak_bytes?)));
    let (near, peak) = measured().min_by_key(|(of, _)| of.abs_diff(jobs))?;
    let scaled = (peak as f64 * f64::from(jobs) / f64::from(near)) as u64;
    let least = measured().filter(|(of, _)| *of <= jobs).map(|(_, peak)| peak).max().unwrap_or(0);
    let most = measured().filter(|(of, _)| *of >= jobs).map(|(_, peak)| peak).min().unwrap_or(u64::MAX);
    Some(scaled.max(least).min(most))
}

fn report(target: &str, runs: &[JobsRun], machine: MachineSize, rows: Vec<JobsRow>) -> JobsReport {
    let best = rows.iter().map(|row| row.elapsed_ms).min().unwrap_or(0);
    let near = |row: &&JobsRow| row.elapsed_ms as f64 <= best as f64 * 1.05;
    let fits = |row: &&JobsRow| match (row.peak_bytes, machine.memory_bytes) {
        (Some(peak), Some(memory)) => peak <= memory / 10 * 9,
        _ => true,
    };
    let wanted = rows.iter().find(near);
    let fastest_that_fits = rows.iter().filter(fits).map(|row| row.elapsed_ms).min();
    let optimum = rows
        .iter()
        .filter(fits)
        .find(|row| fastest_that_fits.is_some_and(|ms| row.elapsed_ms as f64 <= ms as f64 * 1.05))
        .or(rows.first());
    let jobs = optimum.map_or(1, |row| row.jobs);
    let memory_limits = wanted.filter(|row| !fits(row)).map(|row| row.jobs);
    let last = runs.last().map_or(1, |run| run.jobs.max(1));
    let of = |jobs: u32| rows.iter().find(|row| row.jobs == jobs);
    let measured: Vec<&JobsRun> =
        runs.iter().filter(|run| run.peak_bytes.is_some() || run.cpu_s.is_some()).collect();
    let scaling = scaling(&rows);
    let mut report = JobsReport {
        build_history_key: format!("{target}_j{jobs}"),
        eta: None,
        eta_ms: optimum.map_or(0, |row| row.elapsed_ms),
        parallel_efficiency: of(last).and_then(|row| row.parallel_efficiency),
        optimal_job_count: jobs,
        memory_limits,
        scaling,
        resource_prediction: ResourcePrediction {
            peak_memory: optimum.and_then(|row| row.peak_bytes),
            avg_cpu: optimum.and_then(|row| row.mean_cpus),
            based_on: measured.len() as u32,
        },
        rows,
        recommendations: Vec::new(),
    };
    report.recommendations = recommend(&report, last, machine);
    report
}

fn scaling(rows: &[JobsRow]) -> Option<Scaling> {
    let first = rows.iter().min_by_key(|row| row.jobs)?;
    let last = rows.iter().max_by_key(|row| row.jobs)?;
    if first.jobs == last.jobs || last.elapsed_ms == 0 {
        return None;
    }
    let gain = first.elapsed_ms as f64 / last.elapsed_ms as f64;
    let ideal = f64::from(last.jobs) / f64::from(first.jobs);
    Some(match gain.ln() / ideal.ln() {
        share if share >= 0.8 => Scaling::Linear,
        share if share >= 0.35 => Scaling::Sublinear,
        _ => Scaling::Diminishing,
    })
}

fn recommend(report: &JobsReport, last: u32, machine: MachineSize) -> Vec<String> {
    let mut said = Vec::new();
    let optimum = report.rows.iter().find(|row| row.jobs == report.optimal_job_count);
    let current = report.rows.iter().find(|row| row.jobs == last);
    if let (Some(optimum), Some(current)) = (optimum, current) {
        let saved = current.elapsed_ms.saturating_sub(optimum.elapsed_ms);
        if optimum.jobs == last {
            said.push(format!(
                "Keep {last} {}: no other number is expected to be more than 5 % faster.",
                noun(last)
            ));
        } else if optimum.jobs < last && saved * 20 <= current.elapsed_ms {
            said.push(format!(
                "Use {} {} instead of {last}: it is as fast and leaves the rest of the machine free.",
                optimum.jobs,
                noun(optimum.jobs)
            ));
        } else {
            let how = if optimum.basis == Basis::Seen { "took" } else { "is expected to take" };
            said.push(format!(
                "Use {} {}: a run {how} {} instead of {}.",
                optimum.jobs,
                noun(optimum.jobs),
                duration(optimum.elapsed_ms),
                duration(current.elapsed_ms)
            ));
        }
    }
    if let (Some(jobs), Some(memory)) = (report.memory_limits, machine.memory_bytes) {
        said.push(format!(
            "Memory is the limit: {jobs} {} would be faster but may need more than the {:.0} GiB of this machine.",
            noun(jobs),
            memory as f64 / (1u64 << 30) as f64
        ));
    }
    if report.scaling == Some(Scaling::Diminishing) {
        said.push(
            "More jobs hardly help: the longest chain of dependencies decides how long a run takes."
                .to_owned(),
        );
    }
    if let Some(efficiency) = report.parallel_efficiency.filter(|e| *e < 50.0 && last > 1) {
        said.push(format!(
            "Only {efficiency:.0} % of {last} {} were busy: most of the time jobs waited for dependencies.",
            noun(last)
        ));
    }
    let few: u32 = report.rows.iter().map(|row| row.runs).sum();
    if few < 3 {
        said.push(format!("This rests on {few} {} so far.", if few == 1 { "run" } else { "runs" }));
    }
    said
}

fn noun(jobs: u32) -> &'static str {
    if jobs == 1 { "job" } else { "jobs" }
}

/// Formats milliseconds as in `1h 2m`, `2m 15s`, `3s`.
pub fn duration(ms: u64) -> String {
    let s = (ms + 500) / 1000;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {}s", s / 60, s % 60),
        _ => format!("{}h {}m", s / 3600, s % 3600 / 60),
    }
}

impl JobsReport {
    /// Fills in the text of the estimate, for a run that begins at `seconds_of_day` of local time.
    pub fn at(mut self, seconds_of_day: u32) -> Self {
        let end = (u64::from(seconds_of_day) + self.eta_ms / 1000) % 86_400;
        self.eta = Some(format!("{}@{:02}:{:02}", duration(self.eta_ms), end / 3600, end % 3600 / 60));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight independent builds of 10 s each and one of 10 s that needs all, with the jobs given and no slow-down.
    fn wide(jobs: u32, peak_gib: u64) -> JobsRun {
        let mut run = JobsRun { jobs, peak_bytes: Some(peak_gib << 30), ..JobsRun::default() };
        for i in 0..8u64 {
            let start_ms = i / u64::from(jobs) * 10_000;
            run.spans.push(Span {
                name: format!("lib{}-1", (b'a' + i as u8) as char),
                start_ms,
                stop_ms: start_ms + 10_000,
                ..Span::default()
            });
        }
        let start_ms = run.spans.iter().map(|s| s.stop_ms).max().unwrap();
        let needs = (0..8).collect();
        run.spans.push(Span {
            name: "app-1".to_owned(),
            start_ms,
            stop_ms: start_ms + 10_000,
            needs,
            ..Span::default()
        });
        run.elapsed_ms = start_ms + 10_000;
        run
    }

    const MACHINE: MachineSize = MachineSize { cpus: 8, memory_bytes: Some(16 << 30) };

    #[test]
    fn what_was_seen_is_told_as_it_was() {
        let report = analyse("home", &[wide(1, 1), wide(4, 4)], MACHINE).unwrap();
        let row = |jobs| report.rows.iter().find(|r| r.jobs == jobs).unwrap();
        assert_eq!((row(1).elapsed_ms, row(1).parallel_efficiency), (90_000, Some(100.0)));
        assert_eq!((row(4).elapsed_ms, row(4).parallel_efficiency), (30_000, Some(75.0)));
        assert_eq!(row(4).peak_bytes, Some(4 << 30));
        // In proportion, but neither more than more jobs needed nor less than fewer did.
        let sized = |runs: &[(u32, u64)], jobs| {
            let runs: Vec<JobsRun> = runs.iter().map(|&(jobs, peak)| wide(jobs, peak)).collect();
            memory(&runs, jobs).map(|bytes| bytes >> 30)
        };
        assert_eq!(sized(&[(1, 3), (4, 4)], 2), Some(4));
        assert_eq!(sized(&[(1, 3), (4, 4)], 8), Some(8));
        assert_eq!(sized(&[(2, 6), (8, 7)], 7), Some(6));
    }

    #[test]
    fn unseen_numbers_of_jobs_are_foreseen_from_the_graph() {
        let report = analyse("home", &[wide(1, 1), wide(2, 2), wide(4, 4)], MACHINE).unwrap();
        let eight = report.rows.iter().find(|r| r.jobs == 8).unwrap();
        assert_eq!(eight.basis, Basis::Graph);
        assert!((20_000..24_000).contains(&eight.elapsed_ms), "{}", eight.elapsed_ms);
        assert_eq!(report.optimal_job_count, 8);
        assert_eq!(report.build_history_key, "home_j8");
        assert_eq!(report.scaling, Some(Scaling::Sublinear));
        assert_eq!(report.clone().at(14 * 3600).eta.unwrap().split('@').nth(1), Some("14:00"));
    }

    #[test]
    fn memory_bounds_the_number_of_jobs() {
        let small = MachineSize { memory_bytes: Some(6 << 30), ..MACHINE };
        let report = analyse("home", &[wide(1, 1), wide(4, 4)], small).unwrap();
        assert_eq!((report.optimal_job_count, report.memory_limits), (4, Some(8)));
        assert!(
            report.recommendations.iter().any(|r| r.starts_with("Memory is the limit")),
            "{:?}",
            report.recommendations
        );
    }

    #[test]
    fn without_a_graph_the_timeline_is_stretched() {
        let mut run = wide(4, 1);
        run.spans.iter_mut().for_each(|s| s.needs.clear());
        let report = analyse("make", &[run], MachineSize { cpus: 4, memory_bytes: None }).unwrap();
        let row = |jobs| report.rows.iter().find(|r| r.jobs == jobs).unwrap();
        assert_eq!(row(2).basis, Basis::Timeline);
        // Four at once for 20 s become two at once for at most 40 s, and the last is as long as before.
        assert!((40_000..=50_000).contains(&row(2).elapsed_ms), "{}", row(2).elapsed_ms);
        assert_eq!(report.optimal_job_count, 4);
    }

    #[test]
    fn no_runs_give_no_answer() {
        assert_eq!(analyse("home", &[], MACHINE), None);
    }
}
