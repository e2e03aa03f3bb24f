//! The live view: a frame at the bottom of the terminal, and the lines above it that stay in the scrollback.
//!
//! It uses no clock and no signals: the caller decides when to draw. The content of a frame comes from `render`; this module
//! decides which lines scroll away, and keeps the frame from jumping.

use std::time::Duration;

use super::canvas::{Canvas, Picture, RESET, Screen};
use super::pending::{LogCounts, PendingFailures};
use super::{Condition, InView, LogLines, Passthrough, is_prompt};
use crate::activation::ActivationChange;
use crate::render::{self, BegunStep, Extent, Memory, Passed, Style, Viewport};
use crate::state::{Change, DerivationId, Moment, Outcome, Phase, State, TextKind};
use crate::text::{Line, Palette, Role, ascii, truncate, width};
use crate::view::{Evidence, View};
use nixmon_log::escapes::sanitize;

/// The look and the content of a live view.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Colours.
    pub palette: Palette,
    /// Symbols and thresholds.
    pub style: Style,
    /// Treatment of text from other programs.
    pub passthrough: Passthrough,
    /// Log lines of builds to show.
    pub logs: LogLines,
    /// Largest number of lines of the final report.
    pub report_lines: usize,
    /// The terminal supports a window title (OSC 2) and saves the old one (`CSI 22 t`).
    pub title: bool,
    /// The terminal supports progress (OSC 9;4). Other terminals show a notification for OSC 9.
    pub progress: bool,
}

impl LiveOptions {
    /// Returns whether lines of unknown origin are shown: if all lines of builders or of other programs are.
    pub(crate) fn tells_unnamed(&self) -> bool {
        self.passthrough == Passthrough::All || self.logs == LogLines::All(None)
    }
}

/// Draws the live view.
#[derive(Debug)]
pub struct Live {
    canvas: Canvas,
    options: LiveOptions,
    /// Whole lines that scroll away above the next frame.
    above: String,
    /// Number of hidden lines of other programs.
    hidden: u64,
    in_view: InView,
    /// Number of hidden lines of activations and build tools, which is shown only without a success.
    hidden_unless_success: u64,
    /// Number of the run, if it is kept.
    run: Option<u64>,
    /// Number of failures that have been shown with their logs.
    n_told: usize,
    failures: PendingFailures,
    steps: Vec<BegunStep>,
    memory: Memory,
    log_counts: LogCounts,
    /// An unfinished line that has been there for a moment.
    partial: Option<String>,
    /// Height of the frame, and the last time at which it needed that height.
    height: (usize, Moment),
    title: String,
    titled_at: Option<Moment>,
    progress: String,
}

/// Time of the first frame: a shorter run needs no view.
const FIRST_FRAME: Duration = Duration::from_millis(150);
/// Time for which a frame keeps its height when it could be lower.
const SHRINK_DELAY: Duration = Duration::from_secs(3);
/// Shortest time between two window titles.
const TITLE_DELAY: Duration = Duration::from_secs(1);
/// Largest number of bytes that wait to scroll, so that a stalled terminal does not fill the memory.
const MAX_ABOVE: usize = 1 << 20;
/// Largest width of lines of other programs, unless all of their text is requested.
const MAX_COLUMNS: usize = 1000;
/// Largest number of steps of an activation.
const MAX_STEPS: usize = 200;
/// Longest prompt in bytes.
const MAX_PROMPT: usize = 400;
/// Largest size of the report in bytes. A terminal needs no tighter limit.
const REPORT_BYTES: usize = 1 << 16;

impl Live {
    /// Draws on a terminal.
    pub fn new(term: Box<dyn Screen>, options: LiveOptions) -> Self {
        Self {
            canvas: Canvas::new(term),
            options,
            above: String::new(),
            hidden: 0,
            in_view: InView::default(),
            hidden_unless_success: 0,
            run: None,
            n_told: 0,
            failures: PendingFailures::default(),
            steps: Vec::new(),
            memory: Memory::default(),
            log_counts: LogCounts::default(),
            partial: None,
            height: (0, Moment::ZERO),
            title: String::new(),
            titled_at: None,
            progress: String::new(),
        }
    }

    /// Takes the number of the run that is shown, which is kept.
    pub fn of_run(&mut self, run: u64) {
        self.run = Some(run);
    }

