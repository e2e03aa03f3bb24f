//! The final report: one line on success; on failure the root causes, their reasons and their logs.

use super::room::{self, Block, Room};
use super::{Style, activation, failure, updates};
use crate::activation::{Run, RunStage, Tool};
use crate::state::{DerivationState, Outcome, PathState, Phase, State};
use crate::text::{Line, Role, bytes, count, duration, thousands};
use crate::view::Evidence;
use nixmon_log::nix::error::Stage;

/// The size of a report.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Largest number of lines.
    pub lines: usize,
    /// Largest number of bytes, unless the first line is longer.
    pub bytes: usize,
    /// Log lines for each failure. Up to [`LOG_LINES`](super::LOG_LINES) those that say why are chosen; more are the log's last.
    pub log_lines: usize,
}

/// The text of other programs on the output that shows the report.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Number of lines that were not shown.
    pub hidden: u64,
    /// Number of the run, if it is kept: `nixmon log` has those lines.
    pub run: Option<u64>,
    /// The lines just above the report, which the report need not repeat.
    pub in_view: Vec<String>,
}

/// Room for the time before the first line: `[1d13h43m49s] `.
const STAMP: usize = 16;

/// Returns the files that may hold the log of a build, the compressed one first, which is usual. The caller checks which
/// exist.
///
/// Nix stores a log under its directory as `drvs/` and the derivation's base name, cut after two characters
/// (`src/libstore/local-fs-store.cc`).
pub fn log_files_of(path: &str, log_dir: &str) -> Option<[String; 2]> {
    let (_, base) = path.rsplit_once('/')?;
    let (head, tail) = (base.get(..2)?, base.get(2..)?);
    Some([format!("{log_dir}/drvs/{head}/{tail}.bz2"), format!("{log_dir}/drvs/{head}/{tail}")])
}

/// Lists the possible log files of all failed builds.
pub fn log_files(state: &State, log_dir: &str) -> Vec<String> {
    let mut files = Vec::new();
    for (_, failure) in state.failures() {
        let Some(path) = failure.derivation.map(|id| &state.derivations().get(id).path) else { continue };
        files.extend(log_files_of(path, log_dir).into_iter().flatten());
    }
    files
}

/// Makes the report on a run that has ended, with the logs that were found (`evidence`) and the text of other programs
/// (`passed`).
pub fn report(
    state: &State,
    evidence: &Evidence,
    passed: &Passed,
    style: &Style,
    extent: Extent,
) -> Vec<Line> {
    let mut lines = vec![verdict(state, style)];
    lines.extend(activation::runs(state, style));
    let mut blocks = Vec::new();
    let mut remarks = Vec::new();
    if matches!(state.outcome(), Some(Outcome::Success) | None) {
        lines.extend(activation::success(state, style));
        lines.extend(updates::lines(state, evidence, style));
        blocks.extend(activation::failed_in_success(state, evidence, style));
        if state.failures().next().is_some() {
            blocks.extend(failures(state, evidence, passed, style, extent.log_lines));
        }
        remarks.extend(activation::after_success(state, evidence));
    } else {
        if state.outcome() != Some(Outcome::Failure) {
            lines.extend(stopped(state));
        }
        blocks.extend(failures(state, evidence, passed, style, extent.log_lines));
    }
    // A run whose monitor was killed is one of `nixmon run` already.
    let is_text_alone = state.exit_status().is_none() && !state.is_end_unseen();
    if state.outcome() == Some(Outcome::Incomplete) && is_text_alone {
        let text = "  how the command ended is not known; `nixmon run -- COMMAND` would know";
        remarks.push(Line::new().with(Role::Muted, text));
    }
    let hidden = passed.hidden;
    if hidden > 0 {
        let hidden = count(hidden, "line of other output", "lines of other output");
        let text = match passed.run {
            Some(run) => format!("  {hidden} not shown (nixmon log {run})"),
            None => format!("  {hidden} not shown (--passthrough all)"),
        };
        remarks.push(Line::new().with(Role::Muted, text));
    }
    remarks.extend(dropped(state));
    for line in lines.iter_mut().chain(&mut remarks) {
        room::cut(line, style);
    }
    let room = |lines: &[Line], remarks: &[Line]| {
        let mut room = Room { lines: extent.lines, bytes: extent.bytes.saturating_sub(STAMP) };
        lines.iter().chain(remarks).all(|line| room.take(line)).then_some(room).filter(|room| room.lines > 0)
    };
    // Reasons for failures matter more than actions and remarks.
    let mut left = room(&lines, &remarks);
    while left.is_none() && !blocks.is_empty() && lines.len() + remarks.len() > 1 {
        let _ = if remarks.is_empty() { lines.pop() } else { remarks.pop() };
        left = room(&lines, &remarks);
    }
    if let Some(room) = left {
        lines.extend(room::allot(blocks, room, style));
    }
    lines.extend(remarks);
    fit(lines, style, extent)
}

