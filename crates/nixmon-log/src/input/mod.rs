//! Bytes to events: lines, records, Nix's human-readable texts. Reading never fails: what cannot be used becomes an
//! [`Event::Problem`], and the stream goes on.
//!
//! One stream may hold everything at once: `@nix ` records, the same without the prefix (`json-log-path`), records with
//! another program's prefix, torn records, human-readable output, other programs. What a line means beyond its form, for
//! instance whether it belongs to an activation, is for `state` to say.

mod any_prefix;
mod decode;
mod frame;
pub mod human;
mod prefix;
mod scan;
mod streams;

use std::borrow::Cow;

pub use decode::{DecodeError, Scratch, decode};
pub use frame::{Framer, MAX_LINE};
pub use streams::{HOLD, Source, Streams};

use crate::escapes::strip_escapes;
use crate::nix::log::LogMessage;
use human::{ErrorBlock, HumanLine};
use prefix::Prefixes;

/// One thing that the stream says.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A record of the internal-json format.
    Record(&'a LogMessage<'a>),
    /// A line of text.
    Line(Line<'a>),
    /// A whole error in human-readable form: its first line and what is indented under it.
    Error(&'a str),
    /// Text that a carriage return overwrites on its line, such as an earlier state of a progress bar: without line ends,
    /// with its terminal escapes. It comes as soon as the next state has begun; the last one is the [`Event::Line`].
    Redraw(&'a str),
    /// Input that could not be used.
    Problem(Problem<'a>),
}

/// A line of text.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// As it came, without the line end; bad UTF-8 is replaced, what a carriage return overwrote is gone.
    pub raw: &'a str,
    /// Without terminal escapes.
    pub text: &'a str,
    /// Its meaning, if it is one of Nix's.
    pub human: HumanLine<'a>,
    /// The label of a machine or program that a collector of logs put before it, which `text` lacks.
    pub label: Option<&'a str>,
}

/// Input that could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The problem.
    pub kind: ProblemKind,
    /// The beginning of it.
    pub excerpt: &'a str,
}

/// A problem with a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ProblemKind {
    /// A record cannot be read.
    #[error(transparent)]
    Record(DecodeError),
    /// A line is longer than [`MAX_LINE`].
    #[error("line is longer than 16 MiB, its end was dropped")]
    LineTooLong,
    /// A record has an action that is not known.
    #[error("record has an unknown action")]
    UnknownAction,
}

/// Amount of input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounts {
    /// Bytes read.
    pub bytes: u64,
    /// Records of the internal-json format.
    pub records: u64,
    /// Lines that are no record.
    pub text_lines: u64,
    /// Pieces that could not be used.
    pub problems: u64,
    /// Bytes of lines longer than [`MAX_LINE`] that were dropped.
    pub dropped_bytes: u64,
    /// Lines of text longer than a mebibyte, of which the rest was not read.
    pub texts_cut: u64,
}

/// Beginning of a record.
const PREFIX: &[u8] = b"@nix ";
/// Longest line of text, in bytes; only the beginning of a longer one is read, for it is copied several times on its way.
const MAX_TEXT: usize = 1 << 20;
/// Characters of an unusable record that are kept to show.
const EXCERPT: usize = 120;
/// The head of a torn record is kept up to this length, in case its tail comes on the next line.
const MAX_TORN: usize = 1 << 20;
/// On a line with more records that others have cut, only the last one is tried then.
const MAX_TORN_PARTS: usize = 16;

/// Turns a stream of bytes into [`Event`]s.
#[derive(Debug, Default)]
pub struct Reader {
    framer: Framer,
    lines: Lines,
}

/// The part of the reader that sees whole lines.
#[derive(Debug, Default)]
struct Lines {
    counts: InputCounts,
    scratch: Scratch,
    error: ErrorBlock,
    /// The label of the lines of that error.
    error_label: Option<Box<str>>,
    prefixes: Prefixes,
    /// The head of a record that another process's line cut in two.
    torn: Vec<u8>,
    /// Bytes of the line that has begun whose redraws were passed on.
    drawn: usize,
    /// That line ends in a carriage return: what comes next is drawn over it.
    has_returned: bool,
}

