//! The plan of a run as changes to it, so that an estimator on another thread keeps it up to date.

use std::collections::BTreeSet;

use nixmon_core::state::{DerivationId, DerivationState, Moment, PathState, Phase, State};
use nixmon_core::wire::millis;
use nixmon_history::estimate::{Machine, MachineId, NodeId, Plan, Stage};
use nixmon_history::name::drv_parts;

/// A change of the plan.
#[derive(Clone, Debug)]
pub(super) enum Update {
    /// The next node: a derivation.
    Build { name: Box<str>, drv: Option<Box<str>> },
    /// The next node: all downloads together.
    Downloads,
    /// One needs another.
    Depends(u32, u32),
    /// A node's stage; the machine is a number of the mirror.
    Stage(u32, Stage),
    /// The next machine.
    Machine(Box<str>),
    /// Builds that a machine was seen to run at once.
    Slots(u32, u32),
    /// The bytes of all downloads: announced, and arrived.
    Bytes(u32, Option<u64>, u64),
}

/// All that an estimator is told of a moment.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Moment,
    pub(super) updates: Vec<Update>,
    pub(super) phase: Phase,
    pub(super) phase_since: Moment,
    pub(super) rate: Option<f64>,
    /// The caches from which something comes now.
    pub(super) caches: Vec<String>,
    /// Builds were announced by lines of text, which do not say when one ends.
    pub(super) endless: bool,
}

/// The counterpart of a derivation.
#[derive(Clone, Copy, Debug)]
struct Twin {
    node: u32,
    stage: Stage,
    /// Its inputs were told.
    linked: bool,
}

/// The state as it was told last.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// By the number of the derivation.
    twins: Vec<Option<Twin>>,
    /// The derivation of each node; `None` for downloads.
    nodes: Vec<Option<DerivationId>>,
    revision: Option<u64>,
    downloads: Option<(u32, Stage, Option<u64>, u64)>,
    /// Other machines, with the most builds that each ran at once.
    machines: Vec<(Box<str>, u32)>,
    pending: Vec<Update>,
}

impl Mirror {
    /// Returns the derivation behind a node.
    pub(super) fn derivation(&self, node: NodeId) -> Option<DerivationId> {
        self.nodes.get(node.0 as usize).copied().flatten()
    }

    /// Returns the number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Takes what has changed since the last look.
    pub(super) fn look(&mut self, state: &State, at: Moment) -> Look {
        let derivations = state.derivations();
        if self.revision != Some(derivations.revision()) {
            self.revision = Some(derivations.revision());
            self.update(state, at);
        }
        self.update_downloads(state, at);
        let rate = state.transfers().rate(at);
        Look {
            at,
            updates: std::mem::take(&mut self.pending),
            phase: state.phase(),
            phase_since: state.phase_since(),
            rate: (rate > 0).then_some(rate as f64),
            caches: caches(state),
            endless: state.endless_builds() > 0,
        }
    }

    /// Takes back a look that could not be delivered.
    pub(super) fn take_back(&mut self, look: Look) {
        let newer = std::mem::replace(&mut self.pending, look.updates);
        self.pending.extend(newer);
    }

    fn update(&mut self, state: &State, at: Moment) {
        let derivations = state.derivations();
        self.twins.resize(derivations.iter().len(), None);
        let mut running = vec![0u32; self.machines.len() + 1];
        for (id, derivation) in derivations.iter() {
            let twin = match self.twins[id.index()] {
                Some(twin) => twin,
                None if derivation.state() == DerivationState::Unknown => continue,
                None => self.insert(state, id),
            };
            let machine = derivation.machine.as_deref().map_or(0, |uri| self.machine(uri));
            running.resize(self.machines.len() + 1, 0);
            let stage = stage_of(derivation, MachineId(machine), at);
            if matches!(stage, Stage::Running { .. }) {
                running[machine as usize] += 1;
            }
            if stage != twin.stage {
                self.pending.push(Update::Stage(twin.node, stage));
            }
            let linked = twin.linked || self.link(state, id, twin.node);
            self.twins[id.index()] = Some(Twin { stage, linked, ..twin });
        }
        for (i, n) in running.into_iter().enumerate().skip(1) {
            let seen = &mut self.machines[i - 1].1;
            if n > *seen {
                *seen = n;
                self.pending.push(Update::Slots(i as u32, n));
            }
        }
    }

    fn insert(&mut self, state: &State, id: DerivationId) -> Twin {
        let derivation = state.derivations().get(id);
        let node = self.nodes.len() as u32;
        self.nodes.push(Some(id));
        self.pending.push(Update::Build {
            name: derivation.name().into(),
            drv: drv_parts(&derivation.path).map(|(digest, _)| digest.into()),
        });
        let twin = Twin { node, stage: Stage::Queued, linked: false };
        self.twins[id.index()] = Some(twin);
        // Those that need it may have been told before it was wanted.
        for dependent in state.derivations().dependents(id) {
            if let Some(Some(Twin { node: user, linked: true, .. })) = self.twins.get(dependent.index()) {
                self.pending.push(Update::Depends(*user, node));
            }
        }
        twin
    }

