//! The monitor's loop: what a command prints, what becomes of it, signals, time.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::child::{self, Child, News, Spawn};
use super::foreground::Foreground;
use super::guard::LINGER;
use super::kept::Kept;
use super::nix::{self, NixVersion};
use super::order;
use super::pulse::{self, Overdue, Pulse};
use super::readers::Piece;
use super::reaper::Reaper;
use crate::input::Source;
use crate::render::Style;
use crate::run::drv_reader;
use crate::run::session::{self, LAST_ANSWERS, Questions, SETTLE, Session, listen};
use crate::run::signals::Endings;
use crate::run::{Pipeline, Watch, complain, options, process_tree, service_logs, thresholds, unix_ms};
use crate::runs::{Exit, Facts, ProcessId, RunDir, RunState, Status};
use crate::settings::Settings;
use crate::state::{DerivationFacts, Moment};
use crate::text::{Line, Role};

/// A line that has stood unfinished for so long may be a question.
const QUESTION: Duration = Duration::from_secs(1);
/// What a stopped command printed before it was stopped has been read after so long: its question.
const LAST_WORDS: Duration = Duration::from_millis(30);
/// A process of Nix that connected at the very end has been heard after so long.
const LAST_CONNECTION: Duration = Duration::from_millis(20);
/// After the command's end others that hold its streams are not heard for longer,
const LATEST: Duration = Duration::from_secs(2);
/// nor more of them: the pipes hold less.
const LATE_BYTES: usize = 4 << 20;
/// What is said of a run of `shell` or `develop`.
const FOLLOWED: &str =
    "that was the preparation; the command itself took nixmon's place, and how it ended is not known";
/// The state of a run is written at least so often.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(8);
/// And at most so often, where something has changed.
const NEWS: Duration = Duration::from_secs(1);

/// Is told that the command runs, or why it could not be started.
pub(super) type Started = Box<dyn FnOnce(Result<(), &std::io::Error>)>;

/// What is to be watched.
pub(super) struct Job<'a> {
    pub(super) settings: &'a Settings,
    pub(super) spawn: Spawn,
    pub(super) facts: Facts,
    pub(super) run: Option<RunDir>,
    pub(super) kept: Option<Kept>,
    /// The Nix that the command uses.
    pub(super) nix: Option<NixVersion>,
    /// A command that takes long as a rule.
    pub(super) is_switch: bool,
    /// Another command follows, which nobody watches.
    pub(super) prepares: bool,
    /// It is told that the command runs, or not.
    pub(super) started: Option<Started>,
}

/// What became of it.
pub(super) struct Ended {
    /// `None` if nobody saw how it ended.
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

/// Whether connections wait to be taken.
fn has_connections(listener: &UnixListener) -> bool {
    let mut files = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Starts the command and watches it to its end.
pub(super) fn watch<W: Write>(job: Job<'_>, pipeline: Pipeline<W>, screen: Watch) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        // Before the command is started, or a signal at the wrong moment would end us and leave it behind.
        let endings = Endings::listen()?;
        Loop::start(job, pipeline, screen)?.run(endings).await
    })
}

