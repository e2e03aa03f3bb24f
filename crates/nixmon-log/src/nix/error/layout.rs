//! The parts of a printed error: message, position, code, frames, tail of the build log.
//!
//! `src/libutil/error.cc` of Nix prints `error: `, then the rest of the lines indented by as many columns:
//!
//! - since 2.18 the frames (outermost first, each `… TEXT` and `at POSITION:` with some code), then once more
//!   `error: MESSAGE`, the position of the error itself and code;
//! - in 2.4 to 2.8 message, position and code first, then the frames (innermost first);
//! - in 2.3 the frames as lines `while …` (outermost first) before the message, with positions inside the lines.

use std::borrow::Cow;

use super::Frame;
use super::limits::{LINE_BYTES, clip, cut};
use super::location::{self, Location};
use crate::escapes::{last_carriage, sanitize, strip_escapes};

/// Bytes looked at, at the beginning and the end of a text. With `--show-trace` the middle is frames.
const HEAD_BYTES: usize = 64 * 1024;
const TAIL_BYTES: usize = 192 * 1024;
/// Lines kept of a message, of a piece of code and of the tail of a log.
const MESSAGE_LINES: usize = 64;
const CODE_LINES: usize = 8;
const LOG_TAIL_LINES: usize = 200;
/// Frames looked at.
pub(super) const FRAMES: usize = 4096;

/// Columns by which continuation lines are indented: as many as `error: ` has.
const INDENTATION: &str = "       ";

/// Parts of an error. Nothing here has escapes; control characters may be left.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Lines of the innermost message, without `error:`.
    pub(super) message: Vec<String>,
    /// Position printed for the message itself.
    pub(super) position: Option<Location>,
    /// Code at the positions of message and frames, in the order of the text.
    pub(super) snippets: Vec<Snippet>,
    /// Frames, innermost first.
    pub(super) frames: Vec<Frame>,
    /// The frames stand before the message, as since 2.18.
    pub(super) frames_first: bool,
    /// Nix has left frames out for want of `--show-trace`.
    pub(super) truncated: bool,
    /// `Did you mean …?`
    pub(super) suggestion: Option<String>,
    /// Last lines of the build log.
    pub(super) log_tail: Vec<String>,
    /// The command that shows the whole log.
    pub(super) full_log: Option<String>,
}

/// Lines of code that Nix prints at a position.
#[derive(Debug)]
pub(super) struct Snippet {
    pub(super) at: Location,
    /// Numbers and indentation kept.
    pub(super) code: Vec<String>,
}

/// Cuts the middle out of an overlong text, at line ends where there are any.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= HEAD_BYTES + TAIL_BYTES {
        return (text, "");
    }
    let head = cut(text, HEAD_BYTES);
    let head = head.rsplit_once('\n').map_or(head, |(head, _)| head);
    let tail = &text[cut(text, text.len() - TAIL_BYTES).len()..];
    let tail = tail.split_once('\n').map_or("", |(_, tail)| tail);
    (head, tail)
}

/// Returns the lines of a text without escapes.
///
/// Escapes are removed line by line, so that a sequence without an end, as builders print them, takes one line with it.
pub(super) fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let (head, tail) = ends(text);
    let tail_lines = (!tail.is_empty()).then(|| tail.lines());
    head.lines().chain(tail_lines.into_iter().flatten()).map(strip_escapes)
}

/// Returns the visible part of a line: without the progress bar that may stand before an error.
pub(super) fn shown(line: &str) -> &str {
    let end = &line[cut(line, line.len().saturating_sub(HEAD_BYTES)).len()..];
    if memchr::memchr(b'\r', end.as_bytes()).is_some() { last_carriage(end) } else { line }
}

/// The part that the current line continues.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// `error:` was all so far.
    Start,
    Frame,
    Message,
    /// The position of the message, and code.
    Position,
    /// The tail of a log with lines that begin with `> ` or, in 2.3, two spaces. What is left of the number of lines
    /// that Nix announces matters for the latter only.
    Log {
        quoted: bool,
        left: u64,
    },
    /// `For full logs, run:`
    LogCommand,
}

