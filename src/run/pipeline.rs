//! Bytes to output: reader, state and frontend in a row. Knows no clock and reads no file; both loops drive it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::frontends::{Frontend, Frontends};
use super::recording::Step;
use crate::frontend::{Condition, Lines, Log, LogLines};
use crate::input::{Event, Source, Streams};
use crate::render::{self, Style, Thresholds};
use crate::run::command::KeptWriter;
use crate::run::writer::WriterEnd;
use crate::runs::RunId;
use crate::settings::Output;
use crate::state::{Change, DerivationFacts, Effects, Input, Moment, Outcome, Request, State, TextKind};
use crate::text::{Line, Symbols, sanitize};
use crate::view::Evidence;
use crate::wire;

/// How a command ended.
#[derive(Debug)]
pub(super) struct End {
    /// The outcome's name in the summary record.
    pub(super) outcome: &'static str,
    /// The summary record.
    pub(super) summary: serde_json::Value,
    /// One line that says the same.
    pub(super) line: String,
}

/// Reader, state and frontend.
#[derive(Debug)]
pub struct Pipeline<W> {
    streams: Streams,
    state: State,
    effects: Effects,
    frontend: Frontends<W>,
    stdout: Stdout,
    /// Answers of a recording that were not asked for yet, by file.
    unasked: BTreeMap<String, DerivationFacts>,
}

/// What becomes of the command's stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stdout {
    /// It is read and told as stderr is.
    #[default]
    Told,
    /// It is read, but somebody else hands it on.
    Passed,
    /// Its lines are results.
    Result,
}

impl<W: Write> Pipeline<W> {
    pub(super) fn new(frontend: Frontend<W>, logs: LogLines) -> Self {
        let mut state = State::new();
        match logs {
            LogLines::All(_) => state.report_log_lines(),
            LogLines::Failed(lines) => state.keep_log_lines(lines),
            LogLines::None => {}
        }
        let frontend = Frontends::new(frontend);
        if frontend.tells_unnamed() {
            state.report_unnamed_lines();
        }
        Self {
            streams: Streams::default(),
            state,
            effects: Effects::default(),
            frontend,
            stdout: Stdout::default(),
            unasked: BTreeMap::new(),
        }
    }

    /// Keeps condensed lines and JSON lines beside what the frontend does.
    pub(super) fn keep(&mut self, lines: Lines<KeptWriter>, changes: KeptWriter) {
        self.frontend.keep(lines, changes);
    }

    /// It tells of a run that is kept, of this number.
    pub(super) fn of_run(&mut self, run: RunId) {
        self.frontend.of_run(run.0);
    }

    /// Says something that no change says: above a live view, among condensed lines, as a record.
    pub fn notice(&mut self, lines: &[Line], at: Moment) {
        if !lines.is_empty() {
            self.frontend.notice(lines, at);
        }
    }

