//! The final report: one line on success; on failure what failed, why, and where to read on.

use super::lines::{blocks_text, facts};
use super::{Style, activation, location, updates};
use crate::activation::{Run, RunStage};
use crate::nix::error::{FailureKind, Stage};
use crate::state::{DerivationState, Failure, Outcome, Phase, State};
use crate::text::excerpt::is_error_line;
use crate::text::{Line, Role, bytes, count, duration, thousands};
use crate::view::Evidence;

/// How long a report may be.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Lines.
    pub lines: usize,
    /// Bytes, as far as the first line allows.
    pub bytes: usize,
    /// Lines of the log for each failure. Up to [`LOG_LINES`] those that say why are chosen; more are the log's last.
    pub log_lines: usize,
}

/// A failure takes this many lines of the log unless somebody asks for others.
pub const LOG_LINES: usize = 8;
/// Lines longer than this are cut: a minified file or a linker's command line says nothing after that.
const MAX_COLUMNS: usize = 200;

/// The files that may hold the log of a build, the compressed one, which is usual, first; the caller knows which exist.
///
/// Nix keeps a log under its directory as `drvs/` and the derivation's base name, cut after two characters
/// (`src/libstore/local-fs-store.cc`).
pub fn log_files_of(path: &str, log_dir: &str) -> Option<[String; 2]> {
    let (_, base) = path.rsplit_once('/')?;
    let (head, tail) = (base.get(..2)?, base.get(2..)?);
    Some([format!("{log_dir}/drvs/{head}/{tail}.bz2"), format!("{log_dir}/drvs/{head}/{tail}")])
}

/// Those of all builds that failed.
pub fn log_files(state: &State, log_dir: &str) -> Vec<String> {
    let mut files = Vec::new();
    for (_, failure) in state.failures() {
        let Some(path) = failure.derivation.map(|id| &state.derivations().get(id).path) else { continue };
        files.extend(log_files_of(path, log_dir).into_iter().flatten());
    }
    files
}

/// The report on a run that has ended. `evidence` is what was found of logs, `hidden` is how many lines of other programs
/// were not shown.
pub fn report(state: &State, evidence: &Evidence, hidden: u64, style: &Style, extent: Extent) -> Vec<Line> {
    let mut lines = vec![verdict(state, style)];
    lines.extend(activation::runs(state, style));
    match state.outcome() {
        Some(Outcome::Success) | None => {
            lines.extend(activation::success(state, evidence, style));
            lines.extend(updates::lines(state, style));
            let named = state.failures().count();
            if named > 0 {
                lines.extend(blocks(state, evidence, style, extent));
            }
        }
        Some(outcome) => {
            if outcome != Outcome::Failure {
                lines.extend(stopped(state));
            }
            lines.extend(blocks(state, evidence, style, extent));
        }
    }
    if hidden > 0 {
        let text = format!(
            "  {} not shown (--passthrough all)",
            count(hidden, "line of other output", "lines of other output")
        );
        lines.push(Line::new().with(Role::Muted, text));
    }
    lines.extend(dropped(state));
    for line in &mut lines {
        // Half a path leads nowhere.
        if !line.spans().iter().any(|span| span.role() == Role::Path) {
            line.truncate(MAX_COLUMNS, style.symbols.ellipsis);
        }
    }
    fit(lines, style, extent)
}

/// `  not kept: 12 root causes, 3 ends of lines longer than 16 MiB`: where what is told may be less than what happened.
fn dropped(state: &State) -> Option<Line> {
    let dropped = state.dropped();
    // Of errors without a derivation the last ones count, and only in a run that failed.
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
    ]
    .into_iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, one, many)| count(n, one, many))
    .collect();
    (!parts.is_empty()).then(|| Line::new().with(Role::Muted, format!("  not kept: {}", parts.join(", "))))
}

/// Cuts a report to its extent; what is cut is said.
fn fit(mut lines: Vec<Line>, style: &Style, extent: Extent) -> Vec<Line> {
    let mut bytes = 0;
    let mut keep = 0;
    for line in &lines {
        bytes += line.plain().len() + 12;
        if keep >= extent.lines.max(1) || keep > 0 && bytes > extent.bytes {
            break;
        }
        keep += 1;
    }
    if keep < lines.len() {
        let cut = lines.len() - keep + 1;
        lines.truncate(keep.saturating_sub(1).max(1));
        let text = format!(
            "  {} {} more of this report",
            style.symbols.ellipsis,
            count(cut as u64, "line", "lines")
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
                line.push(
                    role,
                    if only_shown { "Dry run: nothing was changed" } else { "Configuration applied" },
                );
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
            } else {
                line.push(role, "Complete");
                let what = match counts.is_empty() {
                    false => format!(": {counts}"),
                    true if state.phase_reached() == Phase::Evaluating => String::new(),
                    true => ": nothing to build".to_owned(),
                };
                line.push(Role::Plain, format!("{what} in {elapsed}"));
            }
            line
        }
        Some(Outcome::Failure) => {
            let mut line = Line::new().with(Role::Failure, format!("{} {}", symbols.failure, failed(state)));
            // Everything was built: how much of it says nothing about the failure.
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
            // Who was killed had no time to say anything.
            let what = match state.exit_status() {
                Some(137) => "Killed (SIGKILL)",
                _ => "Incomplete: the log ends in the middle",
            };
            let mut line = Line::new().with(Role::Warning, format!("{} {what}", symbols.failure));
            line.push(Role::Plain, format!(" after {elapsed}"));
            if !counts.is_empty() {
                line.push(Role::Muted, format!(" {} {counts}", symbols.bullet));
            }
            line
        }
    }
}