impl Layout {
    /// Reads a text as Nix prints it for people, which is also what `msg` of a record holds.
    pub(super) fn parse(text: &str) -> Self {
        let mut layout = Self::default();
        let mut part = Part::Start;
        let mut message_first = false;
        for (number, line) in clean_lines(text).enumerate() {
            let line = line.trim_end_matches(['\r', '\n']);
            if number == 0 || part == Part::Start && layout.frames.is_empty() && layout.message.is_empty() {
                // Nothing seen yet but empty lines. A progress bar may stand before the first one.
                let line = shown(line).trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
                let (prefixed, first) = match line.strip_prefix("error:") {
                    Some(first) if number == 0 || layout.message.is_empty() => (true, first.trim()),
                    _ => (false, line),
                };
                if !first.is_empty() {
                    if prefixed || !is_frame_start(first) {
                        message_first = true;
                        part = layout.message_line(first, true);
                    } else {
                        part = layout.line(line, line, Part::Frame);
                    }
                }
                continue;
            }
            let inner = line.strip_prefix(INDENTATION).unwrap_or(line);
            if !message_first
                && matches!(part, Part::Start | Part::Frame)
                && let Some(message) = inner.strip_prefix("error:")
            {
                layout.frames.reverse();
                layout.frames_first = true;
                message_first = true;
                part = layout.message_line(message.trim(), false);
                continue;
            }
            part = layout.line(line, inner, part);
        }
        if !message_first {
            layout.frames.reverse();
            layout.frames_first = true;
        }
        layout.split_old_frames();
        layout.keep_last_log_lines();
        layout
    }

    /// Reads a message without `error:`, frames and indentation, which is what `raw_msg` of a record holds.
    pub(super) fn parse_raw(text: &str) -> Self {
        let mut layout = Self::default();
        let mut part = Part::Message;
        for (number, line) in clean_lines(text).enumerate() {
            let line = line.trim_end_matches(['\r', '\n']);
            part = match part {
                Part::Message | Part::Position => layout.message_line(line, number == 0),
                _ => layout.line(line, line, part),
            };
        }
        layout.keep_last_log_lines();
        layout
    }

    fn keep_last_log_lines(&mut self) {
        self.log_tail.drain(..self.log_tail.len().saturating_sub(LOG_TAIL_LINES));
    }

    /// Takes the next line, in full and without the indentation of continuation lines.
    fn line(&mut self, full: &str, inner: &str, part: Part) -> Part {
        let text = inner.trim_start();
        match part {
            Part::Log { quoted, left } => {
                let logged = if quoted {
                    text.strip_prefix('>').map(|line| line.strip_prefix(' ').unwrap_or(line))
                } else {
                    full.strip_prefix("  ")
                };
                if let Some(logged) = logged
                    && (quoted || left > 0)
                {
                    self.log_tail.push(sanitize(clip(logged)).into_owned());
                    return Part::Log { quoted, left: left.saturating_sub(1) };
                }
            }
            Part::LogCommand if !text.is_empty() => {
                self.full_log.get_or_insert_with(|| sanitize(clip(text)).into_owned());
                return Part::Message;
            }
            _ => {}
        }
        if text.is_empty() {
            return match part {
                Part::Message => self.message_line("", false),
                Part::LogCommand | Part::Log { .. } => Part::Message,
                part => part,
            };
        }
        if let Some(frame) = text.strip_prefix("… ") {
            if self.frames.len() < FRAMES {
                self.frames.push(Frame { message: clip(frame).to_owned(), location: None });
            }
            return Part::Frame;
        }
        if let Some(position) = location::position_line(text) {
            match part {
                Part::Frame => {
                    self.snippets.push(Snippet { at: position.clone(), code: Vec::new() });
                    if let Some(frame) = self.frames.last_mut() {
                        frame.location.get_or_insert(position);
                    }
                    return Part::Frame;
                }
                Part::Message | Part::Position if self.position.is_none() => {
                    self.snippets.push(Snippet { at: position.clone(), code: Vec::new() });
                    self.position = Some(position);
                    return Part::Position;
                }
                _ => {}
            }
        }
        if text.starts_with("Did you mean ") {
            self.suggestion.get_or_insert_with(|| clip(text).to_owned());
            return part;
        }
        if is_note(text) {
            self.truncated |= text.starts_with("(stack trace truncated");
            return part;
        }
        match part {
            Part::Frame | Part::Position if is_code(text) => {
                if let Some(snippet) = self.snippets.last_mut()
                    && snippet.code.len() < CODE_LINES
                {
                    snippet.code.push(clip(inner).to_owned());
                }
                part
            }
            Part::Frame => {
                if let Some(frame) = self.frames.last_mut()
                    && frame.location.is_none()
                    && frame.message.len() < LINE_BYTES
                    && !is_named_derivation(text)
                {
                    frame.message.push(' ');
                    frame.message.push_str(clip(text));
                    frame.split_name_position();
                }
                Part::Frame
            }
            Part::Position => Part::Position,
            _ => self.message_line(inner, false),
        }
    }

