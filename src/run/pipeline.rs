//! Bytes to output: reader, state and frontend in a row. Knows no clock and reads no file; both loops drive it.

use std::io::Write;

use crate::frontend::{Json, Lines, Sink};
use crate::input::Reader;
use crate::settings::{Output, Thresholds};
use crate::state::{Change, DerivationFacts, Effects, Input, Moment, Request, State, TextKind};
use crate::view::Evidence;

/// Where the output goes.
#[derive(Debug)]
pub(super) enum Frontend<W> {
    /// Condensed lines.
    Lines(Box<Lines<W>>),
    /// JSON lines.
    Json(Json<W>),
    /// Results only.
    Quiet(Sink<W>),
}

/// Reader, state and frontend.
#[derive(Debug)]
pub struct Pipeline<W> {
    reader: Reader,
    state: State,
    effects: Effects,
    frontend: Frontend<W>,
}

impl<W: Write> Pipeline<W> {
    pub(super) fn new(frontend: Frontend<W>) -> Self {
        Self { reader: Reader::default(), state: State::new(), effects: Effects::default(), frontend }
    }

    /// Writes to `writer` what `output` asks for.
    pub fn to_writer(writer: W, output: &Output) -> Self {
        Self::new(super::frontend(writer, output, Thresholds::default()))
    }

    /// Takes the writer back.
    pub fn into_writer(self) -> W {
        match self.frontend {
            Frontend::Lines(lines) => lines.into_writer(),
            Frontend::Json(json) => json.into_writer(),
            Frontend::Quiet(sink) => sink.into_inner(),
        }
    }

    /// The next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8], at: Moment) {
        let Self { reader, state, effects, frontend, .. } = self;
        reader.feed(bytes, |event| {
            state.apply(Input::Event(event), at, effects);
            publish(state, effects, frontend, at);
        });
    }

    /// Nothing has come for a moment.
    pub fn settle(&mut self, at: Moment) {
        let Self { reader, state, effects, frontend, .. } = self;
        reader.settle(|event| {
            state.apply(Input::Event(event), at, effects);
            publish(state, effects, frontend, at);
        });
        if let (Frontend::Lines(lines), Some(partial)) = (frontend, reader.partial_text()) {
            lines.partial(partial);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, at: Moment) {
        self.apply(Input::Tick, at);
        match &mut self.frontend {
            Frontend::Lines(lines) => lines.tick(&self.state, at),
            Frontend::Json(json) => json.tick(&self.state, at),
            Frontend::Quiet(_) => {}
        }
    }

    /// A `.drv` file was read.
    pub fn derivation(&mut self, facts: &DerivationFacts, at: Moment) {
        self.apply(Input::Derivation(facts), at);
    }

    /// The user has interrupted us.
    pub fn interrupt(&mut self, at: Moment) {
        self.apply(Input::Interrupt, at);
    }

    /// What the state asks for.
    pub fn requests(&mut self) -> impl Iterator<Item = Request> {
        self.effects.requests.drain(..)
    }

    /// How the run stands, whatever was said before.
    pub fn report_now(&mut self, at: Moment) {
        if let Frontend::Lines(lines) = &mut self.frontend {
            lines.report_now(&self.state, at);
        }
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
        let Self { reader, state, effects, frontend, .. } = self;
        reader.finish(|event| {
            state.apply(Input::Event(event), at, effects);
            publish(state, effects, frontend, at);
        });
        self.apply(Input::End(exit_status), at);
        let code = self.state.exit_code();
        match &mut self.frontend {
            Frontend::Lines(lines) => {
                lines.end(&self.state, &gather(&self.state), at);
            }
            Frontend::Json(json) => json.end(&self.state, &gather(&self.state), self.reader.counts(), code),
            Frontend::Quiet(_) => {}
        }
        code
    }

    /// Whether there was any input.
    pub fn has_read(&self) -> bool {
        self.reader.counts().bytes > 0
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

fn publish<W: Write>(state: &State, effects: &mut Effects, frontend: &mut Frontend<W>, at: Moment) {
    if effects.changes.is_empty() {
        return;
    }
    match frontend {
        Frontend::Lines(lines) => lines.changes(state, &effects.changes, at),
        Frontend::Json(json) => json.changes(state, &effects.changes, at),
        Frontend::Quiet(sink) => {
            for change in &effects.changes {
                if let Change::Text(TextKind::Result, text) = change {
                    sink.write(format!("{text}\n").as_bytes());
                }
            }
        }
    }
    effects.changes.clear();
}