/// What failed, in three words.
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
    part(counts.cancelled, cancelled(state));
    part(counts.not_started, if success { "to build" } else { "not started" });
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

/// `  stopped: firefox-130.0 in buildPhase after 28s, webkit-2 after 5s, and 3 more`.
fn stopped(state: &State) -> Option<Line> {
    /// More names than this are a count.
    const NAMED: usize = 3;
    if state.outcome_of_text_builds_unknown() {
        // They may have ended long before.
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

/// What is known of builds that were begun and have no end.
fn cancelled(state: &State) -> &'static str {
    let counts = state.counts();
    match state.outcome() {
        _ if state.outcome_of_text_builds_unknown() && counts.built + counts.failed > 0 => "more started",
        _ if state.outcome_of_text_builds_unknown() => "started",
        // Nobody has said that they were stopped.
        Some(Outcome::Incomplete) => "under way",
        _ => "stopped",
    }
}

/// A block of lines for each root cause, as many as fit; the others are counted.
fn blocks(state: &State, evidence: &Evidence, style: &Style, extent: Extent) -> Vec<Line> {
    let mut all: Vec<Vec<Line>> =
        activation::failed_runs(state).map(|run| activation::block(run, evidence, style)).collect();
    all.retain(|block| !block.is_empty());
    let log_lines = extent.log_lines;
    let block = |failure| failure_block(state, failure, &evidence.log_files, log_lines, style);
    all.extend(state.failures().map(|(_, failure)| block(failure)));
    if all.is_empty() && state.outcome() == Some(Outcome::Failure) && state.activation_failed().is_none() {
        all.push(unexplained(state));
    }
    // With many of them each gets less: first the log goes, then all but the heading.
    let room = extent.lines.saturating_sub(2).max(1);
    let per_block = (room / all.len().max(1)).max(1);
    if all.iter().map(Vec::len).sum::<usize>() > room {
        for block in &mut all {
            shorten(block, per_block);
        }
    }
    let shown = all.len().min(room);
    let left = all.len() - shown;
    let mut lines: Vec<Line> =
        all.into_iter().take(if left > 0 { shown - 1 } else { shown }).flatten().collect();
    if left > 0 {
        lines.push(Line::new().with(Role::Failure, format!("  and {} more failed", left + 1)));
    }
    lines
}

/// Keeps the heading, the last line, which says where to read on, and of the rest what fits.
fn shorten(block: &mut Vec<Line>, lines: usize) {
    if block.len() > lines {
        if lines >= 2
            && let Some(last) = block.pop()
        {
            block.truncate(lines - 1);
            block.push(last);
        } else {
            block.truncate(lines);
        }
    }
}

/// What failed, why, and where to read on; at most `log_lines` lines of the log.
pub fn failure_block(
    state: &State,
    failure: &Failure,
    existing: &[String],
    log_lines: usize,
    style: &Style,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let symbols = &style.symbols;
    let indent = "    ";
    let mut heading = Line::new();
    match &failure.name {
        Some(name) => {
            heading.push(Role::Plain, "  ");
            heading.push(Role::Name, name.clone());
            heading.push(Role::Plain, format!(" {}", facts(failure)));
        }
        None => {
            heading.push(Role::Plain, format!("  {}", short_paths(&failure.message)));
        }
    }
    if let Some(blocks) = blocks_text(state, failure) {
        heading.push(Role::Muted, format!(" {} {blocks}", symbols.bullet));
    }
    lines.push(heading);
    if failure.name.is_some() && !is_said_by_heading(failure) {
        lines.push(Line::new().with(Role::Plain, format!("{indent}{}", short_paths(&failure.message))));
    }
    if let Some(place) = failure.user_location.as_ref().or(failure.location.as_ref()) {
        lines.push(Line::new().with(Role::Plain, format!("{indent}at ")).with(Role::Path, location(place)));
    }
    if let Some(hashes) = &failure.hashes {
        lines.push(Line::new().with(Role::Plain, format!("{indent}specified: {}", hashes.specified)));
        lines.push(Line::new().with(Role::Plain, format!("{indent}got:       {}", hashes.got)));
    } else if failure.excerpt.is_empty() {
        // The code at another place than the one shown is that of the module system.
        let elsewhere = failure
            .user_location
            .as_ref()
            .zip(failure.location.as_ref())
            .is_some_and(|(a, b)| a.file != b.file);
        let told = |detail: &str| failure.message.contains(detail.trim());
        let details = failure.details.iter().filter(|detail| !(told(detail) || elsewhere && is_code(detail)));
        for detail in details.take(LOG_LINES) {
            lines.push(Line::new().with(Role::Muted, format!("{indent}{}", short_paths(detail))));
        }
    }
    if log_lines > LOG_LINES && failure.log_tail.len() > failure.excerpt.len() {
        let from = failure.log_tail.len().saturating_sub(log_lines);
        let tail = failure.log_tail.iter().skip(from);
        lines.extend(tail.map(|line| Line::new().with(Role::Plain, format!("{indent}{line}"))));
    } else if log_lines > 0 && !failure.excerpt.is_empty() {
        lines.extend(failure.excerpt.iter().take(log_lines + 2).map(|line| match line {
            Some(line) => Line::new().with(Role::Plain, format!("{indent}{line}")),
            None => Line::new().with(Role::Muted, format!("{indent}{}", symbols.ellipsis)),
        }));
    }
    if let Some(advice) = failure.advice {
        lines.push(Line::new().with(Role::Muted, format!("{indent}{} {advice}", symbols.arrow)));
    }
    if let Some(hint) = failure.log_hints.first() {
        let mut line = Line::new().with(Role::Muted, format!("{indent}log: ")).with(Role::Path, hint.clone());
        if let Some(file) = log_file(state, failure, existing) {
            line.push(Role::Muted, "  ").push(Role::Path, file);
        }
        lines.push(line);
    }
    lines
}

fn log_file<'a>(state: &State, failure: &Failure, existing: &'a [String]) -> Option<&'a str> {
    let path = &state.derivations().get(failure.derivation?).path;
    let base = path.rsplit_once('/')?.1.get(2..)?;
    let fits =
        |file: &&String| file.rsplit_once('/').is_some_and(|(_, f)| f.trim_end_matches(".bz2") == base);
    existing.iter().find(fits).map(String::as_str)
}

