//! Condensed lines for people's logs, CI and agents.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::activation::ActivationNews;
use super::budget::{Budget, Limits, Share};
use super::{InView, LogLines, Sink, is_prompt};
use crate::activation::ActivationChange;
use crate::render::{self, Extent, Passed, Style};
use crate::state::{Change, DerivationId, FailureId, Moment, Outcome, Phase, State, TextKind};
use crate::text::{Line, Palette, Role, duration};
use crate::view::{Evidence, View};

/// What becomes of the text of other programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passthrough {
    /// It passes as far as its share of the limits goes; a flood becomes a count.
    #[default]
    Auto,
    /// It passes, whatever it costs.
    All,
    /// Only a command's results pass.
    None,
}

/// How lines look and how many there may be.
#[derive(Clone, Debug)]
pub struct LinesOptions {
    /// Colours.
    pub palette: Palette,
    /// Signs.
    pub style: Style,
    /// How much may be said.
    pub limits: Limits,
    /// What becomes of other programs' text.
    pub passthrough: Passthrough,
    /// What becomes of builds' logs.
    pub logs: LogLines,
}

impl LinesOptions {
    /// Whether lines are told that may be builders' or other programs': where all of either is.
    pub fn tells_unnamed(&self) -> bool {
        self.passthrough == Passthrough::All || self.logs == LogLines::All(None)
    }
}

/// Writes condensed lines.
#[derive(Debug)]
pub struct Lines<W> {
    sink: Sink<W>,
    options: LinesOptions,
    budget: Budget,
    /// A phase that has begun and was not told yet.
    phase: Option<Phase>,
    /// Failures that were not told yet, and when they happened: what ends the run is told by the report alone.
    failures: Vec<(FailureId, Moment)>,
    activation: ActivationNews,
    /// The last heartbeat, to see whether anything has changed.
    last: String,
    hidden: u64,
    in_view: InView,
    is_kept: bool,
    /// Lines of activations that were not shown: worth a word only if one failed.
    hidden_of_activation: u64,
    /// The number of the run, if it is kept.
    run: Option<u64>,
    /// A question that found no room, and since when it stands.
    unanswered: Option<(Vec<u8>, Moment)>,
    /// Bytes of an unfinished line that were shown already.
    shown_partial: Vec<u8>,
    /// The same, where another line had to end it.
    ended_partial: Vec<u8>,
    said_evaluating: bool,
    /// How many log lines of a build were shown.
    log_counts: BTreeMap<DerivationId, usize>,
}

/// A failure that the end of the run follows so soon is told by the report.
const FAILURE_DELAY: Duration = Duration::from_millis(700);
/// Evaluations shorter than this are not worth a line.
const EVALUATION_DELAY: Duration = Duration::from_millis(200);
/// A question that stands for so long waits for an answer, and is shown though it has no room.
const UNANSWERED: Duration = Duration::from_secs(1);
/// A longer beginning of a line is not shown.
const MAX_PARTIAL: usize = 400;
/// Lines of other programs are cut after so many columns, unless all of it is asked for.
const MAX_COLUMNS: usize = 300;

impl<W: Write> Lines<W> {
    /// Writes to `writer`.
    pub fn new(writer: W, options: LinesOptions) -> Self {
        Self {
            sink: Sink::new(writer),
            budget: Budget::new(options.limits),
            options,
            phase: Some(Phase::Evaluating),
            failures: Vec::new(),
            activation: ActivationNews::default(),
            last: String::new(),
            hidden: 0,
            in_view: InView::default(),
            is_kept: false,
            hidden_of_activation: 0,
            run: None,
            unanswered: None,
            shown_partial: Vec::new(),
            ended_partial: Vec::new(),
            said_evaluating: false,
            log_counts: BTreeMap::new(),
        }
    }

    /// They tell of a run that is kept, of this number.
    pub fn of_run(&mut self, run: u64) {
        self.run = Some(run);
    }

    /// They are kept: their report is read without what stands above it.
    pub fn kept(self) -> Self {
        Self { is_kept: true, ..self }
    }

