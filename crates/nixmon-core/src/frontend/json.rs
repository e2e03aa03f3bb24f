//! JSON lines for programs.

use std::io::Write;
use std::time::Duration;

use serde_json::ser::Formatter;

use super::StickyWriter;
use crate::state::{Change, Moment, State};
use crate::text::Line;
use crate::view::Evidence;
use crate::wire;
use nixmon_log::input::InputCounts;

/// Writes changes as they happen, snapshots on request, and the summary record last.
#[derive(Debug)]
pub struct Json<W> {
    sink: StickyWriter<W>,
    buffer: Vec<u8>,
    snapshots: Option<Duration>,
    last_snapshot: Moment,
    /// A snapshot has told when the run will end.
    has_told_end: bool,
}

/// Size of a batch in bytes, unless it is flushed earlier.
const BATCH: usize = 64 << 10;

impl<W: Write> Json<W> {
    /// Writes to `writer`; `snapshots` is the time between two of them.
    pub fn new(writer: W, snapshots: Option<Duration>) -> Self {
        Self {
            sink: StickyWriter::new(writer),
            buffer: Vec::new(),
            snapshots,
            last_snapshot: Moment::ZERO,
            has_told_end: false,
        }
    }

    /// Writes changes that the state has accepted.
    pub fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        for change in changes {
            if let Some(record) = wire::from_change(state, change, at) {
                self.line(&record);
            }
        }
        if self.buffer.len() > BATCH {
            self.flush();
        }
    }

    /// Writes messages about the run itself.
    pub fn notice(&mut self, lines: &[Line], at: Moment) {
        for line in lines {
            self.line(&wire::notice(&line.plain(), at));
        }
        self.flush();
    }

    /// Writes a snapshot if one is due or the end of the run is foreseen for the first time, and flushes the batch.
    pub fn tick(&mut self, state: &State, now: Moment) {
        if let Some(every) = self.snapshots {
            let is_due = now.saturating_sub(self.last_snapshot) >= every;
            let is_first = !self.has_told_end && state.forecast().eta.is_some();
            if is_due {
                self.last_snapshot = now;
            }
            if is_due || is_first {
                self.has_told_end |= is_first;
                self.line(&wire::snapshot(state, now));
            }
        }
        self.flush();
    }

    /// Writes the summary of a run that has ended, after a last snapshot if snapshots are wanted.
    pub fn end(&mut self, state: &State, evidence: &Evidence, input: InputCounts, exit_code: i32) {
        if self.snapshots.is_some() {
            self.line(&wire::snapshot(state, state.now()));
        }
        self.line(&wire::summary(state, evidence, input, exit_code));
        self.flush();
    }

    fn line(&mut self, value: &impl serde::Serialize) {
        json_line(value, &mut self.buffer);
    }

    /// Writes the batch.
    pub fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.sink.write(&self.buffer);
            self.buffer.clear();
        }
    }

    /// The sink.
    pub fn sink(&self) -> &StickyWriter<W> {
        &self.sink
    }

    /// Takes the writer back.
    pub fn into_writer(self) -> W {
        self.sink.into_inner()
    }
}

/// Appends a value as a line of JSON without raw control characters.
pub fn json_line(value: &impl serde::Serialize, to: &mut Vec<u8>) {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *to, Escaped);
    // Serialisation of the wire types does not fail.
    if value.serialize(&mut serializer).is_ok() {
        to.push(b'\n');
    }
}

/// Compact JSON with all control characters escaped. serde_json escapes only those that JSON forbids, below U+0020; for a
/// terminal, DEL and U+0080 to U+009F are control characters as well.
struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = next_control(rest) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = after.chars();
            let control = chars.next().map_or(0, u32::from);
            write!(writer, "\\u{control:04x}")?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Returns the position of the first control character that serde_json does not escape.
fn next_control(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    // In UTF-8, U+0080 to U+009F are C2 80 to C2 9F.
    memchr::memchr2_iter(0x7f, 0xc2, bytes)
        .find(|&at| bytes[at] == 0x7f || bytes.get(at + 1).is_some_and(|&next| next < 0xa0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut json = Json::new(Vec::new(), None);
        json.line(&text);
        json.flush();
        let written = String::from_utf8(json.into_writer()).unwrap();
        assert_eq!(written, format!("{expected}\n"));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    #[test]
    fn no_control_character_is_written_as_it_is() {
        check("a\u{1b}[m\u{7f}b", r#""a\u001b[m\u007fb""#);
        check(
            "\u{80}\u{9b}31m\u{9f}\u{a0}é\u{7f}\u{7f}",
            "\"\\u0080\\u009b31m\\u009f\u{a0}é\\u007f\\u007f\"",
        );
        check("Â \"/\\", r#""Â \"/\\""#);
    }
}