/// `  not kept: 12 root causes, 3 ends of lines longer than 16 MiB`: for when the report may be incomplete.
fn dropped(state: &State) -> Option<Line> {
    let dropped = state.dropped();
    // Only the last errors without a derivation matter, and only in a run that failed.
    let errors = if state.outcome() == Some(Outcome::Success) { 0 } else { dropped.errors };
    let parts: Vec<String> = [
        (dropped.failures, "root cause", "root causes"),
        (errors, "error", "errors"),
        (dropped.long_lines, "end of a line longer than 16 MiB", "ends of lines longer than 16 MiB"),
        (dropped.derivations, "mention of a further derivation", "mentions of further derivations"),
        (dropped.store_paths, "mention of a further store path", "mentions of further store paths"),
        (dropped.graph, "edge of the graph", "edges of the graph"),
        (dropped.activities + dropped.processes, "activity", "activities"),
        (dropped.ends, "end of a build or transfer", "ends of builds or transfers"),
        (dropped.history, "row of the history of builds", "rows of the history of builds"),
    ]
    .into_iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, one, many)| count(n, one, many))
    .collect();
    (!parts.is_empty()).then(|| Line::new().with(Role::Muted, format!("  not kept: {}", parts.join(", "))))
}

/// Cuts a report to its extent, and counts the lines that were cut.
fn fit(mut lines: Vec<Line>, style: &Style, extent: Extent) -> Vec<Line> {
    let mut bytes = 0;
    let mut keep = 0;
    for line in &lines {
        bytes += line.plain().len() + 1 + if keep == 0 { STAMP } else { 0 };
        if keep >= extent.lines.max(1) || keep > 0 && bytes > extent.bytes {
            break;
        }
        keep += 1;
    }
    if keep < lines.len() {
        let cut = lines.len() - keep + 1;
        lines.truncate(keep.saturating_sub(1).max(1));
        let text = format!(
            "  {} {} of this report",
            style.symbols.ellipsis,
            count(cut as u64, "more line", "more lines")
        );
        lines.push(Line::new().with(Role::Muted, text));
    }
    lines
}

