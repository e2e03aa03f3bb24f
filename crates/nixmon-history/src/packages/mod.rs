//! The past of a package: how long it takes with how many jobs, what it waits for, and if more jobs would help. Pure.
//!
//! A package is a part of a project (a CMake target, a crate, a directory) or a derivation. Builds of a few of its files are
//! kept apart from full ones, since the time of the one says nothing about the other's.

mod gain;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub use gain::{Gain, GainBasis};

use crate::stats::median;

/// Files that are listed as bottlenecks of a package.
const N_BOTTLENECKS: usize = 5;

/// A file that a package compiled, or another step of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageFile {
    /// The file.
    pub file: String,
    /// True if it was linked and not compiled.
    pub is_link: bool,
    /// The moment at which it began, in milliseconds of the run.
    pub start_ms: u64,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
}

impl PackageFile {
    fn stop_ms(&self) -> u64 {
        self.start_ms.saturating_add(self.elapsed_ms)
    }
}

/// A successful build of a package in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackageRun {
    /// The name of the package.
    pub name: String,
    /// The kind of package.
    pub kind: PackageKind,
    /// The target of the run.
    pub target: Option<String>,
    /// The host that built it.
    pub host: String,
    /// The number of jobs of the run.
    pub jobs: Option<u32>,
    /// The moment at which the run began, in milliseconds of the Unix epoch.
    pub started_ms: i64,
    /// The milliseconds from the begin of the package to its end.
    pub elapsed_ms: u64,
    /// The number of files that were compiled.
    pub n_files: u64,
    /// The number of files of the package, where it is known.
    pub n_files_total: Option<u64>,
    /// The milliseconds of its files together, where they are known.
    pub compile_ms: Option<u64>,
    /// The milliseconds of its links together, where they are known.
    pub link_ms: Option<u64>,
    /// Its files and links, in any order.
    pub files: Vec<PackageFile>,
}

/// The kind of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// A part of a project: a CMake target, a crate, a directory.
    #[default]
    Part,
    /// A derivation.
    Derivation,
}

/// The extent of a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuildExtent {
    /// At least half of the files were compiled, or the number of files is not known.
    #[default]
    Full,
    /// Less than half of the files were compiled.
    Incremental,
}

impl BuildExtent {
    /// Tells the extent from the files compiled and the files there are.
    pub fn of(n_compiled: u64, n_files: u64) -> Self {
        if n_compiled.saturating_mul(2) < n_files { Self::Incremental } else { Self::Full }
    }
}

/// A file that a package waits for.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Bottleneck {
    /// The file.
    pub file: String,
    /// The milliseconds that it takes, as a median.
    pub own_ms: u64,
    /// Its share of the time of all files of the package, from 0 to 100.
    pub share_pct: f64,
    /// The milliseconds for which the package's link, and whatever needs the package, waits for this file alone: from the end
    /// of its other files to that of this one. A median, and 0 for all but the last file.
    pub holds_up_ms: u64,
}

/// The times of a package on one host with one number of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PackageTimes {
    /// The target of the runs.
    pub target: Option<String>,
    /// The host.
    pub host: String,
    /// The number of jobs; null if it is not known.
    pub jobs: Option<u32>,
    /// The extent of the builds.
    pub extent: BuildExtent,
    /// The number of builds that this is made of.
    pub samples: u32,
    /// The median duration, in milliseconds.
    pub median_ms: u64,
    /// The mean duration, in milliseconds.
    pub mean_ms: u64,
    /// The shortest duration, in milliseconds.
    pub min_ms: u64,
    /// The longest duration, in milliseconds.
    pub max_ms: u64,
    /// The confidence in the median, from 0 to 1: it grows with the samples and falls with their spread.
    pub confidence: f64,
    /// The number of files that such a build compiles, as a median; null where no file was seen.
    pub typical_files: Option<u64>,
    /// The share of the time of files and links that compiling takes, from 0 to 100.
    pub compile_share_pct: Option<f64>,
    /// The share of the time of files and links that linking takes, from 0 to 100.
    pub link_share_pct: Option<f64>,
    /// The mean number of its files that were compiled at once.
    pub parallelism: Option<f64>,
    /// The files that take longest or hold up the rest, the worst first.
    pub bottleneck_files: Vec<Bottleneck>,
    /// The effect of more jobs, where something is known of it.
    pub gain: Option<Gain>,
}

