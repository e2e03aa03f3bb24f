//! Root causes: the failed derivation, the reason, and the log.

use super::lines::{blocks_text, facts, is_silent};
use super::room::{Block, Worth};
use super::{LOG_LINES, Passed, Style, location};
use crate::excerpt::{Score, is_error_line, score};
use crate::state::{Failure, State};
use crate::text::{Line, Role};
use nixmon_log::nix::error::{FailureKind, Frame};
use nixmon_log::nix::store_path;
use nixmon_progress::causes::Cause;

/// Indentation below a title.
const INDENT: &str = "    ";
/// Largest number of frames of an evaluation.
const FRAMES: usize = 5;
/// Largest width of the message of a frame; its position follows.
const FRAME_COLUMNS: usize = 100;
/// Largest width of the command that failed; the JSON has more of it.
const COMMAND_COLUMNS: usize = 160;
/// Number of lines of other programs that are shown if none of them looks like a reason.
const LAST_WORDS: usize = 4;

/// Makes all lines about a failure, with at most `log_lines` lines of the log.
pub(crate) fn failure_block(state: &State, failure: &Failure, log_lines: usize, style: &Style) -> Vec<Line> {
    block(state, failure, log_lines, style).into_lines().collect()
}

/// Makes the block of a failure, with at most `log_lines` lines of the log.
pub(super) fn block(state: &State, failure: &Failure, log_lines: usize, style: &Style) -> Block {
    let symbols = &style.symbols;
    let mut title = Line::new();
    match &failure.name {
        Some(name) => {
            title.push(Role::Plain, "  ");
            title.push(Role::Name, name.clone());
            title.push(Role::Plain, format!(" {}", facts(failure)));
        }
        None => {
            title.push(Role::Plain, "  ");
            // As compilers write it, so that an editor finds the place.
            if let Some(place) = failure.cause.as_ref().and_then(|_| failure.place()) {
                title.push(Role::Path, location(&place)).push(Role::Plain, ": ");
            }
            title.push(Role::Plain, short_paths(&failure.message));
        }
    }
    if let Some(blocks) = blocks_text(state, failure) {
        title.push(Role::Muted, format!(" {} {blocks}", symbols.bullet));
    }
    let mut block = Block::titled(title);
    let mut say = |worth, role, text: &str| {
        block.push(worth, Line::new().with(role, format!("{INDENT}{text}")));
    };
    if failure.name.is_some() && !is_said_by_heading(failure) {
        say(Worth::Cause, Role::Plain, &short_paths(&failure.message));
    }
    if failure.name.is_none()
        && let Some(cause) = &failure.cause
    {
        let target = target_line(cause);
        if !target.is_empty() {
            block.push(Worth::Evidence, target);
        }
        if let Some(command) = &cause.command {
            let mut line = Line::new().with(Role::Muted, format!("{INDENT}{command}"));
            line.truncate(COMMAND_COLUMNS, symbols.ellipsis);
            block.push(Worth::Pointer, line);
        }
    }
    let told_place = failure.user_location.as_ref().or(failure.location.as_ref());
    if let Some(place) = told_place.filter(|_| failure.cause.is_none() || failure.name.is_some()) {
        block.push(
            Worth::Evidence,
            Line::new().with(Role::Plain, format!("{INDENT}at ")).with(Role::Path, location(place)),
        );
    }
    let mut say = |worth, role, text: &str| {
        block.push(worth, Line::new().with(role, format!("{INDENT}{text}")));
    };
    if let Some(hashes) = &failure.hashes {
        say(Worth::Evidence, Role::Plain, &format!("specified: {}", hashes.specified));
        let worth = if is_said_by_heading(failure) { Worth::Cause } else { Worth::Evidence };
        say(worth, Role::Plain, &format!("got:       {}", hashes.got));
    } else if failure.excerpt.is_empty() {
        // Code at another position than the one shown belongs to the module system.
        let elsewhere = failure
            .user_location
            .as_ref()
            .zip(failure.location.as_ref())
            .is_some_and(|(a, b)| a.file != b.file);
        let is_shown = failure.name.is_none() || !is_said_by_heading(failure);
        let told = |detail: &str| is_shown && failure.message.contains(detail.trim());
        let details = failure.details.iter().filter(|detail| !(told(detail) || elsewhere && is_code(detail)));
        for detail in details.take(LOG_LINES) {
            say(Worth::Evidence, Role::Muted, &short_paths(detail));
        }
    }
    if log_lines > LOG_LINES && failure.log_tail.len() > failure.excerpt.len() {
        let from = failure.log_tail.len().saturating_sub(log_lines);
        failure.log_tail.iter().skip(from).for_each(|line| say(Worth::Evidence, Role::Plain, line));
    } else if log_lines > 0 {
        let title = failure.cause.as_ref().filter(|_| failure.name.is_none());
        // The title has the first line already.
        let is_told = |line: &Option<String>| match (line, title) {
            (Some(line), Some(cause)) => line.contains(&cause.message),
            _ => false,
        };
        let lines = failure.excerpt.iter().skip_while(|line| is_told(line));
        for line in lines.take(log_lines + 2) {
            match line {
                Some(line) => say(Worth::Evidence, Role::Plain, line),
                None => say(Worth::Gap, Role::Muted, symbols.ellipsis),
            }
        }
    }
    for frame in failure.trace.iter().take(FRAMES) {
        block.push(Worth::Evidence, frame_line(frame, style));
    }
    if let Some(advice) = failure.advice {
        let text = format!("{INDENT}{} {advice}", symbols.arrow);
        block.push(Worth::Evidence, Line::new().with(Role::Muted, text));
    }
    if let Some(hint) = failure.log_hints.first()
        && !is_silent(failure)
    {
        let hint = failure.full_log.as_ref().unwrap_or(hint);
        let line = Line::new().with(Role::Muted, format!("{INDENT}log: ")).with(Role::Path, hint);
        block.push(Worth::Pointer, line);
    }
    if failure.name.is_some()
        && let Some(why) = why(failure).filter(|_| log_lines > 0 || !is_said_by_heading(failure))
    {
        block.set_cause(&why);
    }
    block
}

