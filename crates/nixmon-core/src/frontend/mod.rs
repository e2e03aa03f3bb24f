//! Frontends: each owns a writer and nothing else. What they write comes from `render` and `wire`.

mod activation;
mod budget;
mod canvas;
mod error_texts;
mod json;
mod lines;
mod live;
mod log;
mod pending;
mod results;

use std::collections::VecDeque;
use std::io::{self, Write};

pub use budget::Limits;
pub use canvas::Screen;
pub use json::{Json, json_line};
pub use lines::{Lines, LinesOptions, Passthrough};
pub use live::{Live, LiveOptions};
pub use log::{Closeness, Log, LogOf, is_unit};
pub use results::Results;

/// The condition of the terminal of a live view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Earlier output is still pending, so that this frame is skipped.
    pub busy: bool,
    /// The user has typed since the last frame.
    pub typed: bool,
    /// Another program asks for a password.
    pub asking: bool,
}

/// The log lines of builds to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLines {
    /// No lines.
    None,
    /// This many lines of each failed build.
    Failed(usize),
    /// All lines, or this many of each build.
    All(Option<usize>),
}

impl Default for LogLines {
    fn default() -> Self {
        Self::Failed(crate::render::LOG_LINES)
    }
}

impl LogLines {
    /// Returns the largest number of log lines for one failure.
    pub(crate) fn of_failure(self) -> usize {
        match self {
            Self::None => 0,
            Self::Failed(lines) => lines,
            Self::All(_) => crate::render::LOG_LINES,
        }
    }
}

/// A writer that keeps its first error and writes no more after it. Reading goes on: a build must not stop because its
/// output cannot be shown.
#[derive(Debug)]
pub struct StickyWriter<W> {
    writer: W,
    broken: Option<io::Error>,
}

impl<W: Write> StickyWriter<W> {
    /// Wraps a writer.
    pub fn new(writer: W) -> Self {
        Self { writer, broken: None }
    }

    /// Writes and flushes, or does nothing any more.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.broken.is_none()
            && let Err(error) = self.writer.write_all(bytes).and_then(|()| self.writer.flush())
        {
            self.broken = Some(error);
        }
    }

    /// Writes what can wait for more, or does nothing any more.
    pub(crate) fn write_buffered(&mut self, bytes: &[u8]) {
        if self.broken.is_none()
            && let Err(error) = self.writer.write_all(bytes)
        {
            self.broken = Some(error);
        }
    }

    /// Writes what has waited.
    pub fn flush(&mut self) {
        self.write(&[]);
    }

    /// Why nothing is written any more.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// The writer.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// The writer.
    pub fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

/// The last lines on an output, which a reader still sees.
#[derive(Clone, Debug, Default)]
struct InView(VecDeque<String>);

impl InView {
    /// Number of lines above a report that a reader sees together with it.
    const LINES: usize = 10;

    fn show(&mut self, line: String) {
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// Returns the mark before a line of another program that looks like one of nixmon's own, so that a reader of condensed
/// lines is not deceived; else nothing.
fn foreign_mark(text: &str) -> &'static str {
    if looks_like_own(text) { "> " } else { "" }
}

/// Returns whether a line begins as nixmon's own do: with the time in brackets, with `run 7 `, or with its name.
fn looks_like_own(text: &str) -> bool {
    let text = text.trim_start();
    if let Some((time, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return time.starts_with(|c: char| c.is_ascii_digit())
            && time.chars().all(|c| c.is_ascii_digit() || matches!(c, 'd' | 'h' | 'm' | 's' | '.' | ' '));
    }
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let of_run = text.strip_prefix("run ").and_then(|rest| rest.split_once([' ', ':']));
    of_run.is_some_and(|(number, _)| is_number(number)) || text.starts_with("nixmon: ")
}

/// Returns whether an unfinished line may become one that [`looks_like_own`].
fn may_look_like_own(text: &str) -> bool {
    let text = text.trim_start();
    let begins = |own: &str| !text.is_empty() && (own.starts_with(text) || text.starts_with(own));
    let is_time =
        text.strip_prefix('[').is_some_and(|rest| rest.is_empty() || looks_like_own(&format!("{text}]")));
    looks_like_own(text) || is_time || begins("run ") || begins("nixmon: ")
}

/// Returns whether an unfinished line looks like a question.
fn is_prompt(text: &str) -> bool {
    text.trim_end().ends_with([':', '?', ']', ')', '>']) && !text.trim().is_empty()
}