    /// Returns the control sequences that restore the terminal at a panic.
    pub fn reset_sequence(options: &LiveOptions) -> String {
        format!("{RESET}{}", restore_controls(options.title, options.progress))
    }

    /// Notes new input, which may finish an unfinished line.
    pub fn touch(&mut self) {
        self.partial = None;
    }

    /// Shows an unfinished line that has been there for a moment: a prompt, or a program that prints dots.
    pub fn partial(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.partial = (!bytes.is_empty() && bytes.len() <= MAX_PROMPT)
            .then(|| sanitize(&text).into_owned())
            .filter(|_| self.options.passthrough != Passthrough::None);
    }

    /// Shows changes that the state has accepted.
    pub fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        for change in changes {
            match change {
                Change::Failed(id) if state.failure(*id).derivation.is_some() => {
                    self.failures.add(*id, at);
                }
                Change::Retracted(id) => self.failures.retract(*id),
                Change::Text(kind, text) => self.text(*kind, text),
                Change::LogLine(id, line) => self.log_line(state, *id, line),
                Change::Problem(problem) => {
                    self.say(&Line::new().with(Role::Muted, format!("nixmon: unusable input: {problem}")));
                }
                Change::BuildEnded(id, _) => {
                    self.log_counts.forget(*id);
                }
                Change::Activation(change) => self.activation(change, at),
                _ => {}
            }
        }
    }

    fn activation(&mut self, change: &ActivationChange, at: Moment) {
        match change {
            ActivationChange::Began { .. } => self.steps.clear(),
            ActivationChange::Step { name, .. } => {
                if self.steps.len() == MAX_STEPS {
                    self.steps.remove(0);
                }
                self.steps.push(BegunStep { name: name.clone(), at });
            }
            ActivationChange::UnitsFailed { units, .. } => {
                for unit in units {
                    let hint = format!("  log: {}", unit.log_hint());
                    let failure = format!("{} {} failed", self.options.style.symbols.failure, unit.name);
                    self.say(&Line::new().with(Role::Failure, failure).with(Role::Muted, hint));
                }
            }
            ActivationChange::Warning { text, .. } => {
                self.say(&Line::new().with(Role::Warning, "warning: ").with(Role::Plain, text));
            }
            ActivationChange::RollingBack { .. } => {
                self.say(&Line::new().with(Role::Warning, "Rolling back to the previous configuration"));
            }
            _ => {}
        }
    }

    fn text(&mut self, kind: TextKind, text: &str) {
        if kind == TextKind::Unnamed && !self.options.tells_unnamed() {
            return;
        }
        let foreign = matches!(kind, TextKind::Other | TextKind::Tool | TextKind::Activation);
        if foreign && self.options.passthrough == Passthrough::None {
            self.hidden += 1;
            return;
        }
        // Their important parts are shown as steps, units and progress, and in the report if they explain a failure.
        if matches!(kind, TextKind::Activation | TextKind::Tool)
            && self.options.passthrough == Passthrough::Auto
        {
            self.hidden_unless_success += 1;
            return;
        }
        let mut line = render::text(kind, text);
        if self.options.passthrough == Passthrough::Auto && kind != TextKind::Result {
            line.truncate(MAX_COLUMNS, self.options.style.symbols.ellipsis);
        }
        self.say(&line);
    }

    fn log_line(&mut self, state: &State, id: DerivationId, line: &str) {
        let LiveOptions { logs, style, .. } = &self.options;
        if let Some(line) = self.log_counts.line(state, id, line, *logs, style.symbols.ellipsis) {
            self.say(&line);
        }
    }

    /// Lets a line scroll away above the next frame.
    fn say(&mut self, line: &Line) {
        if self.above.len() > MAX_ABOVE {
            self.hidden += 1;
            return;
        }
        self.in_view.show(line.plain());
        let painted = self.paint(line);
        self.above.push_str(&painted);
        self.above.push('\n');
    }

    fn paint(&self, line: &Line) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = line.write(&self.options.palette, &mut text);
        if self.options.style.ascii { ascii(&text).into_owned() } else { text }
    }

    /// Draws a frame if it differs from the last one.
    pub fn draw(&mut self, state: &State, now: Moment, condition: Condition) {
        if condition.busy || now < FIRST_FRAME && self.above.is_empty() {
            return;
        }
        self.tell_failures(state, now);
        let resized = self.canvas.is_resized();
        let prompt = self.partial.as_deref().is_some_and(is_prompt);
        if condition.asking && !resized {
            // The program has written its question at the cursor; a frame would remove it.
            return;
        }
        let viewport = self.viewport();
        let mut rows = self.rows(state, now, viewport, resized);
        let mut column = 0;
        if let Some(first) = rows.first_mut()
            && let Some(partial) = self.shown_partial()
        {
            let text = truncate(&partial, viewport.columns.saturating_sub(1), "");
            column = width(&text);
            *first = text.into_owned();
        }
        let controls = self.controls(state, now);
        let picture = Picture {
            column,
            // The terminal shows the answer while the user types it.
            cursor: prompt || rows.is_empty(),
            again: condition.typed && !prompt,
            rows,
            controls,
        };
        let above = std::mem::take(&mut self.above);
        // A closed terminal is no reason to stop reading.
        let _ = self.canvas.draw(&above, picture);
    }

    /// The unfinished line, as it can be shown.
    fn shown_partial(&self) -> Option<String> {
        let partial = self.partial.as_deref()?;
        Some(if self.options.style.ascii { ascii(partial).into_owned() } else { partial.to_owned() })
    }

    fn viewport(&self) -> Viewport {
        let (columns, rows) = self.canvas.size();
        // Terminals that do not know their size report 0.
        let or = |n: u16, default| if n == 0 { default } else { usize::from(n) };
        Viewport { columns: or(columns, 80), rows: or(rows, 24) }
    }

    /// Makes the rows: an empty one for an unfinished line, then the frame.
    fn rows(&mut self, state: &State, now: Moment, viewport: Viewport, resized: bool) -> Vec<String> {
        if state.phase() == Phase::Done {
            return Vec::new();
        }
        let view = View::new(state, now);
        let lines = render::frame(&view, &self.steps, &mut self.memory, viewport, &self.options.style);
        let gap = usize::from(viewport.rows > viewport.frame_rows());
        let wanted = lines.len() + gap;
        let (kept, since) = self.height;
        if wanted >= kept || resized || now.saturating_sub(since) >= SHRINK_DELAY {
            self.height = (wanted, now);
        }
        let mut rows = vec![String::new(); self.height.0.saturating_sub(lines.len())];
        rows.extend(lines.iter().map(|line| self.paint(line)));
        rows
    }

    fn tell_failures(&mut self, state: &State, now: Moment) {
        for (id, _) in self.failures.take_due(now) {
            self.n_told += 1;
            let log_lines = self.options.logs.of_failure();
            let block = render::failure_block(state, state.failure(id), log_lines, &self.options.style);
            for (i, mut line) in block.into_iter().enumerate() {
                if i == 0 {
                    let symbol = self.options.style.symbols.failure;
                    let mut heading = Line::new().with(Role::Failure, symbol);
                    heading.append(trim_indent(line));
                    line = heading;
                }
                line.truncate(MAX_COLUMNS, self.options.style.symbols.ellipsis);
                self.say(&line);
            }
        }
    }

    /// Returns the control sequences for the window title and the progress, if they have changed.
    fn controls(&mut self, state: &State, now: Moment) -> String {
        let mut controls = String::new();
        let view = View::new(state, now);
        if self.options.progress {
            let progress = progress(&view);
            if progress != self.progress {
                controls.push_str(&format!("\x1b]9;4;{progress}\x1b\\"));
                self.progress = progress;
            }
        }
        let due = self.titled_at.is_none_or(|at| now.saturating_sub(at) >= TITLE_DELAY);
        if self.options.title && due {
            let title = title(&view);
            if title != self.title {
                if self.titled_at.is_none() {
                    controls.push_str("\x1b[22;2t");
                }
                controls.push_str(&format!("\x1b]2;{title}\x1b\\"));
                self.title = title;
                self.titled_at = Some(now);
            }
        }
        controls
    }

    /// Removes the view, since the terminal is needed for something else. The next frame brings it back.
    pub fn leave(&mut self) {
        let mut above = std::mem::take(&mut self.above);
        // What is left is the question to which the terminal is needed, with the cursor behind it.
        above.push_str(&self.shown_partial().unwrap_or_default());
        let controls = self.restore();
        // A closed terminal needs no restoration.
        let _ = self.canvas.leave(&above, &controls);
    }

    fn restore(&mut self) -> String {
        let titled = self.titled_at.take().is_some();
        self.title.clear();
        let progressed = !std::mem::take(&mut self.progress).is_empty();
        restore_controls(titled, progressed)
    }

    /// Returns whether lines of unknown origin are shown.
    pub(crate) fn tells_unnamed(&self) -> bool {
        self.options.tells_unnamed()
    }

    /// Replaces the view with the report on a run that has ended. `evidence` holds the logs that were found.
    pub fn end(&mut self, state: &State, evidence: &Evidence) {
        self.failures.clear();
        self.partial = None;
        // Failures that have been shown with their logs need no second one.
        let all_told = self.n_told > 0 && self.n_told == state.failures().count();
        let log_lines = if all_told { 0 } else { self.options.logs.of_failure() };
        let extent = Extent { lines: self.options.report_lines, bytes: REPORT_BYTES, log_lines };
        let hidden = match state.outcome() {
            Some(Outcome::Success) => self.hidden,
            _ => self.hidden + self.hidden_unless_success,
        };
        let unnamed = if self.options.tells_unnamed() { 0 } else { state.unnamed_lines() };
        let passed = Passed { hidden: hidden + unnamed, run: self.run, in_view: self.in_view.lines() };
        let report = render::report(state, evidence, &passed, &self.options.style, extent);
        for line in report {
            let painted = self.paint(&line);
            self.above.push_str(&painted);
            self.above.push('\n');
        }
        self.leave();
    }

    /// Shows messages about the run itself.
    pub fn notice(&mut self, lines: &[Line]) {
        for line in lines {
            let mut line = line.clone();
            line.truncate(MAX_COLUMNS, self.options.style.symbols.ellipsis);
            self.say(&line);
        }
    }

    /// Writes the current frame as lines that stay.
    pub fn report_now(&mut self, state: &State, now: Moment) {
        let viewport = Viewport { rows: usize::MAX, ..self.viewport() };
        let view = View::new(state, now);
        for line in render::frame(&view, &self.steps, &mut self.memory, viewport, &self.options.style) {
            self.say(&line);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // At a panic, the panic hook has restored the terminal and printed the message.
        if !std::thread::panicking() {
            self.leave();
        }
    }
}

