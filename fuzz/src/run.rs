//! A state with all frontends behind it, and what must hold after every input.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nixmon_core::activation::ActivationChange;
use nixmon_core::frontend::{
    self, Condition, Json, Limits, Lines, LinesOptions, Live, LiveOptions, LogLines, Passthrough,
};
use nixmon_core::render::{BegunStep, Memory, Style, Thresholds, Viewport, frame};
use nixmon_core::state::{Change, Effects, Input, Moment, State};
use nixmon_core::text::{Palette, Symbols};
use nixmon_core::view::{Evidence, View};
use nixmon_log::input::InputCounts;

/// Columns and rows at which frames are held against their size.
const SIZES: [(u16, u16); 5] = [(1, 1), (20, 5), (80, 24), (300, 100), (0, 0)];
/// Steps that are kept for frames.
const MAX_STEPS: usize = 50;
/// What the terminal got is looked through once it is so long.
const SCREENFUL: usize = 1 << 16;

/// Everything between an event and a screen.
pub(crate) struct Run {
    state: State,
    effects: Effects,
    lines: Lines<Vec<u8>>,
    json: Json<Vec<u8>>,
    live: Live,
    screen: Screen,
    style: Style,
    colored: bool,
    steps: Vec<BegunStep>,
    pub(crate) now: Moment,
    n_inputs: usize,
    n_ticks: usize,
}

impl Run {
    /// The lowest bits of `kind` choose among signs and colours.
    pub(crate) fn new(kind: u8) -> Self {
        let (ascii, colored) = (kind & 1 != 0, kind & 2 != 0);
        let symbols = if ascii { Symbols::ascii() } else { Symbols::unicode() };
        let style = Style { symbols, ascii, thresholds: Thresholds::default() };
        let palette = if colored { Palette::colored() } else { Palette::default() };
        let (passthrough, logs) = (Passthrough::Auto, LogLines::default());
        let options = LinesOptions { palette, style, limits: Limits::default(), passthrough, logs };
        let live =
            LiveOptions { palette, style, passthrough, logs, report_lines: 60, title: true, progress: true };
        let screen = Screen::default();
        Self {
            state: State::new(),
            effects: Effects::default(),
            lines: Lines::new(Vec::new(), options),
            json: Json::new(Vec::new(), Some(Duration::from_secs(60))),
            live: Live::new(Box::new(screen.clone()), live),
            screen,
            style,
            colored,
            steps: Vec::new(),
            now: Duration::ZERO,
            n_inputs: 0,
            n_ticks: 0,
        }
    }

    pub(crate) fn apply(&mut self, input: Input<'_>) {
        self.n_inputs += 1;
        self.state.apply(input, self.now, &mut self.effects);
        self.lines.changes(&self.state, &self.effects.changes, self.now);
        self.json.changes(&self.state, &self.effects.changes, self.now);
        self.live.changes(&self.state, &self.effects.changes, self.now);
        for change in &self.effects.changes {
            if let Change::Activation(ActivationChange::Step { name, .. }) = change
                && self.steps.len() < MAX_STEPS
            {
                self.steps.push(BegunStep { name: name.clone(), at: self.now });
            }
        }
        self.effects.changes.clear();
        self.effects.requests.clear();
        // A recount costs as much as the state is large.
        if self.n_inputs < 128 || self.n_inputs.is_multiple_of(64) {
            self.check();
        }
    }

    pub(crate) fn tick(&mut self) {
        self.apply(Input::Tick);
        self.lines.tick(&self.state, self.now);
        self.json.tick(&self.state, self.now);
        let view = View::new(&self.state, self.now);
        let running = view.running().len();
        assert!(view.builds().running >= running);
        let _ = (view.fetches(), view.fetching());
        // Each frame of some hundred builds costs as much as many inputs.
        self.n_ticks += 1;
        if self.n_ticks < 4 || self.n_ticks.is_multiple_of(32) {
            self.draw();
        }
    }

    fn check(&self) {
        if let Err(broken) = self.state.check_invariants() {
            panic!("{broken}");
        }
    }

    /// Frames at each size, and the live view at one after the other: each time its terminal has been resized.
    fn draw(&mut self) {
        let view = View::new(&self.state, self.now);
        for (columns, rows) in SIZES {
            let (columns, rows) = (usize::from(columns), usize::from(rows));
            let viewport = Viewport { columns, rows };
            let lines = frame(&view, &self.steps, &mut Memory::default(), viewport, &self.style);
            assert!(lines.len() <= rows, "{} lines for {rows} rows", lines.len());
            for line in lines {
                assert!(line.width() <= columns, "{columns} columns: {:?}", line.plain());
                assert!(!line.plain().contains(char::is_control), "{:?}", line.plain());
                assert!(!self.style.ascii || line.plain().is_ascii(), "{:?}", line.plain());
            }
        }
        let (columns, rows) = SIZES[self.n_ticks / 2 % SIZES.len()];
        self.screen.resize(columns, rows);
        let typed = self.n_ticks.is_multiple_of(5);
        self.live.draw(&self.state, self.now, Condition { typed, ..Condition::default() });
        if self.n_ticks.is_multiple_of(7) {
            self.live.leave();
        }
        self.screen.check(SCREENFUL, self.colored);
    }

