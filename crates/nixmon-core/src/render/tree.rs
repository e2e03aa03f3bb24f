//! The live view: a frame of lines for a terminal of a given size.
//!
//! A frame has the rows of a tree and a status line below them. It is never wider or higher than the terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lines::{facts, machine_name};
use super::{Style, inside, unit_actions};
use crate::activation::{Run, RunStage, Tool, Unit};
use crate::state::{Derivation, DerivationId, DerivationState, Moment, PathId, PathState, Phase, Scope};
use crate::text::{
    Line, Role, ascii, bytes, bytes_of, duration, pad_start, rate, thousands, truncate, width,
};
use crate::view::{Blockers, Node, Row, Tree, TreeOptions, View, tree};
use nixmon_log::escapes::{last_carriage, sanitize};
use nixmon_progress::Unit as Work;

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewport {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

/// Facts that frames have in common, so that one looks like the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    blockers: Blockers,
    /// The column after the names, and the width of the terminal for which it was chosen.
    names: usize,
    columns: usize,
}

/// A step of an activation and its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunStep {
    /// Name of the step.
    pub name: String,
    /// Time at which it began.
    pub at: Moment,
}

/// A path is shown as stalled after this time without data.
const STALLED: Duration = Duration::from_secs(5);
/// Largest height of a frame: more rows cannot be read at a glance.
const MAX_ROWS: usize = 40;
/// A terminal with at most this many rows is used entirely for the view.
const SMALL: usize = 6;
/// Smallest room in which a log line is useful.
const MIN_LOG: usize = 16;
/// A narrower terminal has no room to indent names.
const NARROW: usize = 36;
/// The column after the names is a multiple of this, so that it rarely moves when names come and go.
const NAME_STEP: usize = 8;

impl Viewport {
    /// Returns the largest height of a frame: half of the terminal is left for scrolling text.
    pub(crate) fn frame_rows(self) -> usize {
        if self.rows <= SMALL { self.rows } else { (self.rows / 2).clamp(SMALL, MAX_ROWS) }
    }
}

/// Makes a frame of at most as many lines as the viewport has room for, none wider than the terminal.
pub fn frame(
    view: &View<'_>,
    steps: &[BegunStep],
    memory: &mut Memory,
    viewport: Viewport,
    style: &Style,
) -> Vec<Line> {
    let rows = viewport.frame_rows();
    let mut bottom = vec![status(view, viewport.columns, style)];
    if rows >= SMALL {
        bottom.extend(machines(view, style));
    }
    bottom.reverse();
    bottom.truncate(rows);
    let rows = rows - bottom.len();
    let mut lines = if view.state.phase_reached() == Phase::Activating {
        activation(view, steps, rows, viewport.columns, style)
    } else if let Some(scope) = view.state.plain_scope() {
        super::packages::of_command(&scope.packages(view.now), rows, viewport.columns, style)
    } else {
        let tree = tree(
            view,
            TreeOptions { rows, ancestors: viewport.columns >= NARROW, blockers: &mut memory.blockers },
        );
        tree_lines(view, &tree, memory, viewport.columns, style)
    };
    lines.extend(bottom);
    for line in &mut lines {
        line.truncate(viewport.columns, style.symbols.ellipsis);
    }
    lines
}

/// A part of a line that may be left out for lack of room.
#[derive(Debug)]
struct Part {
    /// The part with the greatest rank is left out first; rank 0 always stays.
    rank: u8,
    role: Role,
    text: String,
}

fn part(rank: u8, role: Role, text: impl Into<String>) -> Part {
    Part { rank, role, text: text.into() }
}