/// `in package_core, target src/main.c.o`, as far as the build tool says so.
fn target_line(cause: &Cause) -> Line {
    let mut line = Line::new();
    let parts = [("in ", &cause.package), ("target ", &cause.target)];
    for (word, name) in parts {
        let Some(name) = name else { continue };
        let separator = if line.is_empty() { INDENT } else { ", " };
        line.push(Role::Muted, format!("{separator}{word}")).push(Role::Name, name.clone());
    }
    line
}

/// `… while evaluating the attribute 'a', at host.nix:2:9`.
fn frame_line(frame: &Frame, style: &Style) -> Line {
    let ellipsis = style.symbols.ellipsis;
    let text = format!("{INDENT}{ellipsis} {}", short_paths(&frame.message));
    let mut line = Line::new().with(Role::Muted, text);
    line.truncate(FRAME_COLUMNS, ellipsis);
    if let Some(place) = &frame.location {
        line.push(Role::Muted, ", at ").push(Role::Path, location(place));
    }
    line
}

/// Returns whether a line is part of a snippet: `  12|   code`, `     |   ^`.
fn is_code(line: &str) -> bool {
    line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('|')
}

/// Shortens store paths to their names, and files of a flake to paths in it.
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

/// Returns whether the heading says everything that the message says.
pub fn is_said_by_heading(failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::MissingFeature | FailureKind::PlatformMismatch => !failure.details.is_empty(),
        FailureKind::NotDeterministic => !names_another(failure),
        kind => kind.is_told_by_phrase(),
    }
}

