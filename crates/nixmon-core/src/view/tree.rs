//! The tree of a live view: failures and builds in progress, below the derivations that need them.
//!
//! The work depends on the number of running builds and of rows, not on the number of derivations.

use std::collections::{BTreeMap, BTreeSet};

use super::View;
use crate::state::{Derivation, DerivationId, DerivationState, Moment, PathId};

/// The room for a tree, and counts from earlier trees.
#[derive(Debug)]
pub struct TreeOptions<'a> {
    /// Largest number of rows.
    pub rows: usize,
    /// Show the derivations above as well. A narrow terminal has no room to indent names.
    pub ancestors: bool,
    /// Numbers of derivations that each build blocks.
    pub blockers: &'a mut Blockers,
}

/// The rows of a live view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The rows from top to bottom.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// One entry per level from the root's children to this row: true for the last child.
    pub last: Vec<bool>,
    /// Derivations between this one and the row above it in the tree are left out.
    pub indirect: bool,
    /// The content of the row.
    pub node: Node,
}

/// The content of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A derivation that fails, runs, waits for a lock or a machine, or needs one that does.
    Derivation {
        /// The derivation.
        id: DerivationId,
        /// Number of wanted derivations that wait for it, directly or not; 0 for ancestors of the chosen ones.
        blocks: usize,
    },
    /// A path being transferred.
    Path(PathId),
    /// The rest that there is no room for.
    More {
        /// Number of running builds.
        running: usize,
        /// Number of paths being transferred.
        moving: usize,
    },
}

/// Numbers of derivations that each build blocks. Counting is costly in a large graph, so they are kept for some seconds.
#[derive(Clone, Debug, Default)]
pub struct Blockers(BTreeMap<DerivationId, Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    blocks: usize,
    revision: u64,
    at: Moment,
}

/// A count is reused for this long, even if the graph has changed since.
const RECOUNT: Moment = Moment::from_secs(2);
/// Largest number of levels above a derivation: a chain of dependencies can be as long as the whole graph.
const MAX_CHAIN: usize = 64;
/// Largest number of rows for failures, which have already been shown in full.
const MAX_FAILED: usize = 4;
/// Largest number of rows for builds announced by lines of text. They may have ended long ago, so only the newest are shown.
const MAX_ENDLESS: usize = 3;

impl Blockers {
    fn get(&mut self, view: &View<'_>, id: DerivationId) -> usize {
        let derivations = view.state.derivations();
        let revision = derivations.revision();
        if let Some(known) = self.0.get(&id)
            && (known.revision == revision || view.now.saturating_sub(known.at) < RECOUNT)
        {
            return known.blocks;
        }
        let blocks = derivations.blocked_by(id).len();
        self.0.insert(id, Known { blocks, revision, at: view.now });
        blocks
    }

    /// Forgets the counts of derivations that are not shown.
    fn keep(&mut self, shown: &BTreeSet<DerivationId>) {
        self.0.retain(|id, _| shown.contains(id));
    }
}

