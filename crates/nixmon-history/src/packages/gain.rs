//! The effect of more jobs on a package.

use schemars::JsonSchema;
use serde::Serialize;

use super::{BuildExtent, PackageFile, PackageRun, PackageTimes};

/// Factor from which on a package counts as faster: less is noise.
const FASTER: f64 = 1.15;
/// Share of the jobs that a package must use before more of them can help it.
const BUSY: f64 = 0.7;

/// The effect of more jobs on a package.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Gain {
    /// True if it is faster with more jobs.
    pub more_jobs_help: bool,
    /// The way in which this is known.
    pub basis: GainBasis,
    /// The smaller number of jobs.
    pub from_jobs: u32,
    /// The larger number of jobs; null where it is not from builds with as many.
    pub to_jobs: Option<u32>,
    /// The time with the smaller number over that with the larger one. Where it is foreseen, the most that any number of
    /// jobs can bring.
    pub factor: f64,
}

/// The way in which the effect of more jobs is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GainBasis {
    /// Builds with both numbers of jobs.
    Seen,
    /// The order of its files: how many were compiled at once, and its longest one.
    Foreseen,
}

impl PackageTimes {
    /// Returns whether these builds kept so many jobs busy: if not, more of them bring nothing. None where it is not known.
    pub fn uses(&self, jobs: u32) -> Option<bool> {
        Some(self.parallelism? >= BUSY * f64::from(jobs))
    }
}

/// Tells the effect of more jobs than these times have: from builds with more, else with fewer, else from its files.
pub(super) fn gain(times: &PackageTimes, all: &[PackageTimes], last: Option<&PackageRun>) -> Option<Gain> {
    let jobs = times.jobs.filter(|jobs| *jobs > 0)?;
    if times.extent != BuildExtent::Full {
        return None;
    }
    let alike = |other: &&PackageTimes| {
        other.extent == times.extent && other.host == times.host && other.target == times.target
    };
    let more = all.iter().filter(alike).filter(|other| other.jobs > Some(jobs));
    if let Some(more) = more.min_by_key(|other| other.jobs) {
        let factor = times.median_ms as f64 / more.median_ms.max(1) as f64;
        return Some(Gain {
            more_jobs_help: factor >= FASTER,
            basis: GainBasis::Seen,
            from_jobs: jobs,
            to_jobs: more.jobs,
            factor: hundredth(factor),
        });
    }
    foreseen(times, jobs, last?)
}

/// Foresees the effect from the files of the last build: with any number of jobs a package takes as long as its longest file
/// and its links.
fn foreseen(times: &PackageTimes, jobs: u32, last: &PackageRun) -> Option<Gain> {
    let longest = last.files.iter().filter(|file| !file.is_link).map(|file| file.elapsed_ms).max()?;
    let links: u64 = last.files.iter().filter(|file| file.is_link).map(|file| file.elapsed_ms).sum();
    let begin = last.files.iter().map(|file| file.start_ms).min()?;
    let end = last.files.iter().map(PackageFile::stop_ms).max()?;
    let least = (longest + links).max(1);
    let factor = (end - begin) as f64 / least as f64;
    let is_busy = times.uses(jobs)?;
    Some(Gain {
        more_jobs_help: is_busy && factor >= FASTER,
        basis: GainBasis::Foreseen,
        from_jobs: jobs,
        to_jobs: None,
        factor: hundredth(factor.max(1.0)),
    })
}

fn hundredth(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}
