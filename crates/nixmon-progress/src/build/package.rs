//! The state of each package while it builds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::steps::{Finished, Steps};
use crate::{
    packages::{Project, TargetKind},
    past::Past,
    weights,
};

/// The state of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing of it has begun.
    Queued,
    /// Its sources are being compiled.
    Compiling,
    /// Its sources are compiled, and it is not yet linked.
    Linking,
    /// It is done.
    Built,
    /// A step of it failed.
    Failed,
}

/// A judgement of how a package does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Nothing is known to be wrong.
    Ok,
    /// It takes more than twice the time of the earlier run.
    Slow,
    /// It cannot be built since a package that it needs failed.
    Blocked,
    /// It failed.
    Failed,
}

/// A package while it builds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Package {
    /// The target's, crate's or directory's name.
    pub name: String,
    /// The state.
    pub status: Status,
    /// The file that began last, or ended last where the tool prints only ends.
    pub current_file: Option<String>,
    /// Files that are compiled.
    pub done: u64,
    /// Files there are, where the project says so.
    pub total: Option<u64>,
    /// Share of the package's own work that is done, from 0 to 100.
    pub progress_pct: Option<f64>,
    /// The time since its first step began.
    pub elapsed: Option<Duration>,
    /// The expected time to its end, once it has begun.
    pub eta: Option<Duration>,
    /// Packages that must be built before, sorted.
    pub depends_on: Vec<String>,
    /// Its health.
    pub health: Health,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    depends_on: Vec<String>,
    total: Option<u64>,
    is_linked: bool,
    begun: Option<f64>,
    ended: Option<f64>,
    done: u64,
    current: Option<String>,
    links: bool,
    built: bool,
    failed: bool,
}

/// All packages.
#[derive(Clone, Debug, Default)]
pub(super) struct Packages {
    entries: BTreeMap<String, Entry>,
}

impl Packages {
    pub(super) fn plan(&mut self, project: &Project) {
        for target in &project.targets {
            if target.kind == TargetKind::Utility || target.sources.is_empty() {
                continue;
            }
            self.entries.insert(
                target.name.clone(),
                Entry {
                    depends_on: target.depends_on.clone(),
                    total: Some(target.sources.len() as u64),
                    is_linked: !matches!(target.kind, TargetKind::ObjectLibrary | TargetKind::Crate),
                    ..Entry::default()
                },
            );
        }
    }

    /// Returns whether a package of this name was planned or seen.
    pub(super) fn has(&self, package: &str) -> bool {
        self.entries.contains_key(package)
    }

    fn entry(&mut self, package: &str) -> &mut Entry {
        self.entries.entry(package.to_owned()).or_default()
    }

    pub(super) fn begun(&mut self, package: &str, file: &str, is_link: bool, now: f64) {
        let entry = self.entry(package);
        entry.begun.get_or_insert(now);
        entry.current = Some(file.to_owned());
        entry.links |= is_link;
    }

    pub(super) fn finished(&mut self, package: &str, step: &Finished) {
        let entry = self.entry(package);
        entry.begun.get_or_insert(step.started);
        entry.current = Some(step.file.clone());
        if step.is_link {
            entry.built = true;
            entry.ended = Some(step.ended);
        } else {
            entry.done += 1;
            let is_complete = entry.total.is_some_and(|total| entry.done >= total);
            if is_complete && !entry.is_linked {
                entry.built = true;
                entry.ended = Some(step.ended);
            }
            entry.links |= is_complete;
        }
    }

    pub(super) fn built(&mut self, package: &str, now: f64) {
        // Targets that compile nothing are no packages.
        if let Some(entry) = self.entries.get_mut(package) {
            entry.built = true;
            entry.ended.get_or_insert(now);
        }
    }

    pub(super) fn failed(&mut self, package: &str, now: f64) {
        let entry = self.entry(package);
        entry.failed = true;
        entry.ended = Some(now);
    }

    /// Ends the build: what has begun in a good one is done.
    pub(super) fn end(&mut self, success: bool, now: f64) {
        for entry in
            self.entries.values_mut().filter(|entry| success && entry.begun.is_some() && !entry.failed)
        {
            entry.built = true;
            entry.ended.get_or_insert(now);
        }
    }

    pub(super) fn list(&self, steps: &Steps, past: Option<&Past>, now: f64) -> Vec<Package> {
        let broken = self.blocked();
        let seconds = steps.seconds();
        let list = self.entries.iter().map(|(name, entry)| {
            // Where only ends are printed, what runs is thought to.
            let foreseen = steps.foreseen(name).filter(|_| !entry.links && !entry.built);
            let status = match entry {
                Entry { failed: true, .. } => Status::Failed,
                Entry { built: true, .. } => Status::Built,
                Entry { links: true, .. } => Status::Linking,
                Entry { begun: Some(_), .. } => Status::Compiling,
                _ if foreseen.is_some() => Status::Compiling,
                _ => Status::Queued,
            };
            let begun = entry.begun.or(foreseen.map(|(_, since)| since));
            let elapsed = begun.map(|begun| entry.ended.unwrap_or(now) - begun);
            let (total, left) = seconds.get(name.as_str()).copied().unwrap_or_default();
            let is_running = matches!(status, Status::Compiling | Status::Linking);
            let health = match status {
                Status::Failed => Health::Failed,
                Status::Queued if broken.contains(name.as_str()) => Health::Blocked,
                Status::Compiling if is_slow(steps, past, name, now) => Health::Slow,
                _ => Health::Ok,
            };
            Package {
                name: name.clone(),
                status,
                current_file: foreseen
                    .map(|(file, _)| file.to_owned())
                    .or_else(|| entry.current.clone())
                    .filter(|_| is_running || status == Status::Failed),
                done: entry.done,
                total: entry.total,
                progress_pct: match status {
                    Status::Built => Some(100.0),
                    _ if entry.total.is_some() && total > 0.0 => Some(100.0 * (1.0 - left / total)),
                    _ => None,
                },
                elapsed: elapsed.map(weights::duration),
                eta: (is_running && entry.total.is_some())
                    .then(|| weights::duration(left / steps.jobs() as f64)),
                depends_on: entry.depends_on.clone(),
                health,
            }
        });
        list.collect()
    }

    /// Returns the packages that need one that failed.
    fn blocked(&self) -> BTreeSet<&str> {
        let mut broken: BTreeSet<&str> =
            self.entries.iter().filter(|(_, entry)| entry.failed).map(|(name, _)| name.as_str()).collect();
        if broken.is_empty() {
            return broken;
        }
        loop {
            let before = broken.len();
            for (name, entry) in &self.entries {
                if entry.depends_on.iter().any(|on| broken.contains(on.as_str())) {
                    broken.insert(name);
                }
            }
            if broken.len() == before {
                return broken;
            }
        }
    }
}

/// Returns whether the file that the package compiles now takes more than twice the time of the earlier run.
fn is_slow(steps: &Steps, past: Option<&Past>, package: &str, now: f64) -> bool {
    let Some((file, since)) = steps.running_file(package) else { return false };
    let usual = past.and_then(|past| past.elapsed(Some(package), file));
    usual.is_some_and(|usual| now - since > 2.0 * usual.as_secs_f64() + 2.0)
}
