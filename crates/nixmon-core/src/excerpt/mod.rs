//! The few lines of a failed build's log that say why it failed.
//!
//! Works on text alone: knows how compilers, build tools, test runners and Nix's own hooks write an error, and which of
//! their lines only repeat that something failed before. Knows nothing of derivations.

mod block;
mod diagnostic;
mod needles;
mod score;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use block::{Block, Log};

pub(crate) use diagnostic::is_diagnostic;
pub(crate) use score::{Score, is_error_line, score};
pub(crate) use search::ErrorLines;

/// One line of an excerpt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpted<'a> {
    /// The line's position in the lines that were given.
    pub idx: usize,
    /// The line as it was given.
    pub line: &'a str,
    /// True if lines that are not blank were left out between the line before in the excerpt and this one; false for
    /// the first.
    pub follows_gap: bool,
}

/// Picks at most `max` lines of the log of a failed build, in their order.
///
/// The first strong error and its own block (indented text, snippet, caret, innermost frame) come before the first
/// lines of later errors, those before their blocks, and all before weak signs. Errors that only follow from others are
/// left out. Where nothing has the form of an error, weak signs and the last lines are taken, without what always
/// stands at the end (`make: *** … Error 1`, `ninja: build stopped`, blank lines). A line that repeats the first line of
/// an error already taken is left out with its block.
///
/// Lines must be free of terminal escapes and carriage returns. Reads the first 4 KiB of each; the time is linear in the
/// number of lines.
pub fn excerpt<'a>(lines: &[&'a str], max: usize) -> Vec<Excerpted<'a>> {
    let log = Log::new(lines);
    let chosen = choose(&log, max);
    let mut excerpt: Vec<Excerpted<'a>> = Vec::with_capacity(chosen.len());
    for idx in chosen {
        let Some(&line) = lines.get(idx) else { continue };
        let follows_gap = excerpt.last().is_some_and(|previous| {
            lines
                .get(previous.idx + 1..idx)
                .is_some_and(|left_out| left_out.iter().any(|line| !line.trim().is_empty()))
        });
        excerpt.push(Excerpted { idx, line, follows_gap });
    }
    excerpt
}

/// The chosen lines so far.
struct Chosen {
    lines: BTreeSet<usize>,
    max: usize,
}

impl Chosen {
    fn is_full(&self) -> bool {
        self.lines.len() >= self.max
    }

    /// Takes lines in the given order as long as there is room.
    fn take(&mut self, lines: impl IntoIterator<Item = usize>) {
        for idx in lines {
            if self.is_full() {
                return;
            }
            self.lines.insert(idx);
        }
    }
}

fn choose(log: &Log<'_>, max: usize) -> BTreeSet<usize> {
    let mut chosen = Chosen { lines: BTreeSet::new(), max };
    let blocks = blocks(log, max);
    let last = last_line(log);
    match blocks.split_first() {
        Some((first, later)) => {
            // The line on which the build ended is worth one place even if its form is not known.
            let last = last.filter(|&idx| log.score(idx) == Score::Weak);
            let n_reserved = (later.len() + usize::from(last.is_some())).min(max / 3);
            chosen.take(first.lines.iter().copied().take(max - n_reserved));
            let room_for_last = usize::from(last.is_some());
            chosen.take(
                later
                    .iter()
                    .filter_map(|block| block.lines.first().copied())
                    .take(max.saturating_sub(chosen.lines.len() + room_for_last)),
            );
            chosen.take(last);
            chosen.take(later.iter().flat_map(|block| block.lines.iter().copied()));
            chosen.take(first.lines.iter().copied());
            let after = blocks.iter().map(|block| block.end).max().unwrap_or(0);
            let mut seen = texts(log, &chosen.lines);
            chosen.take(
                (after..log.lines.len())
                    .filter(|&idx| log.score(idx) == Score::Weak && seen.insert(log.line(idx).trim())),
            );
        }
        None => {
            // Nothing said why before it, so the consequence is what there is.
            let from = last.map_or(0, |last| last + 1);
            let is_left = |idx: &usize| {
                let line = log.line(*idx).trim_start();
                log.score(*idx) == Score::Consequence
                    && (line.starts_with("error: ") || line.contains(": error: "))
            };
            chosen.take((from..log.lines.len()).find(is_left));
            let mut seen = HashSet::new();
            let weak = (0..log.lines.len()).rev().filter(|&idx| log.score(idx) == Score::Weak);
            chosen.take(weak.filter(|&idx| seen.insert(log.line(idx).trim())).take(max.div_ceil(2)));
            tail(log, &mut chosen, last);
        }
    }
    chosen.lines
}