/// Joins as many parts as fit.
fn join(mut parts: Vec<Part>, separator: &str, columns: usize) -> Line {
    loop {
        let texts: usize = parts.iter().map(|part| width(&part.text)).sum();
        let all = texts + width(separator) * parts.len().saturating_sub(1);
        let last = parts.iter().map(|part| part.rank).max().unwrap_or(0);
        if all <= columns || last == 0 {
            break;
        }
        if let Some(at) = parts.iter().rposition(|part| part.rank == last) {
            parts.remove(at);
        }
    }
    let mut line = Line::new();
    for (i, part) in parts.into_iter().enumerate() {
        if i > 0 {
            line.push(Role::Muted, separator);
        }
        line.push(part.role, part.text);
    }
    line
}

/// `Building · 7/42 built · 4 running · 1 failed · ↓ 61/128 0.9/1.9 GiB 31 MiB/s · 2m15s`
pub fn status(view: &View<'_>, columns: usize, style: &Style) -> Line {
    let state = view.state;
    let symbols = &style.symbols;
    let number = |n: usize| thousands(n as u64);
    let builds = view.builds();
    let mut parts = Vec::new();
    match state.phase() {
        Phase::Evaluating => {
            let verb = super::lines::verb(state, Phase::Evaluating);
            parts.push(part(2, Role::Heading, format!("{verb}{}", symbols.ellipsis)));
            if let Some(unit) = state.plain_scope().and_then(Scope::unit) {
                parts.extend(command_parts(unit, columns, style));
            } else if let Some(text) = state.evaluating() {
                parts.push(part(3, Role::Muted, readable(text, style)));
            }
        }
        Phase::Fetching => parts.push(part(8, Role::Heading, "Fetching")),
        Phase::Building => parts.push(part(8, Role::Heading, "Building")),
        Phase::Activating => parts.push(part(4, Role::Heading, readable(&activating(view), style))),
        Phase::Done => parts.push(part(8, Role::Heading, "Done")),
    }
    let activating = state.phase() == Phase::Activating;
    let of = builds.total.filter(|total| *total > 0).map(|total| format!("/{}", number(total)));
    let of = of.unwrap_or_default();
    let ended_unknown = builds.endless;
    if ended_unknown > 0 {
        parts.push(part(0, Role::Plain, format!("{}{of} started", number(ended_unknown))));
    } else if builds.built + builds.running > 0 || !of.is_empty() {
        let rank = if activating { 3 } else { 0 };
        parts.push(part(rank, Role::Success, format!("{}{of} built", number(builds.built))));
        if builds.running > 0 {
            parts.push(part(3, Role::Running, format!("{} running", number(builds.running))));
        }
    }
    if builds.waiting > 0 {
        parts.push(part(5, Role::Muted, format!("{} waiting for a lock or machine", number(builds.waiting))));
    }
    if builds.failed > 0 {
        parts.push(part(0, Role::Failure, format!("{} failed", number(builds.failed))));
    }
    parts.extend(fetched(view, style));
    let failed_units: usize = state.activation().runs().map(|run| run.units().failed.len()).sum();
    if failed_units > 0 {
        parts.push(part(0, Role::Failure, format!("{} failed", number(failed_units))));
    }
    if state.phase() != Phase::Done
        && let Some(eta) = super::eta::eta(view, style)
    {
        parts.push(part(1, Role::Emphasis, eta));
        parts.extend(super::eta::never_seen(view).map(|text| part(7, Role::Muted, text)));
    }
    parts.push(part(1, Role::Muted, duration(view.now)));
    join(parts, &format!(" {} ", symbols.bullet), columns)
}

/// `━━━━━━──── · compiling 61 % (1,204/1,980) · package_core · src/main.c`
fn command_parts(unit: &Work, columns: usize, style: &Style) -> Vec<Part> {
    /// A narrower terminal has no room for a bar.
    const WIDE: usize = 80;
    let verb = inside::verb(unit.stage);
    let text =
        inside::progress(unit).map_or_else(|| verb.to_owned(), |progress| format!("{verb} {progress}"));
    let mut parts = Vec::new();
    if let Some(percent) = unit.percent.filter(|_| columns >= WIDE) {
        parts.push(part(5, Role::Running, inside::bar(percent, style).plain()));
    }
    parts.push(part(0, Role::Plain, text));
    parts.extend(unit.package.as_ref().map(|package| part(6, Role::Name, readable(package, style))));
    parts.extend(inside::current(unit).map(|current| part(4, Role::Muted, readable(current, style))));
    parts
}

