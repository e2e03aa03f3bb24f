//! The part of an agent that may block: it reads the store, starts and stops runs, and keeps the state. It has a thread of its
//! own, so that beats come whatever a disk does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nixmon_fleet::{
    Beat, BusyRun, CommandId, CommandNews, CommandRequest, Document, FromAgent, FromHub, Hello,
    PACE_UNWATCHED, PACE_WATCHED, PROTOCOL, Piece, Welcome,
};
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::{Look, Runs, Stopping};
use nixmon_runs::{Life, RunId, RunPhase, RunState};
use tokio::sync::{mpsc, oneshot};

use crate::commands::{Action, Observed};
use crate::mirror::{Mirror, Outgoing};
use crate::state::{State, StateDir, random, store_id};
use crate::store::{self, Over, Read};
use crate::{Config, Mirrored, Notice, Program};

/// Number of runs that a hub is told of at first.
const RUNS: usize = 500;
/// Time after which news that the hub has not confirmed is repeated.
const REPEAT: Duration = Duration::from_secs(30);
/// Time between two looks at a run that is being stopped.
const STOPPING: Duration = Duration::from_millis(100);
/// Time between SIGTERM and SIGKILL to a command that is stopped.
const GRACE: Duration = Duration::from_secs(30);
/// Time between two tries to write the state.
const RETRY: Duration = Duration::from_secs(5);

/// Something that the worker is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection needs its first message.
    Hello(oneshot::Sender<Result<Box<Hello>, String>>),
    /// The hub has answered; messages go to the sender.
    Welcome(Welcome, mpsc::UnboundedSender<Outbound>),
    /// The hub says something.
    Hub(FromHub),
    /// The connection is gone.
    Disconnected,
    /// A run was started for a command, or why not.
    Started(CommandId, Result<RunId, String>),
    /// Says when everything of the single run is at the hub.
    WhenComplete(oneshot::Sender<()>),
    /// The agent ends. Runs go on.
    End,
}

/// A message to the hub, as it is sent.
#[derive(Debug)]
pub(crate) enum Outbound {
    /// JSON.
    Text(String),
    /// A piece.
    Binary(Vec<u8>),
}

fn text(message: &FromAgent) -> Option<Outbound> {
    serde_json::to_string(message).ok().map(Outbound::Text)
}

/// The part of a beat that the worker knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing(Arc<Mutex<Beat>>);

impl Standing {
    /// Returns the latest.
    pub(crate) fn get(&self) -> Beat {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, beat: Beat) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = beat;
    }
}

/// A command whose run is being watched.
#[derive(Debug)]
struct Watch {
    /// The time that had passed when this process saw it first.
    before: Duration,
    seen: Instant,
    stopping: Option<(Stopping, Instant)>,
}

pub(crate) struct Worker<'a, P> {
    program: Arc<P>,
    runs: Runs<'a>,
    config: &'a Config,
    standing: Standing,
    own: Sender<Event>,
    state_dir: Option<StateDir>,
    state: State,
    /// The state differs from that in its file.
    is_unsaved: bool,
    save_again: Option<Instant>,
    mirror: Mirror,
    over: Over,
    /// Runs that are over by their status, as they were at the last look.
    ending: Over,
    runs_of_commands: BTreeMap<u64, bool>,
    sender: Option<mpsc::UnboundedSender<Outbound>>,
    told: BTreeMap<CommandId, (CommandNews, Instant)>,
    starting: BTreeSet<CommandId>,
    watches: BTreeMap<CommandId, Watch>,
    actions: Vec<Action>,
    boot: Option<String>,
    instance: String,
    began: Instant,
    began_at: u64,
    when_complete: Option<oneshot::Sender<()>>,
}

