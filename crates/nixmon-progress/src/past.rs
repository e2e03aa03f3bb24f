//! An earlier run of the same build, as a measure of this one.

use std::collections::HashMap;
use std::time::Duration;

/// A file of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastUnit {
    /// The package, target or crate.
    pub package: Option<String>,
    /// The file, as [`Finished`](crate::Finished) named it.
    pub file: String,
    /// The time from the run's begin to the file's.
    pub started: Duration,
    /// Duration of the file.
    pub elapsed: Duration,
}

/// A file with its share of the run's time.
#[derive(Clone, Debug)]
struct Share {
    package: Option<String>,
    file: String,
    started: f64,
    elapsed: f64,
    /// Seconds of the run's time that are this file's: of a moment in which two files ran each has half.
    own: f64,
    /// Seconds before it in which no file ran: a link, a generator, a test.
    gap: f64,
}

/// An earlier run, with the time of the whole divided among its files.
///
/// Time between files (links, generators) is not in a history of files; it is given to the file that came next, which
/// waited for it.
#[derive(Clone, Debug)]
pub struct Past {
    shares: Vec<Share>,
    elapsed: f64,
    by_name: HashMap<String, Vec<usize>>,
}

impl Past {
    /// Divides the time of a run among its files. Returns nothing for a run without files or time.
    pub fn new(elapsed: Duration, units: impl IntoIterator<Item = PastUnit>) -> Option<Self> {
        let mut shares: Vec<Share> = units
            .into_iter()
            .map(|unit| Share {
                package: unit.package,
                file: unit.file,
                started: unit.started.as_secs_f64(),
                elapsed: unit.elapsed.as_secs_f64(),
                own: 0.0,
                gap: 0.0,
            })
            .collect();
        shares.sort_by(|a, b| a.started.total_cmp(&b.started).then_with(|| a.file.cmp(&b.file)));
        let elapsed = elapsed.as_secs_f64();
        if shares.is_empty() || elapsed <= 0.0 {
            return None;
        }
        divide(&mut shares);
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, share) in shares.iter().enumerate() {
            by_name.entry(base_name(&share.file).to_owned()).or_default().push(at);
        }
        Some(Self { shares, elapsed, by_name })
    }

    /// Returns the duration of the run.
    pub fn duration(&self) -> Duration {
        crate::weights::duration(self.elapsed)
    }

    /// Returns the files of the run, in the order of their begins.
    pub fn units(&self) -> impl Iterator<Item = PastUnit> {
        self.shares.iter().map(|share| PastUnit {
            package: share.package.clone(),
            file: share.file.clone(),
            started: crate::weights::duration(share.started),
            elapsed: crate::weights::duration(share.elapsed),
        })
    }

    /// Returns how many files the run had.
    pub fn n_files(&self) -> usize {
        self.shares.len()
    }

    /// Finds a file. A package that only one of the two names is no difference.
    fn find(&self, package: Option<&str>, file: &str) -> Option<usize> {
        let candidates = self.by_name.get(base_name(file))?;
        let fits = |at: &&usize| match (package, self.shares.get(**at).and_then(|s| s.package.as_deref())) {
            (Some(now), Some(past)) => now == past,
            _ => true,
        };
        let ends_alike = |at: &usize| {
            let past = self.shares.get(*at).map_or("", |share| share.file.as_str());
            let parts = past.rsplit('/').zip(file.rsplit('/'));
            parts.take_while(|(past, now)| past == now).count()
        };
        candidates.iter().filter(fits).max_by_key(|at| (ends_alike(at), std::cmp::Reverse(**at))).copied()
    }

    /// Returns the seconds of the run's time that are a file's own.
    pub(crate) fn own(&self, package: Option<&str>, file: &str) -> Option<f64> {
        Some(self.shares.get(self.find(package, file)?)?.own)
    }

    /// Returns the seconds of the run's time in which no file ran.
    pub(crate) fn between(&self) -> f64 {
        (self.elapsed - self.shares.iter().map(|share| share.own).sum::<f64>()).max(0.0)
    }

    /// Returns how long a file took.
    pub fn elapsed(&self, package: Option<&str>, file: &str) -> Option<Duration> {
        let share = self.shares.get(self.find(package, file)?)?;
        Some(crate::weights::duration(share.elapsed))
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Divides time among files: each moment among those that run then, or to the next one's gap.
fn divide(shares: &mut [Share]) {
    let mut edges: Vec<(f64, bool, usize)> = Vec::with_capacity(shares.len() * 2);
    for (at, share) in shares.iter().enumerate() {
        edges.push((share.started, true, at));
        edges.push((share.started + share.elapsed, false, at));
    }
    // Ends before begins of the same moment.
    edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut running: Vec<usize> = Vec::new();
    let mut last = 0.0;
    for (time, begins, at) in edges {
        let passed = time - last;
        if running.is_empty() {
            if let Some(share) = shares.get_mut(at).filter(|_| begins) {
                share.gap += passed;
            }
        } else {
            let part = passed / running.len() as f64;
            for at in &running {
                if let Some(share) = shares.get_mut(*at) {
                    share.own += part;
                }
            }
        }
        last = time;
        if begins {
            running.push(at);
        } else {
            running.retain(|other| *other != at);
        }
    }
}

/// The state of a file in the run that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Begun,
    Ended,
}

