//! Sinks of a pipeline: what is told of changes, and what of it each frontend wants.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use crate::frontend::Live;
use crate::frontend::{Condition, Json, Lines, Log, Results};
use crate::state::{Change, Moment, State};
use crate::text::Line;
use crate::view::Evidence;
use nixmon_log::input::{Event, InputCounts};

/// Receives what a [`Pipeline`](super::Pipeline) finds out. Every method does nothing by default.
///
/// The frontends are sinks, and so is anything behind an `Rc<RefCell<_>>`, which leaves its owner access to the sink while
/// the pipeline has it.
pub trait Sink {
    /// Returns whether [`Sink::event`] is to be called; otherwise events cost nothing.
    fn wants_events(&self) -> bool {
        false
    }

    /// Returns whether lines are wanted that may be builders' or other programs'.
    fn wants_unnamed_lines(&self) -> bool {
        false
    }

    /// Returns whether [`Sink::end`] is to be called, for which logs are looked for.
    fn wants_end(&self) -> bool {
        true
    }

    /// Takes an event of a stream and the changes that it has led to, which [`Sink::changes`] gets afterwards.
    fn event(&mut self, event: &Event<'_>, changes: &[Change]) {
        let _ = (event, changes);
    }

    /// Takes changes that the state has accepted.
    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        let _ = (state, changes, at);
    }

    /// Takes lines about the run itself, which no change says.
    fn notice(&mut self, lines: &[Line], at: Moment) {
        let _ = (lines, at);
    }

    /// Takes note of the time.
    fn tick(&mut self, state: &State, at: Moment) {
        let _ = (state, at);
    }

    /// Takes the number of the run, which is kept.
    fn of_run(&mut self, run: u64) {
        let _ = run;
    }

    /// Ends the output with a report. `code` is the exit status of the run.
    fn end(&mut self, state: &State, evidence: &Evidence, counts: InputCounts, code: i32, at: Moment) {
        let _ = (state, evidence, counts, code, at);
    }

    /// Takes note that input has come: a line that was unfinished may be finished.
    fn touch(&mut self) {}

    /// Shows the beginning of a line that has not ended for a moment.
    fn partial(&mut self, partial: &[u8], at: Moment) {
        let _ = (partial, at);
    }

    /// Draws a frame, if it would differ from the last one.
    fn frame(&mut self, state: &State, at: Moment, condition: Condition) {
        let _ = (state, at, condition);
    }

    /// Clears a view from the terminal until the next frame.
    fn leave(&mut self) {}

    /// Reports how the run stands, whatever was said before. Returns false if the output is not for people, so that the
    /// answer belongs elsewhere.
    fn report_now(&mut self, state: &State, at: Moment) -> bool {
        let _ = (state, at);
        false
    }
}

impl<S: Sink> Sink for Rc<RefCell<S>> {
    fn wants_events(&self) -> bool {
        self.borrow().wants_events()
    }

    fn wants_unnamed_lines(&self) -> bool {
        self.borrow().wants_unnamed_lines()
    }

    fn wants_end(&self) -> bool {
        self.borrow().wants_end()
    }

    fn event(&mut self, event: &Event<'_>, changes: &[Change]) {
        self.borrow_mut().event(event, changes);
    }

    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        self.borrow_mut().changes(state, changes, at);
    }

    fn notice(&mut self, lines: &[Line], at: Moment) {
        self.borrow_mut().notice(lines, at);
    }

    fn tick(&mut self, state: &State, at: Moment) {
        self.borrow_mut().tick(state, at);
    }

    fn of_run(&mut self, run: u64) {
        self.borrow_mut().of_run(run);
    }

    fn end(&mut self, state: &State, evidence: &Evidence, counts: InputCounts, code: i32, at: Moment) {
        self.borrow_mut().end(state, evidence, counts, code, at);
    }

    fn touch(&mut self) {
        self.borrow_mut().touch();
    }

    fn partial(&mut self, partial: &[u8], at: Moment) {
        self.borrow_mut().partial(partial, at);
    }

    fn frame(&mut self, state: &State, at: Moment, condition: Condition) {
        self.borrow_mut().frame(state, at, condition);
    }

    fn leave(&mut self) {
        self.borrow_mut().leave();
    }

    fn report_now(&mut self, state: &State, at: Moment) -> bool {
        self.borrow_mut().report_now(state, at)
    }
}

impl Sink for Live {
    fn wants_unnamed_lines(&self) -> bool {
        self.tells_unnamed()
    }

    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        Self::changes(self, state, changes, at);
    }

    fn notice(&mut self, lines: &[Line], _: Moment) {
        Self::notice(self, lines);
    }

    fn of_run(&mut self, run: u64) {
        Self::of_run(self, run);
    }

    fn end(&mut self, state: &State, evidence: &Evidence, _: InputCounts, _: i32, _: Moment) {
        Self::end(self, state, evidence);
    }

    fn touch(&mut self) {
        Self::touch(self);
    }

    fn partial(&mut self, partial: &[u8], _: Moment) {
        Self::partial(self, partial);
    }

    fn frame(&mut self, state: &State, at: Moment, condition: Condition) {
        self.draw(state, at, condition);
    }

    fn leave(&mut self) {
        Self::leave(self);
    }

    fn report_now(&mut self, state: &State, at: Moment) -> bool {
        Self::report_now(self, state, at);
        true
    }
}

impl<W: Write> Sink for Lines<W> {
    fn wants_unnamed_lines(&self) -> bool {
        self.tells_unnamed()
    }

    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        Self::changes(self, state, changes, at);
    }

    fn notice(&mut self, lines: &[Line], at: Moment) {
        Self::notice(self, lines, at);
    }

    fn of_run(&mut self, run: u64) {
        Self::of_run(self, run);
    }

    fn tick(&mut self, state: &State, at: Moment) {
        Self::tick(self, state, at);
    }

    fn end(&mut self, state: &State, evidence: &Evidence, _: InputCounts, _: i32, at: Moment) {
        Self::end(self, state, evidence, at);
    }

    fn touch(&mut self) {
        Self::touch(self);
    }

    fn partial(&mut self, partial: &[u8], at: Moment) {
        Self::partial(self, partial, at);
    }

    fn report_now(&mut self, state: &State, at: Moment) -> bool {
        Self::report_now(self, state, at);
        true
    }
}

impl<W: Write> Sink for Json<W> {
    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        Self::changes(self, state, changes, at);
    }

    fn notice(&mut self, lines: &[Line], at: Moment) {
        Self::notice(self, lines, at);
    }

    fn tick(&mut self, state: &State, at: Moment) {
        Self::tick(self, state, at);
    }

    fn end(&mut self, state: &State, evidence: &Evidence, counts: InputCounts, code: i32, _: Moment) {
        Self::end(self, state, evidence, counts, code);
    }
}

impl<W: Write> Sink for Log<W> {
    fn wants_events(&self) -> bool {
        true
    }

    fn event(&mut self, event: &Event<'_>, changes: &[Change]) {
        Self::event(self, event, changes);
    }

    fn changes(&mut self, state: &State, changes: &[Change], _: Moment) {
        Self::changes(self, state, changes);
    }
}

impl<W: Write> Sink for Results<W> {
    fn wants_end(&self) -> bool {
        false
    }

    fn changes(&mut self, _: &State, changes: &[Change], _: Moment) {
        Self::changes(self, changes);
    }
}
