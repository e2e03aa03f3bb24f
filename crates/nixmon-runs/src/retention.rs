//! Retention: which finished runs are removed.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;

use super::files::{self, Durability};
use super::store::{NEW, REMOVED};
use super::{RunId, Store, StoreError};

/// Limits for finished runs; those beyond a limit are removed, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Greatest age in days.
    pub days: u64,
    /// Greatest number of runs.
    pub runs: u64,
    /// Greatest size of all runs together, in MiB.
    pub mib: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 30, runs: 100, mib: 1024 }
    }
}

/// A run that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its number.
    pub id: RunId,
    /// Its name.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// When it ended, or was asked for, in milliseconds since 1970.
    pub at: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The reason.
    pub reason: Reason,
}

/// Why a run was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is too old.
    Age,
    /// There are too many.
    Count,
    /// All together are too large.
    Size,
}

/// A run that may be removed.
struct Candidate {
    removed: Removed,
    is_protected: bool,
}

const DAY: u64 = 24 * 60 * 60 * 1000;
/// This many of the latest runs stay, however old and large: they are what the user asks for next.
const LATEST: usize = 3;
/// A run that ended this many milliseconds ago stays: whoever has started it may ask for its end.
const JUST_NOW: u64 = 60 * 1000;

impl Store {
    /// Removes runs beyond the limits, the oldest first. Runs in progress stay, and so do runs that those are queued behind,
    /// and runs of another version. `now` is in milliseconds since 1970. Returns the runs that were removed, or that would be
    /// in a dry run.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written.
    pub fn prune(&self, retention: &Retention, now: u64, dry_run: bool) -> Result<Vec<Removed>, StoreError> {
        if self.names()?.is_empty() {
            return Ok(Vec::new());
        }
        if !dry_run {
            self.check_owner()?;
        }
        let _lock = if dry_run { None } else { Some(self.lock()?) };
        if !dry_run {
            self.remove_leftovers()?;
        }
        let candidates = self.candidates(now)?;
        let chosen = choose(candidates, retention, now);
        if !dry_run {
            for removed in &chosen {
                self.remove(removed.id)?;
            }
        }
        Ok(chosen)
    }

    /// Removes runs beyond the limits after the end of one. Nobody has asked for this just now, so it is careful: the latest
    /// runs stay, and those that have ended a moment ago; and age counts by the time that the store has seen pass, since a
    /// clock may jump.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written.
    pub fn prune_after_run(&self, retention: &Retention, now: u64) -> Result<Vec<Removed>, StoreError> {
        let _lock = self.lock()?;
        self.remove_leftovers()?;
        let mut candidates = self.candidates(now)?;
        let n_older = candidates.len().saturating_sub(LATEST);
        for (n, candidate) in candidates.iter_mut().enumerate() {
            candidate.is_protected |= n >= n_older || candidate.removed.at.abs_diff(now) < JUST_NOW;
        }
        let ends = candidates.iter().map(|candidate| candidate.removed.at);
        let now = self.time_seen(now, ends.rev().nth(1))?;
        let chosen = choose(candidates, retention, now);
        for removed in &chosen {
            self.remove(removed.id)?;
        }
        Ok(chosen)
    }

