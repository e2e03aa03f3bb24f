//! Derivations: one state each, counters on the side, and the graph between them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use petgraph::Direction;
use petgraph::graph::DiGraph;

use super::ids::{DerivationId, FailureId};
use super::inside::Scope;
use super::log_tail::LogTail;
use super::{Dropped, Moment};
use nixmon_log::nix::store_path;

/// State of a derivation. Exactly one holds at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DerivationState {
    /// Named, and not known to be wanted: another one's input, the subject of a message.
    #[default]
    Unknown,
    /// Announced, not begun.
    Planned,
    /// Ready, but a lock, a machine or a build user is missing.
    Waiting,
    /// A builder runs.
    Building,
    /// Its activity has ended and Nix has not said yet how.
    Ended,
    /// Its outputs became valid by a build.
    Built,
    /// It failed by itself.
    Failed,
    /// It was started and stopped.
    Cancelled,
    /// It cannot be built because another one failed.
    Skipped,
}

impl DerivationState {
    const ALL: usize = 9;

    /// The name in JSON lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Planned => "planned",
            Self::Waiting => "waiting",
            Self::Building => "building",
            Self::Ended => "ended",
            Self::Built => "built",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// One derivation.
#[derive(Debug)]
pub struct Derivation {
    /// Its path in the store.
    pub path: Arc<str>,
    /// Its state, which only [`Derivations::set`] changes.
    state: DerivationState,
    /// When it was started last.
    pub started: Option<Moment>,
    /// When it ended.
    pub ended: Option<Moment>,
    /// The build phase it is in or ended in.
    pub phase: Option<Box<str>>,
    /// When that phase began.
    pub phase_started: Option<Moment>,
    /// The machine it is built on, if it is another one.
    pub machine: Option<Box<str>>,
    /// The lock or machine that it waits for.
    pub waiting_for: Option<Box<str>>,
    /// When it began to wait.
    pub waiting_since: Option<Moment>,
    /// Its builder has printed something since it was started, as far as records say.
    pub has_printed: bool,
    /// Its log, while it is needed.
    pub log: Option<Box<LogTail>>,
    /// Its files and packages, while it is being built and its tools print them.
    pub(super) inside: Option<Box<Scope>>,
    /// Its failure.
    pub failure: Option<FailureId>,
    /// Activities that build it now: more than one where a remote machine reports its own.
    pub(super) activities: u32,
    /// Those of its activities whose failure a message has named.
    pub(super) named: u32,
    /// Started by a line of text, which has no end.
    pub(super) human: bool,
    /// True if the driver has been asked for its file.
    pub(super) asked: bool,
    /// True if its file was read.
    is_read: bool,
}

impl Derivation {
    fn new(path: Arc<str>) -> Self {
        Self {
            path,
            state: DerivationState::Unknown,
            started: None,
            ended: None,
            phase: None,
            phase_started: None,
            machine: None,
            waiting_for: None,
            waiting_since: None,
            has_printed: false,
            log: None,
            inside: None,
            failure: None,
            activities: 0,
            named: 0,
            human: false,
            asked: false,
            is_read: false,
        }
    }

    /// Returns the state.
    pub fn state(&self) -> DerivationState {
        self.state
    }

    /// Its name without digest and `.drv`.
    pub fn name(&self) -> &str {
        store_path::derivation_name(&self.path).unwrap_or(&self.path)
    }

    /// Returns whether it was started by a line of text, whose end is never told.
    pub fn is_endless(&self) -> bool {
        self.human
    }

    /// Returns the time that it has been running, or ran.
    pub fn elapsed(&self, now: Moment) -> Moment {
        self.started.map_or(Moment::ZERO, |from| self.ended.unwrap_or(now).saturating_sub(from))
    }

    /// Returns the time that it has been running, or ran, if its end is known. Text only reports beginnings and failures.
    pub fn known_elapsed(&self, now: Moment) -> Option<Moment> {
        let is_known =
            !self.human || matches!(self.state, DerivationState::Building | DerivationState::Failed);
        is_known.then(|| self.elapsed(now))
    }

    /// When its builder was last heard of.
    pub fn last_heard(&self) -> Option<Moment> {
        let log = self.log.as_ref().map(|log| log.last_at);
        log.max(self.phase_started).max(self.started)
    }
}

/// Number of derivations in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([usize; DerivationState::ALL]);

impl StateCounts {
    /// Returns the number in a state.
    pub fn get(&self, state: DerivationState) -> usize {
        self.0[state as usize]
    }

