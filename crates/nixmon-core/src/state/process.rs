//! Which of the builds that end were built, told from the counters that Nix keeps for each process.
//!
//! The end of an activity says nothing about success. But before a build's activity ends, Nix counts it: `done` or
//! `failed` of the process's `builds` activity (104) goes up while `running` goes down, in all versions from 2.4 on.
//! Those that were killed are not counted. Transfers are counted in the same way (103).

use std::collections::VecDeque;

use super::ids::{DerivationId, PathId};

/// The upper half of an activity's id: the process that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pid(u64);

impl Pid {
    /// Stands for all processes beyond [`MAX_PROCESSES`]; no id has it.
    pub(super) const FURTHER: Self = Self(u64::MAX);

    pub(super) fn of(activity: u64) -> Self {
        Self(activity >> 32)
    }
}

/// An end as the counters tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credit {
    Done,
    Failed,
}

/// One counter activity: done, expected, running, failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    done: u64,
    running: u64,
    failed: u64,
}

/// More than this are never open at once.
pub(super) const MAX_CREDITS: usize = 4096;
/// Processes beyond this share one entry: a stream of so many commands is none that one person reads, and an error may
/// look at all of them.
pub(super) const MAX_PROCESSES: usize = 1 << 10;
/// Builds and paths of a process that wait for something: the oldest are forgotten beyond this.
pub(super) const MAX_OPEN: usize = 4096;

/// Ends that were counted and whose activity has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Credits {
    open: VecDeque<Credit>,
    /// Failures that a message has named before Nix counted them, which some versions do always and all do for builds on
    /// other machines.
    owed: u64,
}

impl Credits {
    /// Compares the counter's new values with its old ones. Returns how many ends there was no room for.
    pub(super) fn update(&mut self, counter: &mut Counter, done: u64, running: u64, failed: u64) -> u64 {
        // A goal that was no build of its own (a resolved content-addressed derivation, an output that turned out to be
        // valid) is counted without having run.
        let mut ended = counter.running.saturating_sub(running);
        let mut dropped = 0;
        for (credit, gained) in [
            (Credit::Done, done.saturating_sub(counter.done)),
            (Credit::Failed, failed.saturating_sub(counter.failed)),
        ] {
            let counted = gained.min(ended);
            ended -= counted;
            let settled = if credit == Credit::Failed { counted.min(self.owed) } else { 0 };
            self.owed -= settled;
            let open = counted - settled;
            let credited = open.min((MAX_CREDITS - self.open.len()) as u64);
            dropped += open - credited;
            self.open.extend(std::iter::repeat_n(credit, usize::try_from(credited).unwrap_or(0)));
        }
        *counter = Counter { done, running, failed };
        dropped
    }

    /// Returns the number of open ends.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The end of the next activity.
    pub(super) fn take(&mut self) -> Option<Credit> {
        self.open.pop_front()
    }

    /// Settles a failure that Nix has named while its activity is open: it was counted already, or will be.
    pub(super) fn name_failure(&mut self) {
        match self.open.iter().position(|credit| *credit == Credit::Failed) {
            Some(at) => drop(self.open.remove(at)),
            None => self.owed += 1,
        }
    }

    /// Expects no more counts than there are open activities of failures that were named.
    pub(super) fn expect_at_most(&mut self, n_open: u64) {
        self.owed = self.owed.min(n_open);
    }

    /// Takes a counted success, if there is one.
    pub(super) fn take_success(&mut self) -> bool {
        let found = self.open.iter().position(|credit| *credit == Credit::Done);
        found.is_some_and(|at| self.open.remove(at).is_some())
    }
}

/// Knowledge about one process of Nix's.
#[derive(Debug)]
pub(super) struct Process {
    /// Number of processes that were seen before it.
    pub(super) number: usize,
    pub(super) builds: Credits,
    /// The same for builds that another machine reports from inside a request.
    pub(super) inner_builds: Credits,
    /// Open activities of builds that a message has named as failed.
    pub(super) named_open: u64,
    /// Builds that ended without a count.
    pub(super) uncounted: VecDeque<DerivationId>,
    pub(super) paths: Credits,
    /// Builds that ended and were counted as failed, and that no message has named yet.
    pub(super) unnamed: VecDeque<DerivationId>,
    /// Paths that ended without being counted yet.
    pub(super) undecided: VecDeque<PathId>,
    /// Copies that have begun and whose download has not.
    pub(super) copies: VecDeque<PathId>,
    /// True if its builds are counted at all.
    pub(super) counts_builds: bool,
    /// True if its paths are.
    pub(super) counts_paths: bool,
    /// Counters of paths that are open.
    pub(super) open_counters: u32,
    /// Requests that are being worked on.
    pub(super) realising: u32,
    /// Its last activity that ended was a request: an error that follows is that request's.
    pub(super) realised_last: bool,
}

impl Process {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            builds: Credits::default(),
            inner_builds: Credits::default(),
            named_open: 0,
            uncounted: VecDeque::new(),
            paths: Credits::default(),
            unnamed: VecDeque::new(),
            undecided: VecDeque::new(),
            copies: VecDeque::new(),
            counts_builds: false,
            counts_paths: false,
            open_counters: 0,
            realising: 0,
            realised_last: false,
        }
    }
}

/// Adds at the end; beyond [`MAX_OPEN`] the oldest is forgotten. Returns how many were.
pub(super) fn push_bounded<T>(open: &mut VecDeque<T>, item: T) -> u64 {
    let full = open.len() >= MAX_OPEN;
    if full {
        open.pop_front();
    }
    open.push_back(item);
    u64::from(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counter values as Nix sends them, then what the ends of activities are taken for.
    fn check(values: &[[u64; 4]], expected: &[Option<Credit>]) {
        let (mut counter, mut credits) = (Counter::default(), Credits::default());
        for [done, _, running, failed] in values {
            credits.update(&mut counter, *done, *running, *failed);
        }
        let taken: Vec<_> = expected.iter().map(|_| credits.take()).collect();
        assert_eq!(taken, expected, "{values:?}");
    }

    #[test]
    fn ends_are_told_from_counters() {
        use Credit::{Done, Failed};
        // 2.34.8: one failure and two successes counted before the activities end.
        check(
            &[[0, 9, 4, 3], [0, 8, 3, 4], [1, 9, 2, 4], [2, 10, 1, 4]],
            &[Some(Failed), Some(Done), Some(Done), None],
        );
        // A resolved content-addressed derivation is counted twice and ran once.
        check(&[[1, 4, 1, 0], [2, 4, 0, 0], [3, 4, 0, 0]], &[Some(Done), None]);
        // The expected count shrinks; nothing ended.
        check(&[[0, 11, 4, 0], [0, 5, 4, 0]], &[None]);
        // Extremes.
        check(&[[0, 0, u64::MAX, 0], [u64::MAX, 0, 0, u64::MAX]], &[Some(Done)]);
    }
}