/// The past of a package.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PackageHistory {
    /// The name of the package.
    pub name: String,
    /// The kind of package.
    pub kind: PackageKind,
    /// Times by target, host, number of jobs and extent; those with most samples first.
    pub times: Vec<PackageTimes>,
}

impl PackageHistory {
    /// Returns the times that answer a question best: of full builds if there are any, on this host, with this number of
    /// jobs if one is given and known, and of most samples.
    pub fn best(&self, host: &str, jobs: Option<u32>) -> Option<&PackageTimes> {
        // The last of equals counts, which is to be the first.
        self.times.iter().rev().max_by_key(|times| {
            let is_full = times.extent == BuildExtent::Full;
            (is_full, times.host == host, jobs.is_some() && times.jobs == jobs, times.samples)
        })
    }
}

/// Makes the past of each package of its successful builds; sorted by the time that they take, the slowest first.
pub fn histories(runs: &[PackageRun]) -> Vec<PackageHistory> {
    let mut by_package: BTreeMap<(&str, PackageKind), Vec<&PackageRun>> = BTreeMap::new();
    for run in runs {
        by_package.entry((&run.name, run.kind)).or_default().push(run);
    }
    let mut histories: Vec<PackageHistory> = by_package
        .into_iter()
        .map(|((name, kind), runs)| PackageHistory { name: name.to_owned(), kind, times: all_times(&runs) })
        .collect();
    let slowest = |history: &PackageHistory| {
        // The first is of full builds if there are any, and of most samples.
        let first = history.times.first().filter(|times| times.extent == BuildExtent::Full);
        first.map_or(0, |times| times.median_ms)
    };
    histories.sort_by(|a, b| slowest(b).cmp(&slowest(a)).then_with(|| a.name.cmp(&b.name)));
    histories
}

type Setting<'r> = (Option<&'r str>, &'r str, Option<u32>, BuildExtent);

fn all_times(runs: &[&PackageRun]) -> Vec<PackageTimes> {
    // Where the project did not say how many files there are, the largest build of the same target counts as a full one.
    let mut most: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for run in runs {
        let most = most.entry(run.target.as_deref()).or_default();
        *most = (*most).max(run.n_files);
    }
    let mut by_setting: BTreeMap<Setting<'_>, Vec<&PackageRun>> = BTreeMap::new();
    for run in runs {
        let total = run.n_files_total.or_else(|| most.get(&run.target.as_deref()).copied()).unwrap_or(0);
        let setting =
            (run.target.as_deref(), run.host.as_str(), run.jobs, BuildExtent::of(run.n_files, total));
        by_setting.entry(setting).or_default().push(run);
    }
    let mut times: Vec<PackageTimes> =
        by_setting.iter().map(|(setting, runs)| times_of(*setting, runs)).collect();
    for (at, runs) in by_setting.values().enumerate() {
        times[at].gain = gain::gain(&times[at], &times, runs.last().copied());
    }
    times.sort_by(|a, b| a.extent.cmp(&b.extent).then_with(|| b.samples.cmp(&a.samples)));
    times
}

fn times_of((target, host, jobs, extent): Setting<'_>, runs: &[&PackageRun]) -> PackageTimes {
    let elapsed: Vec<u64> = runs.iter().map(|run| run.elapsed_ms).collect();
    let sum = |part: fn(&PackageRun) -> Option<u64>| -> Option<u64> {
        let known: Vec<u64> = runs.iter().filter_map(|run| part(run)).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    };
    let (compile, link) = (sum(|run| run.compile_ms), sum(|run| run.link_ms));
    let both = compile.unwrap_or(0) + link.unwrap_or(0);
    let share =
        |part: Option<u64>| part.filter(|_| both > 0).map(|part| tenth(100.0 * part as f64 / both as f64));
    let n_files = median(runs.iter().filter(|run| run.n_files > 0).map(|run| run.n_files as f64));
    PackageTimes {
        target: target.map(str::to_owned),
        host: host.to_owned(),
        jobs,
        extent,
        samples: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        median_ms: whole_median(elapsed.iter().copied()),
        mean_ms: elapsed.iter().sum::<u64>() / (elapsed.len() as u64).max(1),
        min_ms: elapsed.iter().copied().min().unwrap_or(0),
        max_ms: elapsed.iter().copied().max().unwrap_or(0),
        confidence: confidence(&elapsed),
        typical_files: n_files.map(|n| n.round() as u64),
        compile_share_pct: share(compile),
        // Where no link was seen it is not known to take nothing.
        link_share_pct: share(link),
        parallelism: median(runs.iter().filter_map(|run| parallelism(run))).map(tenth),
        bottleneck_files: bottlenecks(runs),
        gain: None,
    }
}