/// `✓ Complete: 42 built, 128 fetched (1.9 GiB) in 2m15s`, `✗ Build failed: …`.
pub fn verdict(state: &State, style: &Style) -> Line {
    let symbols = &style.symbols;
    let elapsed = duration(state.now());
    let counts = counts(state);
    match state.outcome() {
        Some(Outcome::Success) | None => {
            let mut line = Line::new();
            let failed_units = activation::failed_units(state).len();
            let role = if failed_units > 0 { Role::Warning } else { Role::Success };
            line.push(role, format!("{} ", symbols.success));
            let runs = || state.activation().runs();
            if state.activation().started() {
                let only_shown = runs().all(|run| run.dry_run);
                let only_disks = runs().all(|run| run.tool == Tool::Disko);
                let what = match (only_shown, only_disks) {
                    (true, _) => "Dry run: nothing was changed",
                    (false, true) => "Disks prepared",
                    (false, false) => "Configuration applied",
                };
                line.push(role, what);
                if failed_units > 0 {
                    line.push(
                        role,
                        format!(" with {}", count(failed_units as u64, "failed unit", "failed units")),
                    );
                }
                line.push(Role::Plain, format!(" in {elapsed}"));
                if !counts.is_empty() {
                    line.push(Role::Muted, format!(" {} {counts}", symbols.bullet));
                }
            } else if let Some(what) = updates::verdict(state, style).filter(|_| counts.is_empty()) {
                line.push(role, what);
                line.push(Role::Plain, format!(" in {elapsed}"));
            } else if state.is_dry_run() {
                line.push(role, "Dry run");
                line.push(Role::Plain, format!(": {} in {elapsed}", announced(state)));
            } else {
                line.push(role, "Complete");
                let what = match counts.is_empty() {
                    // The command succeeded all the same.
                    _ if state.counts().failed > 0 => format!(" in {elapsed} {} {counts}", symbols.bullet),
                    false => format!(": {counts} in {elapsed}"),
                    true if let Some(words) = state.closing_words() => format!(": {words} in {elapsed}"),
                    true if state.phase_reached() == Phase::Evaluating || state.builds_announced() => {
                        format!(" in {elapsed}")
                    }
                    true => format!(": nothing to build in {elapsed}"),
                };
                line.push(Role::Plain, what);
            }
            line
        }
        Some(Outcome::Failure) if let Some(why) = state.why_not_started() => Line::new()
            .with(Role::Failure, format!("{} Not started", symbols.failure))
            .with(Role::Plain, format!(": {why}")),
        Some(Outcome::Failure) => {
            let mut line = Line::new().with(Role::Failure, format!("{} {}", symbols.failure, failed(state)));
            // Everything was built, so the numbers do not help to explain the failure.
            if state.failed_stage() == Some(Stage::Activation) {
                return line;
            }
            line.push(Role::Plain, format!(" after {elapsed}"));
            if !counts.is_empty() {
                line.push(Role::Muted, format!(" {} {counts}", symbols.bullet));
            }
            line
        }
        Some(Outcome::Interrupted) => {
            let mut line = Line::new().with(Role::Warning, format!("{} Interrupted", symbols.failure));
            if state.failed_stage() == Some(Stage::Activation) {
                let step = state.activation().runs().filter_map(|run| run.failed_step.as_deref()).last();
                line.push(Role::Warning, format!(" in {}", step.unwrap_or("the activation")));
            }
            line.push(Role::Plain, format!(" after {elapsed}"));
            if !counts.is_empty() {
                line.push(Role::Muted, format!(" {} {counts}", symbols.bullet));
            }
            line
        }
        Some(Outcome::Incomplete) => {
            // A killed process could not give a reason.
            let what = match state.exit_status() {
                Some(137) => "Killed (SIGKILL)",
                None if state.is_end_unseen() => "Incomplete",
                _ => "Incomplete: the log ends here",
            };
            let mut line = Line::new().with(Role::Warning, format!("{} {what}", symbols.failure));
            line.push(Role::Plain, format!(" after {elapsed}"));
            if state.is_end_unseen() {
                line.push(Role::Plain, ": its end was not seen");
            }
            if !counts.is_empty() {
                line.push(Role::Muted, format!(" {} {counts}", symbols.bullet));
            }
            line
        }
    }
}

/// Names the part that failed.
fn failed(state: &State) -> String {
    match state.failed_stage() {
        Some(Stage::Evaluation) => "Evaluation failed".to_owned(),
        Some(Stage::Fetch) => "Fetch failed".to_owned(),
        Some(Stage::Build) => "Build failed".to_owned(),
        Some(Stage::Activation) => match state.activation_failed() {
            Some(run) if run.stage == RunStage::Refused => "Activation was refused".to_owned(),
            Some(Run { failed_step: Some(step), .. }) => format!("Activation failed in {step}"),
            Some(run) if !run.units().failed.is_empty() => {
                let n = run.units().failed.len() as u64;
                format!("Activation failed: {}", count(n, "failed unit", "failed units"))
            }
            _ => "Activation failed".to_owned(),
        },
        Some(Stage::Command) => "Command failed".to_owned(),
        None => "Failed".to_owned(),
    }
}

