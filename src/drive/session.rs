//! The common part of the filter's loop and the monitor's: a pipeline, its screen, and the times at which either has
//! something to do.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{self, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

use super::Watch;
use super::background::{Background, Backlog, Stream};
use nixmon_core::pipeline::{End, Pipeline, WriterEnd};
use nixmon_core::state::{DerivationFacts, Forecast, Insight, Moment, Request, State};
use nixmon_core::text::Line;
use nixmon_core::view::Evidence;
use nixmon_log::input::Source;

/// Time between two ticks of the state.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Least time between two frames of a live view.
pub(crate) const FRAME: Duration = Duration::from_millis(100);
/// Time between two frames of a live view while nothing happens, for its clocks.
const CLOCK: Duration = Duration::from_secs(1);
/// A line that is unfinished for this long is a prompt; an error that nothing follows is whole.
pub(crate) const SETTLE: Duration = Duration::from_millis(40);
/// At the end, `.drv` files that were asked for are waited for this long.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// Bytes after which the loop looks for signals and at its clock. They take milliseconds, whatever they are.
const YIELD_BYTES: usize = 64 << 10;

/// A pipeline in the present.
pub(crate) struct Session {
    pipeline: Pipeline,
    screen: Watch,
    /// Standard error, for messages: the loop must not wait for its reader.
    messages: Background,
    begun: Instant,
    frame_at: tokio::time::Instant,
    drawn: tokio::time::Instant,
    /// A frame would differ from the last one.
    dirty: bool,
    /// Bytes have come since nothing came for a moment.
    unsettled: bool,
    /// Bytes since the loop last looked for signals and at its clock.
    unyielded: usize,
}

impl Session {
    /// All moments count from `begun`.
    pub(crate) fn new(pipeline: Pipeline, screen: Watch, begun: Instant) -> Self {
        let now = tokio::time::Instant::now();
        Self {
            pipeline,
            screen,
            messages: Background::spawn(Stream::Stderr),
            begun,
            frame_at: now,
            drawn: now,
            dirty: false,
            unsettled: false,
            unyielded: 0,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.screen.is_live()
    }

    /// The pending writes of the report.
    pub(crate) fn output(&self) -> Backlog {
        self.screen.output.clone()
    }

    /// Waits until everything that was written has been taken.
    pub(crate) async fn output_taken(&self) {
        self.screen.output.taken().await;
        self.messages.backlog().taken().await;
    }

    /// Stops waiting for readers of the output.
    pub(crate) fn abandon_output(&self) {
        self.screen.output.abandon();
        self.messages.backlog().abandon();
    }

    pub(crate) fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    pub(crate) fn moment(&self, at: Instant) -> Moment {
        at.saturating_duration_since(self.begun)
    }

    /// Takes note that something has changed that a frame may show.
    pub(crate) fn changed(&mut self) {
        self.dirty = true;
    }

    /// Returns whether there was any input.
    pub(crate) fn has_read(&self) -> bool {
        self.pipeline.has_read()
    }

    /// Returns the state.
    pub(crate) fn state(&self) -> &State {
        self.pipeline.state()
    }

    /// Returns the beginning of a line that has not ended, if it is text.
    pub(crate) fn unfinished(&self) -> Option<Cow<'_, str>> {
        self.pipeline.unfinished()
    }

    /// Tells lines about the run itself.
    pub(crate) fn notice(&mut self, lines: &[Line]) {
        self.notice_at(lines, self.now());
    }

    /// Tells lines about the run itself, which are true since `at`.
    pub(crate) fn notice_at(&mut self, lines: &[Line], at: Moment) {
        self.pipeline.notice(lines, at);
    }

    /// Takes note that one of several streams has ended.
    pub(crate) fn close_source(&mut self, source: Source, at: Moment) {
        self.pipeline.close_source(source, at);
    }

    /// Takes the content of `.drv` files.
    pub(crate) fn derivations(&mut self, answer: &[DerivationFacts], at: Moment) {
        answer.iter().for_each(|facts| self.pipeline.derivation(facts, at));
        self.dirty = true;
    }

    /// Takes what is foreseen of the run.
    pub(crate) fn forecast(&mut self, forecast: Forecast) {
        self.pipeline.forecast(forecast);
        self.dirty = true;
    }

    /// Takes facts about what is built.
    pub(crate) fn insight(&mut self, insight: Insight) {
        let at = self.now();
        self.pipeline.insight(insight, at);
        self.dirty = true;
    }

    /// Takes note that rows of the history could not be written.
    pub(crate) fn lost_history(&mut self, rows: u64) {
        let at = self.now();
        self.pipeline.lost_history(rows, at);
    }

