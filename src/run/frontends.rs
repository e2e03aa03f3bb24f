//! Whoever is told of changes: the frontend that was asked for, and beside it what is kept of a run.

use std::io::Write;

#[cfg(feature = "live")]
use crate::frontend::Live;
use crate::frontend::{Condition, Json, Lines, Log, Sink};
use crate::input::{Event, InputCounts};
use crate::render::{self, Style, Thresholds};
use crate::run::command::KeptWriter;
use crate::state::{Change, Moment, State, TextKind};
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
    /// Every line.
    Log(Box<Log<W>>),
    /// Results only.
    Quiet(Sink<W>),
}

/// All that are told.
#[derive(Debug)]
pub(super) struct Frontends<W> {
    main: Frontend<W>,
    kept: Option<Box<Keeping>>,
}

/// What is kept of a run.
#[derive(Debug)]
struct Keeping {
    lines: Lines<KeptWriter>,
    changes: Json<KeptWriter>,
}

impl<W: Write> Frontends<W> {
    pub(super) fn new(main: Frontend<W>) -> Self {
        Self { main, kept: None }
    }

    /// Keeps lines and changes too.
    pub(super) fn keep(&mut self, lines: Lines<KeptWriter>, changes: KeptWriter) {
        self.kept = Some(Box::new(Keeping { lines, changes: Json::new(changes, None) }));
    }

    /// Whether lines are told that may be builders' or other programs'.
    pub(super) fn tells_unnamed(&self) -> bool {
        match &self.main {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.tells_unnamed(),
            Frontend::Lines(lines) => lines.tells_unnamed(),
            Frontend::Json(_) | Frontend::Log(_) | Frontend::Quiet(_) => false,
        }
    }

    /// Takes the writer back; a live view has none.
    pub(super) fn into_writer(self) -> Option<W> {
        match self.main {
            #[cfg(feature = "live")]
            Frontend::Live(_) => None,
            Frontend::Lines(lines) => Some(lines.into_writer()),
            Frontend::Json(json) => Some(json.into_writer()),
            Frontend::Log(log) => Some(log.into_writer()),
            Frontend::Quiet(sink) => Some(sink.into_inner()),
        }
    }

    /// The frontend that writes every line, if this is the one.
    pub(super) fn log(&self) -> Option<&Log<W>> {
        match &self.main {
            Frontend::Log(log) => Some(log),
            _ => None,
        }
    }

    /// The same.
    pub(super) fn log_mut(&mut self) -> Option<&mut Log<W>> {
        match &mut self.main {
            Frontend::Log(log) => Some(log),
            _ => None,
        }
    }

    /// They tell of a run that is kept, of this number.
    pub(super) fn of_run(&mut self, run: u64) {
        match &mut self.main {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.of_run(run),
            Frontend::Lines(lines) => lines.of_run(run),
            Frontend::Json(_) | Frontend::Log(_) | Frontend::Quiet(_) => {}
        }
        if let Some(kept) = &mut self.kept {
            kept.lines.of_run(run);
        }
    }

    /// The stream has said something that has led to these changes.
    pub(super) fn event(&mut self, event: &Event<'_>, changes: &[Change]) {
        if let Frontend::Log(log) = &mut self.main {
            log.event(event, changes);
        }
    }

    /// Changes have been accepted.
    pub(super) fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        match &mut self.main {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.changes(state, changes, at),
            Frontend::Lines(lines) => lines.changes(state, changes, at),
            Frontend::Json(json) => json.changes(state, changes, at),
            Frontend::Log(log) => log.changes(state, changes),
            Frontend::Quiet(sink) => {
                for change in changes {
                    if let Change::Text(TextKind::Result, text) = change {
                        sink.write(format!("{text}\n").as_bytes());
                    }
                }
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.lines.changes(state, changes, at);
            kept.changes.changes(state, changes, at);
        }
    }

    /// Something has come.
    pub(super) fn touch(&mut self) {
        match &mut self.main {
            Frontend::Lines(lines) => lines.touch(),
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.touch(),
            _ => {}
        }
    }

    /// A line that has not ended.
    pub(super) fn partial(&mut self, partial: &[u8], at: Moment) {
        match &mut self.main {
            Frontend::Lines(lines) => lines.partial(partial, at),
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.partial(partial),
            _ => {}
        }
    }

    /// Something that no change says.
    pub(super) fn notice(&mut self, lines: &[Line], at: Moment) {
        match &mut self.main {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.notice(lines),
            Frontend::Lines(shown) => shown.notice(lines, at),
            Frontend::Json(json) => json.notice(lines, at),
            Frontend::Log(_) | Frontend::Quiet(_) => {}
        }
        if let Some(kept) = &mut self.kept {
            kept.lines.notice(lines, at);
            kept.changes.notice(lines, at);
        }
    }

    /// Draws a frame of a live view, if it would differ from the last one.
    pub(super) fn frame(&mut self, state: &State, at: Moment, condition: Condition) {
        #[cfg(feature = "live")]
        if let Frontend::Live(live) = &mut self.main {
            live.draw(state, at, condition);
        }
        #[cfg(not(feature = "live"))]
        let _ = (state, at, condition);
    }

    /// Takes a live view away until the next frame.
    pub(super) fn leave(&mut self) {
        #[cfg(feature = "live")]
        if let Frontend::Live(live) = &mut self.main {
            live.leave();
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, state: &State, at: Moment) {
        match &mut self.main {
            #[cfg(feature = "live")]
            Frontend::Live(_) => {}
            Frontend::Lines(lines) => lines.tick(state, at),
            Frontend::Json(json) => json.tick(state, at),
            Frontend::Log(_) | Frontend::Quiet(_) => {}
        }
        if let Some(kept) = &mut self.kept {
            kept.lines.tick(state, at);
            kept.changes.tick(state, at);
        }
    }

    /// How the run stands. Returns what is to be said elsewhere, where the output is not for people.
    pub(super) fn report_now(&mut self, state: &State, at: Moment) -> Option<String> {
        match &mut self.main {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.report_now(state, at),
            Frontend::Lines(lines) => lines.report_now(state, at),
            Frontend::Json(_) | Frontend::Log(_) | Frontend::Quiet(_) => {
                let style =
                    Style { symbols: Symbols::ascii(), ascii: true, thresholds: Thresholds::default() };
                let line = render::heartbeat(&View::new(state, at), false, &style);
                return Some(crate::text::ascii(&line.plain()).into_owned());
            }
        }
        None
    }

    /// The run has ended. `code` is what we end with.
    pub(super) fn end(
        &mut self,
        state: &State,
        evidence: &Evidence,
        counts: InputCounts,
        code: i32,
        at: Moment,
    ) {
        match &mut self.main {
            #[cfg(feature = "live")]
            Frontend::Live(live) => live.end(state, evidence),
            Frontend::Lines(lines) => lines.end(state, evidence, at),
            Frontend::Json(json) => json.end(state, evidence, counts, code),
            Frontend::Log(_) | Frontend::Quiet(_) => {}
        }
        if let Some(kept) = &mut self.kept {
            kept.lines.end(state, evidence, at);
            kept.changes.end(state, evidence, counts, code);
        }
    }

    /// Whether anybody wants to know what logs say.
    pub(super) fn wants_evidence(&self) -> bool {
        self.kept.is_some() || !matches!(self.main, Frontend::Quiet(_))
    }
}