    /// Returns the time by which age counts, and notes it: the clock's, but no more than a day after the one noted before, or
    /// after `before` if there is none.
    fn time_seen(&self, now: u64, before: Option<u64>) -> Result<u64, StoreError> {
        let path = self.root().join("seen");
        let noted =
            files::read(&path)?.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok());
        let seen = noted.or(before).map_or(now, |seen: u64| seen.saturating_add(DAY).min(now));
        files::replace(&path, format!("{seen}\n").as_bytes(), Durability::Cached)?;
        Ok(seen)
    }

    /// The runs of this format, the oldest first.
    fn candidates(&self, now: u64) -> Result<Vec<Candidate>, StoreError> {
        let mut candidates = Vec::new();
        let mut awaited = BTreeSet::new();
        for id in self.ids()? {
            let dir = self.dir(id);
            let facts = match dir.facts() {
                Ok(facts) => Some(facts),
                Err(StoreError::Damaged { .. }) => None,
                Err(_) => continue,
            };
            let (Ok(life), Ok(status)) = (dir.life(now), dir.status()) else { continue };
            if life.goes_on()
                && let Some(facts) = &facts
            {
                awaited.extend(self.waits_for(facts.after));
            }
            let status = status.unwrap_or_default();
            let created = facts.as_ref().map_or(status.created_at, |facts| facts.created_at);
            let at = status.ended_at.unwrap_or(created);
            let removed = Removed {
                id,
                name: facts.as_ref().and_then(|facts| facts.name.clone()).or(status.name),
                command: facts.map_or(status.command, |facts| facts.command),
                // The directory's time stands in for an unknown end.
                at: if at > 0 { at } else { modified(dir.path()).unwrap_or(now) },
                bytes: dir.size(),
                reason: Reason::Age,
            };
            let is_held = dir.monitor_lives() || dir.guard_lives() || is_awaited(dir.path());
            candidates.push(Candidate { removed, is_protected: life.goes_on() || is_held });
        }
        for candidate in &mut candidates {
            candidate.is_protected |= awaited.contains(&candidate.removed.id);
        }
        Ok(candidates)
    }

    /// Renames the directory first, so that no reader sees half a run.
    fn remove(&self, id: RunId) -> Result<(), StoreError> {
        let dir = self.dir(id);
        if let Ok(facts) = dir.facts() {
            dir.remove_socket(&facts);
        }
        let hidden = self.root().join(format!("{REMOVED}{id}"));
        let renamed = std::fs::rename(dir.path(), &hidden);
        renamed.map_err(|error| StoreError::io("cannot remove", dir.path(), error))?;
        // The rest is removed the next time.
        let _ = std::fs::remove_dir_all(&hidden);
        Ok(())
    }

    /// Removes directories of processes that died in between. The caller holds the store's lock.
    fn remove_leftovers(&self) -> Result<(), StoreError> {
        files::remove_temporaries(self.root());
        for name in self.names()? {
            if name.starts_with(NEW) || name.starts_with(REMOVED) {
                // A directory that cannot be removed is still not a run.
                let _ = std::fs::remove_dir_all(self.root().join(name));
            }
        }
        Ok(())
    }
}

/// Keeps a run from being removed for as long as the result lives, without a file of its own: a look may not leave any.
pub(super) fn await_end(dir: &Path) -> Option<File> {
    let file = File::open(dir).ok()?;
    file.try_lock_shared().ok().map(|()| file)
}

/// Returns whether a process waits for the end of a run.
fn is_awaited(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn modified(path: &Path) -> Option<u64> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// The runs that are to be removed, of runs in order of their numbers.
fn choose(candidates: Vec<Candidate>, retention: &Retention, now: u64) -> Vec<Removed> {
    let mut bytes: u64 = candidates.iter().map(|candidate| candidate.removed.bytes).sum();
    let mut n_runs = candidates.len() as u64;
    let most_bytes = retention.mib.saturating_mul(1 << 20);
    let oldest = now.saturating_sub(retention.days.saturating_mul(DAY));
    let mut chosen = Vec::new();
    for Candidate { removed, is_protected } in candidates {
        let reason = if removed.at < oldest {
            Reason::Age
        } else if n_runs > retention.runs {
            Reason::Count
        } else if bytes > most_bytes {
            Reason::Size
        } else {
            continue;
        };
        if is_protected {
            continue;
        }
        n_runs -= 1;
        bytes = bytes.saturating_sub(removed.bytes);
        chosen.push(Removed { reason, ..removed });
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each run: bytes in MiB, days ago, protected.
    fn check(runs: &[(u64, u64, bool)], retention: (u64, u64, u64), expected: &[(u64, Reason)]) {
        let now = 1000 * DAY;
        let candidates = runs.iter().zip(1..).map(|((mib, days, is_protected), id)| Candidate {
            removed: Removed {
                id: RunId(id),
                name: None,
                command: Vec::new(),
                at: now - days * DAY,
                bytes: mib << 20,
                reason: Reason::Age,
            },
            is_protected: *is_protected,
        });
        let (days, n_runs, mib) = retention;
        let chosen = choose(candidates.collect(), &Retention { days, runs: n_runs, mib }, now);
        let chosen: Vec<_> = chosen.iter().map(|removed| (removed.id.0, removed.reason)).collect();
        assert_eq!(chosen, expected, "{runs:?} {retention:?}");
    }

    #[test]
    fn the_oldest_go_first() {
        use Reason::{Age, Count, Size};
        let runs = [(5, 40, false), (5, 20, false), (5, 10, false), (5, 1, false)];
        check(&runs, (30, 100, 1024), &[(1, Age)]);
        check(&runs, (30, 2, 1024), &[(1, Age), (2, Count)]);
        check(&runs, (30, 100, 12), &[(1, Age), (2, Size)]);
        check(&runs, (365, 100, 0), &[(1, Size), (2, Size), (3, Size), (4, Size)]);
        check(&runs, (u64::MAX, 0, u64::MAX), &[(1, Count), (2, Count), (3, Count), (4, Count)]);
        // A run in progress counts and stays.
        check(&[(5, 40, true), (5, 1, false), (5, 1, false)], (30, 1, 1024), &[(2, Count), (3, Count)]);
        check(&[], (0, 0, 0), &[]);
    }
}
