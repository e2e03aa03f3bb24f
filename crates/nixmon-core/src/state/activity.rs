//! Activities that are under way.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::ids::{DerivationId, PathId};
use super::process::Counter;

/// Meaning of an activity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A build of ours, or a remote machine's report of one.
    Build(DerivationId),
    /// A build that another machine reports from inside a request, beside the one of ours.
    InnerBuild(DerivationId),
    /// A path that a substituter has.
    Substitute(PathId),
    /// The copy of such a path.
    SubstituteCopy(PathId),
    /// The download of such a path.
    Download(PathId),
    /// A path that `nix copy` fetches.
    Fetch(PathId),
    /// A path that `nix copy` sends.
    Upload(PathId),
    /// A path on its way to or from a build machine.
    MachineCopy,
    /// A request.
    Realise,
    /// The counter of a request's builds.
    Builds(Counter),
    /// The counter of the builds that another machine reports from inside a request.
    InnerBuilds(Counter),
    /// The counter of a request's paths.
    CopyPaths(Counter),
    /// The hook that follows a build.
    Hook(DerivationId),
    /// A build that waits.
    Waiting(DerivationId),
    /// A part of the evaluation that has a text.
    Evaluation,
    /// Anything else.
    Other,
}

/// An activity that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activity {
    pub(super) kind: Kind,
    pub(super) parent: u64,
}

/// More activities than this are not followed; Nix runs some hundreds at once.
pub(super) const MAX_ACTIVITIES: usize = 1 << 20;

/// Activities by Nix's id.
#[derive(Debug, Default)]
pub(super) struct Activities(HashMap<u64, Activity, RandomState>);

impl Activities {
    pub(super) fn get(&self, id: u64) -> Option<Activity> {
        self.0.get(&id).copied()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Activity> {
        self.0.get_mut(&id)
    }

    /// Returns whether there is room for an activity with this id.
    pub(super) fn has_room(&self, id: u64) -> bool {
        self.0.len() < MAX_ACTIVITIES || self.0.contains_key(&id)
    }

    /// Returns what had this id before and has never ended.
    pub(super) fn insert(&mut self, id: u64, activity: Activity) -> Option<Activity> {
        self.0.insert(id, activity)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Activity> {
        self.0.remove(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Ids and kinds, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Kind)> {
        self.0.iter().map(|(id, activity)| (*id, activity.kind))
    }

    /// Returns the kinds, in no order.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0.values().map(|activity| activity.kind)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a chain of parents leads to an activity for which `matches` holds. A parent may have ended before.
    pub(super) fn has_ancestor(&self, mut parent: u64, matches: impl Fn(Kind) -> bool) -> bool {
        // Hostile input can make a cycle.
        for _ in 0..8 {
            match self.0.get(&parent) {
                Some(activity) if matches(activity.kind) => return true,
                Some(activity) if activity.parent != 0 => parent = activity.parent,
                _ => return false,
            }
        }
        false
    }
}