impl<'a, P: Program> Worker<'a, P> {
    pub(crate) fn new(
        program: Arc<P>,
        runs: Runs<'a>,
        config: &'a Config,
        standing: Standing,
        own: Sender<Event>,
        state_dir: Option<StateDir>,
    ) -> Self {
        let state = state_dir.as_ref().map(StateDir::read).unwrap_or_default();
        Self {
            mirror: Mirror::new(state.generations.clone(), config.spool),
            actions: config.actions.clone(),
            program,
            runs,
            config,
            standing,
            own,
            state_dir,
            state,
            is_unsaved: false,
            save_again: None,
            over: Over::new(),
            ending: Over::new(),
            runs_of_commands: BTreeMap::new(),
            sender: None,
            told: BTreeMap::new(),
            starting: BTreeSet::new(),
            watches: BTreeMap::new(),
            boot: store::boot(),
            instance: random(),
            #[expect(clippy::disallowed_methods, reason = "the pace is one of real time")]
            began: Instant::now(),
            began_at: unix_ms(),
            when_complete: None,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Works until the agent ends.
    pub(crate) fn work(mut self, events: &Receiver<Event>) {
        self.adopt();
        let mut next_look = Duration::ZERO;
        let mut next_watched = Duration::ZERO;
        loop {
            let now = self.now();
            if now >= next_look {
                self.look(|_| true);
                let is_single = matches!(self.config.mirrored, Mirrored::Run(_));
                next_look = self.now() + if is_single { PACE_WATCHED } else { PACE_UNWATCHED };
                next_watched = self.now() + PACE_WATCHED;
            } else if now >= next_watched {
                self.look(|wanted| wanted.is_watched);
                next_watched = self.now() + PACE_WATCHED;
            }
            self.stop_commands();
            self.save();
            self.send();
            let until = next_look.min(next_watched).saturating_sub(self.now());
            let until = if self.is_stopping() { until.min(STOPPING) } else { until };
            match events.recv_timeout(until) {
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(event) = events.try_recv() {
                if matches!(event, Event::End) {
                    return;
                }
                self.take(event);
            }
        }
    }

    fn take(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Hello(reply) => {
                let _ = reply.send(self.hello().map(Box::new));
            }
            Event::Welcome(welcome, sender) => {
                self.told.clear();
                self.state.commands.of_hub(&welcome.hub);
                self.is_unsaved = true;
                self.mirror.welcome(welcome.runs, now);
                self.sender = Some(sender);
                for request in welcome.commands {
                    self.request(&request);
                }
                self.look(|_| true);
            }
            Event::Disconnected => {
                self.sender = None;
                self.mirror.disconnect();
            }
            Event::Hub(FromHub::Ack(ack)) => {
                if let nixmon_fleet::Ack::Command { id, state } = ack {
                    self.state.commands.ack(id, state);
                    self.is_unsaved = true;
                }
                self.mirror.ack(&ack, now);
            }
            Event::Hub(FromHub::Watched { runs }) => self.mirror.watch(runs),
            Event::Hub(FromHub::Command(request)) => self.request(&request),
            Event::Hub(FromHub::Stop { id }) => {
                self.state.commands.stop(id);
                self.is_unsaved = true;
            }
            Event::Hub(FromHub::Welcome(_) | FromHub::Refused(_)) => {}
            Event::Started(id, started) => {
                self.starting.remove(&id);
                match started {
                    Ok(run) => self.state.commands.started(id, run.0),
                    Err(message) => self.state.commands.not_started(id, message),
                }
                self.is_unsaved = true;
            }
            Event::WhenComplete(reply) => self.when_complete = Some(reply),
            Event::End => {}
        }
    }

    /// Finds the runs of commands that an earlier agent had begun to start.
    fn adopt(&mut self) {
        let open: Vec<(CommandId, u64)> = self
            .state
            .commands
            .open()
            .filter(|(_, command)| command.run.is_none())
            .map(|(id, command)| (id, command.from_run))
            .collect();
        for (id, from_run) in open {
            let ids = self.runs.store().ids().unwrap_or_default();
            let run = ids.into_iter().filter(|run| run.0 >= from_run).find(|run| {
                let facts = self.runs.store().run(*run).and_then(|dir| dir.facts());
                facts.is_ok_and(|facts| facts.request == Some(id.0))
            });
            match run {
                Some(run) => self.state.commands.started(id, run.0),
                None => {
                    let message = "the agent ended before it could start the command".to_owned();
                    self.state.commands.not_started(id, message);
                }
            }
            self.is_unsaved = true;
        }
    }

    fn hello(&mut self) -> Result<Hello, String> {
        let id = store_id(self.runs.store().root()).map_err(|error| error.to_string())?;
        if self.state.store != id {
            // Numbers of runs begin again, and mean others.
            self.state.generations.clear();
            self.mirror = Mirror::new(self.state.generations.clone(), self.config.spool);
            self.over.clear();
            self.state.store.clone_from(&id);
            self.is_unsaved = true;
            self.save();
        }
        let ids = self.runs.store().ids().map_err(|error| error.to_string())?;
        let mut runs: BTreeSet<u64> = self.mirror.unfinished().collect();
        let mirrored: Vec<u64> =
            ids.iter().rev().map(|id| id.0).filter(|id| self.is_mirrored(*id)).take(RUNS).collect();
        runs.extend(mirrored);
        runs.extend(self.state.commands.open().filter_map(|(_, command)| command.run));
        let is_single_run = matches!(self.config.mirrored, Mirrored::Run(_));
        Ok(Hello {
            protocol: PROTOCOL,
            host: self.config.host.clone(),
            store: id,
            instance: self.instance.clone(),
            began_at: self.began_at,
            environment: self.config.environment.clone(),
            actions: self.actions.iter().map(|action| action.name.clone()).collect(),
            runs: runs.into_iter().collect(),
            is_single_run,
        })
    }

    fn is_mirrored(&mut self, run: u64) -> bool {
        match self.config.mirrored {
            Mirrored::All => true,
            Mirrored::Run(only) => only.0 == run,
            Mirrored::Commands => {
                if let Some(known) = self.runs_of_commands.get(&run) {
                    return *known;
                }
                let facts = self.runs.store().run(RunId(run)).and_then(|dir| dir.facts());
                let is_asked_for = facts.as_ref().is_ok_and(|facts| facts.request.is_some());
                if facts.is_ok() {
                    self.runs_of_commands.insert(run, is_asked_for);
                }
                is_asked_for
            }
        }
    }

    fn request(&mut self, request: &CommandRequest) {
        if matches!(self.config.mirrored, Mirrored::Run(_)) {
            return;
        }
        let latest = self.runs.store().ids().ok().and_then(|ids| ids.last().copied()).unwrap_or_default();
        let action =
            self.state.commands.request(request, &self.actions, latest.0 + 1, self.boot.as_deref()).cloned();
        self.is_unsaved = true;
        let Some(action) = action else { return };
        // What is not kept could be begun twice.
        if let Err(reason) = self.try_save() {
            self.state.commands.not_started(request.id, format!("the agent cannot keep its state: {reason}"));
            return;
        }
        self.starting.insert(request.id);
        let (program, own, id) = (Arc::clone(&self.program), self.own.clone(), request.id);
        let start = move || {
            let started = program.start(&action, id);
            let _ = own.send(Event::Started(id, started));
        };
        // The thread ends with the start: the run has processes of its own.
        if let Err(error) = std::thread::Builder::new().name("start".to_owned()).spawn(start) {
            self.starting.remove(&id);
            self.state.commands.not_started(id, error.to_string());
        }
    }

    /// Looks at the store, of all runs or of those that somebody looks at.
    fn look(&mut self, wants: impl Fn(Wanted) -> bool) {
        let Ok(ids) = self.runs.store().ids() else { return };
        let (now, clock) = (self.now(), unix_ms());
        let mut looks: BTreeMap<u64, Look> = BTreeMap::new();
        let is_whole = wants(Wanted { is_watched: false });
        let only = match self.config.mirrored {
            Mirrored::Run(run) => Some(run),
            Mirrored::All | Mirrored::Commands => None,
        };
        for id in ids.iter().rev().filter(|id| only.is_none_or(|only| only == **id)).take(RUNS) {
            let run = id.0;
            if self.mirror.is_complete(run) || !wants(Wanted { is_watched: self.mirror.is_watched(run) }) {
                continue;
            }
            let is_mirrored = self.is_mirrored(run);
            if let Some(seen) = self.over.get(&run) {
                if is_mirrored {
                    self.mirror.look(run, seen.clone(), now, clock);
                }
                continue;
            }
            let Ok(dir) = self.runs.store().run(*id) else { continue };
            // The end is asked for first: what is seen behind it is all that there will be.
            let look = self.runs.look(&dir, clock);
            let has_ended = look.as_ref().map_or(true, |look| look.life == Life::Ended);
            let mut seen = store::seen(&dir);
            if has_ended {
                // A monitor that has said so may still be closing its files.
                let before = self.ending.insert(run, seen.clone());
                if before
                    .is_some_and(|before| before.files == seen.files && before.documents == seen.documents)
                {
                    self.ending.remove(&run);
                    seen.is_over = true;
                    self.over.insert(run, seen.clone());
                }
            }
            if is_mirrored {
                self.mirror.look(run, seen, now, clock);
            }
            if let Ok(look) = look {
                looks.insert(run, look);
            }
        }
        if !is_whole {
            return;
        }
        let there: BTreeSet<u64> = ids.iter().map(|id| id.0).collect();
        self.over.retain(|run, _| there.contains(run));
        if self.sender.is_some() {
            let gone: Vec<u64> = self.mirror.open_runs().filter(|run| !there.contains(run)).collect();
            for run in gone {
                self.mirror.lose(run, now);
            }
        }
        self.observe(&looks, &there);
        self.stand(&looks);
    }

    /// Tells the commands what became of their runs.
    fn observe(&mut self, looks: &BTreeMap<u64, Look>, there: &BTreeSet<u64>) {
        let open: Vec<(CommandId, u64, String)> = self
            .state
            .commands
            .open()
            .filter_map(|(id, command)| Some((id, command.run?, command.action.clone())))
            .collect();
        for (id, run, action) in open {
            let own_look = || {
                let dir = self.runs.store().run(RunId(run)).ok()?;
                self.runs.look(&dir, unix_ms()).ok()
            };
            let look = looks.get(&run).cloned().or_else(own_look);
            let observed = match look {
                Some(look) if look.life == Life::Ended => Observed::Ended {
                    has_succeeded: look.status.has_succeeded(),
                    exit_code: look.status.exit_code,
                    line: look.status.line,
                },
                Some(look) => {
                    let watch = watch(&mut self.watches, id, &look);
                    Observed::Running { elapsed_s: (watch.before + watch.seen.elapsed()).as_secs() }
                }
                None if there.contains(&run) => continue,
                None => Observed::Gone,
            };
            let reboots = self.actions.iter().any(|known| known.name == action && known.reboots);
            let before = self.state.commands.get(id).cloned();
            self.state.commands.observe(id, &observed, self.boot.as_deref(), reboots);
            self.is_unsaved |= before.as_ref() != self.state.commands.get(id);
        }
        let commands = &self.state.commands;
        self.watches.retain(|id, _| commands.get(*id).is_some_and(|command| command.is_open()));
    }

    /// Makes what beats tell.
    fn stand(&mut self, looks: &BTreeMap<u64, Look>) {
        let running = |look: &&Look| look.life.goes_on() && look.status.state != RunState::Queued;
        let going: Vec<&Look> = looks.values().filter(running).collect();
        let is_asked_for = |look: &&&Look| look.facts.as_ref().is_some_and(|facts| facts.request.is_some());
        let newest = going.iter().rev().find(is_asked_for).or(going.last());
        let is_switch =
            |name: &str| self.actions.iter().any(|action| action.name == name && action.is_switch);
        let is_switching = self
            .state
            .commands
            .open()
            .any(|(_, command)| command.run.is_some() && is_switch(&command.action))
            || going.iter().any(|look| look.status.phase == RunPhase::Activating);
        let busy: Option<BusyRun> = newest.map(|look| store::busy(look));
        self.standing.set(Beat {
            busy,
            running: u32::try_from(going.len()).unwrap_or(u32::MAX),
            is_switching,
            generation: store::generation(),
            spooled_bytes: self.mirror.waiting(),
            ..Beat::default()
        });
    }

    fn is_stopping(&self) -> bool {
        self.state.commands.open().any(|(_, command)| command.wants_stop() && command.run.is_some())
    }

    /// Sends the signals that are due to commands that are to be stopped.
    fn stop_commands(&mut self) {
        let wanted: Vec<(CommandId, u64)> = self
            .state
            .commands
            .open()
            .filter(|(_, command)| command.wants_stop())
            .filter_map(|(id, command)| Some((id, command.run?)))
            .collect();
        for (id, run) in wanted {
            let Ok(dir) = self.runs.store().run(RunId(run)) else { continue };
            let Ok(look) = self.runs.look(&dir, unix_ms()) else { continue };
            if !look.life.goes_on() {
                continue;
            }
            let watch = watch(&mut self.watches, id, &look);
            let (stopping, since) = watch.stopping.get_or_insert_with(|| {
                let _ = dir.mark_stopped();
                #[expect(clippy::disallowed_methods, reason = "the grace is one of real time")]
                let now = Instant::now();
                (Stopping::default(), now)
            });
            // One that outlives SIGKILL is tried again until it ends.
            if stopping.signal(&look, since.elapsed(), GRACE).is_err() {
                watch.stopping = None;
            }
        }
    }

    fn try_save(&mut self) -> Result<(), String> {
        if let Some(generations) = self.mirror.changed_generations() {
            self.state.generations.clone_from(generations);
            self.is_unsaved = true;
        }
        let Some(directory) = &self.state_dir else { return Ok(()) };
        if self.is_unsaved {
            directory.write(&self.state).map_err(|error| error.to_string())?;
            self.is_unsaved = false;
        }
        Ok(())
    }

    /// Keeps what has changed.
    fn save(&mut self) {
        if self.save_again.is_some_and(|at| at.elapsed() < RETRY) {
            return;
        }
        self.save_again = None;
        if let Err(reason) = self.try_save() {
            #[expect(clippy::disallowed_methods, reason = "the pace is one of real time")]
            let now = Instant::now();
            self.save_again = Some(now);
            self.program.tell(&Notice::StateNotKept { reason });
        }
    }

    /// Sends what is due.
    fn send(&mut self) {
        let Some(sender) = self.sender.clone() else { return };
        for news in self.state.commands.news() {
            let known = self.told.get(&news.id);
            if known.is_some_and(|(told, at)| *told == news && at.elapsed() < REPEAT) {
                continue;
            }
            #[expect(clippy::disallowed_methods, reason = "the pace is one of real time")]
            let now = Instant::now();
            self.told.insert(news.id, (news.clone(), now));
            text(&FromAgent::Command(news)).map(|message| sender.send(message));
        }
        // A piece of a generation that is not kept could be one of another file after a restart.
        if self.is_unsaved && self.state_dir.is_some() && self.save_again.is_some() {
            return;
        }
        while let Some(outgoing) = self.mirror.next(self.now()) {
            if let Some(message) = self.message(outgoing) {
                let _ = sender.send(message);
            }
        }
        if let Mirrored::Run(run) = self.config.mirrored
            && self.mirror.is_complete(run.0)
            && let Some(reply) = self.when_complete.take()
        {
            let _ = reply.send(());
        }
    }

    /// Reads what is to be sent.
    fn message(&mut self, outgoing: Outgoing) -> Option<Outbound> {
        match outgoing {
            Outgoing::Bytes { run, file, generation, identity, offset, len } => {
                let read = self.runs.store().run(RunId(run)).ok().and_then(|dir| {
                    store::read_part(&store::path(&dir, file), identity, offset, len).ok().flatten()
                });
                match read {
                    Some(bytes) => {
                        let piece = Piece { run, file, generation, offset, bytes };
                        Some(Outbound::Binary(piece.encode()))
                    }
                    None => {
                        self.over.remove(&run);
                        self.mirror.unsend(run, file, offset);
                        None
                    }
                }
            }
            Outgoing::Document { run, file, version } => {
                let read = self.runs.store().run(RunId(run)).map(|dir| store::read_document(&dir, file));
                match read {
                    Ok(Read::Content(content)) => {
                        text(&FromAgent::Document(Document { run, file, version, content }))
                    }
                    Ok(Read::TooLarge) => {
                        self.mirror.skip_document(
                            run,
                            file,
                            Some(format!("its {file} is too large for a message")),
                        );
                        None
                    }
                    Ok(Read::Missing) | Err(_) => {
                        self.mirror.skip_document(run, file, None);
                        None
                    }
                }
            }
            Outgoing::Gap(gap) => text(&FromAgent::Gap(gap)),
            Outgoing::End(end) => text(&FromAgent::End(end)),
        }
    }
}

fn watch<'w>(watches: &'w mut BTreeMap<CommandId, Watch>, id: CommandId, look: &Look) -> &'w mut Watch {
    watches.entry(id).or_insert_with(|| {
        let began = look.status.started_at.unwrap_or(look.status.created_at);
        Watch {
            before: Duration::from_millis(unix_ms().saturating_sub(began)),
            #[expect(clippy::disallowed_methods, reason = "the time limit is one of real time")]
            seen: Instant::now(),
            stopping: None,
        }
    })
}

/// A run that may be looked at.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    is_watched: bool,
}
