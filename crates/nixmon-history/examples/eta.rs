//! Foresees the end of a small run from a history on disk: `cargo run --example eta`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use nixmon_history::estimate::{Estimator, MachineId, Plan, Stage};
use nixmon_history::import::import;
use nixmon_history::store::Store;

const PAST: &str = r#"{"type":"nixmon-history","schema":1}
{"type":"run","id":"1","host":"desk","max_jobs":2,"started":"2026-01-02T08:00:00Z","elapsed_ms":900000,"outcome":"success"}
{"type":"build","run":"1","name":"llvm-19.1","started_ms":0,"elapsed_ms":600000,"outcome":"built"}
{"type":"build","run":"1","name":"rustc-1.84","started_ms":600000,"elapsed_ms":300000,"outcome":"built"}
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (mut store, _) = Store::open(&dir.path().join("history.db"), 0)?;
    import(&mut store, PAST.as_bytes(), "desk")?;

    let mut plan = Plan::new("desk", 2, 8);
    let llvm = plan.build("llvm-19.1", None, None);
    let rustc = plan.build("rustc-1.85", None, None);
    plan.depends(rustc, llvm);
    plan.set(llvm, Stage::Running { since_ms: 0, machine: MachineId::LOCAL });

    let mut estimator = Estimator::new(&store.past(&plan.wanted())?);
    let four_minutes = 240_000;
    if let Some(eta) = estimator.estimate(&plan, four_minutes) {
        let minutes = |ms: u64| ms.div_ceil(60_000);
        println!("~{}m left ({}–{}m)", minutes(eta.remaining_ms), minutes(eta.low_ms), minutes(eta.high_ms));
    }
    let path = estimator.critical_path(&plan, four_minutes).unwrap_or_default();
    let names =
        path.steps.iter().filter_map(|step| plan.node(step.node)).map(|node| node.name.pname.as_str());
    println!("waits for: {}", names.collect::<Vec<_>>().join(" → "));
    Ok(())
}
