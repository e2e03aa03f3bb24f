//! Times of packages from the history.

use std::collections::HashMap;
use std::path::PathBuf;

use nixmon_history::name::DrvName;
use nixmon_history::packages::{
    BuildExtent, PackageHistory, PackageKind as PastKind, PackageTimes, histories,
};
use nixmon_history::store::Store;

use super::record::{Basis, PackageKind, PackageRow, PackagesRecord};

/// The newest runs that are looked at.
const RUNS: u32 = 100;
/// The past of a package with less or more than these shares of its files is another project's, or an older state of it.
const ALIKE: std::ops::RangeInclusive<f64> = 0.5..=1.5;

/// A history of builds, and the host whose times count before those of others.
#[derive(Clone, Debug)]
pub(crate) struct PastPlace {
    /// The database.
    pub(crate) path: PathBuf,
    /// The host.
    pub(crate) host: String,
}

/// Fills in the times of packages: from the history, else from the sources, scaled by the packages of which both are known.
pub(super) fn with_times(mut record: PackagesRecord, history: Option<&PastPlace>) -> PackagesRecord {
    let Some(known) = history else { return record };
    let Ok(store) = Store::open_read_only(&known.path) else { return record };
    let Ok(runs) = store.all_package_runs(None, RUNS) else { return record };
    let histories = histories(&runs);
    let past: HashMap<(&str, PastKind), &PackageHistory> =
        histories.iter().map(|history| ((history.name.as_str(), history.kind), history)).collect();
    let mut pairs = Vec::new();
    for row in &mut record.packages {
        let Some(times) = past_of(row, &past, &known.host) else { continue };
        pairs.push((times.median_ms, row.expected_ms));
        row.expected_ms = Some(times.median_ms);
        row.expected_from = Some(Basis::History);
        row.samples = Some(times.samples);
    }
    if let Some(scale) = scale(&pairs) {
        for row in record.packages.iter_mut().filter(|row| row.expected_from == Some(Basis::Sources)) {
            row.expected_ms = row.expected_ms.map(|ms| (ms as f64 * scale).round() as u64);
        }
    }
    record
}

/// Returns the time that packages took over the time that their sources suggest, from the packages of which both are known.
fn scale(pairs: &[(u64, Option<u64>)]) -> Option<f64> {
    let both = pairs.iter().filter_map(|&(took, told)| Some((took, told?)));
    let (took, told) = both.fold((0, 0), |(took, told), (a, b)| (took + a, told + b));
    (took > 0 && told > 0).then(|| took as f64 / told as f64)
}

/// Returns the times of full builds of a package, if they are of this one.
fn past_of<'h>(
    row: &PackageRow,
    known: &HashMap<(&str, PastKind), &'h PackageHistory>,
    host: &str,
) -> Option<&'h PackageTimes> {
    let is_derivation = row.kind == PackageKind::Derivation;
    let name = match &row.derivation {
        Some(path) => DrvName::parse(super::derivations::name(path)).pname,
        None => row.name.clone(),
    };
    let kind = if is_derivation { PastKind::Derivation } else { PastKind::Part };
    let times = known.get(&(name.as_str(), kind))?.best(host, None)?;
    let is_alike = match times.typical_files {
        Some(files) if !is_derivation => ALIKE.contains(&(files as f64 / row.sources.len().max(1) as f64)),
        _ => true,
    };
    (times.extent == BuildExtent::Full && is_alike).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_which_only_one_time_is_known_do_not_change_the_scale() {
        let check = |pairs: &[(u64, Option<u64>)], expected| assert_eq!(scale(pairs), expected, "{pairs:?}");
        check(&[(3_000, Some(1_000)), (1_000, Some(1_000))], Some(2.0));
        check(&[(3_000, Some(1_000)), (1_000, Some(1_000)), (90_000, None)], Some(2.0));
        check(&[(90_000, None)], None);
        check(&[(0, Some(1_000))], None);
        check(&[], None);
    }
}
