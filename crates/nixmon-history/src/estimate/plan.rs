//! The plan of a run: its derivations and downloads, their dependencies, and how far each one is.

use std::collections::HashMap;

use crate::name::DrvName;

/// The number of a node within its [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a builder within its [`Plan`]; 0 is the machine on which Nix runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId(pub u32);

impl MachineId {
    /// The machine on which Nix runs.
    pub const LOCAL: MachineId = MachineId(0);
}

/// A machine that builds.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The name under which the history knows the machine.
    pub name: String,
    /// The number of builds that it takes at once.
    pub slots: u32,
    /// The systems that it builds for; empty means any.
    pub systems: Vec<String>,
}

/// The work of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A derivation to be built.
    Build {
        /// The digest of the derivation, if it is known.
        drv: Option<String>,
        /// The system it is built for, if it is known.
        system: Option<String>,
    },
    /// Store paths to be fetched.
    Download {
        /// The compressed size, if it is known.
        bytes: Option<u64>,
        /// The bytes that have arrived.
        received: u64,
    },
}

/// The stage of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stage {
    /// It has not begun.
    #[default]
    Queued,
    /// It has been running since `since_ms`.
    Running {
        /// The moment at which it began, in milliseconds of the run.
        since_ms: u64,
        /// The machine on which it runs.
        machine: MachineId,
    },
    /// It has ended well, or was there already.
    Done {
        /// The moment at which it began.
        start_ms: u64,
        /// The moment at which it ended.
        stop_ms: u64,
        /// The machine on which it ran.
        machine: MachineId,
    },
    /// It has failed. What depends on it is never built.
    Failed,
    /// It needs no work: it is valid already, or nothing waits for it any more.
    Absent,
}

/// One derivation or download.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The name, in its two parts.
    pub name: DrvName,
    /// The work to be done.
    pub work: Work,
    /// The nodes that must be done before.
    pub deps: Vec<NodeId>,
    /// The stage.
    pub stage: Stage,
    /// The share of the work that is done as the build itself reports it, from 0 to 1.
    pub progress: Option<f64>,
}

/// All that is known of a run's work at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The builders; the first is the machine on which Nix runs, with `max-jobs` slots.
    pub machines: Vec<Machine>,
    /// The cores each build may use (`cores` of Nix).
    pub cores: u32,
    /// The number of downloads at once (`max-substitution-jobs`).
    pub downloads_at_once: u32,
    /// The measured rate of all downloads together, in bytes per second.
    pub download_rate: Option<f64>,
    /// The addresses of the caches from which something comes now. Where no rate was measured yet, their past tells it.
    pub caches: Vec<String>,
    nodes: Vec<Node>,
    revision: u64,
}

impl Plan {
    /// Makes an empty plan for a machine called `host` with `max_jobs` slots.
    pub fn new(host: &str, max_jobs: u32, cores: u32) -> Self {
        let local = Machine { name: host.to_owned(), slots: max_jobs, systems: Vec::new() };
        Plan {
            machines: vec![local],
            cores,
            downloads_at_once: 16,
            download_rate: None,
            caches: Vec::new(),
            nodes: Vec::new(),
            revision: 0,
        }
    }

    /// Adds a derivation that is to be built.
    pub fn build(&mut self, name: &str, drv: Option<&str>, system: Option<&str>) -> NodeId {
        let work = Work::Build { drv: drv.map(str::to_owned), system: system.map(str::to_owned) };
        self.push(name, work)
    }

    /// Adds a store path that is to be fetched.
    pub fn download(&mut self, name: &str, bytes: Option<u64>) -> NodeId {
        self.push(name, Work::Download { bytes, received: 0 })
    }

    fn push(&mut self, name: &str, work: Work) -> NodeId {
        self.revision += 1;
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let name = DrvName::parse(name);
        self.nodes.push(Node { name, work, deps: Vec::new(), stage: Stage::Queued, progress: None });
        id
    }

    /// Notes that `node` needs `dependency` first. An unknown number is ignored.
    pub fn depends(&mut self, node: NodeId, dependency: NodeId) {
        if node == dependency || dependency.index() >= self.nodes.len() {
            return;
        }
        if let Some(node) = self.nodes.get_mut(node.index()) {
            node.deps.push(dependency);
            self.revision += 1;
        }
    }

    /// Notes the stage of a node. An unknown number is ignored.
    pub fn set(&mut self, node: NodeId, stage: Stage) {
        let node = self.nodes.get_mut(node.index());
        if let Some(node) = node.filter(|node| node.stage != stage) {
            node.stage = stage;
            self.revision += 1;
        }
    }

    /// Notes the bytes of a download that have arrived. An unknown number, and a build's, is ignored.
    pub fn received(&mut self, node: NodeId, bytes: u64) {
        if let Some(Node { work: Work::Download { received, .. }, .. }) = self.nodes.get_mut(node.index()) {
            *received = bytes;
        }
    }

    /// Notes the size of a download and its bytes that have arrived. An unknown number, and a build's, is ignored.
    pub fn set_bytes(&mut self, node: NodeId, size: Option<u64>, arrived: u64) {
        if let Some(Node { work: Work::Download { bytes, received }, .. }) = self.nodes.get_mut(node.index())
        {
            (*bytes, *received) = (size, arrived);
        }
    }

    /// Notes how far a build says it is, from 0 to 1.
    pub fn progress(&mut self, node: NodeId, share: Option<f64>) {
        if let Some(node) = self.nodes.get_mut(node.index()) {
            node.progress = share.filter(|share| (0.0..=1.0).contains(share));
        }
    }

    /// Returns the nodes in the order in which they were added.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// Returns the numbers of all nodes.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    /// Returns a number that changes with every change that can change an estimate.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the builds whose digest, package name and version the history is asked for, in order and each once.
    pub fn wanted(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .nodes
            .iter()
            .filter(|n| matches!(n.work, Work::Build { .. }))
            .map(|n| n.name.pname.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns, for each node, if it will still take time: neither done nor absent, nor behind a failure.
    pub fn open(&self) -> Vec<bool> {
        let mut open: Vec<bool> =
            self.nodes.iter().map(|n| matches!(n.stage, Stage::Queued | Stage::Running { .. })).collect();
        let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut dead: Vec<usize> = Vec::new();
        let failed = |n: &Node| n.stage == Stage::Failed;
        if !self.nodes.iter().any(failed) {
            return open;
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if failed(node) {
                dead.push(i);
            }
            for dep in &node.deps {
                users.entry(dep.index()).or_default().push(i);
            }
        }
        while let Some(i) = dead.pop() {
            for &user in users.get(&i).into_iter().flatten() {
                if open[user] && self.nodes[user].stage == Stage::Queued {
                    open[user] = false;
                    dead.push(user);
                }
            }
        }
        open
    }
}
