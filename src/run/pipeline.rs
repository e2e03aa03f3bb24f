//! Bytes to output: reader, state and frontend in a row. Knows no clock and reads no file; both loops drive it.

use std::borrow::Cow;
use std::io::Write;

#[cfg(feature = "live")]
use crate::frontend::Live;
use crate::frontend::{Condition, Json, Lines, LogLines, Sink};
use crate::input::Reader;
use crate::render::{self, Style, Thresholds};
use crate::settings::Output;
use crate::state::{Change, DerivationFacts, Effects, Input, Moment, Request, State, TextKind};
use crate::text::{Line, Symbols};
use crate::view::{Evidence, View};

/// Where the output goes.
#[derive(Debug)]
pub(super) enum Frontend<W> {
    /// A live view.
    #[cfg(feature = "live")]
    Live(Box<Live>),
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
    pub(super) fn new(frontend: Frontend<W>, logs: LogLines) -> Self {
        let mut state = State::new();
        match logs {
            LogLines::All(_) => state.report_log_lines(),
            LogLines::Failed(lines) => state.keep_log_lines(lines),
            LogLines::None => {}
        }
        Self { reader: Reader::default(), state, effects: Effects::default(), frontend }
    }

    /// Writes to `writer` what `output` asks for; a live view has a terminal of its own and does not.
    pub fn to_writer(writer: W, output: &Output) -> Self {
        super::to_writer(writer, output, Thresholds::default())
    }

    /// Takes the writer back; a live view has none.
    pub fn into_writer(self) -> Option<W> {
        match self.frontend {
            #[cfg(feature = "live")]
            Frontend::Live(_) => None,
            Frontend::Lines(lines) => Some(lines.into_writer()),
            Frontend::Json(json) => Some(json.into_writer()),
            Frontend::Quiet(sink) => Some(sink.into_inner()),
        }
    }

    /// The next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8], at: Moment) {
        #[cfg(feature = "live")]
        if let Frontend::Live(live) = &mut self.frontend {
            live.touch();
        }
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
        match (frontend, reader.partial_text()) {
            (Frontend::Lines(lines), Some(partial)) => lines.partial(partial),
            #[cfg(feature = "live")]
            (Frontend::Live(live), Some(partial)) => live.partial(partial),
            _ => {}
        }
    }

    /// Draws a frame of a live view, if it would differ from the last one.
    pub fn frame(&mut self, at: Moment, condition: Condition) {
        #[cfg(feature = "live")]
        if let Frontend::Live(live) = &mut self.frontend {
            live.draw(&self.state, at, condition);
        }
        #[cfg(not(feature = "live"))]
        let _ = (at, condition);
    }

    /// Takes a live view away until the next frame.
    pub fn leave(&mut self) {
        #[cfg(feature = "live")]
        if let Frontend::Live(live) = &mut self.frontend {
            live.leave();
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, at: Moment) {
        self.apply(Input::Tick, at);
        match &mut self.frontend {
            #[cfg(feature = "live")]
            Frontend::Live(_) => {}
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

    /// How the run stands, whatever was said before. Returns what is to be said elsewhere, where the output is not for
    /// people.
    pub fn report_now(&mut self, at: Moment) -> Option<String> {
        match &mut self.frontend {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.report_now(&self.state, at),
            Frontend::Lines(lines) => lines.report_now(&self.state, at),
            Frontend::Json(_) | Frontend::Quiet(_) => {
                let style =
                    Style { symbols: Symbols::ascii(), ascii: true, thresholds: Thresholds::default() };
                let line = render::heartbeat(&View::new(&self.state, at), false, &style);
                return Some(crate::text::ascii(&line.plain()).into_owned());
            }
        }
        None
    }

    /// Says something about the run itself, among the lines or above a live view. Where only results are wanted it is not
    /// said.
    pub fn notice(&mut self, lines: &[Line]) {
        let at = self.state.now();
        match &mut self.frontend {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.notice(lines),
            Frontend::Lines(frontend) => frontend.notice(lines, at),
            Frontend::Json(json) => json.notice(lines, at),
            Frontend::Quiet(_) => {}
        }
    }

    /// The beginning of a line that has not ended, if it is text: perhaps a question.
    pub fn unfinished(&self) -> Option<Cow<'_, str>> {
        self.reader.partial_text().map(String::from_utf8_lossy)
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
            #[cfg(feature = "live")]
            Frontend::Live(live) => {
                live.end(&self.state, &gather(&self.state));
            }
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
        #[cfg(feature = "live")]
        Frontend::Live(live) => live.changes(state, &effects.changes, at),
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
