//! The fleet as this hub sees it: connections of agents, the hosts at the moment, and the work that is due from time to time.
//!
//! Everything is in the engine, so any hub may do any of this: each looks at what has changed, sends what is for the agents that are
//! connected to it, and keeps nothing that another one would miss.

#![expect(clippy::disallowed_methods, reason = "work is due by the clock")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nixmon_fleet::{Beat, FromHub, HostState, Refusal, host_state};
use nixmon_runs::clock::unix_ms;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::engine::{Command, Engine, EngineError, Host, HostId, Kept};

/// Shortest time between two looks at what has changed.
const PACE: Duration = Duration::from_millis(250);
/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two collections of signs of life.
const BEATS: Duration = Duration::from_millis(200);
/// Time between two looks at what has expired.
const DUE: Duration = Duration::from_secs(2);
/// Time between two removals of what is too old.
const SWEEP: Duration = Duration::from_secs(600);
/// Messages that wait for an agent; one that is slower is disconnected.
const PENDING: usize = 64;
/// Agents that are connected at once.
const MAX_AGENTS: usize = 20_000;
/// Time in which the agent of a host has to come for a command, in milliseconds.
pub(crate) const EXPIRES_MS: u64 = 10 * 60 * 1000;

/// The hosts at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// Rises with each change.
    pub(crate) version: u64,
    /// The hosts by their keys.
    pub(crate) hosts: BTreeMap<HostId, Arc<Host>>,
    /// The version in which each has changed last.
    pub(crate) changed: BTreeMap<HostId, u64>,
}

/// Returns the state of a host at a time by the clock of the hub.
pub(crate) fn state_of(host: &Host, now: u64) -> HostState {
    match host.seen_at {
        Some(at) => host_state(&host.beat, Duration::from_millis(now.saturating_sub(at))),
        None => HostState::Offline,
    }
}

/// The connection of an agent.
#[derive(Debug)]
struct Connection {
    number: u64,
    instance: String,
    store: String,
    is_single_run: bool,
    watched: Vec<u64>,
    sender: mpsc::Sender<FromHub>,
}

/// The fleet as this hub sees it.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) engine: Engine,
    /// Identifies the data.
    pub(crate) identity: String,
    /// Agents that may still connect.
    pub(crate) room: Arc<Semaphore>,
    connections: Mutex<BTreeMap<HostId, Vec<Connection>>>,
    numbers: AtomicU64,
    beats: mpsc::Sender<(HostId, Beat, u64)>,
    hosts: watch::Receiver<Arc<Hosts>>,
}

impl Fleet {
    /// Begins to look. The tasks end with the fleet.
    ///
    /// # Errors
    ///
    /// If the engine fails.
    pub(crate) async fn start(engine: Engine, kept: Kept) -> Result<Arc<Self>, EngineError> {
        let identity = engine.identity().await?;
        let (beats, coming) = mpsc::channel(4096);
        let (sender, hosts) = watch::channel(Arc::default());
        let fleet = Arc::new(Self {
            engine: engine.clone(),
            identity,
            room: Arc::new(Semaphore::new(MAX_AGENTS)),
            connections: Mutex::default(),
            numbers: AtomicU64::new(1),
            beats,
            hosts,
        });
        tokio::spawn(keep_beats(engine, coming));
        let mut look = Look { kept, ..Look::default() };
        look.look(&fleet, &sender).await?;
        tokio::spawn(look.go_on(Arc::downgrade(&fleet), sender));
        Ok(fleet)
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<HostId, Vec<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the hosts at the moment.
    pub(crate) fn hosts(&self) -> Arc<Hosts> {
        Arc::clone(&self.hosts.borrow())
    }

    /// Returns the hosts as they change.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Hosts>> {
        self.hosts.clone()
    }

    /// Returns the number of agents that are connected to this hub.
    pub(crate) fn n_connections(&self) -> usize {
        self.connections().values().map(Vec::len).sum()
    }