    /// The beginning of a line that has not ended, if it is text: perhaps a question.
    pub(super) fn unfinished(&self) -> Option<Cow<'_, str>> {
        self.streams.partial_text().map(String::from_utf8_lossy)
    }

    /// Writes to `writer` what `output` asks for, condensed lines where that is a live view.
    pub fn to_writer(writer: W, output: &Output) -> Self {
        super::to_writer(writer, output, Thresholds::default())
    }

    /// Takes the writer back; a live view has none.
    pub fn into_writer(self) -> Option<W> {
        self.frontend.into_writer()
    }

    /// The frontend that writes every line, if this is the one.
    pub(super) fn log_mut(&mut self) -> Option<&mut Log<W>> {
        self.frontend.log_mut()
    }

    /// What is known, and the frontend that writes every line, if this is the one.
    pub(super) fn state_and_log(&self) -> (&State, Option<&Log<W>>) {
        (&self.state, self.frontend.log())
    }

    /// The command may be any program, not only Nix.
    pub fn expect_any_command(&mut self) {
        self.state.expect_any_command();
    }

    /// There may be connections of Nix processes: text waits a moment for the records that say the same.
    pub fn expect_logs(&mut self) {
        self.streams.expect_logs();
    }

    /// The command's stdout is handed on by somebody else: it is read, but no text of it is told.
    pub fn pass_stdout(&mut self, is_passed: bool) {
        self.set_stdout(if is_passed { Stdout::Passed } else { Stdout::Told });
    }

    /// Each line of the command's stdout is a result and told as one, whatever it looks like.
    pub fn stdout_is_result(&mut self, is_result: bool) {
        self.set_stdout(if is_result { Stdout::Result } else { Stdout::Told });
    }

    fn set_stdout(&mut self, stdout: Stdout) {
        self.stdout = stdout;
        self.streams.stdout_is_result(stdout == Stdout::Result);
    }

    /// The next bytes of the only stream, or of the command's stderr.
    pub fn feed(&mut self, bytes: &[u8], at: Moment) {
        self.feed_from(Source::Main, bytes, at);
    }

    /// The next bytes of one of several streams. No bytes from a [`Source::Log`] say that a connection was made.
    pub fn feed_from(&mut self, source: Source, bytes: &[u8], at: Moment) {
        self.frontend.touch();
        let Self { streams, state, effects, frontend, stdout, .. } = self;
        streams.feed(source, bytes, at, |source, event| {
            take(source, event, at, *stdout, state, effects, frontend);
        });
    }

    /// One of several streams has ended.
    pub fn close_source(&mut self, source: Source, at: Moment) {
        let Self { streams, state, effects, frontend, stdout, .. } = self;
        streams.close(source, at, |source, event| {
            take(source, event, at, *stdout, state, effects, frontend);
        });
    }

    /// When [`Pipeline::release`] is to be called: text waits until then for a record that says the same.
    pub fn next_release(&self) -> Option<Moment> {
        self.streams.next_release()
    }

    /// Hands on the text that has waited long enough.
    pub fn release(&mut self, at: Moment) {
        let was_waiting = self.streams.next_release().is_some();
        let Self { streams, state, effects, frontend, stdout, .. } = self;
        streams.release(at, |source, event| {
            take(source, event, at, *stdout, state, effects, frontend);
        });
        // Whatever else comes within this time, a line that was held back unfinished is a prompt.
        if was_waiting && self.streams.next_release().is_none() {
            self.partial(at);
        }
    }

    /// Nothing has come for a moment.
    pub fn settle(&mut self, at: Moment) {
        let Self { streams, state, effects, frontend, stdout, .. } = self;
        streams.settle(at, |source, event| {
            take(source, event, at, *stdout, state, effects, frontend);
        });
        self.partial(at);
    }

    /// Shows a line that has not ended.
    fn partial(&mut self, at: Moment) {
        if let Some(partial) = self.streams.partial_text() {
            self.frontend.partial(partial, at);
        }
    }

    /// Draws a frame of a live view, if it would differ from the last one.
    pub fn frame(&mut self, at: Moment, condition: Condition) {
        self.frontend.frame(&self.state, at, condition);
    }

    /// Takes a live view away until the next frame.
    pub fn leave(&mut self) {
        self.frontend.leave();
    }

    /// Time has passed.
    pub fn tick(&mut self, at: Moment) {
        self.apply(Input::Tick, at);
        self.frontend.tick(&self.state, at);
    }

    /// A `.drv` file was read.
    pub fn derivation(&mut self, facts: &DerivationFacts, at: Moment) {
        self.apply(Input::Derivation(facts), at);
    }

    /// What a recording says of a `.drv` file. It waits for its question where that comes later than it came in the run:
    /// text waits for records here, and there it did not if nothing was listened to; and nobody noted when an error was
    /// whole because nothing followed.
    fn recorded_derivation(&mut self, facts: DerivationFacts, at: Moment) {
        if self.state.derivations().find(&facts.path).is_some() {
            self.derivation(&facts, at);
        } else {
            self.unasked.insert(facts.path.clone(), facts);
        }
    }

    /// Answers what the state asks for by what the recording has said, where it has.
    fn answer_recorded(&mut self, at: Moment) {
        let asked: Vec<_> = self.requests().collect();
        for Request::ReadDerivation(path) in asked {
            if let Some(facts) = self.unasked.remove(&*path) {
                self.derivation(&facts, at);
            }
        }
    }

    /// Hands on the text that would have been due by now in a recording.
    pub fn release_until(&mut self, at: Moment) {
        while let Some(due) = self.next_release().filter(|due| *due <= at) {
            self.release(due);
        }
    }

    /// The next step of a recording. The exit status is left to whoever ends it.
    pub fn step(&mut self, step: &Step, at: Moment) {
        self.release_until(at);
        match step {
            Step::SeveralStreams => self.expect_logs(),
            Step::Bytes(source, bytes) => self.feed_from(*source, bytes, at),
            Step::Closed(source) => self.close_source(*source, at),
            Step::Derivation(facts) => self.recorded_derivation(facts.clone(), at),
            Step::ExitStatus(_) => {}
        }
        self.answer_recorded(at);
    }

    /// The recording has ended: nothing waits any more.
    pub(super) fn end_of_recording(&mut self, at: Moment) {
        while let Some(due) = self.next_release() {
            // It is due at a whole millisecond.
            self.release(due + Duration::from_millis(1));
        }
        self.settle(at);
        self.answer_recorded(at);
    }

    /// The user has interrupted us.
    pub fn interrupt(&mut self, at: Moment) {
        self.apply(Input::Interrupt, at);
    }

    /// What the state asks for.
    pub fn requests(&mut self) -> impl Iterator<Item = Request> {
        self.effects.requests.drain(..)
    }

    /// How the run stands, whatever was said before. Returns what is to be said elsewhere, where the output is not for
    /// people.
    pub fn report_now(&mut self, at: Moment) -> Option<String> {
        self.frontend.report_now(&self.state, at)
    }

    /// The stream has ended, and what wrote it as `writer` says, if that is known. Returns the exit status of a filter, and
    /// that of the writer if it counts.
    pub(super) fn end_of_stream(
        &mut self,
        writer: Option<WriterEnd>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> (i32, Option<i32>) {
        self.flush(at);
        // A shell ends as what it ran last, so its 0 is no answer to a failure that was read; Nix's is.
        let contradicted = matches!(self.state.outcome_so_far(), Outcome::Failure | Outcome::Interrupted);
        let counts = |end: &WriterEnd| end.status != 0 || end.is_of_nix || !contradicted;
        let status = writer.filter(counts).map(|end| end.status);
        self.apply(Input::End(status), at);
        let code = status.unwrap_or_else(|| self.state.exit_code());
        self.tell_end(code, at, gather);
        (code, status)
    }

    /// The stream has ended. Returns the exit status of a filter.
    ///
    /// `gather` looks for logs once it is known what failed.
    pub fn end(
        &mut self,
        exit_status: Option<i32>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> i32 {
        self.finish(exit_status, at);
        let code = self.state.exit_code();
        self.tell_end(code, at, gather);
        code
    }

    fn tell_end(&mut self, code: i32, at: Moment, gather: impl FnOnce(&State) -> Evidence) {
        if self.frontend.wants_evidence() {
            let evidence = gather(&self.state);
            self.frontend.end(&self.state, &evidence, self.streams.counts(), code, at);
        }
    }

    /// The command has ended with this exit status, if anybody saw it, and so do we.
    pub(super) fn end_of_command(
        &mut self,
        exit_status: Option<i32>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> End {
        self.finish(exit_status, at);
        let code = exit_status.unwrap_or_else(|| self.state.exit_code());
        let evidence = gather(&self.state);
        let counts = self.streams.counts();
        self.frontend.end(&self.state, &evidence, counts, code, at);
        let summary = wire::summary(&self.state, &evidence, counts, code);
        let line = self.verdict();
        End { line, outcome: summary.outcome, summary: serde_json::to_value(&summary).unwrap_or_default() }
    }

    /// One line that says how it went.
    pub(super) fn verdict(&self) -> String {
        let style = Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() };
        render::verdict(&self.state, &style).plain()
    }

    /// Nothing more is read: hands on what was held back.
    fn flush(&mut self, at: Moment) {
        let Self { streams, state, effects, frontend, stdout, .. } = self;
        streams.finish(|source, event| {
            take(source, event, at, *stdout, state, effects, frontend);
        });
    }

    fn finish(&mut self, exit_status: Option<i32>, at: Moment) {
        self.flush(at);
        self.apply(Input::End(exit_status), at);
    }

    /// Whether there was any input.
    pub fn has_read(&self) -> bool {
        self.streams.counts().bytes > 0
    }

    /// What is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn apply(&mut self, input: Input<'_>, at: Moment) {
        self.state.apply(input, at, &mut self.effects);
        publish(&self.state, &mut self.effects, &mut self.frontend, at);
    }
}