fn texts<'a>(log: &Log<'a>, lines: &BTreeSet<usize>) -> HashSet<&'a str> {
    lines.iter().map(|&idx| log.line(idx).trim()).collect()
}

/// The first errors with their blocks, at most `max`.
fn blocks(log: &Log<'_>, max: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut seen = HashSet::new();
    let mut idx = 0;
    while idx < log.lines.len() && blocks.len() < max {
        if !is_reason(log, idx) {
            idx = if log.score(idx) == Score::Consequence { log.end_of_consequence(idx) } else { idx + 1 };
            continue;
        }
        let Some(block) = log.block(idx) else {
            idx += 1;
            continue;
        };
        idx = block.end;
        let Some(&head) = block.lines.first() else { continue };
        // A traceback's reason may be that a command failed, which has said why.
        if log.score(head) != Score::Consequence && seen.insert(log.line(head).trim()) {
            blocks.push(block);
        }
    }
    blocks
}

/// Returns whether a line gives a reason: by its form, or as the last words before make gave up.
fn is_reason(log: &Log<'_>, idx: usize) -> bool {
    match log.score(idx) {
        Score::Strong => true,
        Score::Weak => log.lines.get(idx + 1).is_some_and(|next| score::is_make_consequence(next.as_bytes())),
        Score::None | Score::Consequence => false,
    }
}

/// The last line that is not noise: before the first failed target of make, else before the end.
fn last_line(log: &Log<'_>) -> Option<usize> {
    let n_lines = log
        .lines
        .iter()
        .position(|line| score::is_make_consequence(line.as_bytes()) && !line.contains("(ignored)"));
    let n_lines = n_lines.unwrap_or(log.lines.len());
    (0..n_lines).rev().find(|&idx| !is_noise(log, idx))
}

/// Takes the last lines up to `last`, each text once; or, if all is noise, the last lines whatever they are.
fn tail(log: &Log<'_>, chosen: &mut Chosen, last: Option<usize>) {
    let mut seen = texts(log, &chosen.lines);
    let end = last.map_or(log.lines.len(), |last| last + 1);
    let texts = (0..end).rev().map(|idx| (idx, log.line(idx).trim()));
    chosen.take(texts.filter(|(_, text)| !text.is_empty() && seen.insert(text)).map(|(idx, _)| idx));
    // A banner before the first line that says something says nothing itself.
    if let Some(first) = chosen.lines.iter().copied().find(|&idx| !is_noise(log, idx)) {
        chosen.lines.retain(|&idx| idx >= first);
    }
}

/// Starts of lines that stand at the end of a failed build and say nothing of it.
const NOISE_STARTS: &[&str] = &[
    "Running phase: ",
    "Executing ",
    "@nix ",
    "configure flags:",
    "build flags:",
    "check flags:",
    "install flags:",
    "note: run with `RUST_BACKTRACE",
    "note: Run with `RUST_BACKTRACE",
    "For full logs, run",
    "For more information about ",
    "Some errors have detailed explanations",
    "warning: build failed, waiting",
    "A full log can be found at ",
    "See also \"",
    "note: keeping build directory",
];

fn is_noise(log: &Log<'_>, idx: usize) -> bool {
    let text = log.line(idx).trim();
    let is_rule = text.bytes().all(|b| b"=-_*# ".contains(&b));
    is_rule
        || log.score(idx) == Score::Consequence
        || NOISE_STARTS.iter().any(|start| text.starts_with(start))
        || text.starts_with("make")
            && (text.contains(": Leaving directory") || text.contains(": Entering directory"))
}
