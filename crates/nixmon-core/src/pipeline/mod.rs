//! Bytes to output: reader, state and sinks in a row. Knows no clock and reads no file; its caller tells it the time.

mod sink;
mod step;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::frontend::{Condition, LogLines};
use crate::render::{self, Style, Thresholds};
use crate::state::{
    Change, DerivationFacts, Effects, Forecast, Input, Insight, Moment, Outcome, Request, State, TextKind,
};
use crate::text::{Line, Symbols, ascii};
use crate::view::{Evidence, View};
use crate::wire;
use nixmon_log::escapes::sanitize;
use nixmon_log::input::{Event, Source, Streams};
use nixmon_progress::Hints;
pub use sink::Sink;
pub use step::{Machine, Step};

/// The end of the program that wrote a filter's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterEnd {
    /// Its exit status, as a shell reports it: 128 and the number for a signal.
    pub status: i32,
    /// A 0 is Nix's own word. The 0 of a shell or another program may be that of whatever it ran last, and says less than a
    /// failure in the stream.
    pub is_of_nix: bool,
}

/// The end of a command.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct End {
    /// The outcome's name in the summary record.
    pub outcome: &'static str,
    /// The summary record.
    pub summary: serde_json::Value,
    /// One line that says the same.
    pub line: String,
}

/// Reader, state and sinks.
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use std::time::Duration;
///
/// use nixmon_core::frontend::{Json, LogLines};
/// use nixmon_core::pipeline::Pipeline;
/// use nixmon_core::view::Evidence;
///
/// let json = Rc::new(RefCell::new(Json::new(Vec::new(), None)));
/// let mut pipeline = Pipeline::new(Rc::clone(&json), LogLines::default());
/// pipeline.feed(b"error: attribute 'hello' missing\n", Duration::from_secs(1));
/// let status = pipeline.end(None, Duration::from_secs(2), |_| Evidence::default());
/// drop(pipeline);
/// let written = Rc::into_inner(json).unwrap().into_inner().into_writer();
/// assert_eq!(status, 1);
/// assert!(String::from_utf8(written).unwrap().contains("attribute 'hello' missing"));
/// ```
pub struct Pipeline {
    streams: Streams,
    state: State,
    effects: Effects,
    sinks: Sinks,
    stdout: Stdout,
    /// Answers of a recording that were not asked for yet, by file.
    unasked: BTreeMap<String, DerivationFacts>,
    /// The user has interrupted nixmon itself.
    is_interrupted: bool,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("stdout", &self.stdout).finish_non_exhaustive()
    }
}

/// All sinks.
struct Sinks {
    /// The one that a user looks at: it alone gets frames, unfinished lines and questions for how the run stands.
    shown: Box<dyn Sink>,
    kept: Vec<Box<dyn Sink>>,
    want_events: bool,
}

impl Sinks {
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Sink>> {
        std::iter::once(&mut self.shown).chain(&mut self.kept)
    }

    fn iter(&self) -> impl Iterator<Item = &Box<dyn Sink>> {
        std::iter::once(&self.shown).chain(&self.kept)
    }
}

/// The use of the command's stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stdout {
    /// It is read and told as stderr is.
    #[default]
    Told,
    /// It is read, but passed on elsewhere.
    Passed,
    /// Its lines are results.
    Result,
}

impl Pipeline {
    /// Makes a pipeline that shows a user something. `logs` says which lines of logs the state keeps for its sinks.
    pub fn new(shown: impl Sink + 'static, logs: LogLines) -> Self {
        let mut state = State::new();
        match logs {
            LogLines::All(_) => state.report_log_lines(),
            LogLines::Failed(lines) => state.keep_log_lines(lines),
            LogLines::None => {}
        }
        if shown.wants_unnamed_lines() {
            state.report_unnamed_lines();
        }
        let want_events = shown.wants_events();
        Self {
            streams: Streams::default(),
            state,
            effects: Effects::default(),
            sinks: Sinks { shown: Box::new(shown), kept: Vec::new(), want_events },
            stdout: Stdout::default(),
            unasked: BTreeMap::new(),
            is_interrupted: false,
        }
    }

    /// Adds a sink beside the one that is shown. It gets changes, notices, the time and the end.
    pub fn keep(&mut self, sink: impl Sink + 'static) {
        self.sinks.want_events |= sink.wants_events();
        self.sinks.kept.push(Box::new(sink));
    }

