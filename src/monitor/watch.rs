//! The monitor's loop: what a command prints, what becomes of it, signals, time.

use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::child::{self, Child, ChildEvent, Spawn};
use super::foreground::Foreground;
use super::guard::LINGER;
use super::kept::Kept;
use super::order;
use super::pulse::{self, Overdue, Pulse};
use super::readers::Piece;
use super::reaper;
use crate::drive::drv_reader;
use crate::drive::session::{self, LAST_ANSWERS, Questions, SETTLE, Session, listen};
use crate::drive::signals::{Endings, HandedOn};
use crate::drive::{Watch, complain};
use crate::history::{Beside, Insights};
use crate::nix_commands::{self as nix, NixVersion};
use nixmon_core::pipeline::Pipeline;
use nixmon_core::render::Style;
use nixmon_core::state::{DerivationFacts, Moment};
use nixmon_core::text::{Line, Role};
use nixmon_log::input::Source;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::proc::tree as process_tree;
use nixmon_runs::{Exit, Facts, Places, ProcessId, RunDir, RunState, Status, evidence};

/// Time after which an unfinished line counts as a question.
const QUESTION: Duration = Duration::from_secs(1);
/// Time in which the last words of a stopped command, its question, are read before the screen is left.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// Time after the command's end in which a connection of a Nix process may still arrive.
const LAST_CONNECTION: Duration = Duration::from_millis(20);
/// Time after the command's end in which other processes that hold its streams are still read.
const LATEST: Duration = Duration::from_secs(2);
/// Limit on the bytes that are read after the command's end. The pipes hold less, so nothing of the command's own is lost.
const LATE_BYTES: usize = 4 << 20;
/// The status line of a run of `shell` or `develop`.
const FOLLOWED: &str =
    "only the build was monitored; the shell replaced nixmon, so its exit status is unknown";
/// The longest time between two writes of a run's status.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(8);
/// The shortest time between two writes of a run's status, for which something must have changed.
const STATUS_DELAY: Duration = Duration::from_secs(1);

/// A callback for the start of the command, or the reason why it could not be started.
pub(super) type Started = Box<dyn FnOnce(Result<(), &std::io::Error>)>;

/// A command to watch, and how.
pub(super) struct Job<'a> {
    /// Places where logs of builds and services are looked for.
    pub(super) places: &'a Places,
    /// The style of the answers to signals, with its thresholds.
    pub(super) style: Style,
    pub(super) spawn: Spawn,
    pub(super) facts: Facts,
    pub(super) run: Option<RunDir>,
    pub(super) kept: Option<Kept>,
    /// The history of builds beside the run.
    pub(super) beside: Option<Beside>,
    /// Finds out what is known of what is built.
    pub(super) insights: Option<Insights>,
    /// The Nix that the command uses.
    pub(super) nix: Option<NixVersion>,
    /// A command that takes long as a rule.
    pub(super) is_switch: bool,
    /// Another command follows, which is not watched.
    pub(super) prepares: bool,
    /// Called when the command runs, or could not be started.
    pub(super) started: Option<Started>,
}

/// The end of a command.
pub(super) struct Ended {
    /// `None` if it is not known how it ended.
    pub(super) exit: Option<Exit>,
    /// It could not even be started.
    pub(super) not_started: Option<std::io::Error>,
    pub(super) facts: Facts,
    /// The summary record.
    pub(super) summary: serde_json::Value,
    pub(super) outcome: &'static str,
    /// One line that says how it ended.
    pub(super) line: String,
}

/// Returns whether connections wait to be accepted.
fn has_connections(listener: &UnixListener) -> bool {
    let mut files = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Sees to it that a program that takes the place of this process finds no children that it does not know, nor gets any: it
/// waits for the guard, and orphans are init's again.
fn leave_no_children(guard: i32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::process::set_child_subreaper(None);
    let begun = Instant::now();
    let options = rustix::process::WaitOptions::NOHANG;
    // A guard that reads what others still print goes on for as long as they do.
    while begun.elapsed() < LATEST
        && matches!(rustix::process::waitpid(rustix::process::Pid::from_raw(guard), options), Ok(None))
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    while matches!(rustix::process::wait(options), Ok(Some(_))) {}
}

/// Starts the command and watches it to its end.
pub(super) fn watch(job: Job<'_>, pipeline: Pipeline, screen: Watch) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        // Before the command is started: otherwise a signal could end the monitor and leave the command behind.
        let endings = Endings::listen()?;
        Loop::start(job, pipeline, screen)?.run(endings).await
    })
}