fn fetched(view: &View<'_>, style: &Style) -> Vec<Part> {
    let fetches = view.fetches();
    let mut parts = Vec::new();
    let uploading = view.state.transfers().count(PathState::Uploading);
    if uploading > 0 {
        parts.push(part(3, Role::Plain, format!("{} {uploading} uploading", style.symbols.upload)));
    }
    if fetches.done + fetches.running == 0 && fetches.total.is_none_or(|total| total == 0) {
        return parts;
    }
    let of = fetches.total.map(|total| format!("/{}", thousands(total as u64))).unwrap_or_default();
    let done = thousands(fetches.done as u64);
    parts.push(part(2, Role::Plain, format!("{} {done}{of} fetched", style.symbols.download)));
    if fetches.running > 0 || fetches.total.is_some_and(|total| fetches.done < total) {
        if fetches.total_bytes >= fetches.bytes && fetches.total_bytes > 0 {
            parts.push(part(4, Role::Plain, bytes_of(fetches.bytes, fetches.total_bytes)));
        } else if fetches.bytes > 0 {
            parts.push(part(4, Role::Plain, bytes(fetches.bytes)));
        }
        if fetches.rate > 0 {
            parts.push(part(6, Role::Plain, rate(fetches.rate)));
        }
    }
    parts
}

fn activating(view: &View<'_>) -> String {
    let mut runs = view.state.activation().runs();
    let Some(run) = runs.next() else { return "Activating".to_owned() };
    let tool = if run.tool == Tool::Unknown { String::new() } else { format!(" {}", run.tool.name()) };
    match (runs.count(), &run.node) {
        (0, Some(node)) => format!("Activating{tool} on {node}"),
        (0, None) => format!("Activating{tool}"),
        (more, _) => format!("Activating{tool} on {} machines", more + 1),
    }
}

/// Counts running builds per machine, if there are several machines.
fn machines(view: &View<'_>, style: &Style) -> Option<Line> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for (_, derivation) in view.state.derivations().building() {
        *counts.entry(derivation.machine.as_deref().map_or("", machine_name)).or_default() += 1;
    }
    if counts.len() < 2 {
        return None;
    }
    let parts = counts.into_iter().map(|(machine, n)| {
        let machine = if machine.is_empty() { "here" } else { machine };
        format!("{} {n}", readable(machine, style))
    });
    let separator = format!(" {} ", style.symbols.bullet);
    Some(Line::new().with(Role::Muted, format!("on {}", parts.collect::<Vec<_>>().join(&separator))))
}

/// Returns foreign text in a form that the terminal can show.
fn readable(text: &str, style: &Style) -> String {
    let clean = sanitize(text);
    if style.ascii { ascii(&clean).into_owned() } else { clean.into_owned() }
}

/// Draws the branches before the name of a row.
fn connectors(row: &Row, style: &Style) -> String {
    let symbols = &style.symbols;
    let mut text = String::new();
    for (level, last) in row.last.iter().enumerate() {
        let here = level + 1 == row.last.len();
        text.push_str(match (here, last) {
            (true, true) => symbols.last_branch,
            (true, false) => symbols.branch,
            (false, true) => "  ",
            (false, false) => symbols.trunk,
        });
        text.push(' ');
    }
    if row.indirect {
        text.push_str(symbols.ellipsis);
        text.push(' ');
    }
    text
}