    /// Takes the number of the run, which is kept.
    pub fn of_run(&mut self, run: u64) {
        self.sinks.iter_mut().for_each(|sink| sink.of_run(run));
    }

    /// Tells the sinks lines about the run itself: above a live view, among condensed lines, as a record.
    pub fn notice(&mut self, lines: &[Line], at: Moment) {
        if !lines.is_empty() {
            self.sinks.iter_mut().for_each(|sink| sink.notice(lines, at));
        }
    }

    /// Returns the beginning of a line that has not ended, if it is text: perhaps a question.
    pub fn unfinished(&self) -> Option<Cow<'_, str>> {
        self.streams.partial_text().map(String::from_utf8_lossy)
    }

    /// Prepares for a command that may be any program, not only Nix.
    pub fn expect_any_command(&mut self) {
        self.state.expect_any_command();
    }

    /// Prepares for connections of Nix processes: text waits a moment for the records that say the same.
    pub fn expect_logs(&mut self) {
        self.streams.expect_logs();
    }

    /// Says whether the command's stdout is passed on elsewhere: then it is read, but no text of it is told.
    pub fn pass_stdout(&mut self, is_passed: bool) {
        self.set_stdout(if is_passed { Stdout::Passed } else { Stdout::Told });
    }

    /// Says whether each line of the command's stdout is a result, to be told as one whatever it looks like.
    pub fn stdout_is_result(&mut self, is_result: bool) {
        self.set_stdout(if is_result { Stdout::Result } else { Stdout::Told });
    }

    fn set_stdout(&mut self, stdout: Stdout) {
        self.stdout = stdout;
        self.streams.stdout_is_result(stdout == Stdout::Result);
    }

    /// Takes the next bytes of the only stream, or of the command's stderr.
    pub fn feed(&mut self, bytes: &[u8], at: Moment) {
        self.feed_from(Source::Main, bytes, at);
    }

    /// Takes the next bytes of one of several streams. No bytes from a [`Source::Log`] say that a connection was made.
    pub fn feed_from(&mut self, source: Source, bytes: &[u8], at: Moment) {
        self.sinks.shown.touch();
        let Self { streams, state, effects, sinks, stdout, .. } = self;
        streams.feed(source, bytes, at, &mut |source, event| {
            take(source, event, at, *stdout, state, effects, sinks);
        });
    }

    /// Takes note that one of several streams has ended.
    pub fn close_source(&mut self, source: Source, at: Moment) {
        let Self { streams, state, effects, sinks, stdout, .. } = self;
        streams.close(source, at, &mut |source, event| {
            take(source, event, at, *stdout, state, effects, sinks);
        });
    }

    /// Returns the moment at which [`Pipeline::release`] is due: text waits until then for a record that says the same.
    pub fn next_release(&self) -> Option<Moment> {
        self.streams.next_release()
    }

    /// Hands on the text that has waited long enough.
    pub fn release(&mut self, at: Moment) {
        let was_waiting = self.streams.next_release().is_some();
        let Self { streams, state, effects, sinks, stdout, .. } = self;
        streams.release(at, &mut |source, event| {
            take(source, event, at, *stdout, state, effects, sinks);
        });
        // A line that was held back unfinished is a prompt, whatever else comes within this time.
        if was_waiting && self.streams.next_release().is_none() {
            self.partial(at);
        }
    }

    /// Takes note that nothing has come for a moment.
    pub fn settle(&mut self, at: Moment) {
        let Self { streams, state, effects, sinks, stdout, .. } = self;
        streams.settle(at, &mut |source, event| {
            take(source, event, at, *stdout, state, effects, sinks);
        });
        self.partial(at);
    }

    /// Shows a line that has not ended.
    fn partial(&mut self, at: Moment) {
        if let Some(partial) = self.streams.partial_text() {
            self.sinks.shown.partial(partial, at);
        }
    }

    /// Draws a frame of a live view, if it would differ from the last one.
    pub fn frame(&mut self, at: Moment, condition: Condition) {
        self.sinks.shown.frame(&self.state, at, condition);
    }

    /// Clears a live view from the terminal until the next frame.
    pub fn leave(&mut self) {
        self.sinks.shown.leave();
    }

    /// Takes note of the time.
    pub fn tick(&mut self, at: Moment) {
        self.apply(Input::Tick, at);
        let Self { state, sinks, .. } = self;
        sinks.iter_mut().for_each(|sink| sink.tick(state, at));
    }

    /// Takes the content of a `.drv` file.
    pub fn derivation(&mut self, facts: &DerivationFacts, at: Moment) {
        self.apply(Input::Derivation(facts), at);
    }

    /// Takes what is foreseen of the run.
    pub fn forecast(&mut self, forecast: Forecast) {
        let at = forecast.at;
        self.apply(Input::Forecast(forecast), at);
    }

    /// Prepares for facts about builds that arrive after their first lines.
    pub fn expect_insights(&mut self) {
        self.state.expect_insights();
    }

    /// Tells the sinks at the end of each build, and of the command, what was built inside.
    pub fn report_work(&mut self) {
        self.state.report_work();
    }

    /// Takes facts about what is built inside a derivation or by the command.
    pub fn insight(&mut self, insight: Insight, at: Moment) {
        self.apply(Input::Insight(Box::new(insight)), at);
    }

    /// Takes note that rows of the history of builds could not be written.
    pub fn lost_history(&mut self, rows: u64, at: Moment) {
        if rows > 0 {
            self.apply(Input::LostHistory(rows), at);
        }
    }

    /// Takes the content of a `.drv` file from a recording. It waits until the state asks for it, which may be later than
    /// in the run: here text always waits for records, and a recording does not say when an error was complete because
    /// nothing followed.
    fn recorded_derivation(&mut self, facts: DerivationFacts, at: Moment) {
        if self.state.derivations().find(&facts.path).is_some() {
            self.derivation(&facts, at);
        } else {
            self.unasked.insert(facts.path.clone(), facts);
        }
    }

    /// Takes facts about what is built from a recording.
    fn recorded_insight(&mut self, derivation: Option<&str>, hints: &serde_json::Value, at: Moment) {
        self.state.expect_insights();
        let scope = derivation.map(|path| self.state.derivations().find(path));
        // What was never named has no scope.
        if scope != Some(None) {
            self.insight(Insight { scope: scope.flatten(), hints: Hints::from_json(hints) }, at);
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

    /// Takes the next step of a recording. Its exit status is left to the caller, who passes it to [`Pipeline::end`].
    pub fn step(&mut self, step: &Step, at: Moment) {
        self.release_until(at);
        match step {
            Step::SeveralStreams => self.expect_logs(),
            Step::Bytes(source, bytes) => self.feed_from(*source, bytes, at),
            Step::Closed(source) => self.close_source(*source, at),
            Step::Derivation(facts) => self.recorded_derivation(facts.clone(), at),
            Step::Inside { derivation, hints } => self.recorded_insight(derivation.as_deref(), hints, at),
            Step::ExitStatus(_) | Step::Machine(_) | Step::Unknown => {}
        }
        self.answer_recorded(at);
    }

    /// Ends a recording: nothing waits any more.
    pub fn end_of_recording(&mut self, at: Moment) {
        while let Some(due) = self.next_release() {
            // It is due at a whole millisecond.
            self.release(due + Duration::from_millis(1));
        }
        self.settle(at);
        self.answer_recorded(at);
    }

    /// Takes note that the user has interrupted the run.
    pub fn interrupt(&mut self, at: Moment) {
        self.is_interrupted = true;
        self.apply(Input::Interrupt, at);
    }

    /// Takes note, before the end, that the exit status of the command is lost. Without it the run is no success.
    pub fn end_is_unseen(&mut self) {
        self.state.end_is_unseen();
    }

    /// Takes note, before the end, that the command could not be started, and why.
    pub fn not_started(&mut self, why: String) {
        self.state.not_started(why);
    }

    /// Takes the questions of the state, to be answered by [`Pipeline::derivation`].
    pub fn requests(&mut self) -> impl Iterator<Item = Request> {
        self.effects.requests.drain(..)
    }

    /// Reports how the run stands, whatever was said before. Returns the answer if the output is not for people, so that
    /// it belongs elsewhere.
    pub fn report_now(&mut self, at: Moment) -> Option<String> {
        if self.sinks.shown.report_now(&self.state, at) {
            return None;
        }
        let style = Style { symbols: Symbols::ascii(), ascii: true, thresholds: Thresholds::default() };
        let line = render::heartbeat(&View::new(&self.state, at), false, &style);
        Some(ascii(&line.plain()).into_owned())
    }

    /// Ends the stream of a filter, whose writer has ended as `writer` says, if that is known. Returns the exit status of the
    /// filter, and that of the writer if it counts.
    pub fn end_of_stream(
        &mut self,
        writer: Option<WriterEnd>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> (i32, Option<i32>) {
        self.flush(at);
        // A shell ends as what it ran last, so its 0 is no answer to a failure that was read; Nix's is.
        let contradicted = matches!(self.state.outcome_so_far(), Outcome::Failure | Outcome::Interrupted);
        let counts = |end: &WriterEnd| end.status != 0 || end.is_of_nix || !contradicted;
        // A user who interrupts ends the filter, too, whatever the writer makes of it.
        let status = writer.filter(|end| counts(end) && !self.is_interrupted).map(|end| end.status);
        self.apply(Input::End(status), at);
        let code = status.unwrap_or_else(|| self.state.exit_code());
        self.tell_end(code, at, gather);
        (code, status)
    }

    /// Ends the stream. Returns the exit status of a filter.
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
        if self.sinks.iter().any(|sink| sink.wants_end()) {
            let evidence = gather(&self.state);
            self.report(&evidence, code, at);
        }
    }

    /// Ends the streams of a command that has ended with this exit status, if that is known.
    pub fn end_of_command(
        &mut self,
        exit_status: Option<i32>,
        at: Moment,
        gather: impl FnOnce(&State) -> Evidence,
    ) -> End {
        self.finish(exit_status, at);
        let code = exit_status.unwrap_or_else(|| self.state.exit_code());
        let evidence = gather(&self.state);
        self.report(&evidence, code, at);
        let summary = wire::summary(&self.state, &evidence, self.streams.counts(), code);
        let line = self.verdict();
        let outcome = self.state.outcome().unwrap_or(Outcome::Incomplete).as_str();
        End { line, outcome, summary: serde_json::to_value(&summary).unwrap_or_default() }
    }

    /// Returns one line that says how the run went.
    pub fn verdict(&self) -> String {
        let style = Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() };
        render::verdict(&self.state, &style).plain()
    }

    fn report(&mut self, evidence: &Evidence, code: i32, at: Moment) {
        let Self { streams, state, sinks, .. } = self;
        let counts = streams.counts();
        sinks.iter_mut().filter(|sink| sink.wants_end()).for_each(|sink| {
            sink.end(state, evidence, counts, code, at);
        });
    }

    /// Passes on what was held back: nothing more is read.
    fn flush(&mut self, at: Moment) {
        let Self { streams, state, effects, sinks, stdout, .. } = self;
        streams.finish(&mut |source, event| {
            take(source, event, at, *stdout, state, effects, sinks);
        });
    }

    fn finish(&mut self, exit_status: Option<i32>, at: Moment) {
        self.flush(at);
        self.apply(Input::End(exit_status), at);
    }

    /// Returns whether there was any input.
    pub fn has_read(&self) -> bool {
        self.streams.counts().bytes > 0
    }

    /// Returns the state.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn apply(&mut self, input: Input<'_>, at: Moment) {
        self.state.apply(input, at, &mut self.effects);
        publish(&self.state, &mut self.effects, &mut self.sinks, at);
    }
}

/// Applies one event of a stream and tells the sinks what it leads to.
fn take(
    source: Source,
    event: Event<'_>,
    at: Moment,
    stdout: Stdout,
    state: &mut State,
    effects: &mut Effects,
    sinks: &mut Sinks,
) {
    if sinks.want_events && (source != Source::Stdout || stdout != Stdout::Passed) {
        let said = event.clone();
        apply(source, event, at, stdout, state, effects);
        for sink in sinks.iter_mut().filter(|sink| sink.wants_events()) {
            sink.event(&said, &effects.changes);
        }
    } else {
        apply(source, event, at, stdout, state, effects);
    }
    publish(state, effects, sinks, at);
}

/// Applies one event of a stream.
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

fn publish(state: &State, effects: &mut Effects, sinks: &mut Sinks, at: Moment) {
    if effects.changes.is_empty() {
        return;
    }
    for sink in sinks.iter_mut() {
        sink.changes(state, &effects.changes, at);
    }
    effects.changes.clear();
}

#[cfg(test)]
mod tests;