/// The life of the command.
enum Phase {
    /// The guard has not reported yet that the command runs.
    Starting {
        /// Signals to send once its process number is known.
        unsent: Vec<Signal>,
    },
    /// It runs.
    Running {
        /// Its process number.
        pid: i32,
    },
    /// It could not be started.
    NotStarted {
        /// Found out then.
        at: Instant,
        /// The reason.
        error: std::io::Error,
    },
    /// It has ended, and processes that it has started may still print.
    Ended {
        /// Found out then.
        at: Instant,
        /// Its process number, which may be another process's by now.
        pid: Option<i32>,
        /// `None` if it is not known how it ended.
        exit: Option<Exit>,
        /// A signal has come since, so that nothing is waited for.
        given_up: bool,
    },
}

impl Phase {
    /// The process number of the command, also after its end.
    fn pid(&self) -> Option<i32> {
        match self {
            Self::Running { pid } => Some(*pid),
            Self::Ended { pid, .. } => *pid,
            Self::Starting { .. } | Self::NotStarted { .. } => None,
        }
    }

    /// The moment since when there is no command.
    fn ended(&self) -> Option<Instant> {
        match self {
            Self::Starting { .. } | Self::Running { .. } => None,
            Self::NotStarted { at, .. } | Self::Ended { at, .. } => Some(*at),
        }
    }
}

struct Loop<'a> {
    places: &'a Places,
    session: Session,
    child: Child,
    pieces: mpsc::Receiver<Piece>,
    events: mpsc::UnboundedReceiver<ChildEvent>,
    facts: Facts,
    run: Option<RunDir>,
    kept: Option<Kept>,
    beside: Option<Beside>,
    insights: Option<Insights>,
    nix: Option<NixVersion>,
    /// Nix was asked how many builds it runs at once; it answers here.
    jobs: Option<std::sync::mpsc::Receiver<Option<String>>>,
    started: Option<Started>,
    begun_at: SystemTime,
    prepares: bool,
    phase: Phase,
    foreground: Option<Foreground>,
    /// The command got the terminal and has printed nothing since: it asks for something there.
    asks: bool,
    pulse: Pulse,
    overdue: Overdue,
    style: Style,
    status_written: Instant,
    /// The parts of the last written status of which a change is worth another write.
    written: (u64, usize, &'static str),
    /// When the last piece of a stream came, or the command ended.
    quiet_since: Instant,
    /// Streams that have not ended; a connection is open from its first piece on.
    open: BTreeSet<Source>,
    /// The socket to which Nix may connect.
    listener: Option<UnixListener>,
    interrupted: bool,
    /// A signal was passed on that may end the command.
    signalled: bool,
    /// Bytes that were read after the command's end.
    late_bytes: usize,
    /// The command was stopped because it wants the terminal, which nixmon did not have to give.
    wants_terminal: bool,
    reported_unkept: bool,
    /// The command was stopped by this signal, which is handled at this moment.
    stopped_by: Option<(i32, tokio::time::Instant)>,
}

impl<'a> Loop<'a> {
    fn start(job: Job<'a>, pipeline: Pipeline, screen: Watch) -> Result<Self> {
        let Job { places, style, spawn, facts, run, kept, beside, insights, started, .. } = job;
        let listener = spawn.listener.as_ref().map(|(listener, _)| listener.try_clone()).transpose()?;
        let begun = Instant::now();
        let (child, pieces, events) =
            child::spawn(spawn, kept.as_ref().map(Kept::streams), begun, order::clock_ms())?;
        Ok(Self {
            places,
            pulse: Pulse::new(style.thresholds.quiet),
            style,
            overdue: Overdue::new(&facts, job.is_switch),
            foreground: (!facts.background).then(Foreground::open),
            session: Session::new(pipeline, screen, begun),
            child,
            pieces,
            events,
            facts,
            run,
            kept,
            beside,
            insights,
            nix: job.nix,
            prepares: job.prepares,
            jobs: None,
            started,
            begun_at: SystemTime::now(),
            phase: Phase::Starting { unsent: Vec::new() },
            late_bytes: 0,
            signalled: false,
            asks: false,
            status_written: begun,
            written: (0, 0, ""),
            quiet_since: begun,
            open: BTreeSet::from([Source::Main, Source::Stdout]),
            listener,
            interrupted: false,
            wants_terminal: false,
            reported_unkept: false,
            stopped_by: None,
        })
    }