    /// Returns the number that is wanted: all whose state is known.
    pub fn wanted(&self) -> usize {
        self.0.iter().sum::<usize>() - self.get(DerivationState::Unknown)
    }
}

/// Derivations beyond this share one entry.
pub(super) const MAX_DERIVATIONS: usize = 1 << 20;
/// Edges of the graph, and outputs that are known, beyond this are not kept.
pub(super) const MAX_EDGES: usize = 1 << 23;
/// The name of that entry.
const FURTHER: &str = "further derivations";

/// All derivations of a stream.
#[derive(Debug, Default)]
pub struct Derivations {
    /// An edge goes from a derivation to one of its inputs.
    graph: DiGraph<Derivation, ()>,
    by_path: HashMap<Arc<str>, DerivationId, RandomState>,
    by_output: HashMap<Box<str>, DerivationId, RandomState>,
    /// The content-addressed derivation that another one was resolved to.
    resolved: HashMap<Box<str>, DerivationId, RandomState>,
    counts: StateCounts,
    /// Those that are building, so that a look at them costs nothing where there are many others.
    building: BTreeSet<DerivationId>,
    revision: u64,
    /// The last of each name that was started, once somebody has asked.
    started: Option<HashMap<Box<str>, DerivationId, RandomState>>,
    dropped: Dropped,
}

impl Derivations {
    /// The derivation with this path, made if it is new.
    pub fn get_or_insert(&mut self, whole: &str) -> DerivationId {
        let path = &whole[..whole.floor_char_boundary(store_path::MAX_LEN)];
        if let Some(id) = self.find(path) {
            return id;
        }
        if self.graph.node_count() + 1 >= MAX_DERIVATIONS && path != FURTHER {
            self.dropped.derivations += 1;
            return self.get_or_insert(FURTHER);
        }
        let cut = path.len() < whole.len();
        let path: Arc<str> = path.into();
        let id = DerivationId(self.graph.add_node(Derivation::new(Arc::clone(&path))));
        self.by_path.insert(path, id);
        self.dropped.paths_cut += u64::from(cut);
        self.counts.0[DerivationState::Unknown as usize] += 1;
        id
    }

    /// The derivation with this path.
    pub fn find(&self, path: &str) -> Option<DerivationId> {
        let path = &path[..path.floor_char_boundary(store_path::MAX_LEN)];
        self.by_path.get(path).or_else(|| self.resolved.get(path)).copied()
    }

    /// The derivation that makes this path, if its file was read.
    pub fn find_by_output(&self, path: &str) -> Option<DerivationId> {
        self.by_output.get(path).copied()
    }

    /// Records that building `path` means building another derivation, which content addressing made of it.
    pub fn resolve(&mut self, path: &str, resolved: &str) {
        let resolved = &resolved[..resolved.floor_char_boundary(store_path::MAX_LEN)];
        if path == resolved || self.by_path.contains_key(resolved) {
            return;
        }
        if self.resolved.len() < MAX_DERIVATIONS {
            let id = self.get_or_insert(path);
            self.resolved.insert(resolved.into(), id);
        } else {
            self.dropped.derivations += 1;
        }
    }

    /// Returns one of them.
    pub fn get(&self, id: DerivationId) -> &Derivation {
        &self.graph[id.0]
    }

    pub(super) fn get_mut(&mut self, id: DerivationId) -> &mut Derivation {
        &mut self.graph[id.0]
    }

    /// Moves one to another state and keeps the counters right.
    pub(super) fn set(&mut self, id: DerivationId, state: DerivationState) {
        let derivation = &mut self.graph[id.0];
        self.counts.0[derivation.state as usize] -= 1;
        self.counts.0[state as usize] += 1;
        if derivation.state == DerivationState::Building {
            self.building.remove(&id);
        }
        if state == DerivationState::Building {
            self.building.insert(id);
        }
        derivation.state = state;
        self.revision += 1;
    }

    /// Wants no longer what was announced and has not begun.
    pub(super) fn forget_planned(&mut self) {
        let counts = self.counts;
        if counts.get(DerivationState::Planned) + counts.get(DerivationState::Waiting) == 0 {
            return;
        }
        let is_open = |state| matches!(state, DerivationState::Planned | DerivationState::Waiting);
        let open: Vec<_> = self.iter().filter(|(_, d)| is_open(d.state)).map(|(id, _)| id).collect();
        for id in open {
            self.set(id, DerivationState::Unknown);
        }
    }

    /// Takes note of one that was started at a time.
    pub(super) fn start(&mut self, id: DerivationId, at: Moment) {
        self.get_mut(id).started = Some(at);
        if let Some(mut started) = self.started.take() {
            self.note_started(&mut started, id);
            self.started = Some(started);
        }
    }

    fn note_started(&self, started: &mut HashMap<Box<str>, DerivationId, RandomState>, id: DerivationId) {
        let when = |id| (self.get(id).started, id);
        let name = self.get(id).name();
        match started.get_mut(name) {
            Some(last) if when(*last) < when(id) => *last = id,
            Some(_) => {}
            None => drop(started.insert(name.into(), id)),
        }
    }

    /// The one that was started last of those whose output may have this name: the derivation's own or, after a dash,
    /// that of an output. The longest name counts.
    pub(super) fn started_with_name(&mut self, name: &str) -> Option<DerivationId> {
        // Most streams never ask. Those that do may ask as often as there are derivations.
        let started = self.started.take().unwrap_or_else(|| {
            let mut started = HashMap::default();
            let ids = self.iter().filter(|(_, derivation)| derivation.started.is_some()).map(|(id, _)| id);
            for id in ids {
                self.note_started(&mut started, id);
            }
            started
        });
        let ends = std::iter::once(name.len()).chain(memchr::memrchr_iter(b'-', name.as_bytes()));
        let found = ends.filter_map(|end| started.get(&name[..end])).next().copied();
        self.started = Some(started);
        found
    }