/// Whether a line is one of a snippet: `  12|   code`, `     |   ^`.
fn is_code(line: &str) -> bool {
    line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('|')
}

/// Store paths by their names, and files of a flake relative to it: what is before them says nothing to a reader.
fn short_paths(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("/store/") {
        let after = &rest[at + "/store/".len()..];
        let is_digest = after.len() > 33
            && after.as_bytes()[32] == b'-'
            && after.as_bytes()[..32].iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        let dir = rest[..at].rfind(|c: char| c.is_whitespace() || "'\"`(=:".contains(c)).map_or(0, |i| i + 1);
        if !is_digest || !rest[dir..].starts_with('/') {
            out.push_str(&rest[..at + 1]);
            rest = &rest[at + 1..];
            continue;
        }
        out.push_str(&rest[..dir]);
        rest = &after[33..];
        rest = rest.strip_prefix("source/").unwrap_or(rest);
    }
    out.push_str(rest);
    out
}

/// Whether the heading says all that the message does.
pub fn is_said_by_heading(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::BuilderFailed
            | FailureKind::KilledBySignal
            | FailureKind::HashMismatch
            | FailureKind::BadBuilder
            | FailureKind::DiskFull
            | FailureKind::NoOutput
            | FailureKind::SubstitutionFailed
    ) || matches!(failure.kind, FailureKind::MissingFeature | FailureKind::PlatformMismatch)
        && !failure.details.is_empty()
}

/// A root cause in one line, behind its name if it has one: `failed, exit 2: main.c:3:1: error: expected expression`.
pub fn failure_in_short(failure: &Failure) -> String {
    if failure.name.is_none() {
        return short_paths(&failure.message);
    }
    let lines = || failure.excerpt.iter().flatten().map(|line| line.trim());
    let reason = || lines().find(|line| is_error_line(line.as_bytes())).or_else(|| lines().next_back());
    let why = match &failure.hashes {
        Some(hashes) => Some(format!("got {}", hashes.got)),
        None if is_said_by_heading(failure) => reason().map(str::to_owned),
        None => Some(short_paths(&failure.message)),
    };
    why.into_iter().fold(facts(failure), |facts, why| format!("{facts}: {why}"))
}

/// A failure that nothing explains: the last lines that anybody printed.
fn unexplained(state: &State) -> Vec<Line> {
    let mut lines = Vec::new();
    match state.exit_status() {
        Some(status) => {
            // As shells have it.
            let meaning = match status {
                126 => " (a program cannot be run)".to_owned(),
                127 => " (a program was not found)".to_owned(),
                129..=192 => format!(" (signal {})", status - 128),
                _ => String::new(),
            };
            let text = format!("  the command ended with status {status}{meaning}");
            lines.push(Line::new().with(Role::Plain, text));
        }
        None => lines.push(Line::new().with(Role::Plain, "  nothing says why; the last lines were")),
    }
    lines.extend(state.other_text().map(|line| Line::new().with(Role::Muted, format!("    {line}"))));
    lines
}
