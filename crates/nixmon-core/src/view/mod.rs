//! Views: borrowed looks at the state at one moment.
//!
//! A view chooses and counts; `render` puts it into words.

mod evidence;
mod stalls;
mod tree;

pub use evidence::{Evidence, ServiceLog, StepLog};
pub use stalls::{Prompt, Stall, StallOptions, Stalled, source_host, stalls};
pub use tree::{Blockers, Node, Row, Tree, TreeOptions, tree};

use std::time::Duration;

use crate::state::{Derivation, DerivationId, DerivationState, Moment, PathState, State, StorePathInfo};

/// A look at the state at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The state.
    pub state: &'a State,
    /// The moment.
    pub now: Moment,
}

/// Times after which something is reported as slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A build is named once it has been running for this long.
    pub slow: Duration,
    /// A builder is called quiet once it has printed nothing for this long. That is normal for linkers and test suites.
    pub quiet: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { slow: Duration::from_secs(10), quiet: Duration::from_secs(180) }
    }
}

/// Numbers of builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Builds {
    /// Builds that succeeded.
    pub built: usize,
    /// Wanted builds, if Nix has announced them.
    pub total: Option<usize>,
    /// Builds in progress, or ended with an unknown result.
    pub running: usize,
    /// Builds that wait for a lock, a machine or a build user.
    pub waiting: usize,
    /// Builds that failed by themselves.
    pub failed: usize,
    /// Builds that a failure makes impossible, as far as Nix has said.
    pub skipped: usize,
    /// Builds announced by a line of text, whose end is never announced.
    pub endless: usize,
}

/// Numbers of store paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetches {
    /// Paths that arrived.
    pub done: usize,
    /// All paths to fetch, if Nix has announced them.
    pub total: Option<usize>,
    /// Paths being fetched.
    pub running: usize,
    /// Bytes that have arrived.
    pub bytes: u64,
    /// Bytes that were announced; 0 if nothing was.
    pub total_bytes: u64,
    /// Current rate in bytes per second.
    pub rate: u64,
}

impl<'a> View<'a> {
    /// Makes a view of the state at a moment.
    pub fn new(state: &'a State, now: Moment) -> Self {
        Self { state, now }
    }

    /// Counts builds.
    pub fn builds(&self) -> Builds {
        let counts = self.state.derivations().counts();
        let get = |state| counts.get(state);
        Builds {
            built: get(DerivationState::Built),
            total: self.state.builds_announced().then(|| counts.wanted()),
            running: get(DerivationState::Building) + get(DerivationState::Ended),
            waiting: get(DerivationState::Waiting),
            failed: get(DerivationState::Failed),
            skipped: get(DerivationState::Skipped),
            endless: self.state.endless_builds(),
        }
    }

    /// Counts store paths.
    pub fn fetches(&self) -> Fetches {
        let transfers = self.state.transfers();
        Fetches {
            done: transfers.count(PathState::Fetched) + transfers.count(PathState::Ended),
            total: (transfers.announced.paths > 0 || transfers.count(PathState::Planned) > 0)
                .then(|| transfers.wanted()),
            running: transfers.count(PathState::Fetching),
            bytes: transfers.bytes(),
            total_bytes: transfers.announced.download,
            rate: transfers.rate(self.now),
        }
    }

    /// Lists the builds in progress, the longest first.
    pub fn running(&self) -> Vec<(DerivationId, &'a Derivation)> {
        let mut running: Vec<_> = self.state.derivations().building().collect();
        running.sort_by_key(|(id, derivation)| (derivation.started, *id));
        running
    }

    /// Lists the downloads in progress, the one without data for the longest time first.
    pub fn fetching(&self) -> Vec<&'a StorePathInfo> {
        let mut fetching: Vec<_> = self
            .state
            .transfers()
            .moving()
            .map(|(_, path)| path)
            .filter(|path| path.state() == PathState::Fetching)
            .collect();
        fetching.sort_by_key(|path| path.last_bytes.or(path.started));
        fetching
    }
}