fn counts(state: &State) -> String {
    let counts = state.counts();
    let mut parts = Vec::new();
    let mut part = |n: usize, what: &str| {
        if n > 0 {
            parts.push(format!("{} {what}", thousands(n as u64)));
        }
    };
    let success = state.outcome() == Some(Outcome::Success);
    part(counts.built, "built");
    part(counts.failed, "failed");
    let unknown = state.derivations().counts().get(DerivationState::Ended);
    part(counts.cancelled + unknown, cancelled(state));
    let least = if state.wanted_is_least() { "at least " } else { "" };
    // If nothing failed, they became valid in another way.
    if counts.not_started > 0 && !(success && counts.failed == 0) {
        parts.push(format!("{least}{} not started", thousands(counts.not_started as u64)));
    }
    if counts.fetched > 0 {
        let size = if counts.fetched_bytes > 0 {
            format!(" ({})", bytes(counts.fetched_bytes))
        } else {
            String::new()
        };
        parts.push(format!("{} fetched{size}", thousands(counts.fetched as u64)));
    }
    if counts.uploaded > 0 {
        parts.push(format!("{} uploaded", thousands(counts.uploaded as u64)));
    }
    parts.join(", ")
}

/// `2 to build, 3 to fetch (9.5 MiB)`: the answer to a dry run.
fn announced(state: &State) -> String {
    let transfers = state.transfers();
    let mut parts = Vec::new();
    let n_builds = state.counts().not_started;
    if n_builds > 0 {
        parts.push(format!("{} to build", thousands(n_builds as u64)));
    }
    let n_paths =
        transfers.count(PathState::Planned).max(usize::try_from(transfers.announced.paths).unwrap_or(0));
    if n_paths > 0 {
        let size = transfers.announced.download;
        let size = if size > 0 { format!(" ({})", bytes(size)) } else { String::new() };
        parts.push(format!("{} to fetch{size}", thousands(n_paths as u64)));
    }
    parts.join(", ")
}

/// `  stopped: firefox-130.0 in buildPhase after 28s, webkit-2 after 5s, and 3 more`.
fn stopped(state: &State) -> Option<Line> {
    /// Longer lists of names are shown as a count.
    const NAMED: usize = 3;
    if state.outcome_of_text_builds_unknown() {
        // The builds may have ended long before.
        return None;
    }
    let mut stopped: Vec<_> = state
        .derivations()
        .iter()
        .map(|(_, derivation)| derivation)
        .filter(|derivation| derivation.state() == DerivationState::Cancelled)
        .collect();
    // The longest first.
    stopped.sort_by_key(|derivation| derivation.started);
    let more = stopped.len().saturating_sub(NAMED);
    let mut line = Line::new().with(Role::Muted, format!("  {}: ", cancelled(state)));
    for (i, derivation) in stopped.iter().take(NAMED).enumerate() {
        line.push(Role::Plain, if i > 0 { ", " } else { "" }).push(Role::Name, derivation.name());
        let phase = derivation.phase.as_deref().map(|phase| format!(" in {phase}")).unwrap_or_default();
        line.push(Role::Plain, format!("{phase} after {}", duration(derivation.elapsed(state.now()))));
    }
    if more > 0 {
        line.push(Role::Plain, format!(", and {} more", thousands(more as u64)));
    }
    (!stopped.is_empty()).then_some(line)
}

/// Returns the word for builds that were started and have no known end.
fn cancelled(state: &State) -> &'static str {
    let counts = state.counts();
    match state.outcome() {
        Some(Outcome::Interrupted) => "stopped",
        _ if state.outcome_of_text_builds_unknown() && counts.built + counts.failed > 0 => "more started",
        _ if state.outcome_of_text_builds_unknown() => "started",
        // It is not known that they were stopped.
        Some(Outcome::Incomplete) => "in progress",
        _ => "stopped",
    }
}

/// Makes a block for each root cause.
fn failures(
    state: &State,
    evidence: &Evidence,
    passed: &Passed,
    style: &Style,
    log_lines: usize,
) -> Vec<Block> {
    // Below, a count of lines that were not shown names the same command.
    let mut kept = passed.run.filter(|_| passed.hidden == 0);
    let mut all = Vec::new();
    for run in activation::failed_runs(state) {
        // Once is enough for several machines.
        all.extend(activation::blocks(run, evidence, kept.take(), style));
    }
    all.extend(state.failures().map(|(_, failure)| failure::block(state, failure, log_lines, style)));
    let is_explained = state.activation_failed().is_some() || state.why_not_started().is_some();
    if all.is_empty() && state.outcome() == Some(Outcome::Failure) && !is_explained {
        all.push(failure::unexplained(state, log_lines, passed, style));
    }
    all
}
