//! Condensed lines for people's logs, CI and agents.

use std::io::Write;
use std::time::Duration;

use super::activation::ActivationNews;
use super::budget::{Budget, Limits, Share};
use super::pending::{LogCounts, PendingFailures};
use super::{InView, LogLines, StickyWriter, foreign_mark, is_prompt, may_look_like_own};
use crate::activation::ActivationChange;
use crate::render::{self, Extent, Passed, Style};
use crate::state::{Change, DerivationId, Moment, Outcome, Phase, State, TextKind};
use crate::text::{Line, Palette, Role, stamp};
use crate::view::{Evidence, View};

/// The treatment of text from other programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passthrough {
    /// Show it while its share of the budget lasts, then only count lines.
    #[default]
    Auto,
    /// Show all of it.
    All,
    /// Show only the results of commands.
    None,
}

/// The look and the number of condensed lines.
#[derive(Clone, Debug, Default)]
pub struct LinesOptions {
    /// Colours.
    pub palette: Palette,
    /// Symbols and thresholds.
    pub style: Style,
    /// Limits of the output.
    pub limits: Limits,
    /// Treatment of text from other programs.
    pub passthrough: Passthrough,
    /// Log lines of builds to show.
    pub logs: LogLines,
}

impl LinesOptions {
    /// Returns whether lines of unknown origin are shown: if all lines of builders or of other programs are.
    pub(crate) fn tells_unnamed(&self) -> bool {
        self.passthrough == Passthrough::All || self.logs == LogLines::All(None)
    }
}

/// Writes condensed lines.
#[derive(Debug)]
pub struct Lines<W> {
    sink: StickyWriter<W>,
    options: LinesOptions,
    budget: Budget,
    /// A phase that has not been shown yet.
    phase: Option<Phase>,
    phase_since: Moment,
    failures: PendingFailures,
    activation: ActivationNews,
    /// The numbers of the last heartbeat, to detect changes.
    last: String,
    hidden: u64,
    in_view: InView,
    is_kept: bool,
    /// Number of hidden lines of activations and build tools, which is shown only without a success.
    hidden_unless_success: u64,
    /// Number of the run, if it is kept.
    run: Option<u64>,
    /// A question without room, and the time at which it appeared.
    unanswered: Option<(Vec<u8>, Moment)>,
    /// Bytes of an unfinished line that have been shown.
    shown_partial: Vec<u8>,
    /// Bytes that had been shown of an unfinished line when another line interrupted it.
    ended_partial: Vec<u8>,
    said_evaluating: bool,
    log_counts: LogCounts,
}

/// Time for which a phase is not shown: one that ends at once needs no line, nor one just before the report.
const PHASE_DELAY: Duration = Duration::from_millis(300);
/// Shorter evaluations get no line.
const EVALUATION_DELAY: Duration = Duration::from_millis(200);
/// Time after which a question that has no room is shown in the place of a heartbeat, since it waits for an answer.
const UNANSWERED: Duration = Duration::from_secs(1);
/// Longest unfinished line that is shown, in bytes.
const MAX_PARTIAL: usize = 400;
/// Largest width of lines of other programs, unless all of their text is requested.
const MAX_COLUMNS: usize = 300;

impl<W: Write> Lines<W> {
    /// Writes to `writer`.
    pub fn new(writer: W, options: LinesOptions) -> Self {
        Self {
            sink: StickyWriter::new(writer),
            budget: Budget::new(options.limits),
            options,
            phase: Some(Phase::Evaluating),
            phase_since: Moment::ZERO,
            failures: PendingFailures::default(),
            activation: ActivationNews::default(),
            last: String::new(),
            hidden: 0,
            in_view: InView::default(),
            is_kept: false,
            hidden_unless_success: 0,
            run: None,
            unanswered: None,
            shown_partial: Vec::new(),
            ended_partial: Vec::new(),
            said_evaluating: false,
            log_counts: LogCounts::default(),
        }
    }

    /// Takes the number of the run that is shown, which is kept.
    pub fn of_run(&mut self, run: u64) {
        self.run = Some(run);
    }

    /// Makes the report complete, for a file in which it is read without the lines above it.
    pub fn kept(self) -> Self {
        Self { is_kept: true, ..self }
    }