    /// Changes have been accepted.
    pub fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        for change in changes {
            match change {
                Change::Phase(Phase::Activating) => self.phase = None,
                Change::Phase(phase) => {
                    self.phase = Some(*phase);
                    self.tell_phase(state, at);
                }
                Change::Failed(id) if state.failure(*id).derivation.is_some() => {
                    self.failures.push((*id, at))
                }
                Change::Retracted(id) => self.failures.retain(|(other, _)| other != id),
                Change::Text(kind, text) => self.text(*kind, text),
                Change::LogLine(id, line) => self.log_line(state, *id, line),
                Change::Problem(problem) => {
                    let line = Line::new().with(Role::Muted, format!("nixmon: unusable input: {problem}"));
                    self.budgeted(Share::Text, line, at);
                }
                Change::Activation(change) => self.activation(state, change, at),
                _ => {}
            }
        }
        if !self.failures.is_empty() {
            self.tell_failures(state, at);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, state: &State, now: Moment) {
        // Somebody may be typing an answer: what can wait does.
        if let Some((question, _)) =
            self.unanswered.take_if(|(_, since)| now.saturating_sub(*since) >= UNANSWERED)
        {
            let text = crate::text::sanitize(&String::from_utf8_lossy(&question)).into_owned();
            self.write_raw(&text);
            self.shown_partial = question;
        }
        let prompted = !self.shown_partial.is_empty();
        if prompted && !self.budget.heartbeat_is_due(now) {
            return;
        }
        if self.phase == Some(Phase::Evaluating) && now >= EVALUATION_DELAY {
            self.tell_phase(state, now);
        }
        self.tell_failures(state, now);
        if self.activation.is_due(now) {
            self.tell_activation(state, now);
        }
        // A failure that is told a moment later is told with the time at which it happened.
        if self.failures.is_empty() && self.budget.heartbeat_is_due(now) {
            self.heartbeat(state, now);
        }
    }

    /// Input has come: an unfinished line may be finished.
    pub fn touch(&mut self) {
        self.unanswered = None;
    }

