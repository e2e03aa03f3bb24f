//! The slowest packages, and what differs between two runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::median;
use crate::name::DrvName;
use crate::record::{BuildOutcome, BuildRecord};

/// A package and the time that it takes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Slow {
    /// The name of the package.
    pub pname: String,
    /// The builds.
    pub builds: u32,
    /// The median time of a build.
    pub median_ms: u64,
    /// The time of all builds together.
    pub total_ms: u64,
}

/// Returns the packages on which most time was spent, the first first.
pub fn slowest(builds: &[BuildRecord], limit: usize) -> Vec<Slow> {
    let mut by_name: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for build in builds.iter().filter(|b| b.outcome == BuildOutcome::Built) {
        by_name.entry(DrvName::parse(&build.name).pname).or_default().push(build.elapsed_ms);
    }
    let mut all: Vec<Slow> = by_name
        .into_iter()
        .map(|(pname, times)| Slow {
            pname,
            builds: times.len() as u32,
            median_ms: median(times.iter().map(|&t| t as f64)).unwrap_or(0.0) as u64,
            total_ms: times.iter().sum(),
        })
        .collect();
    all.sort_by(|a, b| b.total_ms.cmp(&a.total_ms).then_with(|| a.pname.cmp(&b.pname)));
    all.truncate(limit);
    all
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the first run built it.
    Removed,
    /// Only the second run built it.
    Added,
    /// Both built the same derivation.
    Again,
    /// Both built the same version from other inputs.
    Inputs,
    /// The version changed.
    Version,
}

/// A package in two runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Difference {
    /// The name in the second run, or in the first where it is only there.
    pub name: String,
    /// The kind.
    pub change: Change,
    /// The time in the first run.
    pub before_ms: Option<u64>,
    /// The time in the second run.
    pub after_ms: Option<u64>,
}

impl Difference {
    /// Returns the milliseconds by which the second run took longer.
    pub fn delta_ms(&self) -> i64 {
        let ms = |x: Option<u64>| i64::try_from(x.unwrap_or(0)).unwrap_or(i64::MAX);
        ms(self.after_ms) - ms(self.before_ms)
    }
}

/// Compares what two runs built, the largest difference first.
pub fn compare(before: &[BuildRecord], after: &[BuildRecord]) -> Vec<Difference> {
    // Members of a class are matched by their whole names first, then by package and shape.
    let mut left: Vec<Option<&BuildRecord>> = before.iter().map(Some).collect();
    let mut find = |fits: &dyn Fn(&BuildRecord) -> bool| {
        let at = left.iter().position(|b| b.is_some_and(fits))?;
        left[at].take()
    };
    let mut pairs: Vec<(&BuildRecord, Option<&BuildRecord>)> = after.iter().map(|b| (b, None)).collect();
    for (new, old) in &mut pairs {
        *old = find(&|b| b.name == new.name && b.drv == new.drv);
    }
    for (new, old) in pairs.iter_mut().filter(|(_, old)| old.is_none()) {
        *old = find(&|b| b.name == new.name);
    }
    for (new, old) in pairs.iter_mut().filter(|(_, old)| old.is_none()) {
        let name = DrvName::parse(&new.name);
        *old = find(&|b| {
            let other = DrvName::parse(&b.name);
            other.pname == name.pname && other.shape() == name.shape()
        });
    }
    let mut all: Vec<Difference> = pairs
        .into_iter()
        .map(|(new, old)| Difference {
            name: new.name.clone(),
            change: match old {
                None => Change::Added,
                Some(old) if old.name != new.name => Change::Version,
                Some(old) if old.drv != new.drv => Change::Inputs,
                Some(_) => Change::Again,
            },
            before_ms: old.map(|b| b.elapsed_ms),
            after_ms: Some(new.elapsed_ms),
        })
        .collect();
    all.extend(left.into_iter().flatten().map(|old| Difference {
        name: old.name.clone(),
        change: Change::Removed,
        before_ms: Some(old.elapsed_ms),
        after_ms: None,
    }));
    all.sort_by(|a, b| b.delta_ms().abs().cmp(&a.delta_ms().abs()).then_with(|| a.name.cmp(&b.name)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(name: &str, drv: &str, elapsed_ms: u64) -> BuildRecord {
        BuildRecord { name: name.to_owned(), drv: Some(drv.to_owned()), elapsed_ms, ..BuildRecord::default() }
    }

    #[test]
    fn packages_are_matched_by_the_nearest_name() {
        let before =
            [build("a-1", "x", 10), build("b-1", "y", 10), build("c-1.tar.gz", "z", 5), build("d-1", "w", 1)];
        let after = [
            build("a-1", "x", 30),
            build("b-2", "y2", 20),
            build("c-2.tar.gz", "z2", 5),
            build("e-1", "v", 7),
            build("d-1", "w2", 2),
        ];
        let got: Vec<(String, Change, i64)> =
            compare(&before, &after).into_iter().map(|d| (d.name.clone(), d.change, d.delta_ms())).collect();
        let row = |name: &str, change, delta| (name.to_owned(), change, delta);
        assert_eq!(
            got,
            [
                row("a-1", Change::Again, 20),
                row("b-2", Change::Version, 10),
                row("e-1", Change::Added, 7),
                row("d-1", Change::Inputs, 1),
                row("c-2.tar.gz", Change::Version, 0),
            ]
        );
        assert_eq!(compare(&before[..1], &[])[0].change, Change::Removed);
    }

    #[test]
    fn the_slowest_take_most_in_all() {
        let builds = [build("a-1", "x", 10), build("a-2", "x", 20), build("b-1", "y", 25)];
        let got = slowest(&builds, 1);
        assert_eq!(
            (got[0].pname.as_str(), got[0].builds, got[0].median_ms, got[0].total_ms),
            ("a", 2, 15, 30)
        );
    }
}