struct Loop<'a, W: Write> {
    settings: &'a Settings,
    session: Session<W>,
    child: Child,
    pieces: mpsc::Receiver<Piece>,
    news: mpsc::UnboundedReceiver<News>,
    facts: Facts,
    run: Option<RunDir>,
    kept: Option<Kept>,
    nix: Option<NixVersion>,
    /// Nix was asked how many builds it runs at once.
    jobs: Option<std::sync::mpsc::Receiver<Option<String>>>,
    started: Option<Started>,
    begun_at: SystemTime,
    prepares: bool,
    /// The command's process number.
    pid: Option<i32>,
    exit: Option<Exit>,
    ended: Option<Instant>,
    not_started: Option<std::io::Error>,
    foreground: Option<Foreground>,
    /// The command got the terminal and has printed nothing since: it asks for something there.
    asks: bool,
    reaper: Reaper,
    pulse: Pulse,
    overdue: Overdue,
    style: Style,
    heartbeat: Instant,
    /// What the last heartbeat said that is worth another one.
    said: (u64, usize, &'static str),
    /// The last piece of a stream, or the command's end.
    quiet_since: Instant,
    /// Streams that have not ended; a connection is open from its first piece on.
    open: BTreeSet<Source>,
    /// Where Nix may connect.
    listener: Option<UnixListener>,
    interrupted: bool,
    /// A signal was handed on that may end the command.
    signalled: bool,
    /// Somebody wants us to end although the command has.
    given_up: bool,
    /// Bytes that were read after the command's end.
    late_bytes: usize,
    /// The command was stopped because it wants the terminal, which was not ours to give.
    wants_terminal: bool,
    /// The command was stopped by this signal, and at this moment all that it printed before has been read.
    stopped_by: Option<(i32, tokio::time::Instant)>,
    /// Signals for a command whose process number we have not heard yet.
    unsent: Vec<Signal>,
    unkept_said: bool,
}

impl<'a, W: Write> Loop<'a, W> {
    fn start(job: Job<'a>, pipeline: Pipeline<W>, screen: Watch) -> Result<Self> {
        let Job { settings, spawn, facts, run, kept, started, .. } = job;
        let listener = spawn.listener.as_ref().map(|(listener, _)| listener.try_clone()).transpose()?;
        let begun = Instant::now();
        let (child, pieces, news) = child::spawn(spawn, order::clock_ms())?;
        Ok(Self {
            settings,
            pulse: Pulse::new(settings.thresholds.quiet),
            style: options(&settings.output, thresholds(settings)).style,
            overdue: Overdue::new(&facts, job.is_switch),
            foreground: (!facts.background).then(Foreground::open),
            session: Session::new(pipeline, screen, begun),
            child,
            pieces,
            news,
            facts,
            run,
            kept,
            nix: job.nix,
            prepares: job.prepares,
            jobs: None,
            started,
            begun_at: SystemTime::now(),
            pid: None,
            exit: None,
            ended: None,
            late_bytes: 0,
            signalled: false,
            given_up: false,
            not_started: None,
            asks: false,
            reaper: Reaper::default(),
            heartbeat: begun,
            said: (0, 0, ""),
            quiet_since: begun,
            open: BTreeSet::from([Source::Main, Source::Stdout]),
            listener,
            interrupted: false,
            wants_terminal: false,
            stopped_by: None,
            unsent: Vec::new(),
            unkept_said: false,
        })
    }