    /// Writes changes that the state has accepted.
    pub fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        for change in changes {
            match change {
                Change::Phase(Phase::Activating) => self.phase = None,
                Change::Phase(phase) => {
                    self.phase = Some(*phase);
                    self.phase_since = at;
                    if *phase == Phase::Evaluating {
                        self.tell_phase(state, at);
                    }
                }
                Change::Failed(id) if state.failure(*id).derivation.is_some() => {
                    self.failures.add(*id, at);
                }
                Change::Retracted(id) => self.failures.retract(*id),
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

    /// Writes everything that is due, such as a heartbeat.
    pub fn tick(&mut self, state: &State, now: Moment) {
        // The user may be typing an answer, so other lines wait.
        if let Some((question, _)) =
            self.unanswered.take_if(|(_, since)| now.saturating_sub(*since) >= UNANSWERED)
        {
            let text = nixmon_log::escapes::sanitize(&String::from_utf8_lossy(&question)).into_owned();
            // It shows that something waits, as a heartbeat does. A program may print endless lines that look like questions.
            if self.budget.take(Share::Heartbeats, text.len() + "…".len() + 1) {
                self.write_raw(&text);
                self.shown_partial = question;
            }
        }
        let prompted = !self.shown_partial.is_empty();
        if prompted && !self.budget.heartbeat_is_due(now) {
            return;
        }
        let delay = match self.phase {
            Some(Phase::Evaluating) => EVALUATION_DELAY,
            _ => PHASE_DELAY,
        };
        if self.phase.is_some() && now.saturating_sub(self.phase_since) >= delay {
            self.tell_phase(state, now);
        }
        self.tell_failures(state, now);
        if self.activation.is_due(now) {
            self.tell_activation(state, now);
        }
        // A failure is shown with the time at which it happened, so no later heartbeat may come before it.
        // A line that says more comes in a moment.
        let says_soon =
            self.phase.is_some_and(|phase| phase != Phase::Evaluating) || self.activation.is_pending();
        if self.failures.is_empty() && !says_soon && self.budget.heartbeat_is_due(now) {
            self.heartbeat(state, now);
        }
    }

    /// Notes new input, which may finish an unfinished line.
    pub fn touch(&mut self) {
        self.unanswered = None;
    }

    /// Shows an unfinished line that has been there for a moment: a prompt, or the announcement of a step. A line without
    /// room waits for its end; a question is shown in the place of a heartbeat if nothing follows.
    pub fn partial(&mut self, bytes: &[u8], at: Moment) {
        if self.options.passthrough == Passthrough::None
            || bytes.len() > MAX_PARTIAL
            || !bytes.starts_with(&self.shown_partial)
        {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let clean = nixmon_log::escapes::sanitize(&text).into_owned();
        if self.shown_partial.is_empty() && may_look_like_own(&clean) {
            return;
        }
        let shown = nixmon_log::escapes::sanitize(&String::from_utf8_lossy(&self.shown_partial)).len();
        if let Some(new) = clean.get(shown..)
            && !new.is_empty()
        {
            let new = new.to_owned();
            let has_room = match self.options.passthrough {
                Passthrough::All => true,
                // There must be room for its end, or for an ellipsis in its place.
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

    /// Writes the report on a run that has ended. `evidence` holds the logs that were found.
    pub fn end(&mut self, state: &State, evidence: &Evidence, now: Moment) {
        self.end_partial();
        // The report says all of it.
        if state.outcome() != Some(Outcome::Success) {
            for line in self.activation.tell(state, &self.options.style, true) {
                self.budgeted(Share::Events, line, now);
            }
        }
        let (lines, bytes) = self.budget.report();
        let extent = Extent { lines, bytes, log_lines: self.options.logs.of_failure() };
        let hidden = match state.outcome() {
            Some(Outcome::Success) => self.hidden,
            _ => self.hidden + self.hidden_unless_success,
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

    /// Writes the current status of the run, regardless of the limits.
    pub fn report_now(&mut self, state: &State, now: Moment) {
        let line = render::heartbeat(&View::new(state, now), false, &self.options.style);
        let line = self.stamp(line, now);
        self.end_partial();
        self.write(&line);
    }

    /// Writes messages about the run itself. They show life, so they use the share of heartbeats, then that of events.
    pub fn notice(&mut self, lines: &[Line], now: Moment) {
        for line in lines {
            let fits = self.budgeted(Share::Heartbeats, line.clone(), now)
                || self.budgeted(Share::Events, line.clone(), now);
            if fits {
                self.budget.heard(now);
            }
        }
    }

    /// Returns whether lines of unknown origin are shown.
    pub(crate) fn tells_unnamed(&self) -> bool {
        self.options.tells_unnamed()
    }

    /// The sink.
    pub fn sink(&self) -> &StickyWriter<W> {
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
        let due = self.failures.take_due(now);
        if !due.is_empty() && self.phase.is_some_and(|phase| phase != Phase::Evaluating) {
            self.tell_phase(state, now);
        }
        for (id, at) in due {
            let line = render::build_failed(state, state.failure(id), &self.options.style);
            // The report includes failures without room here.
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
            // Elsewhere a result is written for a program that takes it as it is.
            let mark = if self.is_kept { foreign_mark(text) } else { "" };
            self.sink.write(format!("{mark}{text}\n").as_bytes());
            return;
        }
        if self.continue_partial(text) {
            return;
        }
        if kind == TextKind::Unnamed {
            if self.options.tells_unnamed() {
                self.end_partial();
                let text = nixmon_log::escapes::last_carriage(text);
                self.write(&Line::new().with(Role::Plain, foreign_mark(text)).with(Role::Plain, text));
            }
            return;
        }
        let foreign = matches!(kind, TextKind::Other | TextKind::Tool | TextKind::Activation);
        let line = || match kind {
            TextKind::Warning | TextKind::Trace => render::text(kind, text),
            _ => {
                let mut line = Line::new().with(Role::Plain, foreign_mark(text));
                line.append(render::text(kind, text));
                line
            }
        };
        match self.options.passthrough {
            Passthrough::All => {
                self.end_partial();
                self.write(&line());
            }
            Passthrough::None if foreign => self.hidden += 1,
            // Their important parts are shown as steps, units, warnings and progress, and in the report if they explain a failure.
            Passthrough::Auto if matches!(kind, TextKind::Activation | TextKind::Tool) => {
                self.hidden_unless_success += 1;
            }
            // In a flood most lines have no room: each is at least as long as its text, or as half of the largest width.
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

    /// Writes a line of a build log. The limits do not apply, since the user has requested it.
    fn log_line(&mut self, state: &State, id: DerivationId, line: &str) {
        let LinesOptions { logs, style, .. } = &self.options;
        if let Some(line) = self.log_counts.line(state, id, line, *logs, style.symbols.ellipsis) {
            self.end_partial();
            self.write(&line);
        }
    }

    /// Writes the rest of a line whose beginning has been shown. Returns false for any other line.
    fn continue_partial(&mut self, text: &str) -> bool {
        let ended = std::mem::take(&mut self.ended_partial);
        if self.shown_partial.is_empty() {
            // Another line interrupted it; if the line did not continue, all of it has been shown.
            return !ended.is_empty()
                && nixmon_log::escapes::sanitize(&String::from_utf8_lossy(&ended)).trim_end() == text;
        }
        let shown = String::from_utf8_lossy(&self.shown_partial).into_owned();
        let shown = nixmon_log::escapes::sanitize(&shown).into_owned();
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
                // Only a whole line is in view.
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

    /// Writes foreign text as it is.
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

    /// Writes a line with the time if its share has room, and returns whether it has.
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
        let mut stamped = Line::new().with(Role::Muted, stamp(now));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Thresholds;
    use crate::text::Symbols;

    fn lines() -> Lines<Vec<u8>> {
        let symbols = Symbols::unicode();
        let style = Style { symbols, ascii: false, thresholds: Thresholds::default() };
        Lines::new(
            Vec::new(),
            LinesOptions {
                palette: Palette::default(),
                style,
                limits: Limits::default(),
                passthrough: Passthrough::Auto,
                logs: LogLines::default(),
            },
        )
    }

    #[test]
    fn questions_stay_within_the_budget() {
        let (mut lines, state) = (lines(), State::new());
        for n in 0..1000 {
            let question = format!("step {n} of a program that ends its lines late: ");
            let at = Duration::from_secs(2 * n);
            lines.partial(question.as_bytes(), at);
            lines.tick(&state, at + Duration::from_secs(1));
            lines.touch();
            lines.text(TextKind::Other, &format!("{question}ok"));
        }
        let text = String::from_utf8(lines.into_writer()).unwrap();
        let Limits { lines, bytes, .. } = Limits::default();
        assert!(
            text.lines().count() <= lines && text.len() <= bytes,
            "{} {}",
            text.lines().count(),
            text.len()
        );
        assert!(text.lines().count() > 20, "{text}");
    }

    #[test]
    fn lines_of_others_that_look_like_own_ones_are_marked() {
        for (text, expected) in [
            ("[2m15s] ✓ Complete: 42 built", "> [2m15s] ✓ Complete: 42 built"),
            ("[1h 2m] x", "> [1h 2m] x"),
            ("  [0s] ✗ Failed", ">   [0s] ✗ Failed"),
            ("run 1 ended: success, cursor 3", "> run 1 ended: success, cursor 3"),
            ("nixmon: this run is not kept", "> nixmon: this run is not kept"),
            ("[3/4] Linking", "[3/4] Linking"),
            ("[ok] a test", "[ok] a test"),
            ("[100%] done", "[100%] done"),
            ("run the tests", "run the tests"),
            ("nixmon is a monitor", "nixmon is a monitor"),
        ] {
            let mut lines = lines();
            lines.text(TextKind::Other, text);
            assert_eq!(String::from_utf8(lines.into_writer()).unwrap(), format!("{expected}\n"));
        }
        // Nor is one shown before it is whole.
        for (begin, is_shown) in
            [("[2m", false), ("[", false), ("run 1 end", false), ("ru", false), ("Password: ", true)]
        {
            let mut lines = lines();
            lines.partial(begin.as_bytes(), Duration::ZERO);
            assert_eq!(!lines.into_writer().is_empty(), is_shown, "{begin}");
        }
    }
}