/// Chooses the rows of a tree.
///
/// If there are more builds than rows, those that have run longest are shown, so that a row stays until its build has
/// ended. The order is that in which the stream named derivations, which does not change either.
pub fn tree(view: &View<'_>, options: TreeOptions<'_>) -> Tree {
    let TreeOptions { rows, ancestors: deep, blockers } = options;
    let failed = failed(view);
    let running = running(view);
    let moving: Vec<PathId> = view.state.transfers().moving().map(|(id, _)| id).collect();
    if rows == 0 {
        return Tree::default();
    }
    let n_failed = failed.len().min(MAX_FAILED).min((rows / 4).max(usize::from(running.is_empty())));
    let fewest_moving = moving.len().min((rows / 4).max(usize::from(running.len() < rows)));
    let n_running = running.len().min(rows.saturating_sub(n_failed + fewest_moving));
    // Besides builds, paths leave room for the derivations that need the builds.
    let most_moving =
        if running.is_empty() { rows } else { (rows / 3).max(rows.saturating_sub(2 * running.len() + 2)) };
    let n_moving = moving.len().min(most_moving).min(rows.saturating_sub(n_failed + n_running));
    let (mut n_running, mut n_moving) = (n_running, n_moving);
    let is_more = |n_running, n_moving| n_running < running.len() || n_moving < moving.len();
    // The row that counts the rest takes the place of one of them.
    if is_more(n_running, n_moving) && rows >= 3 && n_failed + n_running + n_moving == rows {
        if n_moving > 1 || n_running == 0 { n_moving -= 1 } else { n_running -= 1 }
    }
    let mut shown: BTreeSet<DerivationId> = failed.iter().rev().take(n_failed).copied().collect();
    shown.extend(running.iter().take(n_running).copied());
    let counted = shown.clone();
    let more = is_more(n_running, n_moving) && n_failed + n_running + n_moving < rows;
    let room = rows.saturating_sub(shown.len() + n_moving + usize::from(more));
    let mut parents = Parents::default();
    if deep {
        shown.extend(ancestors(view, &counted, room.min(counted.len() + 2), &mut parents));
    }
    blockers.keep(&counted);
    let mut tree = Tree { rows: arrange(view, &shown, &mut parents) };
    for row in &mut tree.rows {
        if let Node::Derivation { id, blocks } = &mut row.node
            && counted.contains(id)
        {
            *blocks = blockers.get(view, *id);
        }
    }
    let flat = |node| Row { last: Vec::new(), indirect: false, node };
    tree.rows.extend(chosen_paths(view, &moving, n_moving).into_iter().map(|id| flat(Node::Path(id))));
    if more {
        let (running, moving) = (running.len() - n_running, moving.len() - n_moving);
        tree.rows.push(flat(Node::More { running, moving }));
    }
    tree
}

/// Lists failed derivations in the order of their failures.
fn failed(view: &View<'_>) -> Vec<DerivationId> {
    let mut seen = BTreeSet::new();
    let failed = view.state.failures().filter_map(|(_, failure)| failure.derivation);
    let state = |id: &DerivationId| view.state.derivations().get(*id).state();
    failed.filter(|id| state(id) == DerivationState::Failed && seen.insert(*id)).collect()
}

/// Lists running builds, the longest first.
fn running(view: &View<'_>) -> Vec<DerivationId> {
    let key = |(id, derivation): &(DerivationId, &Derivation)| (derivation.started, *id);
    let (endless, mut running): (Vec<_>, Vec<_>) =
        view.state.derivations().building().partition(|(_, derivation)| derivation.is_endless());
    running.sort_by_key(key);
    let mut endless = endless;
    endless.sort_by_key(key);
    let derivations = view.state.derivations();
    // A build begins when its inputs are there.
    let is_needed_by_begun =
        |id: DerivationId| derivations.dependents(id).any(|other| derivations.get(other).started.is_some());
    let newest = endless.into_iter().rev().filter(|(id, _)| !is_needed_by_begun(*id));
    let mut newest: Vec<_> = newest.take(MAX_ENDLESS).collect();
    newest.reverse();
    running.into_iter().chain(newest).map(|(id, _)| id).collect()
}

/// Chooses the transfers that started first, in the order of the stream.
fn chosen_paths(view: &View<'_>, moving: &[PathId], n: usize) -> Vec<PathId> {
    let mut chosen = moving.to_vec();
    if n < chosen.len() {
        let transfers = view.state.transfers();
        chosen.sort_by_key(|id| (transfers.get(*id).started, *id));
        chosen.truncate(n);
        chosen.sort_unstable();
    }
    chosen
}

/// Parents of derivations in the tree, as far as they were looked up.
#[derive(Debug, Default)]
struct Parents(BTreeMap<DerivationId, Option<DerivationId>>);