impl Reader {
    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8], mut event: impl FnMut(Event<'_>)) {
        self.feed_dyn(bytes, &mut event);
    }

    /// Compiles once, whatever the callbacks are.
    fn feed_dyn(&mut self, bytes: &[u8], event: &mut dyn FnMut(Event<'_>)) {
        let Self { framer, lines } = self;
        lines.counts.bytes += bytes.len() as u64;
        framer.feed(bytes, |framed| lines.line(framed.bytes, framed.dropped, event));
        let returns = lines.has_returned || memchr::memchr(b'\r', bytes).is_some();
        if returns && !is_record(framer.partial()) {
            lines.redraws(framer.partial(), event);
        }
    }

    /// The end of the stream: whatever was begun is whole now.
    pub fn finish(&mut self, mut event: impl FnMut(Event<'_>)) {
        self.finish_dyn(&mut event);
    }

    fn finish_dyn(&mut self, event: &mut dyn FnMut(Event<'_>)) {
        let Self { framer, lines } = self;
        framer.finish(|framed| lines.line(framed.bytes, framed.dropped, event));
        lines.settle(event);
    }

    /// Nothing came for a moment: an error that is being put together is whole.
    pub fn settle(&mut self, mut event: impl FnMut(Event<'_>)) {
        self.lines.settle(&mut event);
    }

    /// The beginning of a line that has not ended, if it is text: a prompt, a progress line.
    pub fn partial_text(&self) -> Option<&[u8]> {
        let partial = self.framer.partial();
        let start = partial.get(..PREFIX.len().min(partial.len())).unwrap_or_default();
        let record = PREFIX.starts_with(start)
            || partial.starts_with(b"{\"action\"")
            || find_record(partial).is_some();
        (!partial.is_empty() && !record).then_some(partial)
    }

    /// Amount of input.
    pub fn counts(&self) -> InputCounts {
        self.lines.counts
    }
}

impl Lines {
    fn line(&mut self, bytes: &[u8], dropped: u64, event: &mut dyn FnMut(Event<'_>)) {
        self.whole_line(bytes, dropped, event);
        self.drawn = 0;
        self.has_returned = false;
    }

    /// Passes on what a line looked like before it was drawn anew.
    fn redraws(&mut self, line: &[u8], event: &mut dyn FnMut(Event<'_>)) {
        self.has_returned = false;
        loop {
            let rest = line.get(self.drawn..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\r', rest) else { return };
            let (drawing, after) = rest.split_at(end);
            let Some(n_returns) = after.iter().position(|byte| *byte != b'\r') else {
                self.has_returned = true;
                return;
            };
            if !drawing.trim_ascii().is_empty() {
                event(Event::Redraw(&String::from_utf8_lossy(&drawing[..drawing.len().min(MAX_TEXT)])));
            }
            self.drawn += end + n_returns;
        }
    }

    fn whole_line(&mut self, bytes: &[u8], dropped: u64, event: &mut dyn FnMut(Event<'_>)) {
        if dropped > 0 {
            self.counts.dropped_bytes += dropped;
            self.problem(ProblemKind::LineTooLong, bytes, event);
        }
        if let Some(record) = bytes.strip_prefix(PREFIX) {
            return self.record(b"", trim_end(record), event);
        }
        if bytes.starts_with(b"{\"action\":\"") {
            let Self { scratch, counts, error, .. } = self;
            if let Ok(message) = decode(trim_end(bytes), scratch)
                && !matches!(message, LogMessage::Other { .. })
            {
                counts.records += 1;
                close(error, event);
                event(Event::Record(&message));
                return;
            }
        }
        match find_record(bytes) {
            Some(at) => self.record(&bytes[..at], trim_end(&bytes[at + PREFIX.len()..]), event),
            None => self.text(bytes, event),
        }
    }

    /// A record, with whatever stood before it on its line.
    fn record(&mut self, before: &[u8], record: &[u8], event: &mut dyn FnMut(Event<'_>)) {
        if !before.is_empty() && !is_label(before) {
            self.text(before, event);
        }
        let mut record = record;
        for _ in 0..MAX_TORN_PARTS {
            match self.whole_or_torn(record, event) {
                Some(rest) => record = rest,
                None => return,
            }
        }
        // Each look costs as much as the line has left.
        let last = memchr::memmem::rfind(record, PREFIX).map_or(0, |at| at + PREFIX.len());
        self.whole_or_torn(&record[last..], event);
    }

    /// A record. Returns the one that another process has written into its middle, if it is torn.
    fn whole_or_torn<'a>(&mut self, record: &'a [u8], event: &mut dyn FnMut(Event<'_>)) -> Option<&'a [u8]> {
        let Self { scratch, counts, error, .. } = self;
        let failed = match decode(record, scratch) {
            Ok(message) => {
                counts.records += 1;
                close(error, event);
                if let LogMessage::Other { action } = message {
                    counts.problems += 1;
                    let action = action.decode();
                    event(Event::Problem(Problem {
                        kind: ProblemKind::UnknownAction,
                        excerpt: cut(&action),
                    }));
                }
                event(Event::Record(&message));
                return None;
            }
            Err(failed) => failed,
        };
        // Another process may have written into the middle of it.
        if failed == DecodeError::NotJson
            && let Some(at) = memchr::memmem::find(record, PREFIX)
        {
            if at <= MAX_TORN {
                self.torn.clear();
                self.torn.extend_from_slice(&record[..at]);
            }
            return Some(&record[at + PREFIX.len()..]);
        }
        self.problem(ProblemKind::Record(failed), record, event);
        None
    }

    fn text(&mut self, bytes: &[u8], event: &mut dyn FnMut(Event<'_>)) {
        if !self.torn.is_empty() && self.mend(bytes, event) {
            return;
        }
        self.counts.text_lines += 1;
        self.counts.texts_cut += u64::from(bytes.len() > MAX_TEXT);
        self.redraws(bytes, event);
        let raw = visible(&bytes[..bytes.len().min(MAX_TEXT)]);
        let text = strip_escapes(&raw);
        let (label, text) = self.prefixes.split(human::behind_bar(&text));
        // Several programs may print an error at the same time, each behind its label.
        let is_same = self.error_label.as_deref() == label;
        if self.error.is_open() && is_same {
            if self.error.take(text) {
                return;
            }
            close(&mut self.error, event);
        }
        let human = human::parse(text);
        if human == HumanLine::Error {
            close(&mut self.error, event);
            self.error.open(text);
            self.error_label = label.map(Into::into);
            return;
        }
        event(Event::Line(Line { raw: &raw, text, human, label }));
    }

    /// Tries a line as the tail of the record that was torn before it.
    fn mend(&mut self, tail: &[u8], event: &mut dyn FnMut(Event<'_>)) -> bool {
        let mut whole = std::mem::take(&mut self.torn);
        let head = whole.len();
        whole.extend_from_slice(trim_end(tail));
        match decode(&whole, &mut self.scratch) {
            Ok(message) => {
                self.counts.records += 1;
                close(&mut self.error, event);
                event(Event::Record(&message));
                true
            }
            Err(failed) => {
                whole.truncate(head);
                self.problem(ProblemKind::Record(failed), &whole, event);
                false
            }
        }
    }

    fn settle(&mut self, event: &mut dyn FnMut(Event<'_>)) {
        close(&mut self.error, event);
    }

    fn problem(&mut self, kind: ProblemKind, bytes: &[u8], event: &mut dyn FnMut(Event<'_>)) {
        self.counts.problems += 1;
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]);
        event(Event::Problem(Problem { kind, excerpt: &text }));
    }
}

fn close(error: &mut ErrorBlock, event: &mut dyn FnMut(Event<'_>)) {
    if error.is_open() {
        event(Event::Error(error.close()));
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(EXCERPT).map_or(text, |(at, _)| &text[..at])
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Returns whether a line that has begun is a record.
fn is_record(line: &[u8]) -> bool {
    line.starts_with(PREFIX) || line.starts_with(b"{\"action\"")
}

/// Returns the position of a record in the middle of a line.
///
/// Not behind `name> `: that is a builder's line, and what a builder prints is no record of Nix's.
fn find_record(bytes: &[u8]) -> Option<usize> {
    // Nearly no line has the first byte, and to make ready for a search takes longer than to look for that.
    let from = memchr::memchr(b'@', bytes)?;
    let at = from + memchr::memmem::find(bytes.get(from..)?, b"@nix {\"")?;
    (!bytes[..at].ends_with(b"> ") && !bytes[..at].ends_with(b">\x1b[0m ")).then_some(at)
}

/// Returns whether the text before a record is somebody's label for lines (`<3>` of systemd, `[host] `, `host | `, a
/// time) or just escapes, rather than a line of its own.
fn is_label(before: &[u8]) -> bool {
    let text = String::from_utf8_lossy(before);
    let text = strip_escapes(&text);
    let text = text.trim_end();
    text.is_empty() || (text.len() <= 64 && text.ends_with([']', '|', '>', ':']))
}

/// A line as a terminal would leave it: without the line end, and only what stands after the last carriage return.
fn visible(bytes: &[u8]) -> Cow<'_, str> {
    let mut rest = trim_line_end(bytes);
    while let Some(at) = memchr::memrchr(b'\r', rest) {
        let tail = &rest[at + 1..];
        if tail.iter().any(|b| !b.is_ascii_whitespace()) && !is_only_escapes(tail) {
            rest = behind_erased(tail);
            break;
        }
        rest = &rest[..at];
    }
    match std::str::from_utf8(rest) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(rest),
    }
}

/// Returns what follows a line of the progress bar that ends without a newline, but erases the rest of the line.
fn behind_erased(bar: &[u8]) -> &[u8] {
    const ERASE: &[u8] = b"\x1b[K";
    match memchr::memmem::find(bar, ERASE) {
        // GCC erases as well, behind each change of colour.
        Some(at) if at > 0 && !bar[..at].ends_with(b"m") && !is_only_escapes(&bar[at..]) => {
            &bar[at + ERASE.len()..]
        }
        _ => bar,
    }
}

fn trim_line_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

fn is_only_escapes(bytes: &[u8]) -> bool {
    strip_escapes(&String::from_utf8_lossy(bytes)).trim().is_empty()
}

#[cfg(test)]
mod tests;