    pub(crate) fn partial(&mut self, bytes: &[u8]) {
        self.live.touch();
        self.live.partial(bytes);
        self.lines.touch();
        self.lines.partial(bytes, self.now);
    }

    pub(crate) fn end(mut self, exit_status: Option<i32>, counts: InputCounts) {
        self.draw();
        self.apply(Input::End(exit_status));
        let evidence = Evidence::default();
        self.lines.end(&self.state, &evidence, self.now);
        self.json.end(&self.state, &evidence, counts, self.state.exit_code());
        self.live.end(&self.state, &evidence);
        self.check();
        self.screen.check(0, self.colored);

        let written = String::from_utf8(self.lines.into_writer()).expect("the output is UTF-8");
        check_controls(&written, self.colored, "\n");
        // Results, such as paths that a command prints, are never held back; nothing else goes beyond the limits.
        let counted = written.lines().filter(|line| !line.starts_with('/'));
        let (n_lines, n_bytes) = counted.fold((0, 0), |(n, bytes), line| {
            let colors: usize =
                line.split('\u{1b}').skip(1).map(|part| 2 + part.find('m').unwrap_or(0)).sum();
            (n + 1, bytes + line.len() + 1 - colors.min(line.len()))
        });
        let limits = Limits::default();
        assert!(n_lines <= limits.lines, "{n_lines} lines");
        assert!(n_bytes <= limits.bytes, "{n_bytes} bytes");

        let json = String::from_utf8(self.json.into_writer()).expect("the output is UTF-8");
        check_controls(&json, false, "\n");
        for line in json.lines() {
            let record: serde_json::Value = serde_json::from_str(line).expect("a line is a record");
            assert!(record["type"].is_string(), "{line}");
        }
    }
}

/// Only our own control sequences are in what a terminal gets, and `plain` control characters.
#[track_caller]
fn check_controls(text: &str, colored: bool, plain: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && !plain.contains(c)) {
        let after = &rest[at..];
        let length = own_sequence(after, colored).unwrap_or_else(|| {
            panic!("a control character of others: {:?}", after.get(..40).unwrap_or(after))
        });
        rest = &after[length..];
    }
}

/// The length of the control sequence of ours with which a text begins.
fn own_sequence(text: &str, colored: bool) -> Option<usize> {
    let body = text.strip_prefix('\u{1b}')?;
    if body.starts_with(['7', '8']) {
        return Some(2);
    }
    if let Some(csi) = body.strip_prefix('[') {
        let end = csi.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == '?'))?;
        let is_ours = match csi[end..].chars().next()? {
            'm' => colored,
            'h' | 'l' => ["?2026", "?25", "?7"].contains(&&csi[..end]),
            't' => ["22;2", "23;2"].contains(&&csi[..end]),
            last => "ABCJK".contains(last),
        };
        return is_ours.then_some(2 + end + 1);
    }
    let osc = body.strip_prefix(']').filter(|osc| osc.starts_with("2;nixmon") || osc.starts_with("9;4;"))?;
    let end = osc.find(char::is_control)?;
    osc[end..].starts_with("\u{1b}\\").then_some(2 + end + 2)
}

/// A terminal that keeps what it gets.
#[derive(Clone, Debug, Default)]
struct Screen(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    columns: u16,
    rows: u16,
    written: String,
}

impl Screen {
    fn resize(&self, columns: u16, rows: u16) {
        let mut contents = self.0.lock().expect("no one has panicked");
        (contents.columns, contents.rows) = (columns, rows);
    }

    /// Looks through what has come, once there is enough of it.
    fn check(&self, enough: usize, colored: bool) {
        let mut contents = self.0.lock().expect("no one has panicked");
        if contents.written.len() > enough {
            check_controls(&contents.written, colored, "\r\n");
            contents.written.clear();
        }
    }
}

impl frontend::Screen for Screen {
    fn size(&self) -> (u16, u16) {
        let contents = self.0.lock().expect("no one has panicked");
        (contents.columns, contents.rows)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut contents = self.0.lock().expect("no one has panicked");
        // While lines are not wrapped the rows of the view are written: not more than the terminal has.
        for view in text.split("\u{1b}[?7l").skip(1) {
            let view = view.split("\u{1b}[?7h").next().unwrap_or_default();
            let rows = if contents.rows == 0 { 24 } else { usize::from(contents.rows) };
            assert!(view.matches('\n').count() < rows, "{rows} rows: {view:?}");
        }
        contents.written.push_str(text);
        Ok(())
    }
}