/// The content of a row before layout.
struct Cells {
    connectors: String,
    symbol: (Role, &'static str),
    name: (Role, String),
    /// Elapsed time, in a column of its own.
    elapsed: String,
    parts: Vec<Part>,
    /// The percent of a bar, if there is room for one.
    bar: Option<f64>,
    log: Option<String>,
}

fn tree_lines(view: &View<'_>, tree: &Tree, memory: &mut Memory, columns: usize, style: &Style) -> Vec<Line> {
    let cells: Vec<Cells> = tree.rows.iter().map(|row| cells(view, row, style)).collect();
    let left = |cells: &Cells| width(&cells.connectors) + width(cells.symbol.1) + 1 + width(&cells.name.1);
    let widest = cells.iter().filter(|cells| !cells.elapsed.is_empty() || !cells.parts.is_empty()).map(left);
    let widest = (widest.max().unwrap_or(0) + 1).next_multiple_of(NAME_STEP);
    if columns != memory.columns {
        memory.names = 0;
        memory.columns = columns;
    }
    let most = if columns < 60 { columns.saturating_sub(7) } else { columns / 2 };
    memory.names = memory.names.max(widest).min(most);
    let names = memory.names;
    cells.into_iter().map(|cells| lay_out(cells, names, columns, style)).collect()
}

fn lay_out(cells: Cells, names: usize, columns: usize, style: &Style) -> Line {
    let Cells { connectors, symbol, name, elapsed, parts, bar, log } = cells;
    let bare = elapsed.is_empty() && parts.is_empty();
    let mut line = Line::new();
    line.push(Role::Muted, connectors);
    line.push(symbol.0, symbol.1);
    line.push(Role::Plain, " ");
    let room = if bare { columns } else { names }.saturating_sub(line.width());
    line.push(name.0, truncate(&name.1, room, style.symbols.ellipsis));
    if bare {
        return line;
    }
    line.pad(names);
    line.push(Role::Muted, pad_start(&elapsed, 5));
    let mut rest = columns.saturating_sub(line.width() + 1);
    let needed: usize = parts.iter().map(|part| width(&part.text) + 2).sum();
    if let Some(percent) = bar
        && rest >= needed + inside::BAR + MIN_LOG
    {
        line.push(Role::Plain, " ");
        line.append(inside::bar(percent, style));
        rest -= inside::BAR + 1;
    }
    let facts = join(parts, "  ", rest);
    if !facts.is_empty() && facts.width() <= rest {
        rest -= facts.width();
        line.push(Role::Plain, " ");
        line.append(facts);
    }
    if let Some(log) = log
        && rest >= MIN_LOG + 2
    {
        line.push(Role::Muted, format!("  {}", truncate(&log, rest - 2, style.symbols.ellipsis)));
    }
    line
}

fn cells(view: &View<'_>, row: &Row, style: &Style) -> Cells {
    let symbols = &style.symbols;
    let connectors = connectors(row, style);
    match row.node {
        Node::Derivation { id, blocks } => {
            let derivation = view.state.derivations().get(id);
            let mut cells = Cells {
                connectors,
                symbol: (Role::Running, symbols.running),
                name: (Role::Name, readable(derivation.name(), style)),
                elapsed: String::new(),
                parts: Vec::new(),
                bar: None,
                log: None,
            };
            match derivation.state() {
                DerivationState::Building => build_cells(view, id, derivation, &mut cells, style),
                DerivationState::Failed => failed_cells(view, derivation, &mut cells, style),
                state => other_cells(view, id, state, &mut cells, style),
            }
            if blocks > 0 {
                let blocks = format!("blocks {}", thousands(blocks as u64));
                cells.parts.push(part(2, Role::Muted, blocks));
            }
            cells
        }
        Node::Path(id) => path_cells(view, id, style),
        Node::More { running, moving } => {
            let mut parts = Vec::new();
            for (n, what) in [(running, "running"), (moving, "transferring")] {
                if n > 0 {
                    parts.push(format!("{} {what}", thousands(n as u64)));
                }
            }
            Cells {
                connectors,
                symbol: (Role::Muted, symbols.ellipsis),
                name: (Role::Muted, format!("and {}", parts.join(", "))),
                elapsed: String::new(),
                parts: Vec::new(),
                bar: None,
                log: None,
            }
        }
    }
}

fn build_cells(view: &View<'_>, id: DerivationId, derivation: &Derivation, cells: &mut Cells, style: &Style) {
    if derivation.is_endless() {
        // It is not known whether it is still running.
        cells.elapsed = String::new();
        let ago = duration(derivation.elapsed(view.now));
        cells.parts.push(part(1, Role::Muted, format!("started {ago} ago")));
        return;
    }
    cells.elapsed = duration(derivation.elapsed(view.now));
    if let Some(expectation) = super::eta::expectation(view, id, derivation) {
        cells.parts.push(part(2, Role::Muted, expectation));
    }
    if let Some(phase) = &derivation.phase {
        cells.parts.push(part(1, Role::Plain, readable(phase, style)));
    }
    if let Some(machine) = &derivation.machine {
        cells.parts.push(part(3, Role::Muted, format!("on {}", readable(machine_name(machine), style))));
    }
    if let Some(unit) = inside::of_build(view, id, derivation).filter(|unit| inside::is_measured(unit)) {
        cells.bar = unit.percent;
        cells.parts.extend(inside::progress(unit).map(|progress| part(0, Role::Plain, progress)));
        if let Some(current) = inside::current(unit) {
            cells.log = Some(readable(current, style));
            return;
        }
    }
    let last = derivation.log.as_ref().and_then(|log| log.last());
    cells.log = last.map(|line| readable(last_carriage(line).trim(), style)).filter(|line| !line.is_empty());
}

fn failed_cells(view: &View<'_>, derivation: &Derivation, cells: &mut Cells, style: &Style) {
    cells.symbol = (Role::Failure, style.symbols.failure);
    cells.name.0 = Role::Failure;
    if let Some(failure) = derivation.failure {
        cells.parts.push(part(1, Role::Plain, readable(&facts(view.state.failure(failure)), style)));
    }
}

fn other_cells(view: &View<'_>, id: DerivationId, state: DerivationState, cells: &mut Cells, style: &Style) {
    cells.name.0 = Role::Plain;
    cells.symbol = match state {
        DerivationState::Skipped => (Role::Muted, style.symbols.skipped),
        _ => (Role::Muted, style.symbols.waiting),
    };
    if state == DerivationState::Skipped {
        cells.parts.push(part(2, Role::Muted, "cannot be built"));
        return;
    }
    let derivations = view.state.derivations();
    let waits = derivations
        .inputs(id)
        .filter(|input| {
            let state = derivations.get(*input).state();
            !matches!(state, DerivationState::Unknown | DerivationState::Built)
        })
        .count();
    if waits > 0 {
        cells.parts.push(part(2, Role::Muted, format!("waiting for {}", thousands(waits as u64))));
    }
}

fn path_cells(view: &View<'_>, id: PathId, style: &Style) -> Cells {
    let path = view.state.transfers().get(id);
    let upload = path.state() == PathState::Uploading;
    let symbol = if upload { style.symbols.upload } else { style.symbols.download };
    let mut cells = Cells {
        connectors: String::new(),
        symbol: (Role::Running, symbol),
        name: (Role::Name, readable(path.name(), style)),
        elapsed: String::new(),
        parts: Vec::new(),
        bar: None,
        log: None,
    };
    let Some(started) = path.started else { return cells };
    let elapsed = view.now.saturating_sub(started);
    cells.elapsed = duration(elapsed);
    if path.done > 0 {
        cells.parts.push(part(1, Role::Plain, bytes_of(path.done, path.expected.max(path.done))));
    }
    let quiet = view.now.saturating_sub(path.last_bytes.unwrap_or(started));
    if quiet >= STALLED {
        cells.parts.push(part(2, Role::Warning, format!("no data for {}", duration(quiet))));
    } else if path.done > 0 && elapsed >= Duration::from_secs(1) {
        let per_second = u128::from(path.done) * 1000 / elapsed.as_millis().max(1);
        cells.parts.push(part(3, Role::Plain, rate(u64::try_from(per_second).unwrap_or(u64::MAX))));
    }
    if let Some(from) = &path.from {
        cells.parts.push(part(4, Role::Muted, format!("from {}", readable(machine_name(from), style))));
    }
    cells
}

/// Makes lines for steps and units, which replace the tree.
fn activation(view: &View<'_>, steps: &[BegunStep], rows: usize, columns: usize, style: &Style) -> Vec<Line> {
    let runs: Vec<&Run> = view.state.activation().runs().collect();
    if runs.len() > 1 {
        let from = runs.len().saturating_sub(rows);
        return runs.iter().skip(from).map(|run| run_line(run, style)).collect();
    }
    let Some(run) = runs.first() else { return Vec::new() };
    let units = run.units();
    let mut below: Vec<Line> = unit_actions(&units)
        .map(|(verb, list)| units_line(Role::Plain, verb, list, columns, style))
        .collect();
    if !units.failed.is_empty() {
        below.insert(0, units_line(Role::Failure, "failed", &units.failed, columns, style));
    }
    below.truncate(rows.saturating_sub(1).max(rows.min(1)));
    let room = rows - below.len();
    let from = steps.len().saturating_sub(room);
    let mut lines = Vec::new();
    for (i, step) in steps.iter().enumerate().skip(from) {
        let next = steps.get(i + 1).map(|next| next.at);
        let under_way = next.is_none() && run.stage == RunStage::Activating;
        let took = next.unwrap_or(view.now).saturating_sub(step.at);
        let mut line = Line::new();
        if under_way {
            line.push(Role::Running, format!("{} ", style.symbols.running));
        } else {
            line.push(Role::Success, format!("{} ", style.symbols.success));
        }
        line.push(if under_way { Role::Name } else { Role::Muted }, readable(&step.name, style));
        if took >= Duration::from_secs(1) && (under_way || next.is_some()) {
            line.push(Role::Muted, format!("  {}", duration(took)));
        }
        lines.push(line);
    }
    lines.extend(below);
    lines
}

fn run_line(run: &Run, style: &Style) -> Line {
    let symbols = &style.symbols;
    let (role, symbol) = match run.stage {
        RunStage::Done => (Role::Success, symbols.success),
        RunStage::Failed | RunStage::RolledBack | RunStage::Refused | RunStage::Interrupted => {
            (Role::Failure, symbols.failure)
        }
        _ => (Role::Running, symbols.running),
    };
    let mut line = Line::new().with(role, format!("{symbol} "));
    line.push(Role::Name, readable(run.node.as_deref().unwrap_or(run.tool.name()), style));
    let failed = run.units().failed.len();
    if failed > 0 {
        line.push(Role::Failure, format!("  {failed} failed"));
    }
    if let Some(step) = run.failed_step.as_ref().or(run.step.as_ref()) {
        line.push(Role::Muted, format!("  {}", readable(step, style)));
    }
    line
}

/// Lists as many names as there is room for, and counts the rest.
fn units_line(role: Role, verb: &str, units: &[Unit], columns: usize, style: &Style) -> Line {
    let mut text = format!("{verb} ");
    for (i, unit) in units.iter().enumerate() {
        let name = readable(&unit.name, style);
        let more = format!(" and {} more", units.len() - i);
        if i > 0 && width(&text) + 2 + width(&name) + width(&more) + 2 > columns {
            text.push_str(&more);
            break;
        }
        if i > 0 {
            text.push_str(", ");
        }
        text.push_str(&name);
    }
    Line::new().with(role, format!("  {text}"))
}