/// Returns whether the message names a store path with another name than the derivation: one of several outputs, or the
/// second output that Nix kept for a comparison (`NAME.check`).
fn names_another(failure: &Failure) -> bool {
    let Some(name) = &failure.name else { return true };
    let paths = failure.message.split(['\'', '"']).skip(1).step_by(2);
    paths.filter_map(store_path::path_name).any(|path| path.strip_suffix(".drv").unwrap_or(path) != name)
}

/// Returns the reason in one line, if more is known than the heading says: the message, or the best line of the log.
fn why(failure: &Failure) -> Option<String> {
    let lines = || failure.excerpt.iter().flatten().map(|line| line.trim());
    let cause = || {
        let cause = failure.cause.as_ref()?;
        Some(format!("{}: {}", location(&failure.place()?), cause.message))
    };
    let file = failure.cause.as_ref().and_then(|cause| cause.place.as_ref()).map(|place| place.file.as_str());
    let reason = || {
        let line = lines().find(|line| is_error_line(line.as_bytes()));
        // rustc and others name the place on another line.
        let line = line.filter(|line| file.is_none_or(|file| line.contains(file))).map(str::to_owned);
        line.or_else(cause).or_else(|| lines().next_back().map(str::to_owned))
    };
    match &failure.hashes {
        Some(hashes) => Some(format!("got {}", hashes.got)),
        None if is_said_by_heading(failure) => reason(),
        None => Some(short_paths(&failure.message)),
    }
}

/// Describes a root cause in one line, to be read after its name if it has one: `failed, exit 2: main.c:3:1: error: expected expression`.
pub fn failure_in_short(failure: &Failure) -> String {
    if failure.name.is_none() {
        return short_paths(&failure.message);
    }
    why(failure).into_iter().fold(facts(failure), |facts, why| format!("{facts}: {why}"))
}

/// Makes the block of a failure that Nix does not explain, from the lines of other programs that look like reasons, else
/// from the last ones. Lines just above the report are not repeated.
pub(super) fn unexplained(state: &State, log_lines: usize, passed: &Passed, style: &Style) -> Block {
    let printed = state.other_text();
    let log_lines = if log_lines == 0 { LOG_LINES } else { log_lines };
    let words: Vec<Option<String>> = if log_lines > LOG_LINES {
        printed.tail(log_lines).into_iter().map(Some).collect()
    } else {
        let reasons = printed.excerpt(log_lines);
        let says_why = |line: &String| matches!(score(line), Score::Strong | Score::Weak);
        let any = reasons.iter().flatten().any(says_why);
        if any { reasons } else { printed.excerpt(LAST_WORDS.min(log_lines)) }
    };
    let in_view = words.iter().flatten().all(|line| passed.in_view.iter().any(|shown| shown == line));
    let title = match state.exit_status() {
        Some(status) => {
            // These are the conventions of shells.
            let meaning = match status {
                126 => " (a program cannot be run)".to_owned(),
                127 => " (a program was not found)".to_owned(),
                129..=192 => format!(" (signal {})", status - 128),
                _ => String::new(),
            };
            format!("  the command exited with status {status}{meaning}")
        }
        None if in_view => "  no reason was given".to_owned(),
        None => "  no reason was given; the last lines were".to_owned(),
    };
    let mut block = Block::titled(Line::new().with(Role::Plain, title));
    if in_view {
        return block;
    }
    for word in &words {
        match word {
            Some(line) => {
                block.push(Worth::Evidence, Line::new().with(Role::Muted, format!("{INDENT}{line}")));
            }
            None => {
                let ellipsis = style.symbols.ellipsis;
                block.push(Worth::Gap, Line::new().with(Role::Muted, format!("{INDENT}{ellipsis}")));
            }
        }
    }
    let lines = || words.iter().flatten();
    let best = lines().find(|line| is_error_line(line.as_bytes())).or_else(|| lines().next_back());
    if let Some(best) = best {
        block.set_cause(best.trim());
    }
    block
}