    /// Keeps a sign of life, soon.
    pub(crate) async fn beat(&self, host: HostId, beat: Beat) {
        let _ = self.beats.send((host, beat, unix_ms())).await;
    }

    /// Takes the connection of an agent, in the place of an older one of the same host. Returns what is for it, and the number of the
    /// connection.
    pub(crate) fn connect(
        &self,
        host: HostId,
        instance: &str,
        store: &str,
        is_single_run: bool,
    ) -> (u64, mpsc::Receiver<FromHub>) {
        let (sender, receiver) = mpsc::channel(PENDING);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let connection = Connection {
            number,
            instance: instance.to_owned(),
            store: store.to_owned(),
            is_single_run,
            watched: Vec::new(),
            sender,
        };
        let mut connections = self.connections();
        let of_host = connections.entry(host).or_default();
        if !is_single_run {
            of_host.retain(|old| old.is_single_run || !old.replaced());
        }
        of_host.push(connection);
        (number, receiver)
    }

    /// Forgets a connection.
    pub(crate) fn disconnect(&self, host: HostId, number: u64) {
        let mut connections = self.connections();
        if let Some(of_host) = connections.get_mut(&host) {
            of_host.retain(|connection| connection.number != number);
            if of_host.is_empty() {
                connections.remove(&host);
            }
        }
    }

    /// Returns whether the agent of a host, which is no single run, is connected here.
    fn has_agent(&self, host: HostId) -> bool {
        self.connections().get(&host).is_some_and(|of_host| of_host.iter().any(|one| !one.is_single_run))
    }

    /// Sends a message to the agent of a host, if it is connected here.
    fn send(&self, host: HostId, message: &FromHub) {
        if let Some(of_host) = self.connections().get_mut(&host) {
            // One that takes nothing any more is disconnected, and hears of it when it comes again.
            of_host.retain(|one| one.is_single_run || one.sender.try_send(message.clone()).is_ok());
        }
    }
}

impl Connection {
    /// Says that another connection has taken its place. Returns true.
    fn replaced(&self) -> bool {
        let message = "another process of the agent of this host has come".to_owned();
        let _ = self.sender.try_send(FromHub::Refused(Refusal { message, is_final: false }));
        true
    }
}

/// Keeps signs of life, many in one transaction.
async fn keep_beats(engine: Engine, mut coming: mpsc::Receiver<(HostId, Beat, u64)>) {
    let mut beats = Vec::new();
    while coming.recv_many(&mut beats, 4096).await > 0 {
        if let Err(error) = engine.beats(std::mem::take(&mut beats)).await {
            // The next ones come in ten seconds.
            tracing::warn!(%error, "signs of life cannot be kept");
        }
        tokio::time::sleep(BEATS).await;
    }
}

/// The places up to which changes are known, and the times of the last work.
#[derive(Debug, Default)]
struct Look {
    kept: Kept,
    hosts: Option<i64>,
    commands: Option<i64>,
    due: Option<Instant>,
    swept: Option<Instant>,
}

impl Look {
    async fn go_on(mut self, fleet: std::sync::Weak<Fleet>, sender: watch::Sender<Arc<Hosts>>) {
        let Some(mut doorbell) = fleet.upgrade().map(|fleet| fleet.engine.doorbell()) else { return };
        loop {
            tokio::time::sleep(PACE).await;
            doorbell.mark_unchanged();
            {
                let Some(fleet) = fleet.upgrade() else { return };
                if let Err(error) = self.look(&fleet, &sender).await {
                    tracing::warn!(%error, "the hosts cannot be looked at");
                }
                if let Err(error) = self.work(&fleet, &sender).await {
                    tracing::warn!(%error, "work that is due cannot be done");
                }
            }
            let _ = tokio::time::timeout(LOOK - PACE, doorbell.changed()).await;
        }
    }