    /// Ends a filter's stream. Returns its exit status, and that of the writer if it counts.
    pub(crate) fn end(
        &mut self,
        writer: Option<WriterEnd>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> (i32, Option<i32>) {
        self.pipeline.end_of_stream(writer, at, gather)
    }

    /// Notes that the exit status of the command is lost.
    pub(crate) fn end_is_unseen(&mut self) {
        self.pipeline.end_is_unseen();
    }

    /// Notes that the command could not be started, and why.
    pub(crate) fn not_started(&mut self, why: String) {
        self.pipeline.not_started(why);
    }

    /// Ends the streams of a command.
    pub(crate) fn end_of_command(
        &mut self,
        exit_status: Option<i32>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> End {
        self.pipeline.end_of_command(exit_status, at, gather)
    }

    /// Takes the next bytes of a stream.
    pub(crate) fn feed(&mut self, source: Source, bytes: &[u8], at: Moment) {
        self.pipeline.feed_from(source, bytes, at);
        self.unsettled = true;
        self.dirty = true;
        self.unyielded += bytes.len();
    }

    /// Lets the runtime deliver signals and timers after enough input. By itself it does so only after some hundred pieces
    /// if input is always ready, and endless short lines take seconds for as many.
    pub(crate) async fn yield_if_flooded(&mut self) {
        if self.unyielded >= YIELD_BYTES {
            self.unyielded = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Returns whether bytes have come, so that after [`SETTLE`] without any [`Session::settle`] is to be called.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    pub(crate) fn settle(&mut self) {
        self.unsettled = false;
        self.dirty = true;
        let at = self.now();
        self.pipeline.settle(at);
    }

    /// Returns when [`Session::release`] is to be called.
    pub(crate) fn release_at(&self) -> Option<tokio::time::Instant> {
        self.pipeline.next_release().map(|at| tokio::time::Instant::from_std(self.begun + at))
    }

    pub(crate) fn release(&mut self) {
        let at = self.now();
        self.pipeline.release(at);
        self.dirty = true;
    }

    /// Returns when [`Session::draw`] is to be called, if there is something to draw.
    pub(crate) fn frame_at(&self) -> Option<tokio::time::Instant> {
        (self.dirty && self.screen.is_live()).then_some(self.frame_at)
    }

    /// Draws a frame. `asks` means that another program uses the terminal.
    pub(crate) fn draw(&mut self, asks: bool) {
        self.drawn = tokio::time::Instant::now();
        self.frame_at = self.drawn + FRAME;
        let mut condition = self.screen.condition();
        condition.asking |= asks;
        // A terminal that is still busy with the last frame gets the next one but one.
        self.dirty = condition.busy;
        let at = self.now();
        self.pipeline.frame(at, condition);
    }

    /// Tells the pipeline the time.
    pub(crate) fn tick(&mut self) {
        let at = self.now();
        self.pipeline.tick(at);
        self.dirty |= self.drawn.elapsed() >= CLOCK || self.screen.has_typed();
    }

    pub(crate) fn interrupt(&mut self) {
        let at = self.now();
        self.pipeline.interrupt(at);
    }

    /// Reports how the run stands: on standard error if the output is not for people.
    pub(crate) fn report_now(&mut self) {
        let at = self.now();
        if let Some(line) = self.pipeline.report_now(at) {
            // A reader that has gone needs no answer.
            let _ = self.messages.write_all(format!("{line}\n").as_bytes());
        }
        self.dirty = true;
    }

    /// Leaves the terminal to others until the next frame.
    pub(crate) fn leave(&mut self) {
        self.pipeline.leave();
        self.screen.settle();
    }

    /// Stops this process, and returns once it is continued.
    pub(crate) fn sleep(&mut self) {
        self.leave();
        // If the signal cannot be sent, nothing stops.
        let _ = process::kill_process(process::getpid(), Signal::STOP);
        self.dirty = true;
    }

    /// Asks for the `.drv` files that the state wants.
    pub(crate) fn ask(&mut self, requests: &std::sync::mpsc::Sender<Vec<Arc<str>>>) {
        let paths: Vec<_> = self.pipeline.requests().map(|Request::ReadDerivation(path)| path).collect();
        if !paths.is_empty() {
            // Without the thread there is no answer, and less is known.
            let _ = requests.send(paths);
        }
    }
}

/// Sleeps until a moment, for ever if there is none.
pub(crate) async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// An interval of [`TICK`]s.
pub(crate) fn ticks() -> Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Starts to listen for a signal.
pub(crate) fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).context("cannot listen for signals")
}

/// Signals that ask how the run stands: SIGUSR1, and SIGINFO where there is one.
pub(crate) struct Questions {
    user: tokio::signal::unix::Signal,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    info: tokio::signal::unix::Signal,
}

impl Questions {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            user: listen(SignalKind::user_defined1())?,
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            info: listen(SignalKind::info())?,
        })
    }

    pub(crate) async fn recv(&mut self) {
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        tokio::select! {
            _ = self.user.recv() => {}
            _ = self.info.recv() => {}
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        self.user.recv().await;
    }
}