    /// The beginning of a line has stood there for a moment: a prompt, or a program that says what it is about to do.
    /// What has no room waits for the rest of the line, and is shown beside the limits if it is a question and nothing
    /// follows.
    pub fn partial(&mut self, bytes: &[u8], at: Moment) {
        if self.options.passthrough == Passthrough::None
            || bytes.len() > MAX_PARTIAL
            || !bytes.starts_with(&self.shown_partial)
        {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let clean = crate::text::sanitize(&text).into_owned();
        let shown = crate::text::sanitize(&String::from_utf8_lossy(&self.shown_partial)).len();
        if let Some(new) = clean.get(shown..)
            && !new.is_empty()
        {
            let new = new.to_owned();
            let has_room = match self.options.passthrough {
                Passthrough::All => true,
                // With room for its end, or for a sign that it is not shown.
                _ if shown == 0 => self.budget.take(Share::Text, new.len() + "…".len() + 1),
                _ => self.budget.take_more(Share::Text, new.len()),
            };
            if !has_room {
                if shown == 0 && is_prompt(&new) {
                    self.unanswered = Some((bytes.to_vec(), at));
                }
                return;
            }
            self.write_raw(&new);
            self.shown_partial = bytes.to_vec();
        }
    }

    /// The run has ended: the report. `evidence` is what was found of logs.
    pub fn end(&mut self, state: &State, evidence: &Evidence, now: Moment) {
        self.end_partial();
        for line in self.activation.tell(state, &self.options.style, true) {
            self.budgeted(Share::Events, line, now);
        }
        let (lines, bytes) = self.budget.report();
        let extent = Extent { lines, bytes, log_lines: self.options.logs.of_failure() };
        let hidden = match state.outcome() {
            Some(Outcome::Success) => self.hidden,
            _ => self.hidden + self.hidden_of_activation,
        };
        let unnamed = if self.options.tells_unnamed() { 0 } else { state.unnamed_lines() };
        let in_view = if self.is_kept { Vec::new() } else { self.in_view.lines() };
        let passed = Passed { hidden: hidden + unnamed, run: self.run, in_view };
        let report = render::report(state, evidence, &passed, &self.options.style, extent);
        for (i, line) in report.into_iter().enumerate() {
            let stamped = if i == 0 { self.stamp(line, now) } else { line };
            self.write(&stamped);
        }
    }

    /// How the run stands, now, whatever was said before.
    pub fn report_now(&mut self, state: &State, now: Moment) {
        let line = render::heartbeat(&View::new(state, now), false, &self.options.style);
        let line = self.stamp(line, now);
        self.end_partial();
        self.write(&line);
    }

    /// Lines about the run itself. They show life, so they take the room of heartbeats, then that of events.
    pub fn notice(&mut self, lines: &[Line], now: Moment) {
        for line in lines {
            let fits = self.budgeted(Share::Heartbeats, line.clone(), now)
                || self.budgeted(Share::Events, line.clone(), now);
            if fits {
                self.budget.heard(now);
            }
        }
    }

    /// Whether lines are told that may be builders' or other programs'.
    pub fn tells_unnamed(&self) -> bool {
        self.options.tells_unnamed()
    }

    /// The sink.
    pub fn sink(&self) -> &Sink<W> {
        &self.sink
    }

    /// Takes the writer back.
    pub fn into_writer(self) -> W {
        self.sink.into_inner()
    }

    fn tell_phase(&mut self, state: &State, now: Moment) {
        let Some(phase) = self.phase.take() else { return };
        if phase == Phase::Evaluating && std::mem::replace(&mut self.said_evaluating, true) {
            return;
        }
        let line = render::phase(&View::new(state, now), phase, &self.options.style);
        if self.budgeted(Share::Events, line, now) {
            self.budget.heard(now);
        }
    }

    fn tell_failures(&mut self, state: &State, now: Moment) {
        let due = self.failures.iter().filter(|(_, at)| now.saturating_sub(*at) >= FAILURE_DELAY).count();
        for (id, at) in self.failures.drain(..due).collect::<Vec<_>>() {
            let line = render::build_failed(state, state.failure(id), &self.options.style);
            // The report tells those that find no room.
            self.budgeted(Share::Events, line, at);
        }
    }

    fn heartbeat(&mut self, state: &State, now: Moment) {
        let view = View::new(state, now);
        let told = render::heartbeat(&view, false, &self.options.style);
        let counts = format!("{:?} {:?} {:?}", state.phase(), view.builds(), view.fetches());
        let still = counts == self.last;
        self.last = counts;
        let line = if still { render::heartbeat(&view, true, &self.options.style) } else { told };
        self.budgeted(Share::Heartbeats, line, now);
        self.budget.heard(now);
    }

    fn text(&mut self, kind: TextKind, text: &str) {
        if kind == TextKind::Result {
            self.end_partial();
            self.sink.write(format!("{text}\n").as_bytes());
            return;
        }
        if self.continue_partial(text) {
            return;
        }
        if kind == TextKind::Unnamed {
            if self.options.tells_unnamed() {
                self.end_partial();
                self.write(&Line::new().with(Role::Plain, crate::text::last_carriage(text)));
            }
            return;
        }
        let (role, prefix) = match kind {
            TextKind::Warning => (Role::Warning, "warning: "),
            TextKind::Trace => (Role::Muted, "trace: "),
            TextKind::Notice
            | TextKind::Other
            | TextKind::Unnamed
            | TextKind::Activation
            | TextKind::Result => (Role::Plain, ""),
        };
        let foreign = matches!(kind, TextKind::Other | TextKind::Activation);
        let line = || Line::new().with(role, prefix).with(Role::Plain, text);
        match self.options.passthrough {
            Passthrough::All => {
                self.end_partial();
                self.write(&line());
            }
            Passthrough::None if foreign => self.hidden += 1,
            // What matters of it is told as steps, units and warnings, and by the report if it explains a failure.
            Passthrough::Auto if kind == TextKind::Activation => self.hidden_of_activation += 1,
            // In a flood most have no room: a line is at least as long as its text, or as half of what it is cut to.
            _ if !self.budget.fits(Share::Text, text.len().min(MAX_COLUMNS / 2)) => self.hidden += 1,
            Passthrough::Auto | Passthrough::None => {
                let mut line = line();
                line.truncate(MAX_COLUMNS, self.options.style.symbols.ellipsis);
                let bytes = line.plain().len() + 1;
                if self.budget.take(Share::Text, bytes) {
                    self.end_partial();
                    self.write(&line);
                } else {
                    self.hidden += 1;
                }
            }
        }
    }

    /// A line of a build's log, beside the limits: somebody has asked for it.
    fn log_line(&mut self, state: &State, id: DerivationId, line: &str) {
        let LogLines::All(most) = self.options.logs else { return };
        let shown = self.log_counts.entry(id).or_default();
        *shown += 1;
        if most.is_some_and(|most| *shown > most) {
            return;
        }
        let name = state.derivations().get(id).name();
        let line = Line::new()
            .with(Role::Muted, format!("{name}> "))
            .with(Role::Plain, crate::text::last_carriage(line).trim_end());
        self.end_partial();
        self.write(&line);
    }

    /// A line whose beginning was shown while it was unfinished: the rest of it.
    fn continue_partial(&mut self, text: &str) -> bool {
        let ended = std::mem::take(&mut self.ended_partial);
        if self.shown_partial.is_empty() {
            // A line of ours came between; if nothing has followed, all of it was shown.
            return !ended.is_empty()
                && crate::text::sanitize(&String::from_utf8_lossy(&ended)).trim_end() == text;
        }
        let shown = String::from_utf8_lossy(&self.shown_partial).into_owned();
        let shown = crate::text::sanitize(&shown).into_owned();
        self.shown_partial.clear();
        let rest = text.strip_prefix(shown.trim_end()).or_else(|| text.strip_prefix(shown.as_str()));
        match rest {
            Some(rest) => {
                let rest = if shown.ends_with(' ') { rest.trim_start() } else { rest };
                let mut line = Line::new().with(Role::Plain, rest);
                let ellipsis = self.options.style.symbols.ellipsis;
                if self.options.passthrough != Passthrough::All {
                    line.truncate(MAX_COLUMNS, ellipsis);
                    if !self.budget.take_more(Share::Text, line.plain().len()) {
                        line = Line::new().with(Role::Plain, ellipsis);
                    }
                }
                self.write_raw(&format!("{}\n", line.plain()));
                // If it was not cut.
                if shown.trim_end().len() + line.plain().len() >= text.trim_end().len() {
                    self.in_view.show(text.to_owned());
                }
                true
            }
            None => {
                self.sink.write(b"\n");
                false
            }
        }
    }

    fn end_partial(&mut self) {
        if !self.shown_partial.is_empty() {
            self.ended_partial = std::mem::take(&mut self.shown_partial);
            self.sink.write(b"\n");
        }
    }

    /// Writes text that is not a line of ours.
    fn write_raw(&mut self, text: &str) {
        if self.options.style.ascii {
            self.sink.write(crate::text::ascii(text).as_bytes());
        } else {
            self.sink.write(text.as_bytes());
        }
    }

    fn activation(&mut self, state: &State, change: &ActivationChange, at: Moment) {
        match change {
            ActivationChange::Warning { text, .. } => {
                self.tell_activation(state, at);
                let text = ["warning: ", "error: "]
                    .iter()
                    .find_map(|level| text.strip_prefix(level))
                    .unwrap_or(text);
                let line = Line::new().with(Role::Warning, "warning: ").with(Role::Plain, text);
                self.budgeted(Share::Text, line, at);
            }
            ActivationChange::RollingBack { .. } => {
                self.tell_activation(state, at);
                let line = Line::new().with(Role::Warning, "Rolling back to the previous configuration");
                self.budgeted(Share::Events, line, at);
            }
            _ => self.activation.note(change, at),
        }
    }

    fn tell_activation(&mut self, state: &State, now: Moment) {
        for line in self.activation.tell(state, &self.options.style, false) {
            self.budgeted(Share::Events, line, now);
            self.budget.heard(now);
        }
    }

    /// Writes a line with the time if its share has room.
    fn budgeted(&mut self, share: Share, mut line: Line, now: Moment) -> bool {
        line.truncate(MAX_COLUMNS, self.options.style.symbols.ellipsis);
        let line = self.stamp(line, now);
        let fits = self.budget.take(share, line.plain().len() + 1);
        if fits {
            self.end_partial();
            self.write(&line);
        } else if share == Share::Text {
            self.hidden += 1;
        }
        fits
    }

    fn stamp(&self, line: Line, now: Moment) -> Line {
        let mut stamped = Line::new().with(Role::Muted, format!("[{}] ", duration(now)));
        stamped.append(line);
        stamped
    }

    fn write(&mut self, line: &Line) {
        self.in_view.show(line.plain());
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = line.write(&self.options.palette, &mut text);
        text.push('\n');
        if self.options.style.ascii {
            text = crate::text::ascii(&text).into();
        }
        self.sink.write(text.as_bytes());
    }
}