    async fn look(&mut self, fleet: &Fleet, sender: &watch::Sender<Arc<Hosts>>) -> Result<(), EngineError> {
        let changes = fleet.engine.hosts(self.hosts).await?;
        let before = fleet.hosts();
        let is_news = |host: &Host| before.hosts.get(&host.id).is_none_or(|known| **known != *host);
        let news: Vec<Host> = changes.items.into_iter().filter(is_news).collect();
        if !news.is_empty() {
            let mut next = (*before).clone();
            next.version += 1;
            for host in news {
                self.newer_process(fleet, &host);
                next.changed.insert(host.id, next.version);
                next.hosts.insert(host.id, Arc::new(host));
            }
            sender.send_replace(Arc::new(next));
        }
        self.hosts = Some(changes.next);
        let changes = fleet.engine.changed_commands(self.commands).await?;
        for command in changes.items.iter().filter(|command| !command.state.has_ended()) {
            self.push(fleet, command).await?;
        }
        self.commands = Some(changes.next);
        self.watched(fleet).await
    }

    /// Disconnects an agent whose newer process is connected to another hub.
    fn newer_process(&self, fleet: &Fleet, host: &Host) {
        let mut connections = fleet.connections();
        if let Some(of_host) = connections.get_mut(&host.id) {
            of_host.retain(|one| one.is_single_run || one.instance == host.instance || !one.replaced());
        }
    }

    async fn push(&self, fleet: &Fleet, command: &Command) -> Result<(), EngineError> {
        if !fleet.has_agent(command.host) {
            return Ok(());
        }
        for open in fleet.engine.send_commands(command.host, unix_ms()).await? {
            fleet.send(open.host, &FromHub::Command(open.request()));
            if open.is_stop_asked {
                fleet.send(open.host, &FromHub::Stop { id: open.id });
            }
        }
        Ok(())
    }

    /// Tells agents which of their runs somebody looks at.
    async fn watched(&self, fleet: &Fleet) -> Result<(), EngineError> {
        let mut watched: BTreeMap<HostId, Vec<(String, u64)>> = BTreeMap::new();
        for (host, store, run) in fleet.engine.watched(unix_ms()).await? {
            watched.entry(host).or_default().push((store, run));
        }
        for (host, of_host) in fleet.connections().iter_mut() {
            let of_store = watched.get(host).map(Vec::as_slice).unwrap_or_default();
            for connection in of_host {
                let in_store = |(store, _): &&(String, u64)| *store == connection.store;
                let runs: Vec<u64> = of_store.iter().filter(in_store).map(|(_, run)| *run).collect();
                if runs != connection.watched
                    && connection.sender.try_send(FromHub::Watched { runs: runs.clone() }).is_ok()
                {
                    connection.watched = runs;
                }
            }
        }
        Ok(())
    }

    /// Does what is due: commands that expire, batches that go on, removal of what is too old.
    async fn work(&mut self, fleet: &Fleet, sender: &watch::Sender<Arc<Hosts>>) -> Result<(), EngineError> {
        if self.due.is_none_or(|at| at.elapsed() >= DUE) {
            self.due = Some(Instant::now());
            let ids = fleet.engine.host_ids().await?;
            let before = fleet.hosts();
            if before.hosts.keys().any(|id| ids.binary_search(id).is_err()) {
                let mut next = (*before).clone();
                next.version += 1;
                next.hosts.retain(|id, _| ids.binary_search(id).is_ok());
                next.changed.retain(|id, _| ids.binary_search(id).is_ok());
                sender.send_replace(Arc::new(next));
            }
            fleet.engine.expire_commands(unix_ms()).await?;
            fleet.engine.advance(unix_ms(), EXPIRES_MS).await?;
        }
        if self.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            self.swept = Some(Instant::now());
            fleet.engine.sweep(unix_ms()).await?;
            for host in fleet.engine.host_ids().await? {
                let pruned = fleet.engine.prune(host, self.kept, unix_ms()).await?;
                if pruned.runs > 0 {
                    tracing::info!(?host, pruned.runs, pruned.bytes, "runs of a host are removed");
                }
            }
        }
        Ok(())
    }
}