/// The position of a run on the earlier run's time.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    past: Past,
    states: Vec<State>,
    /// The first file that has not begun, in the order of the earlier run.
    next: usize,
    /// Seconds of the earlier run that are done.
    done: f64,
    /// The moment of the last event.
    at: f64,
    n_seen: usize,
    n_found: usize,
}

/// Seconds that the pace of the earlier run counts for beside this one's.
const CONFIDENCE: f64 = 10.0;
/// Share of a step that is at most taken as done before it has ended.
const MOST: f64 = 0.97;
/// Files that are looked at before a past that does not fit is given up, and the share of them that must be in it.
const N_TRIED: usize = 10;
const SHARE_FOUND: f64 = 0.6;

impl Timeline {
    pub(crate) fn new(past: Past) -> Self {
        let states = vec![State::Waiting; past.shares.len()];
        Self { past, states, next: 0, done: 0.0, at: 0.0, n_seen: 0, n_found: 0 }
    }

    pub(crate) fn past(&self) -> &Past {
        &self.past
    }

    /// Returns whether the earlier run is of the same files.
    pub(crate) fn fits(&self) -> bool {
        self.n_seen < N_TRIED || self.n_found as f64 >= SHARE_FOUND * self.n_seen as f64
    }

    pub(crate) fn begin(&mut self, package: Option<&str>, file: &str, now: f64) {
        self.n_seen += 1;
        let Some(at) = self.past.find(package, file) else { return };
        self.n_found += 1;
        self.begin_at(at, now);
    }

    fn begin_at(&mut self, at: usize, now: f64) {
        if let Some(state) = self.states.get_mut(at).filter(|state| **state == State::Waiting) {
            *state = State::Begun;
            self.done += self.past.shares.get(at).map_or(0.0, |share| share.gap);
            self.at = now;
            while self.states.get(self.next).is_some_and(|state| *state != State::Waiting) {
                self.next += 1;
            }
        }
    }

    pub(crate) fn end(&mut self, package: Option<&str>, file: &str, now: f64) {
        let Some(at) = self.past.find(package, file) else {
            self.n_seen += 1;
            return;
        };
        if self.states.get(at) == Some(&State::Waiting) {
            self.n_seen += 1;
            self.n_found += 1;
            self.begin_at(at, now);
        }
        if let Some(state) = self.states.get_mut(at).filter(|state| **state == State::Begun) {
            *state = State::Ended;
            self.done += self.past.shares.get(at).map_or(0.0, |share| share.own);
            self.at = now;
        }
    }

    /// Returns the seconds of the earlier run in one second of this one.
    fn pace(&self) -> f64 {
        (self.done + CONFIDENCE) / (self.at + CONFIDENCE)
    }

    /// Returns the share of the run that is done, from 0 to 1.
    pub(crate) fn share(&self, now: f64) -> f64 {
        let passed = (now - self.at).max(0.0) * self.pace();
        // What may pass without an event: the rest of the files that run, else the gap before the next one; where only
        // ends are printed, the next file, too.
        let running: f64 = self
            .states
            .iter()
            .zip(&self.past.shares)
            .filter(|(state, _)| **state == State::Begun)
            .map(|(_, share)| share.own)
            .sum();
        let room = if running > 0.0 {
            running
        } else {
            match self.past.shares.get(self.next) {
                Some(next) => next.gap + next.own,
                None => self.past.elapsed - self.done,
            }
        };
        let done = self.done + passed.min(MOST * room.max(0.0));
        (done / self.past.elapsed).clamp(0.0, 1.0)
    }

    /// Returns the expected time to the end.
    pub(crate) fn remaining(&self, now: f64) -> f64 {
        (1.0 - self.share(now)) * self.past.elapsed / self.pace().max(0.05)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(file: &str, started: u64, elapsed: u64) -> PastUnit {
        PastUnit {
            package: Some("p".to_owned()),
            file: file.to_owned(),
            started: Duration::from_secs(started),
            elapsed: Duration::from_secs(elapsed),
        }
    }

    #[test]
    fn time_is_divided_among_files() {
        // a and b share 10 seconds, then a link of 70, then c.
        let past = Past::new(
            Duration::from_secs(100),
            [unit("/a.c", 0, 10), unit("/b.c", 0, 10), unit("/c.c", 80, 20)],
        )
        .unwrap();
        let mut timeline = Timeline::new(past);
        timeline.end(Some("p"), "a.c", 10.0);
        assert!((timeline.share(10.0) - 0.05).abs() < 1e-9);
        timeline.end(Some("p"), "b.c", 10.0);
        assert!((timeline.share(10.0) - 0.10).abs() < 1e-9);
        // The link goes on without a line.
        assert!((timeline.share(45.0) - 0.45).abs() < 1e-9, "{}", timeline.share(45.0));
        timeline.begin(Some("p"), "c.c", 80.0);
        assert!((timeline.share(80.0) - 0.80).abs() < 1e-9);
        timeline.end(Some("p"), "c.c", 100.0);
        assert!((timeline.share(100.0) - 1.0).abs() < 1e-9);
        assert!(timeline.fits());
    }

    #[test]
    fn another_projects_past_does_not_fit() {
        let past = Past::new(Duration::from_secs(100), [unit("/a.c", 0, 10)]).unwrap();
        let mut timeline = Timeline::new(past);
        for n in 0..20 {
            timeline.begin(Some("q"), &format!("x{n}.c"), f64::from(n));
        }
        assert!(!timeline.fits());
    }
}