    async fn run(mut self, mut endings: Endings) -> Result<Ended> {
        let (answers, mut derivations) = mpsc::unbounded_channel();
        let requests = drv_reader::spawn(answers);
        let mut ticks = session::ticks();
        let mut questions = Questions::listen()?;
        let mut resizes = listen(SignalKind::window_change())?;
        let mut stops = listen(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        if let Some(opening) = pulse::opening(&self.facts) {
            self.session.pipeline.notice(&[opening], Moment::ZERO);
        }
        let output = self.session.output();
        while !self.is_over() {
            let (frame_at, release_at) = (self.session.frame_at(), self.session.release_at());
            let stopped_at = self.stopped_by.map(|(_, at)| at);
            tokio::select! {
                biased;
                signal = endings.recv() => self.forward(signal),
                _ = stops.recv() => self.stop(),
                () = questions.recv() => self.session.report_now(),
                _ = resizes.recv() => self.session.changed(),
                Some(news) = self.news.recv() => self.hear(news),
                () = session::sleep_until(frame_at) => self.session.draw(self.asks),
                // Before the input, which may always be ready.
                _ = ticks.tick() => self.tick(),
                // Where a reader who asked for all there is stands still, the command waits as at any pipe, and nothing else.
                () = output.room(), if output.is_full() => {}
                Some(piece) = self.pieces.recv(), if !output.is_full() => self.take(piece),
                () = session::sleep_until(release_at) => self.session.release(),
                // Behind the input, for what was printed before is to be shown before the screen is left.
                () = session::sleep_until(stopped_at) => self.stopped(),
                Some(answer) = derivations.recv() => self.answer(&answer),
                () = tokio::time::sleep(SETTLE), if self.session.is_unsettled() => self.session.settle(),
                () = tokio::time::sleep(LAST_CONNECTION / 2), if self.ended.is_some() => {}
            }
            self.session.ask(&requests);
            self.session.breathe().await;
        }
        // It ends when it has read what was asked for.
        drop(requests);
        let waiting = async {
            while let Some(answer) = derivations.recv().await {
                self.answer(&answer);
            }
        };
        // Late is as good as never.
        let _ = tokio::time::timeout(LAST_ANSWERS, waiting).await;
        Ok(self.finish(&mut endings).await)
    }

    /// The command has ended, and what it printed was read; or others hold its streams and print nothing, or for too
    /// long.
    fn is_over(&self) -> bool {
        let Some(ended) = self.ended else { return false };
        if self.not_started.is_some() || self.given_up || self.late_bytes > LATE_BYTES {
            return true;
        }
        // Whoever has ended it does not want to wait for a reader who stands still.
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
                complain(&error.context("cannot write to standard output any more; the command goes on"));
            }
            Piece::Bytes(source, bytes, at) => {
                self.open.insert(source);
                if self.ended.is_some_and(|ended| at > ended) {
                    self.late_bytes += bytes.len();
                }
                self.asks = false;
                let at = self.session.moment(at);
                self.pulse.heard(at);
                // First: no line is kept of what is not.
                if let Some(kept) = &self.kept {
                    kept.bytes(source, Arc::clone(&bytes), at);
                }
                self.session.feed(source, &bytes, at);
            }
            Piece::Closed(source, at) => {
                self.open.remove(&source);
                let at = self.session.moment(at);
                self.session.pipeline.close_source(source, at);
                if let Some(kept) = &self.kept {
                    kept.closed(source, at);
                }
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
            self.session.pipeline.derivation(facts, at);
        }
        self.session.changed();
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Started(pid) => {
                self.pid = Some(pid);
                self.facts.process = ProcessId::of(pid);
                self.facts.guard = ProcessId::of(self.child.guard);
                if let Some(run) = &self.run
                    && let Err(error) = run.write_facts(&self.facts)
                {
                    super::super::complain(
                        &anyhow::Error::new(error).context("this run is not kept in full"),
                    );
                }
                for signal in std::mem::take(&mut self.unsent) {
                    child::signal_group(pid, signal);
                }
                self.beat();
                if let Some(started) = self.started.take() {
                    started(Ok(()));
                }
            }
            News::NotStarted(why) => {
                self.ended = Some(Instant::now());
                self.not_started = Some(std::io::Error::from_raw_os_error(why));
            }
            News::Stopped(signal) => {
                self.stopped_by = Some((signal, tokio::time::Instant::now() + LAST_WORDS));
            }
            News::Ended(exit) => {
                self.exit = Some(exit);
                self.end();
            }
            News::EndedUnseen => {
                // The guard may have seen it, and died before it could tell.
                self.exit = self.run.as_ref().and_then(|run| run.exit().ok().flatten());
                self.end();
            }
        }
    }

    fn end(&mut self) {
        self.ended = Some(Instant::now());
        self.quiet_since = Instant::now();
        if let Some(foreground) = &mut self.foreground {
            foreground.take_back();
        }
    }

    /// Hands a signal on; a second SIGINT ends the command for good.
    fn forward(&mut self, signal: Signal) {
        self.session.interrupt();
        if self.ended.is_some() {
            // Its number may be another's, and only we are left.
            self.given_up = true;
            self.session.output().abandon();
            return;
        }
        self.signalled = true;
        self.session.output().abandon();
        let signal = if signal == Signal::INT && std::mem::replace(&mut self.interrupted, true) {
            Signal::KILL
        } else {
            signal
        };
        let Some(pid) = self.pid else {
            self.unsent.push(signal);
            return;
        };
        child::signal_group(pid, signal);
        // A stopped process takes no other signal before.
        child::signal_group(pid, Signal::CONT);
        if process_tree::is_beyond_reach(pid) {
            self.cannot_signal(pid);
        }
    }

    /// The command runs, or has others run, as another user, as with `sudo`. ^C from the terminal reaches them: the system
    /// sends it to the group in the foreground, whoever its processes belong to.
    fn cannot_signal(&mut self, pid: i32) {
        let is_lent = self.foreground.as_mut().is_some_and(|foreground| foreground.lend(pid));
        let told = if is_lent { "press ^C once more" } else { "end it as that user" };
        let text = format!("what runs as another user takes no signal from nixmon: {told}");
        self.session.pipeline.notice(&[Line::new().with(Role::Warning, text)], self.session.now());
        if is_lent {
            self.session.leave();
            self.asks = true;
        }
    }

    /// The user has stopped us at the terminal: the command stops too, and goes on with us.
    fn stop(&mut self) {
        let pid = self.pid.filter(|_| self.ended.is_none());
        if let Some(pid) = pid {
            child::signal_group(pid, Signal::TSTP);
        }
        self.session.sleep();
        if let Some(pid) = pid {
            child::signal_group(pid, Signal::CONT);
        }
    }

    /// The command was stopped: because it wants the terminal, or by the user at the terminal that it has.
    fn stopped(&mut self) {
        let Some((signal, _)) = self.stopped_by.take() else { return };
        let (Some(foreground), Some(pid)) = (&mut self.foreground, self.pid) else { return };
        self.session.settle();
        if signal == Signal::TTIN.as_raw() || signal == Signal::TTOU.as_raw() {
            self.session.leave();
            self.asks = foreground.lend(pid);
            // Not where we are in the background ourselves: later, if we come to the foreground.
            self.wants_terminal = !self.asks;
        } else if signal == Signal::TSTP.as_raw() && foreground.is_lent() {
            foreground.take_back();
            self.session.sleep();
            if !self.foreground.as_mut().is_some_and(|foreground| foreground.lend(pid)) {
                // In the background it goes on until it needs the terminal again.
                child::signal_group(pid, Signal::CONT);
            }
        }
    }

    fn tick(&mut self) {
        if self.wants_terminal
            && let (Some(foreground), Some(pid)) = (&mut self.foreground, self.pid)
            && foreground.lend(pid)
        {
            self.wants_terminal = false;
            self.asks = true;
            self.session.leave();
        }
        self.session.tick();
        let at = self.session.now();
        if at >= self.pulse.sample_at()
            && let Some(pid) = self.pid
        {
            let adopter = i32::try_from(std::process::id()).ok();
            self.pulse.sample(process_tree::sample(pid, adopter), at);
        }
        let partial = self.partial();
        let now = pulse::Now { at, wall_ms: unix_ms(), partial: partial.as_deref() };
        let overdue =
            self.overdue.check(&self.facts, self.session.pipeline.state(), &self.pulse, now, &self.style);
        if let Some(lines) = overdue {
            self.session.pipeline.notice(&lines, at);
        }
        if let Some(kept) = &self.kept
            && let Some(trouble) = kept.trouble()
            && !self.facts.background
            && !std::mem::replace(&mut self.unkept_said, true)
        {
            complain(&anyhow::anyhow!(trouble));
        }
        self.ask_jobs();
        let due = self.heartbeat.elapsed();
        if due >= HEARTBEAT || (due >= NEWS && self.said != self.news_now()) {
            self.beat();
            // The guard is waited for by nobody, and lives until we are done, unless it is killed.
            self.reaper.look(self.pid);
        }
    }

    /// Asks Nix once how many builds it runs at once, of a run that has gone on for a while: it costs as much as a short one.
    fn ask_jobs(&mut self) {
        let Some(kept) = &self.kept else { return };
        if let Some(jobs) = &self.jobs {
            if let Ok(jobs) = jobs.try_recv() {
                self.facts.environment.jobs = jobs;
                kept.facts(self.facts.clone());
            }
        } else if let Some(version) = self.nix
            && self.session.now() >= HEARTBEAT
        {
            let (sender, jobs) = std::sync::mpsc::channel();
            self.jobs = Some(jobs);
            // Without a thread it is not known.
            let _ = std::thread::Builder::new().name("max-jobs".to_owned()).spawn(move || {
                let _ = sender.send(nix::max_jobs(version));
            });
        }
    }

    /// What makes the next heartbeat worth while at once.
    fn news_now(&self) -> (u64, usize, &'static str) {
        let state = self.session.pipeline.state();
        let cursor = self.kept.as_ref().map_or(0, Kept::cursor);
        (cursor, state.failures().count(), state.phase().as_str())
    }

    /// Writes how the run stands.
    fn beat(&mut self) {
        self.heartbeat = Instant::now();
        self.said = self.news_now();
        let Some(kept) = &self.kept else { return };
        let mut status = self.status(self.session.now());
        status.cursor = kept.cursor();
        status.incomplete = kept.trouble();
        kept.status(status);
    }

    fn status(&self, at: Moment) -> Status {
        let partial = self.partial();
        let now = pulse::Now { at, wall_ms: unix_ms(), partial: partial.as_deref() };
        pulse::status_of(
            &self.facts,
            self.session.pipeline.state(),
            &self.pulse,
            &self.overdue,
            now,
            &self.style,
        )
    }

    /// The beginning of a line that has stood there for a while.
    fn partial(&self) -> Option<String> {
        let unfinished = self.session.pipeline.unfinished()?;
        (self.quiet_since.elapsed() >= QUESTION).then(|| unfinished.into_owned())
    }

    async fn finish(mut self, endings: &mut Endings) -> Ended {
        if let Some(foreground) = &mut self.foreground {
            foreground.take_back();
        }
        let at = self.session.now();
        let status = match (&self.exit, &self.not_started) {
            (Some(exit), _) => Some(exit.status()),
            (None, Some(error)) => Some(super::not_started_status(error)),
            (None, None) => None,
        };
        let (settings, begun_at) = (self.settings, self.begun_at);
        let end = self
            .session
            .pipeline
            .end_of_command(status, at, |state| service_logs::evidence(state, settings, Some(begun_at)));
        let mut last = self.status(at);
        if let Some(kept) = &self.kept {
            if let Some(status) = status {
                kept.exit_status(status, at);
            }
            kept.summary(end.summary.clone());
            last.line = end.line.clone();
            last.state = RunState::Ended;
            last.ended_at = Some(unix_ms());
            last.outcome = Some(end.outcome.to_owned());
            last.exit_code = status;
            last.cursor = kept.cursor();
            if self.prepares && status == Some(0) {
                last.incomplete.get_or_insert_with(|| FOLLOWED.to_owned());
            }
            kept.status(last);
        }
        self.child.dismiss();
        // What it holds is written before we say that we are done. A reader may take his time; whoever wants us to end
        // does not.
        let output = self.session.output();
        tokio::select! {
            () = output.taken() => {}
            _ = endings.recv() => output.abandon(),
        }
        drop(self.session);
        // The disk may have filled up at the very end.
        if let Some(trouble) = self.kept.take().and_then(Kept::finish)
            && !self.facts.background
            && !self.unkept_said
        {
            complain(&anyhow::anyhow!(trouble));
        }
        // Whoever asks about the run then is told of its end.
        if let (Some(started), Some(error)) = (self.started, &self.not_started) {
            started(Err(error));
        }
        Ended {
            exit: self.exit,
            not_started: self.not_started,
            facts: self.facts,
            summary: end.summary,
            outcome: end.outcome,
            line: end.line,
        }
    }
}
