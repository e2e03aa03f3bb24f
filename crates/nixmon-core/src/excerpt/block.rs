//! Which lines belong to an error line: the snippet, the caret, the indented text, the innermost frame.

use super::score::{self, Score, contains};

/// Lines after an error line that can belong to it.
///
/// A caller that keeps only the error lines of a long log should keep as many lines after each.
pub(crate) const BLOCK_LEN: usize = 16;

/// Lines before an error line that are searched for its place (`File "a.ml", line 3:`, `patching file a.c`).
const N_BEFORE: usize = 8;

/// Lines after a line that ends in a colon, where none of them is indented.
const N_AFTER_COLON: usize = 3;

/// Frames of a stack trace that are kept: where it was thrown, and who called.
const N_FRAMES: usize = 2;

/// Starts of lines without indentation that go on with the message before.
const CONTINUATIONS: &[&str] = &[
    ">>> ",                    // lld
    "Call Stack (most recent", // cmake
    "Require stack:",          // node
    "- /",
    "Caused by:", // cargo
    "location searched: ",
    "Could not resolve dependencies:", // cabal
    "[__",
    "required by package ",
];

/// An error line and what belongs to it.
pub(super) struct Block {
    /// Line numbers, the most telling first; never empty.
    pub(super) lines: Vec<usize>,
    /// The first line after the block, greater than the line it was made for.
    pub(super) end: usize,
}

/// The log with a score per line.
pub(super) struct Log<'a> {
    pub(super) lines: &'a [&'a str],
    pub(super) scores: Vec<Score>,
}