/// Takes one event of a stream and tells what it leads to.
fn take<W: Write>(
    source: Source,
    event: Event<'_>,
    at: Moment,
    stdout: Stdout,
    state: &mut State,
    effects: &mut Effects,
    frontend: &mut Frontends<W>,
) {
    let said = event.clone();
    apply(source, event, at, stdout, state, effects);
    if source != Source::Stdout || stdout != Stdout::Passed {
        frontend.event(&said, &effects.changes);
    }
    publish(state, effects, frontend, at);
}

/// What one event of a stream leads to.
fn apply(
    source: Source,
    event: Event<'_>,
    at: Moment,
    stdout: Stdout,
    state: &mut State,
    effects: &mut Effects,
) {
    match (source, stdout, event) {
        (Source::Stdout, Stdout::Result, Event::Line(line)) => {
            effects.changes.push(Change::Text(TextKind::Result, sanitize(line.text).into_owned()));
        }
        (Source::Stdout, Stdout::Passed, event) => {
            state.apply(Input::Event(event), at, effects);
            effects.changes.retain(|change| !matches!(change, Change::Text(..)));
        }
        (_, _, event) => state.apply(Input::Event(event), at, effects),
    }
}

fn publish<W: Write>(state: &State, effects: &mut Effects, frontend: &mut Frontends<W>, at: Moment) {
    if effects.changes.is_empty() {
        return;
    }
    frontend.changes(state, &effects.changes, at);
    effects.changes.clear();
}
