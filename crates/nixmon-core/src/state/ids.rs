//! The numbers of derivations, store paths and root causes. They are given in the order in which the stream names things.

use petgraph::graph::NodeIndex;

/// A derivation of this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DerivationId(pub(super) NodeIndex);

impl DerivationId {
    /// Returns its number, from 0.
    pub fn index(self) -> usize {
        self.0.index()
    }
}

/// A store path of this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub(super) u32);

/// A root cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureId(pub(super) usize);