    async fn run(mut self, mut endings: Endings) -> Result<Ended> {
        let (answers, mut derivations) = mpsc::unbounded_channel();
        let requests = drv_reader::spawn(answers);
        let mut ticks = session::ticks();
        let mut questions = Questions::listen()?;
        let mut handed_on = HandedOn::listen()?;
        let mut deaths = listen(SignalKind::child())?;
        let mut resizes = listen(SignalKind::window_change())?;
        let mut stops = listen(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        if let Some(opening) = pulse::opening(&self.facts) {
            self.session.notice_at(&[opening], Moment::ZERO);
        }
        let output = self.session.output();
        while !self.is_over() {
            let (frame_at, release_at) = (self.session.frame_at(), self.session.release_at());
            let stopped_at = self.stopped_by.map(|(_, at)| at);
            tokio::select! {
                biased;
                signal = endings.recv() => self.forward(signal),
                _ = stops.recv() => self.stop(),
                signal = handed_on.recv() => self.hand_on(signal),
                _ = deaths.recv() => self.reap(),
                () = questions.recv() => self.session.report_now(),
                _ = resizes.recv() => self.session.changed(),
                Some(event) = self.events.recv() => self.child_event(event),
                () = session::sleep_until(frame_at) => self.session.draw(self.asks),
                // Before the input, which may always be ready.
                _ = ticks.tick() => self.tick(),
                // A reader that asked for everything and stalls holds up the command, as at any pipe, and nothing else.
                () = output.room(), if output.is_full() => {}
                Some(piece) = self.pieces.recv(), if !output.is_full() => self.take(piece),
                () = session::sleep_until(release_at) => self.session.release(),
                // Behind the input, for what was printed before is to be shown before the screen is left.
                () = session::sleep_until(stopped_at) => self.stopped(),
                Some(answer) = derivations.recv() => self.answer(&answer),
                () = tokio::time::sleep(SETTLE), if self.session.is_unsettled() => self.session.settle(),
                () = tokio::time::sleep(LAST_CONNECTION / 2), if self.phase.ended().is_some() => {}
            }
            self.session.ask(&requests);
            self.session.yield_if_flooded().await;
        }
        // The reader ends when it has read what was asked for.
        drop(requests);
        let waiting = async {
            while let Some(answer) = derivations.recv().await {
                self.answer(&answer);
            }
        };
        // Later answers would not be shown any more.
        let _ = tokio::time::timeout(LAST_ANSWERS, waiting).await;
        Ok(self.finish(&mut endings).await)
    }

    /// Returns whether the command has ended and its output was read. Other processes may still hold its streams: they are
    /// not waited for once they print nothing, or for too long.
    fn is_over(&self) -> bool {
        let ended = match &self.phase {
            Phase::Starting { .. } | Phase::Running { .. } => return false,
            Phase::NotStarted { .. } => return true,
            Phase::Ended { given_up: true, .. } => return true,
            Phase::Ended { at, .. } => *at,
        };
        if self.late_bytes > LATE_BYTES {
            return true;
        }
        // A user who has ended the command does not want to wait for a stalled reader.
        if self.signalled && ended.elapsed() >= LATEST {
            return true;
        }
        let connects = self.listener.as_ref().is_some_and(has_connections);
        if !self.pieces.is_empty() || self.child.is_handing_on() || connects {
            return false;
        }
        let quiet = self.quiet_since.elapsed();
        quiet >= LINGER
            || ended.elapsed() >= LATEST
            || self.open.is_empty() && (self.listener.is_none() || quiet >= LAST_CONNECTION)
    }

    fn take(&mut self, piece: Piece) {
        self.quiet_since = Instant::now();
        match piece {
            Piece::Opened(source) => {
                self.open.insert(source);
            }
            Piece::NotCopied(error) => {
                let error = anyhow::Error::new(error);
                complain(&error.context("cannot write to standard output any more; the command continues"));
            }
            Piece::Unread(source) => {
                self.open.remove(&source);
                self.child.leave_stdout_unread();
            }
            Piece::Bytes(source, bytes, at) => {
                self.open.insert(source);
                if self.phase.ended().is_some_and(|ended| at > ended) {
                    self.late_bytes += bytes.len();
                }
                self.asks = false;
                let at = self.session.moment(at);
                self.pulse.heard(at);
                self.session.feed(source, &bytes, at);
            }
            Piece::Closed(source, at) => {
                self.open.remove(&source);
                let at = self.session.moment(at);
                self.session.close_source(source, at);
            }
        }
        self.session.changed();
    }

    fn answer(&mut self, answer: &[DerivationFacts]) {
        let at = self.session.now();
        for facts in answer {
            if let Some(kept) = &self.kept {
                kept.derivation(facts, at);
            }
        }
        self.session.derivations(answer, at);
    }

    fn child_event(&mut self, event: ChildEvent) {
        tracing::debug!(?event, "the guard reports");
        match event {
            ChildEvent::Started(pid) => {
                let before = std::mem::replace(&mut self.phase, Phase::Running { pid });
                self.facts.process = ProcessId::of(pid);
                self.facts.guard = ProcessId::of(self.child.guard);
                if let Some(run) = &self.run
                    && let Err(error) = run.write_facts(&self.facts)
                {
                    complain(&anyhow::Error::new(error).context("this run is not kept in full"));
                }
                if let Phase::Starting { unsent } = before {
                    unsent.into_iter().for_each(|signal| child::signal_group(pid, signal));
                }
                if let Some(beside) = &mut self.beside {
                    beside.measure(pid);
                }
                self.write_status();
                if let Some(started) = self.started.take() {
                    started(Ok(()));
                }
            }
            ChildEvent::NewGuard(guard) => {
                self.facts.guard = ProcessId::of(guard);
                if let Some(kept) = &self.kept {
                    kept.facts(self.facts.clone());
                }
            }
            ChildEvent::NotStarted(why) => {
                let error = std::io::Error::from_raw_os_error(why);
                self.phase = Phase::NotStarted { at: Instant::now(), error };
            }
            ChildEvent::Stopped(signal) => {
                // The user's ^Z is no question.
                let asks = signal != Signal::TSTP.as_raw();
                let delay = if asks { LAST_WORDS } else { Duration::ZERO };
                self.stopped_by = Some((signal, tokio::time::Instant::now() + delay));
                if !asks {
                    self.stopped();
                }
            }
            ChildEvent::Ended(exit) => self.end(Some(exit)),
            ChildEvent::EndedUnseen => {
                // The guard may have seen it, and died before it could report it.
                self.end(self.run.as_ref().and_then(|run| run.exit().ok().flatten()));
            }
        }
    }

    fn end(&mut self, exit: Option<Exit>) {
        let at = Instant::now();
        self.phase = Phase::Ended { at, pid: self.phase.pid(), exit, given_up: false };
        self.quiet_since = at;
        if let Some(foreground) = &mut self.foreground {
            foreground.take_back();
        }
    }

    /// Passes a signal on; a second SIGINT kills the command.
    fn forward(&mut self, signal: Signal) {
        tracing::debug!(?signal, "signal");
        self.session.interrupt();
        self.session.abandon_output();
        match &mut self.phase {
            // The process number may be another process's.
            Phase::Ended { given_up, .. } => {
                *given_up = true;
                return;
            }
            Phase::NotStarted { .. } => return,
            Phase::Starting { .. } | Phase::Running { .. } => {}
        }
        self.signalled = true;
        let signal = if signal == Signal::INT && std::mem::replace(&mut self.interrupted, true) {
            Signal::KILL
        } else {
            signal
        };
        let pid = match &mut self.phase {
            Phase::Running { pid } => *pid,
            Phase::Starting { unsent } => return unsent.push(signal),
            Phase::NotStarted { .. } | Phase::Ended { .. } => return,
        };
        child::signal_group(pid, signal);
        // A stopped process takes no other signal before.
        child::signal_group(pid, Signal::CONT);
        if process_tree::is_beyond_reach(pid) {
            self.cannot_signal(pid);
        }
    }

    /// Gives the command a signal that says nothing of its end.
    fn hand_on(&mut self, signal: Signal) {
        match &mut self.phase {
            Phase::Running { pid } => child::signal_group(*pid, signal),
            Phase::Starting { unsent } => unsent.push(signal),
            Phase::NotStarted { .. } | Phase::Ended { .. } => {}
        }
    }

    /// Warns that the command, or a process below it, runs as another user, as with `sudo`. ^C at the terminal reaches such
    /// processes: the system sends it to the whole foreground group.
    fn cannot_signal(&mut self, pid: i32) {
        let is_lent = self.foreground.as_mut().is_some_and(|foreground| foreground.lend(pid));
        let advice = if is_lent { "press ^C again" } else { "end them as that user" };
        let text = format!("nixmon cannot signal processes of another user; {advice}");
        self.session.notice(&[Line::new().with(Role::Warning, text)]);
        if is_lent {
            self.session.leave();
            self.asks = true;
        }
    }

    /// Stops together with the command when the user suspends nixmon at the terminal, and continues it afterwards.
    fn stop(&mut self) {
        let pid = self.phase.pid().filter(|_| self.phase.ended().is_none());
        if let Some(pid) = pid {
            child::signal_group(pid, Signal::TSTP);
        }
        self.session.sleep();
        if let Some(pid) = pid {
            child::signal_group(pid, Signal::CONT);
        }
    }

    /// Handles a stop of the command: it wants the terminal, or the user suspended it at the terminal that it has.
    fn stopped(&mut self) {
        let Some((signal, _)) = self.stopped_by.take() else { return };
        let (Some(foreground), Some(pid)) = (&mut self.foreground, self.phase.pid()) else { return };
        if signal == Signal::TTIN.as_raw() || signal == Signal::TTOU.as_raw() {
            self.session.settle();
            self.session.leave();
            self.asks = foreground.lend(pid);
            // Not where we are in the background ourselves: later, if we come to the foreground.
            self.wants_terminal = !self.asks;
        } else if signal == Signal::TSTP.as_raw() && foreground.is_lent() {
            foreground.take_back();
            self.session.sleep();
            if !self.foreground.as_mut().is_some_and(|foreground| foreground.lend(pid)) {
                // In the background it continues until it needs the terminal again.
                child::signal_group(pid, Signal::CONT);
            }
        }
    }

    fn tick(&mut self) {
        if self.wants_terminal
            && let (Some(foreground), Some(pid)) = (&mut self.foreground, self.phase.pid())
            && foreground.lend(pid)
        {
            self.wants_terminal = false;
            self.asks = true;
            self.session.leave();
        }
        let (state, at) = (self.session.state(), self.session.now());
        if let Some(forecast) = self.beside.as_mut().and_then(|beside| beside.tick(state, at)) {
            self.session.forecast(forecast);
        }
        let state = self.session.state();
        for known in self.insights.as_mut().map(|insights| insights.tick(state)).unwrap_or_default() {
            if let Some(kept) = &self.kept {
                kept.inside(known.derivation.clone(), known.insight.hints.to_json(), at);
            }
            self.session.insight(known.insight);
        }
        let state = self.session.state();
        if let Some(line) = self.beside.as_mut().and_then(|beside| beside.warning(state)) {
            self.session.notice_at(&[line], at);
        }
        self.session.tick();
        let at = self.session.now();
        if at >= self.pulse.sample_at()
            && let Some(pid) = self.phase.pid()
        {
            let adopter = i32::try_from(std::process::id()).ok();
            self.pulse.sample(process_tree::sample(pid, adopter), at);
        }
        let partial = self.partial();
        let now = pulse::Now { at, wall_ms: unix_ms(), partial: partial.as_deref() };
        let overdue = self.overdue.check(&self.facts, self.session.state(), &self.pulse, now, &self.style);
        if let Some(lines) = overdue {
            self.session.notice_at(&lines, at);
        }
        if let Some(kept) = &self.kept
            && let Some(trouble) = kept.loss()
            && !self.facts.background
            && !std::mem::replace(&mut self.reported_unkept, true)
        {
            complain(&anyhow::anyhow!(trouble));
        }
        self.ask_jobs();
        let due = self.status_written.elapsed();
        if due >= HEARTBEAT || (due >= STATUS_DELAY && self.written != self.mark()) {
            self.write_status();
            self.reap();
        }
    }

    /// Reaps children that nobody waits for. The guard lives until the monitor is done, unless it is killed.
    fn reap(&mut self) {
        reaper::reap(self.phase.pid());
    }

    /// Asks Nix once how many builds it runs at once. Only long runs do so: asking costs as much as a short run.
    fn ask_jobs(&mut self) {
        let Some(kept) = &self.kept else { return };
        if let Some(jobs) = &self.jobs {
            if let Ok(answer) = jobs.try_recv() {
                self.facts.environment.jobs = answer;
                kept.facts(self.facts.clone());
            }
        } else if let Some(version) = self.nix
            && self.session.now() >= HEARTBEAT
        {
            let (sender, answer) = std::sync::mpsc::channel();
            // Without a thread it stays unknown.
            let _ = std::thread::Builder::new().name("max-jobs".to_owned()).spawn(move || {
                let _ = sender.send(nix::max_jobs(version));
            });
            self.jobs = Some(answer);
        }
    }

    /// Returns the parts of the status of which a change is worth another write.
    fn mark(&self) -> (u64, usize, &'static str) {
        let state = self.session.state();
        let cursor = self.kept.as_ref().map_or(0, Kept::cursor);
        (cursor, state.failures().count(), state.phase().as_str())
    }

    /// Writes the run's status, which shows that the monitor lives.
    fn write_status(&mut self) {
        self.status_written = Instant::now();
        self.written = self.mark();
        let Some(kept) = &self.kept else { return };
        let mut status = self.status(self.session.now());
        status.cursor = kept.cursor();
        status.incomplete = kept.trouble();
        kept.status(status);
    }

    fn status(&self, at: Moment) -> Status {
        let partial = self.partial();
        let now = pulse::Now { at, wall_ms: unix_ms(), partial: partial.as_deref() };
        pulse::status_of(&self.facts, self.session.state(), &self.pulse, &self.overdue, now, &self.style)
    }

    /// Returns the beginning of a line that has been unfinished for a while.
    fn partial(&self) -> Option<String> {
        let unfinished = self.session.unfinished()?;
        (self.quiet_since.elapsed() >= QUESTION).then(|| unfinished.into_owned())
    }

    async fn finish(mut self, endings: &mut Endings) -> Ended {
        if let Some(foreground) = &mut self.foreground {
            foreground.take_back();
        }
        let at = self.session.now();
        let (exit, not_started) =
            match std::mem::replace(&mut self.phase, Phase::Starting { unsent: Vec::new() }) {
                Phase::Ended { exit, .. } => (exit, None),
                Phase::NotStarted { error, .. } => (None, Some(error)),
                Phase::Starting { .. } | Phase::Running { .. } => (None, None),
            };
        let status = match (&exit, &not_started) {
            (Some(exit), _) => Some(exit.status()),
            (None, Some(error)) => Some(super::not_started_status(error)),
            (None, None) => None,
        };
        if let Some(beside) = &self.beside {
            let (lines, lost) = beside.news();
            self.session.notice_at(&lines, at);
            self.session.lost_history(lost);
        }
        if status.is_none() {
            self.session.end_is_unseen();
        }
        if let (Some(error), Some(program)) = (&not_started, self.facts.command.first()) {
            self.session.not_started(format!("{program}: {}", super::reason(error)));
        }
        if let Some(kept) = &self.kept {
            let mut before = self.status(at);
            before.cursor = kept.cursor();
            before.incomplete = kept.trouble();
            kept.report_begins(before);
        }
        let (places, begun_at) = (self.places, self.begun_at);
        let end = self.session.end_of_command(status, at, |state| evidence(state, places, Some(begun_at)));
        tracing::debug!(
            ?status,
            outcome = end.outcome,
            late_bytes = self.late_bytes,
            "the command has ended"
        );
        let mut last = self.status(at);
        if let Some(kept) = &self.kept {
            if let Some(status) = status {
                kept.exit_status(status, at);
            }
            kept.summary(end.summary.clone());
            last.line = end.line.clone();
            last.state = RunState::Ended;
            last.ended_at = Some(unix_ms());
            last.activity = None;
            last.exit_code = status;
            last.cursor = kept.cursor();
            if self.prepares && status == Some(0) {
                last.incomplete.get_or_insert_with(|| FOLLOWED.to_owned());
            }
            kept.status(last);
        }
        let beside = self.beside.take().filter(|_| not_started.is_none());
        let lost = beside.and_then(|beside| beside.finish(self.session.state(), at));
        let is_kept = self.kept.is_some();
        let guard = self.child.guard;
        self.child.dismiss();
        if self.prepares {
            leave_no_children(guard);
        }
        // Everything is written before the end is announced. A reader may take its time, until a signal asks for the end.
        tokio::select! {
            () = self.session.output_taken() => {}
            _ = endings.recv() => self.session.abandon_output(),
        }
        drop(self.session);
        // The disk may have filled up at the very end.
        let trouble = self.kept.take().and_then(Kept::finish);
        // The same disk has the history: one complaint is enough.
        let trouble = trouble.or_else(|| lost.filter(|_| is_kept));
        if let Some(trouble) = trouble
            && !self.facts.background
            && !self.reported_unkept
        {
            complain(&anyhow::anyhow!(trouble));
        }
        // Last: a client that asks about the run from now on finds its end.
        if let (Some(started), Some(error)) = (self.started, &not_started) {
            started(Err(error));
        }
        Ended {
            exit,
            not_started,
            facts: self.facts,
            summary: end.summary,
            outcome: end.outcome,
            line: end.line,
        }
    }
}