fn trim_indent(line: Line) -> Line {
    let mut trimmed = Line::new().with(Role::Plain, " ");
    for (i, span) in line.spans().iter().enumerate() {
        let text = if i == 0 { span.text().trim_start() } else { span.text() };
        trimmed.push(span.role(), text);
    }
    trimmed
}

fn restore_controls(title: bool, progress: bool) -> String {
    let title = if title { "\x1b[23;2t" } else { "" };
    let progress = if progress { "\x1b]9;4;0;0\x1b\\" } else { "" };
    format!("{progress}{title}")
}

/// Formats `state;percent` for OSC 9;4: state 1 is normal, 2 an error, 3 of unknown length.
fn progress(view: &View<'_>) -> String {
    let builds = view.builds();
    let fetches = view.fetches();
    let failed = builds.failed > 0 || view.state.outcome() == Some(Outcome::Failure);
    let percent = match builds.total {
        Some(total) if total > 0 => Some(builds.built * 100 / total),
        _ if fetches.total_bytes > 0 => {
            let percent = u128::from(fetches.bytes) * 100 / u128::from(fetches.total_bytes);
            Some(usize::try_from(percent).unwrap_or(100))
        }
        _ => {
            let percent = view.state.plain_scope().and_then(|scope| scope.unit()?.percent);
            percent.map(|percent| percent.clamp(0.0, 100.0) as usize)
        }
    };
    match percent.map(|percent| percent.min(100)) {
        Some(percent) => format!("{};{percent}", if failed { 2 } else { 1 }),
        None if failed => "2;100".to_owned(),
        None => "3;0".to_owned(),
    }
}

/// Makes a window title. It contains no foreign text.
fn title(view: &View<'_>) -> String {
    let builds = view.builds();
    let mut title = format!("nixmon: {}", view.state.phase().as_str());
    if let Some(total) = builds.total.filter(|total| *total > 0) {
        title.push_str(&format!(" {}/{total}", builds.built));
    }
    if builds.failed > 0 {
        title.push_str(&format!(", {} failed", builds.failed));
    }
    if let Some(eta) = view.state.eta(view.now).filter(|eta| eta.remaining_ms >= 1_000) {
        let left = std::time::Duration::from_millis(eta.remaining_ms);
        title.push_str(&format!(", ~{} left", render::rough(left)));
    }
    title
}