/// Returns the confidence in a median, from 0 to 1.
///
/// It is n/(n+2) for n samples, over 1 plus twice their relative spread (the median of the distances from the median). One
/// sample says a third: it may be right, and nothing shows that it is.
pub fn confidence(times_ms: &[u64]) -> f64 {
    let n = times_ms.len() as f64;
    let Some(middle) = median(times_ms.iter().map(|time| *time as f64)) else { return 0.0 };
    let spread = median(times_ms.iter().map(|time| (*time as f64 - middle).abs())).unwrap_or(0.0);
    let relative = spread / middle.max(1.0);
    let confidence = n / (n + 2.0) / (1.0 + 2.0 * relative);
    (confidence * 100.0).round() / 100.0
}

/// Returns the mean number of files that were compiled at once, over the time in which any was.
fn parallelism(run: &PackageRun) -> Option<f64> {
    let compiled = || run.files.iter().filter(|file| !file.is_link);
    let begin = compiled().map(|file| file.start_ms).min()?;
    let end = compiled().map(PackageFile::stop_ms).max()?;
    let sum: u64 = compiled().map(|file| file.elapsed_ms).sum();
    (end > begin).then(|| sum as f64 / (end - begin) as f64)
}

/// Returns the files that take longest, and those that hold up a package.
fn bottlenecks(runs: &[&PackageRun]) -> Vec<Bottleneck> {
    #[derive(Default)]
    struct Seen {
        own: Vec<f64>,
        share: Vec<f64>,
        held_up: Vec<f64>,
    }
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for run in runs {
        let compiled: Vec<&PackageFile> = run.files.iter().filter(|file| !file.is_link).collect();
        // A single file is no bottleneck: there is nothing beside it.
        if compiled.len() < 2 {
            continue;
        }
        let all: u64 = compiled.iter().map(|file| file.elapsed_ms).sum();
        let mut ends: Vec<u64> = compiled.iter().map(|file| file.stop_ms()).collect();
        ends.sort_unstable();
        let (last, before) = (ends[ends.len() - 1], ends[ends.len() - 2]);
        for file in compiled {
            let seen = seen.entry(&file.file).or_default();
            seen.own.push(file.elapsed_ms as f64);
            seen.share.push(100.0 * file.elapsed_ms as f64 / all.max(1) as f64);
            // With one job each file waits for all before it.
            let alone = if file.stop_ms() == last && run.jobs != Some(1) {
                last - before.max(file.start_ms).min(last)
            } else {
                0
            };
            seen.held_up.push(alone as f64);
        }
    }
    let mut files: Vec<Bottleneck> = seen
        .into_iter()
        .map(|(file, seen)| Bottleneck {
            file: file.to_owned(),
            own_ms: median(seen.own).unwrap_or(0.0).round() as u64,
            share_pct: tenth(median(seen.share).unwrap_or(0.0)),
            holds_up_ms: median(seen.held_up).unwrap_or(0.0).round() as u64,
        })
        .collect();
    files.sort_by(|a, b| {
        let weight = |file: &Bottleneck| file.own_ms + file.holds_up_ms;
        weight(b).cmp(&weight(a)).then_with(|| a.file.cmp(&b.file))
    });
    files.truncate(N_BOTTLENECKS);
    files
}

fn whole_median(values: impl Iterator<Item = u64>) -> u64 {
    median(values.map(|value| value as f64)).unwrap_or(0.0).round() as u64
}

fn tenth(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