    /// Those that are building, in the order in which the stream named them.
    pub fn building(&self) -> impl Iterator<Item = (DerivationId, &Derivation)> {
        self.building.iter().map(|id| (*id, self.get(*id)))
    }

    /// Passes on the inside of each build in progress, with its log.
    pub(super) fn look_inside(&mut self, mut look: impl FnMut(&mut Scope, Option<&LogTail>)) {
        let Self { graph, building, .. } = self;
        for id in building.iter() {
            let Some(derivation) = graph.node_weight_mut(id.0) else { continue };
            if let Some(scope) = &mut derivation.inside {
                look(scope, derivation.log.as_deref());
            }
        }
    }

    /// A number that grows with every change of a state or of the graph.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the losses to the limits.
    pub(super) fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Returns the number of edges and of outputs.
    pub(super) fn extent(&self) -> (usize, usize) {
        (self.graph.edge_count(), self.by_output.len())
    }

    /// Returns the number in each state.
    pub fn counts(&self) -> StateCounts {
        self.counts
    }

    /// The counts made anew from the states, to hold the counters against.
    pub fn recount(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        for derivation in self.graph.node_weights() {
            counts.0[derivation.state as usize] += 1;
        }
        counts
    }

    /// All of them, in the order in which the stream named them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (DerivationId, &Derivation)> {
        self.graph.node_indices().map(|node| (DerivationId(node), &self.graph[node]))
    }

    /// Records what a derivation's file says; a file does not change, so the first time counts.
    pub(super) fn add_inputs(&mut self, id: DerivationId, inputs: &[String], outputs: &[String]) {
        if std::mem::replace(&mut self.graph[id.0].is_read, true) {
            return;
        }
        self.revision += 1;
        let mut seen = HashSet::with_capacity_and_hasher(inputs.len() + 1, RandomState::default());
        seen.insert(id);
        for input in inputs {
            if self.graph.edge_count() >= MAX_EDGES {
                self.dropped.graph += 1;
                continue;
            }
            let input = self.get_or_insert(input);
            if seen.insert(input) {
                self.graph.add_edge(id.0, input.0, ());
            }
        }
        for output in outputs {
            if self.by_output.len() < MAX_EDGES && output.len() <= store_path::MAX_LEN {
                self.by_output.insert(output.as_str().into(), id);
            } else {
                self.dropped.graph += 1;
            }
        }
    }

    /// The derivations that it needs.
    pub fn inputs(&self, id: DerivationId) -> impl Iterator<Item = DerivationId> {
        self.graph.neighbors_directed(id.0, Direction::Outgoing).map(DerivationId)
    }

    /// The derivations that need it.
    pub fn dependents(&self, id: DerivationId) -> impl Iterator<Item = DerivationId> {
        self.graph.neighbors_directed(id.0, Direction::Incoming).map(DerivationId)
    }

    /// The wanted derivations that cannot be built without it, directly or not, and are not built.
    pub fn blocked_by(&self, id: DerivationId) -> Vec<DerivationId> {
        let mut seen = vec![false; self.graph.node_count()];
        let mut todo = vec![id];
        let mut blocked = Vec::new();
        while let Some(next) = todo.pop() {
            for dependent in self.dependents(next) {
                if std::mem::replace(&mut seen[dependent.index()], true) || dependent == id {
                    continue;
                }
                let state = self.get(dependent).state;
                if !matches!(state, DerivationState::Unknown | DerivationState::Built) {
                    blocked.push(dependent);
                }
                todo.push(dependent);
            }
        }
        blocked.sort_unstable();
        blocked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATES: [DerivationState; DerivationState::ALL] = [
        DerivationState::Unknown,
        DerivationState::Planned,
        DerivationState::Waiting,
        DerivationState::Building,
        DerivationState::Ended,
        DerivationState::Built,
        DerivationState::Failed,
        DerivationState::Cancelled,
        DerivationState::Skipped,
    ];

    proptest! {
        #[test]
        fn what_is_kept_on_the_side_is_what_the_states_say(
            steps in proptest::collection::vec((0..8_u8, 0..STATES.len()), 0..60),
        ) {
            let mut derivations = Derivations::default();
            for (name, state) in steps {
                let id = derivations.get_or_insert(&format!("/nix/store/{name}.drv"));
                derivations.set(id, STATES[state]);
                prop_assert_eq!(derivations.counts(), derivations.recount());
                let building: Vec<_> = derivations.building().map(|(id, _)| id).collect();
                let recounted: Vec<_> = derivations
                    .iter()
                    .filter(|(_, derivation)| derivation.state() == DerivationState::Building)
                    .map(|(id, _)| id)
                    .collect();
                prop_assert_eq!(building, recounted);
            }
        }
    }
}
