//! What to show: a borrowed look at the state at one moment.
//!
//! Chooses and counts; how it reads is for `render` to say.

mod evidence;
mod stalls;
mod tree;

pub use evidence::{Evidence, ServiceLog};
pub use stalls::{Prompt, Stall, StallOptions, Stalled, source_host, stalls};
pub use tree::{Blockers, Node, Row, Tree, TreeOptions, tree};

use crate::state::{Derivation, DerivationId, DerivationState, Moment, PathState, State, StorePathInfo};

/// A look at the state at one moment.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The state.
    pub state: &'a State,
    /// The moment.
    pub now: Moment,
}

/// Builds in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Builds {
    /// Built.
    pub built: usize,
    /// Wanted, if that is known: Nix has announced it.
    pub total: Option<usize>,
    /// Running, or ended without Nix having said how.
    pub running: usize,
    /// Waiting for a lock, a machine or a build user.
    pub waiting: usize,
    /// Failed by themselves.
    pub failed: usize,
    /// Impossible because of a failure, as far as Nix has said.
    pub skipped: usize,
    /// Started by a line of text, whose end is never told.
    pub endless: usize,
}

/// Store paths in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetches {
    /// Arrived.
    pub done: usize,
    /// To arrive in all, if that is known: Nix has announced it.
    pub total: Option<usize>,
    /// On their way.
    pub running: usize,
    /// Bytes that have arrived.
    pub bytes: u64,
    /// Bytes that were announced; 0 where nothing was.
    pub total_bytes: u64,
    /// Bytes per second of late.
    pub rate: u64,
}

impl<'a> View<'a> {
    /// The state at a moment.
    pub fn new(state: &'a State, now: Moment) -> Self {
        Self { state, now }
    }

    /// Builds in numbers.
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

    /// Store paths in numbers.
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

    /// The builds that run, the longest first.
    pub fn running(&self) -> Vec<(DerivationId, &'a Derivation)> {
        let mut running: Vec<_> = self.state.derivations().building().collect();
        running.sort_by_key(|(id, derivation)| (derivation.started, *id));
        running
    }

    /// The transfers under way, the one that has had no bytes for the longest time first.
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