impl<'a> Log<'a> {
    pub(super) fn new(lines: &'a [&'a str]) -> Self {
        Self { lines, scores: lines.iter().map(|line| score::score(line)).collect() }
    }

    pub(super) fn line(&self, idx: usize) -> &'a str {
        self.lines.get(idx).copied().unwrap_or_default()
    }

    fn text(&self, idx: usize) -> &'a str {
        self.line(idx).trim()
    }

    pub(super) fn score(&self, idx: usize) -> Score {
        self.scores.get(idx).copied().unwrap_or(Score::None)
    }

    fn is_strong(&self, idx: usize) -> bool {
        self.score(idx) == Score::Strong
    }

    /// The first line from `start` that is not blank.
    fn next_text(&self, start: usize) -> usize {
        (start..self.lines.len()).find(|&idx| !self.text(idx).is_empty()).unwrap_or(self.lines.len())
    }

    /// The lines from `start`, at most `max`, up to one that `is_end`, a strong one, or the end.
    fn until(&self, start: usize, max: usize, is_end: impl Fn(usize) -> bool) -> std::ops::Range<usize> {
        let limit = self.lines.len().min(start.saturating_add(max));
        let end = (start..limit).find(|&idx| self.is_strong(idx) || is_end(idx)).unwrap_or(limit);
        start.min(end)..end
    }

    /// The block of the line `head`, or nothing when the line only announces one that comes.
    pub(super) fn block(&self, head: usize) -> Option<Block> {
        let text = self.text(head);
        let mut lines = vec![head];
        let body = if text.starts_with("Traceback (most recent call last)") {
            return Some(self.traceback(head));
        } else if let Some(tag) = npm_tag(text) {
            self.npm(head, tag)
        } else if text.starts_with("FAILED: ") {
            return self.ninja(head);
        } else if ["* What went wrong:", "error during build:"].contains(&text)
            || text.ends_with(" unknown dependencies:")
        {
            self.until(head + 1, BLOCK_LEN, |idx| self.text(idx).is_empty())
        } else if score::is_panic(text.as_bytes()) {
            self.panic(head)
        } else if text.starts_with("panic: ") {
            let start = self.next_text(head + 1);
            let is_trace = start <= head + 3 && self.text(start).starts_with("goroutine ");
            if is_trace {
                self.until(start, 2 * N_FRAMES + 1, |idx| self.text(idx).is_empty())
            } else {
                head + 1..head + 1
            }
        } else if score::is_pytest_explanation(self.line(head).as_bytes()) {
            return Some(self.pytest(head));
        } else if self.line(head).starts_with("! ") {
            self.tex(head)
        } else if score::is_shellcheck_head(text.as_bytes()) || text.ends_with(": Failure") {
            self.until(head + 1, BLOCK_LEN, |idx| {
                self.text(idx).is_empty() || self.text(idx).starts_with('[')
            })
        } else if contains(text.as_bytes(), b"***Failed") || contains(text.as_bytes(), b"***Exception") {
            self.until(head + 1, BLOCK_LEN, |idx| self.is_ctest_line(idx))
        } else if text.ends_with(':') && !self.belongs(head + 1, indent(self.line(head))) {
            // The line says nothing without the next ones.
            self.until(head + 1, N_AFTER_COLON, |idx| self.text(idx).is_empty() || is_step(self.line(idx)))
        } else {
            return Some(self.indented(head));
        };
        let end = body.end.max(head + 1);
        lines.extend(body.filter(|&idx| !self.text(idx).is_empty() && self.score(idx) != Score::Consequence));
        Some(Block { lines, end })
    }

    /// The exception, the innermost frame, then the word "Traceback" only as the last choice.
    fn traceback(&self, head: usize) -> Block {
        let depth = indent(self.line(head));
        let mut frame = None;
        let mut idx = head + 1;
        while idx < self.lines.len() && (self.text(idx).is_empty() || indent(self.line(idx)) > depth) {
            if self.text(idx).starts_with("File \"") {
                frame = Some(idx);
            }
            idx += 1;
        }
        if idx == self.lines.len() || indent(self.line(idx)) < depth {
            let lines = frame.into_iter().chain([head]).collect();
            return Block { lines, end: idx.max(head + 1) };
        }
        let mut lines = vec![idx];
        if let Some(frame) = frame {
            lines.push(frame);
            // The code, without the marks below it; a frame in a binary module has none.
            lines.extend((frame + 1..idx).next().filter(|&code| !self.text(code).is_empty()));
        }
        lines.push(head);
        Block { lines, end: idx + 1 }
    }

    /// The first line after the report that `idx` begins, if it only says that something else failed.
    pub(super) fn end_of_consequence(&self, idx: usize) -> usize {
        npm_tag(self.text(idx)).map_or(idx + 1, |tag| self.npm(idx, tag).end)
    }

    /// The rest of the run of lines with npm's tag.
    fn npm(&self, head: usize, tag: &str) -> std::ops::Range<usize> {
        let end = (head + 1..self.lines.len()).find(|&idx| !self.text(idx).starts_with(tag));
        head + 1..end.unwrap_or(self.lines.len())
    }

    /// ninja prints the target, the command, and all that the command wrote; a known error in there stands for itself.
    fn ninja(&self, head: usize) -> Option<Block> {
        let is_end = |idx: usize| {
            score::is_numbered_step(self.text(idx).as_bytes())
                || self.text(idx).starts_with("FAILED: ")
                || self.text(idx).starts_with("ninja: ")
        };
        let limit = self.lines.len().min(head + 1 + 4 * BLOCK_LEN);
        let end = (head + 1..limit).find(|&idx| is_end(idx)).unwrap_or(limit);
        if (head + 1..end).any(|idx| self.is_strong(idx)) {
            return None;
        }
        // The command is long, and of interest only where it wrote nothing.
        let start = if end > head + 2 { head + 2 } else { head + 1 };
        let body = (start..end).filter(|&idx| !self.text(idx).is_empty()).take(BLOCK_LEN);
        Some(Block { lines: [head].into_iter().chain(body).collect(), end })
    }

    /// Rust's panic message: up to the note on backtraces, or the first blank line after it.
    fn panic(&self, head: usize) -> std::ops::Range<usize> {
        let start = self.next_text(head + 1).min(head + 4);
        let body = self.until(start, BLOCK_LEN, |idx| {
            let text = self.text(idx);
            text.is_empty()
                || text.starts_with("note: ")
                || text.starts_with("stack backtrace:")
                || text.starts_with("----")
        });
        if body.is_empty() { head + 1..head + 1 } else { body }
    }

    /// pytest's explanation, the statement before it and the place after it.
    fn pytest(&self, head: usize) -> Block {
        let is_explanation = |idx: usize| score::is_pytest_explanation(self.line(idx).as_bytes());
        let end = (head + 1..self.lines.len()).find(|&idx| !is_explanation(idx)).unwrap_or(self.lines.len());
        let mut lines = vec![head];
        let statement = head.checked_sub(1).filter(|&idx| self.line(idx).starts_with('>'));
        lines.extend(statement);
        let place = self.next_text(end);
        let is_place = place <= end + 1 && place_number(self.text(place)).is_some();
        lines.extend(head + 1..end.min(head + BLOCK_LEN));
        if is_place {
            lines.push(place);
        }
        Block { lines, end: if is_place { place + 1 } else { end } }
    }

    /// TeX's message, up to the line of the source that it read.
    fn tex(&self, head: usize) -> std::ops::Range<usize> {
        let limit = self.lines.len().min(head + BLOCK_LEN);
        let is_source = |idx: &usize| {
            let rest = self.line(*idx).strip_prefix("l.");
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let end = (head + 1..limit).find(is_source).map_or(head + 1, |idx| idx + 1);
        head + 1..end
    }

    fn is_ctest_line(&self, idx: usize) -> bool {
        let text = self.text(idx);
        text.is_empty()
            || text.starts_with("Start ")
            || text.contains(" Test #")
            || text.contains("% tests passed")
    }

    /// The general form: deeper indented lines, snippets with a gutter or a caret.
    fn indented(&self, head: usize) -> Block {
        let depth = indent(self.line(head));
        let spans_blanks = spans_blanks(self.text(head));
        let mut lines = vec![head];
        let is_tap = self.text(head).starts_with("not ok ");
        let mut n_frames = 0;
        let mut idx = head + 1;
        while idx < self.lines.len() && idx <= head + BLOCK_LEN {
            let text = self.text(idx);
            if text.is_empty() {
                let next = self.next_text(idx);
                if spans_blanks && next <= idx + 2 && self.belongs(next, depth) {
                    idx = next;
                    continue;
                }
                break;
            }
            if !(self.belongs(idx, depth) || is_tap && text.starts_with("# ")) {
                break;
            }
            if ["at ", "from "].iter().any(|start| text.starts_with(start)) {
                n_frames += 1;
            }
            if n_frames <= N_FRAMES && !text.starts_with("... ") {
                lines.push(idx);
            }
            idx += 1;
        }
        lines.extend(self.place_before(head));
        Block { lines, end: idx.max(head + 1) }
    }

    /// Returns whether a line goes on with a message whose head is indented by `depth`.
    fn belongs(&self, idx: usize, depth: usize) -> bool {
        let line = self.line(idx);
        let text = line.trim();
        let is_other = matches!(self.score(idx), Score::Strong | Score::Consequence) || is_step(line);
        if text.is_empty() || is_other || text.starts_with("--- ") {
            return false;
        }
        indent(line) > depth
            || has_gutter(text)
            || is_caret(text)
            || is_caret(self.text(idx + 1))
            || CONTINUATIONS.iter().any(|start| text.starts_with(start))
    }

    /// The line before an error that says its place, for tools that write it first.
    fn place_before(&self, head: usize) -> Option<usize> {
        let text = self.text(head);
        let is_place: fn(&str) -> bool = if text.starts_with("Error: ") {
            // ocaml's `File "a.ml", line 3, characters 5-8:`, gfortran's `a.f90:3:5:`
            |line| line.ends_with(':') && (line.starts_with("File \"") || place_number(line).is_some())
        } else if text.starts_with("Hunk #") {
            |line| line.starts_with("patching file ")
        } else {
            // C++ instantiations: the place in the own source
            return head.checked_sub(1).filter(|&idx| self.line(idx).ends_with("required from here"));
        };
        (head.saturating_sub(N_BEFORE)..head).rev().find(|&idx| is_place(self.line(idx)))
    }
}