    /// Tells the inputs of a derivation whose file was read.
    fn link(&mut self, state: &State, id: DerivationId, node: u32) -> bool {
        let mut any = false;
        for input in state.derivations().inputs(id) {
            any = true;
            if let Some(Some(input)) = self.twins.get(input.index()) {
                self.pending.push(Update::Depends(node, input.node));
            }
        }
        any
    }

    fn machine(&mut self, uri: &str) -> u32 {
        let at = self.machines.iter().position(|(known, _)| **known == *uri).unwrap_or_else(|| {
            self.machines.push((uri.into(), 0));
            self.pending.push(Update::Machine(machine_name(uri).into()));
            self.machines.len() - 1
        });
        at as u32 + 1
    }

    fn update_downloads(&mut self, state: &State, at: Moment) {
        let transfers = state.transfers();
        let wanted = transfers.wanted();
        if wanted == 0 {
            return;
        }
        let arrived = transfers.count(PathState::Fetched) + transfers.count(PathState::Failed);
        let bytes = Some(transfers.announced.download).filter(|bytes| *bytes > 0);
        let machine = MachineId::LOCAL;
        let (node, before) = match self.downloads {
            Some((node, stage, ..)) => (node, stage),
            None => {
                self.pending.push(Update::Downloads);
                self.nodes.push(None);
                (self.nodes.len() as u32 - 1, Stage::Queued)
            }
        };
        let stage = match before {
            _ if arrived >= wanted => Stage::Done { start_ms: 0, stop_ms: millis(at), machine },
            Stage::Running { .. } => before,
            _ if transfers.count(PathState::Fetching) > 0 => Stage::Running { since_ms: millis(at), machine },
            _ => Stage::Queued,
        };
        if stage != before {
            self.pending.push(Update::Stage(node, stage));
        }
        let now = (node, stage, bytes, transfers.bytes());
        if self.downloads != Some(now) {
            self.pending.push(Update::Bytes(node, bytes, transfers.bytes()));
        }
        self.downloads = Some(now);
    }
}

/// Returns the caches from which something comes now, each once.
fn caches(state: &State) -> Vec<String> {
    let from = state.transfers().moving().filter(|(_, path)| path.state() == PathState::Fetching);
    let from: BTreeSet<&str> = from.filter_map(|(_, path)| path.from.as_deref()).collect();
    from.into_iter().map(str::to_owned).collect()
}

fn stage_of(derivation: &nixmon_core::state::Derivation, machine: MachineId, at: Moment) -> Stage {
    let start_ms = millis(derivation.started.unwrap_or(at));
    match derivation.state() {
        DerivationState::Planned | DerivationState::Waiting => Stage::Queued,
        DerivationState::Building => Stage::Running { since_ms: start_ms, machine },
        DerivationState::Ended | DerivationState::Built => match derivation.started {
            // Another process has built it.
            None => Stage::Absent,
            Some(_) => {
                let stop_ms = millis(derivation.ended.unwrap_or(at)).max(start_ms);
                Stage::Done { start_ms, stop_ms, machine }
            }
        },
        DerivationState::Failed => Stage::Failed,
        DerivationState::Unknown | DerivationState::Cancelled | DerivationState::Skipped => Stage::Absent,
    }
}

/// Returns the host of a store URI such as `ssh-ng://root@builder?…`.
pub(super) fn machine_name(uri: &str) -> &str {
    let uri = uri.split('?').next().unwrap_or(uri);
    uri.split_once("://").map_or(uri, |(_, host)| host.rsplit_once('@').map_or(host, |(_, host)| host))
}

/// Brings a plan up to date.
pub(super) fn apply(plan: &mut Plan, updates: Vec<Update>, system: &str) {
    for update in updates {
        match update {
            Update::Build { name, drv } => drop(plan.build(&name, drv.as_deref(), Some(system))),
            Update::Downloads => drop(plan.download("downloads", None)),
            Update::Depends(node, on) => plan.depends(NodeId(node), NodeId(on)),
            Update::Stage(node, stage) => plan.set(NodeId(node), stage),
            Update::Machine(name) => {
                plan.machines.push(Machine { name: name.into(), slots: 0, systems: Vec::new() });
            }
            Update::Slots(machine, slots) => {
                if let Some(machine) = plan.machines.get_mut(machine as usize) {
                    machine.slots = slots;
                }
            }
            Update::Bytes(node, bytes, received) => plan.set_bytes(NodeId(node), bytes, received),
        }
    }
}
