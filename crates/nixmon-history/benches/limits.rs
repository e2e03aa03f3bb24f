//! The limits that estimates keep: 100,000 derivations, a million rows. It prints times and fails where one is beyond its limit.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement fails by panicking and prints")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::time::Duration;

use nixmon_history::estimate::{Estimator, NodeId, Past, PastRun, Plan, Sample, Stage};
use nixmon_history::name::DrvName;
use nixmon_history::record::{BuildRecord, RunOutcome, RunRecord, format_moment};
use nixmon_history::store::{Batch, RunFilter, Store};

fn name(i: usize) -> String {
    let letter = |n: usize| (b'a' + (n % 26) as u8) as char;
    format!("pkg-{}{}{}{}-1.{}", letter(i / 17_576), letter(i / 676), letter(i / 26), letter(i), i % 7)
}

fn seconds(i: usize) -> u64 {
    1 + (i as u64 * 2_654_435_761 % 300)
}

/// A plan in which each of `n` derivations needs up to four earlier ones.
fn plan(n: usize) -> Plan {
    let mut plan = Plan::new("here", 8, 8);
    let ids: Vec<NodeId> = (0..n).map(|i| plan.build(&name(i), None, Some("x86_64-linux"))).collect();
    for i in 1..n {
        for k in 1..=(i % 5).min(i) {
            plan.depends(ids[i], ids[(i * 7919 * k) % i]);
        }
    }
    plan
}

fn past(n: usize) -> Past {
    let mut past = Past::default();
    for run in 0..2u32 {
        past.runs.push(PastRun { host: "here".to_owned(), started_ms: i64::from(run), jobs: 8 });
        past.samples.extend((0..n).map(|i| Sample {
            run,
            name: DrvName::parse(&name(i)),
            system: Some("x86_64-linux".to_owned()),
            stop_ms: seconds(i) * 1000,
            ok: true,
            concurrency: Some(4.0),
            ..Sample::default()
        }));
    }
    past
}

/// Returns the time that this thread has spent on a CPU: other processes do not count.
fn cpu() -> Duration {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts the time of threads");
    Duration::from_nanos(
        text.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("the first is a number"),
    )
}

fn measure<T>(label: &str, limit_ms: u64, mut f: impl FnMut() -> T) -> T {
    let mut best = Duration::MAX;
    let mut result = None;
    for _ in 0..3 {
        let begin = cpu();
        result = Some(f());
        best = best.min(cpu() - begin);
    }
    println!("{label}: {:.1} ms (limit {limit_ms} ms)", best.as_secs_f64() * 1000.0);
    assert!(best <= Duration::from_millis(limit_ms), "{label} is beyond its limit");
    result.unwrap()
}

fn main() {
    let large = past(100_000);
    let mut plan_100k = plan(100_000);
    let mut estimator =
        measure("fit of 200,000 samples of 100,000 packages", 5_000, || Estimator::new(&large));
    estimator.estimate(&plan_100k, 0);
    measure("simulation of 100,000 derivations", 100, || estimator.timeline(&plan_100k, 0).len());
    measure("estimate of 100,000 open derivations (bound)", 100, || estimator.estimate(&plan_100k, 0));
    measure("critical path of 100,000 derivations", 150, || estimator.critical_path(&plan_100k, 0));
    let mut now = 0;
    let begin = cpu();
    for second in 0..600 {
        // One build ends every second, and a view refreshes ten times a second.
        plan_100k.set(NodeId(second), Stage::Absent);
        for _ in 0..10 {
            now += 100;
            estimator.refresh(&plan_100k, now);
        }
    }
    let share = (cpu() - begin).as_secs_f64() * 1000.0 / now as f64;
    println!("refresh at 100,000 derivations: {:.2} % of a core (limit 1 %)", share * 100.0);
    assert!(share <= 0.01);
    let plan_20k = plan(20_000);
    measure("estimate of 20,000 open derivations", 250, || estimator.estimate(&plan_20k, 0));

    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("history.db"), 0).unwrap().0;
    let begin = cpu();
    for r in 0..250usize {
        let record = RunRecord {
            id: format!("r{r}"),
            target: Some(format!("t{}", r % 10)),
            host: Some("here".to_owned()),
            max_jobs: Some(4),
            started: format_moment(r as i64 * 3_600_000),
            ..RunRecord::default()
        };
        let id = store.begin_run(&record).unwrap();
        let builds = (0..4000).map(|i| BuildRecord {
            drv: Some("0123456789abcdfghijklmnpqrsvwxyz".to_owned()),
            name: name((r * 37 + i) % 20_000),
            system: Some("x86_64-linux".to_owned()),
            started_ms: i as u64 * 1000,
            elapsed_ms: seconds(i) * 1000,
            concurrency: Some(2.0),
            ..BuildRecord::default()
        });
        store.add(id, &Batch { builds: builds.collect(), ..Batch::default() }).unwrap();
        let done = RunRecord { elapsed_ms: Some(4_000_000), outcome: RunOutcome::Success, ..record };
        store.finish_run(id, &done).unwrap();
    }
    println!("a million rows written in {:.1} s, {} MiB", (cpu() - begin).as_secs_f64(), store.size() >> 20);
    let plan_1k = plan(1000);
    let wanted = plan_1k.wanted();
    measure("estimate of 1,000 derivations from a million rows, all in all", 50, || {
        Estimator::new(&store.past(&wanted).unwrap()).estimate(&plan_1k, 0)
    });
    measure("  of which reading", 50, || store.past(&wanted).unwrap().samples.len());
    measure("the newest 50 runs", 200, || {
        store.runs(&RunFilter { limit: Some(50), ..RunFilter::default() }).unwrap()
    });
    let run = store.runs(&RunFilter { limit: Some(1), ..RunFilter::default() }).unwrap().remove(0);
    measure("regressions of a run of 4,000 builds", 200, || store.regressions(&run).unwrap());
    measure("runs of a target for jobs", 200, || store.jobs_runs("t3", "here", 20).unwrap());
}
