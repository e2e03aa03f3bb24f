//! The files and packages of a build that has ended, as rows of the history.

use std::collections::BTreeMap;
use std::time::Duration;

use nixmon_core::state::{Moment, State, Worked};
use nixmon_core::wire::millis;
use nixmon_history::record::{BuildOutcome, PackageRecord, UnitRecord};
use nixmon_progress::{Finished, Package, Status};

/// Returns the rows of what was built inside a derivation, or by the command.
pub(super) fn records(state: &State, worked: &Worked, at: Moment) -> (Vec<UnitRecord>, Vec<PackageRecord>) {
    let scope = worked.scope.map(|id| state.derivations().get(id).name().to_owned());
    let started_ms = |step: &Finished| millis(worked.begun).saturating_add(milliseconds(step.started));
    let units = worked.finished.iter().map(|step| UnitRecord {
        scope: scope.clone(),
        package: step.package.clone(),
        file: step.file.clone(),
        stage: Some(if step.is_link { "link" } else { "compile" }.to_owned()),
        started_ms: started_ms(step),
        elapsed_ms: millis(step.elapsed()),
        outcome: BuildOutcome::Built,
        ..UnitRecord::default()
    });
    let mut of_package: BTreeMap<&str, Vec<&Finished>> = BTreeMap::new();
    for step in &worked.finished {
        of_package.entry(step.package.as_deref().unwrap_or_default()).or_default().push(step);
    }
    let packages = worked.packages.iter().filter_map(|package| {
        let steps = of_package.get(package.name.as_str())?;
        let sum = |is_link: bool| -> Option<u64> {
            let of = steps.iter().filter(|step| step.is_link == is_link);
            let sum: u64 = of.map(|step| millis(step.elapsed())).sum();
            (sum > 0).then_some(sum)
        };
        let begun = steps.iter().map(|step| started_ms(step)).min()?;
        Some(PackageRecord {
            scope: scope.clone(),
            name: package.name.clone(),
            started_ms: begun,
            elapsed_ms: package.elapsed.map_or_else(|| millis(at).saturating_sub(begun), millis),
            files: u32::try_from(package.done).unwrap_or(u32::MAX),
            files_total: package.total.and_then(|total| u32::try_from(total).ok()),
            compile_ms: sum(false),
            link_ms: sum(true),
            outcome: outcome(package),
            ..PackageRecord::default()
        })
    });
    (units.collect(), packages.collect())
}

fn milliseconds(seconds: f64) -> u64 {
    millis(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

fn outcome(package: &Package) -> BuildOutcome {
    match package.status {
        Status::Built => BuildOutcome::Built,
        Status::Failed => BuildOutcome::Failed,
        Status::Queued | Status::Compiling | Status::Linking => BuildOutcome::Cancelled,
    }
}