    /// Takes a line of the message, which may begin the tail of a log.
    fn message_line(&mut self, line: &str, first: bool) -> Part {
        let (line, next) = if let Some((before, count)) = log_tail_header(line) {
            // In 2.3 the header ends the first line of the message.
            (before, Part::Log { quoted: !first || before.is_empty(), left: count })
        } else if let Some(command) = line.trim_start().strip_prefix("For full logs, run") {
            let command = command.trim_start_matches(':').trim();
            if !command.is_empty() {
                let command = command.trim_end_matches('.').trim_matches('\'');
                self.full_log.get_or_insert_with(|| sanitize(clip(command)).into_owned());
                return Part::Message;
            }
            return Part::LogCommand;
        } else {
            (line, Part::Message)
        };
        if self.message.len() < MESSAGE_LINES
            && !is_note(line.trim_start())
            && (next == Part::Message || !line.is_empty())
        {
            self.message.push(clip(line).to_owned());
        }
        next
    }

    /// Takes the frames of Nix 2.3 out of the message: lines `while …`, outermost first.
    fn split_old_frames(&mut self) {
        let count = self.message.iter().take_while(|line| line.starts_with("while ")).count();
        if count == 0 || count == self.message.len() || !self.frames.is_empty() {
            return;
        }
        let message = self.message.split_off(count);
        self.frames = std::mem::replace(&mut self.message, message)
            .into_iter()
            .rev()
            .map(|line| Frame { location: location::first_inline_position(&line), message: line })
            .collect();
    }

    /// Returns whether there are frames only because somebody has asked for a trace: since 2.18 Nix prints up to three
    /// anyway.
    pub(super) fn is_asked_for(&self) -> bool {
        /// Frames that `showErrorInfo` (`libutil/error.cc`) prints without `--show-trace`.
        const UNASKED: usize = 3;
        !self.frames.is_empty() && (!self.frames_first || self.frames.len() > UNASKED)
    }

    /// Returns the code that Nix prints at a position.
    pub(super) fn code_at(&self, at: &Location) -> Option<&[String]> {
        self.snippets.iter().find(|snippet| snippet.at == *at).map(|snippet| snippet.code.as_slice())
    }
}

fn is_frame_start(line: &str) -> bool {
    line.starts_with("… ")
}

/// Returns whether a line is code: `  12| text` or `    |    ^`.
fn is_code(line: &str) -> bool {
    line.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('|')
}

/// Returns whether a line is about the output itself.
fn is_note(line: &str) -> bool {
    line.starts_with("(stack trace truncated")
        || line.starts_with("(use '--show-trace'")
        || line.starts_with('(') && line.ends_with(" duplicate frames omitted)")
        || line.starts_with("note: trace involved the following derivations")
}

/// Returns whether a line is one of those that Lix puts after `note: trace involved the following derivations:`.
fn is_named_derivation(line: &str) -> bool {
    line.starts_with("derivation '") && line.ends_with('\'')
}

/// Splits a line that ends in `last N log lines:` into what stands before and N.
fn log_tail_header(line: &str) -> Option<(&str, u64)> {
    let before = line.trim_end().strip_suffix(" log lines:")?;
    let (before, count) = before.rsplit_once(' ')?;
    let count = count.parse().ok()?;
    let before = before.strip_suffix("last").or_else(|| before.strip_suffix("Last"))?;
    Some((before.trim().trim_end_matches(';'), count))
}