impl Parents {
    /// Returns the derivation below which this one is shown: among the unbuilt ones that need it, the one that the stream
    /// named first. Nix names derivations in the order in which it will build them, so this one is built next.
    fn of(&mut self, view: &View<'_>, id: DerivationId) -> Option<DerivationId> {
        let derivations = view.state.derivations();
        *self.0.entry(id).or_insert_with(|| {
            let wanted = |other: &DerivationId| {
                let state = derivations.get(*other).state();
                *other != id && !matches!(state, DerivationState::Unknown | DerivationState::Built)
            };
            derivations.dependents(id).filter(wanted).min()
        })
    }

    /// Lists the ancestors, nearest first. Ends where a hostile graph has a cycle.
    fn chain(&mut self, view: &View<'_>, id: DerivationId) -> Vec<DerivationId> {
        let mut chain = Vec::new();
        let mut at = id;
        while let Some(parent) = self.of(view, at) {
            if parent == id || chain.contains(&parent) || chain.len() == MAX_CHAIN {
                break;
            }
            chain.push(parent);
            at = parent;
        }
        chain
    }
}

/// Chooses ancestors of `shown`: first the roots, then the joints of branches, then direct parents.
fn ancestors(
    view: &View<'_>,
    shown: &BTreeSet<DerivationId>,
    room: usize,
    parents: &mut Parents,
) -> BTreeSet<DerivationId> {
    let mut roots = BTreeMap::<DerivationId, usize>::new();
    let mut below = BTreeMap::<DerivationId, BTreeSet<DerivationId>>::new();
    let mut nearest = Vec::new();
    for id in shown {
        let chain = parents.chain(view, *id);
        if let Some(root) = chain.last() {
            *roots.entry(*root).or_default() += 1;
        }
        nearest.extend(chain.first().copied());
        let mut child = *id;
        for parent in chain {
            below.entry(parent).or_default().insert(child);
            child = parent;
        }
    }
    let mut roots: Vec<_> = roots.into_iter().collect();
    roots.sort_by_key(|(id, n)| (std::cmp::Reverse(*n), *id));
    let mut joints: Vec<_> =
        below.iter().filter(|(_, children)| children.len() > 1).map(|(id, c)| (c.len(), *id)).collect();
    joints.sort_by_key(|(n, id)| (std::cmp::Reverse(*n), *id));
    let mut chosen = BTreeSet::new();
    let candidates = roots.into_iter().map(|(id, _)| id).chain(joints.into_iter().map(|(_, id)| id));
    for id in candidates.chain(nearest) {
        if chosen.len() == room {
            break;
        }
        if !shown.contains(&id) {
            chosen.insert(id);
        }
    }
    chosen
}

/// Puts each derivation below its nearest ancestor that is shown.
fn arrange(view: &View<'_>, shown: &BTreeSet<DerivationId>, parents: &mut Parents) -> Vec<Row> {
    let mut children = BTreeMap::<Option<DerivationId>, Vec<(DerivationId, bool)>>::new();
    for id in shown {
        let chain = parents.chain(view, *id);
        let above = chain.iter().position(|parent| shown.contains(parent));
        let parent = above.and_then(|at| chain.get(at)).copied();
        let indirect = above.is_some_and(|at| at > 0);
        children.entry(parent).or_default().push((*id, indirect));
    }
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo: Vec<(DerivationId, bool, Vec<bool>)> = Vec::new();
    // Derivations of a cycle have no root; they come last, as roots.
    let roots = children.get(&None).cloned().unwrap_or_default();
    let rest = shown.iter().map(|id| (*id, false));
    for (root, indirect) in roots.into_iter().chain(rest) {
        todo.push((root, indirect, Vec::new()));
        while let Some((id, indirect, last)) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            let below = children.get(&Some(id)).map(Vec::as_slice).unwrap_or_default();
            let n_below = below.len();
            for (i, (child, indirect)) in below.iter().enumerate().rev() {
                let mut levels = last.clone();
                levels.push(i + 1 == n_below);
                todo.push((*child, *indirect, levels));
            }
            rows.push(Row { last, indirect, node: Node::Derivation { id, blocks: 0 } });
        }
    }
    rows
}
