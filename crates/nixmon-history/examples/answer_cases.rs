//! Answers recorded estimation cases: `answer_cases CASES.jsonl > answers.json`.
//!
//! A case is a line `{id, jobs, cores, host, plan: [[name, version, [dependency…]]…], history: [{run, host, jobs, day, builds:
//! [[node, version, start, stop, ok]…]}…], views: [{id, now, done: [[node, start, stop, ok]…], running: [[node, start]…]}…]}` with
//! times in seconds. The answer of a view is `{remaining, low, high}` in seconds.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers that fails by panicking"
)]
#![expect(clippy::disallowed_methods, reason = "it reads a file")]

use std::collections::BTreeMap;

use nixmon_history::estimate::{Estimator, MachineId, Past, PastRun, Plan, Sample, Stage, Tuning};
use nixmon_history::name::DrvName;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    jobs: u32,
    cores: u32,
    host: String,
    plan: Vec<(String, u32, Vec<u32>)>,
    history: Vec<Run>,
    views: Vec<Shot>,
}

#[derive(Deserialize)]
struct Run {
    host: String,
    jobs: u32,
    day: f64,
    builds: Vec<(usize, u32, f64, f64, u8)>,
}

#[derive(Deserialize)]
struct Shot {
    id: String,
    now: f64,
    done: Vec<(u32, f64, f64, u8)>,
    running: Vec<(u32, f64)>,
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

fn past(case: &Case) -> Past {
    let mut past = Past::default();
    for (r, run) in case.history.iter().enumerate() {
        past.runs.push(PastRun {
            host: run.host.clone(),
            started_ms: (run.day * 86_400_000.0) as i64,
            jobs: run.jobs,
        });
        for &(node, version, start, stop, ok) in &run.builds {
            let full = format!("{}-1.{version}", case.plan[node].0);
            past.samples.push(Sample {
                run: r as u32,
                name: DrvName::parse(&full),
                drv: Some(full),
                system: Some("x86_64-linux".to_owned()),
                start_ms: ms(start),
                stop_ms: ms(stop),
                ok: ok == 1,
                ..Sample::default()
            });
        }
    }
    past.count_concurrency();
    past
}

fn tuning() -> Tuning {
    let mut t = Tuning::default();
    for word in std::env::args().skip(2) {
        let (key, value) = word.split_once('=').unwrap();
        let value: f64 = value.parse().unwrap();
        match key {
            "short" => t.short = value,
            "long" => t.long = value,
            "residual_weight" => t.residual_weight = value,
            "version_step" => t.version_step = value,
            "host_package" => t.host_package = value,
            "host" => t.host = value,
            "run" => t.run = value,
            "run_weight" => t.run_weight = value,
            "seconds_power" => t.seconds_power = value,
            "slope" => t.slope = value,
            "slope_weight" => t.slope_weight = value,
            "within" => t.within = value,
            "future" => t.future = value,
            "regression" => t.regression = value,
            "kappa" => t.kappa = value,
            "memory" => t.memory = value,
            "shape" => t.shape = value,
            "draws" => t.draws = value as usize,
            "rounds" => t.rounds = value as usize,
            _ => panic!("{key} is no tuning"),
        }
    }
    t
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let tuning = tuning();
    let mut answers = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let mut plan = Plan::new(&case.host, case.jobs, case.cores);
        let names = case.plan.iter().map(|(name, version, _)| format!("{name}-1.{version}"));
        let ids: Vec<_> = names.map(|full| plan.build(&full, Some(&full), Some("x86_64-linux"))).collect();
        for (i, (_, _, deps)) in case.plan.iter().enumerate() {
            for &dep in deps {
                plan.depends(ids[i], ids[dep as usize]);
            }
        }
        let mut estimator = Estimator::with_tuning(&past(&case), tuning.clone());
        for view in &case.views {
            let mut plan = plan.clone();
            for &(node, start, stop, ok) in &view.done {
                let done = Stage::Done { start_ms: ms(start), stop_ms: ms(stop), machine: MachineId::LOCAL };
                plan.set(ids[node as usize], if ok == 1 { done } else { Stage::Failed });
            }
            for &(node, start) in &view.running {
                plan.set(
                    ids[node as usize],
                    Stage::Running { since_ms: ms(start), machine: MachineId::LOCAL },
                );
            }
            if let Some(eta) = estimator.estimate(&plan, ms(view.now)) {
                let s = |ms: u64| ms as f64 / 1000.0;
                let answer = serde_json::json!({
                    "remaining": s(eta.remaining_ms), "low": s(eta.low_ms), "high": s(eta.high_ms),
                });
                answers.insert(view.id.clone(), answer);
            }
        }
    }
    println!("{}", serde_json::to_string(&answers).unwrap());
}