/// `npm ERR!` and its like, the first words of every line of one report.
fn npm_tag(text: &str) -> Option<&'static str> {
    ["npm ERR!", "npm error"].into_iter().find(|tag| text.starts_with(tag))
}

/// Messages whose paragraphs blank lines part.
fn spans_blanks(text: &str) -> bool {
    text.starts_with("CMake Error")
        || text.starts_with("FAIL ")
        || text.contains(" - error TS")
        || text.starts_with("error: failed to run custom build")
}

/// Columns of white space before the text; a tab counts as one.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `3 | let x`, `  |   ^^^`, `--> src/main.rs:3:5`, `...`
fn has_gutter(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    rest.starts_with('|') || text.starts_with("--> ") || text == "..."
}

/// A line of marks below a line of source.
fn is_caret(text: &str) -> bool {
    text.contains(['^', '~']) && text.bytes().all(|b| b"^~ -|".contains(&b))
}

/// The number in `tests/test_x.py:5: AssertionError` and `a.f90:3:5:`.
fn place_number(text: &str) -> Option<&str> {
    let (path, rest) = text.split_once(':')?;
    let (number, _) = rest.split_once(':')?;
    let is_place = !path.is_empty() && !path.contains(' ') && !number.is_empty();
    (is_place && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// An indented line of another job: `  CC      a.o`, `   Compiling serde v1.0.203`, `      Start  2: test_2`.
fn is_step(line: &str) -> bool {
    let text = line.trim_start();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_kbuild = line.starts_with("  ")
        && (2..=12).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && !rest.trim().is_empty()
        && !rest.trim_start().starts_with(['=', '(', '|']);
    let is_cargo =
        ["Compiling", "Checking", "Downloaded", "Downloading", "Finished", "Running", "Fresh", "Building"]
            .contains(&word)
            && !rest.is_empty();
    let is_ctest = word == "Start" && rest.contains(": ") || text.contains(" Test #");
    is_kbuild || is_cargo || is_ctest || score::is_numbered_step(text.as_bytes())
}
