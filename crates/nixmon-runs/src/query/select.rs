//! Which lines of a log are printed: those that match, and of these a range.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};

/// A range of lines, both ends included and counted from 1; negative numbers count from the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineRange {
    /// The first line.
    pub first: Option<i64>,
    /// The last line.
    pub last: Option<i64>,
}

/// Decides whether a line, without its end, is wanted.
pub type Matches = Box<dyn Fn(&[u8]) -> bool>;

/// Passes on the lines that match, and of these a range.
///
/// Once no further line can be wanted, writing fails as on a closed pipe.
pub struct Selected<W> {
    writer: W,
    matches: Option<Matches>,
    range: LineRange,
    /// The beginning of a line.
    partial: Vec<u8>,
    /// Lines that matched.
    n_lines: u64,
    /// Matching lines of which it is not known yet whether they are in the range, with their numbers.
    held: VecDeque<(u64, Vec<u8>)>,
}

impl<W> std::fmt::Debug for Selected<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selected").field("range", &self.range).finish_non_exhaustive()
    }
}

impl<W: Write> Selected<W> {
    /// Creates a selection in front of a writer; without `matches` and `range` all lines pass.
    pub fn new(writer: W, matches: Option<Matches>, range: Option<LineRange>) -> Self {
        let range = range.unwrap_or_default();
        Self { writer, matches, range, partial: Vec::new(), n_lines: 0, held: VecDeque::new() }
    }

    /// Returns the number of lines that matched, in the range or not.
    pub fn n_lines(&self) -> u64 {
        self.n_lines
    }

    /// Writes the lines that were held back since they are counted from the end: there are no more lines for now, or ever.
    ///
    /// # Errors
    ///
    /// If the writer fails.
    pub fn settle(&mut self, is_end: bool) -> std::io::Result<()> {
        if is_end && !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.line(line)?;
        }
        if is_end || self.range.first.is_some_and(|first| first < 0) {
            let last = match self.range.last {
                Some(last) if last < 0 => self.n_lines.saturating_sub(last.unsigned_abs() - 1),
                Some(last) => last.unsigned_abs(),
                None => u64::MAX,
            };
            for (number, line) in std::mem::take(&mut self.held) {
                if number <= last {
                    self.writer.write_all(&line)?;
                }
            }
            // From here on all are wanted.
            self.range.first = self.range.first.filter(|first| *first > 0);
        }
        self.writer.flush()
    }

    /// A whole line, or the last one without its end.
    fn line(&mut self, line: Vec<u8>) -> std::io::Result<()> {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if self.matches.as_ref().is_some_and(|matches| !matches(text)) {
            return Ok(());
        }
        self.n_lines += 1;
        let n = self.n_lines;
        let hold = match (self.range.first, self.range.last) {
            (Some(first), _) if first < 0 => Some(first.unsigned_abs()),
            (Some(first), _) if n < first.unsigned_abs() => return Ok(()),
            (_, Some(last)) if last < 0 => Some(last.unsigned_abs() - 1),
            (_, Some(last)) if n > last.unsigned_abs() => return Err(ErrorKind::BrokenPipe.into()),
            _ => None,
        };
        let Some(hold) = hold else { return self.writer.write_all(&line) };
        self.held.push_back((n, line));
        if self.held.len() as u64 <= hold {
            return Ok(());
        }
        match self.held.pop_front() {
            // Too far from the end to be among the last; or far enough from it not to be.
            Some((_, line)) if self.range.first.is_none_or(|first| first > 0) => self.writer.write_all(&line),
            _ => Ok(()),
        }
    }
}

impl<W: Write> Write for Selected<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.line(line)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of those of ten lines that are selected, with and without waiting in between.
    fn check(grep: Option<&str>, first: Option<i64>, last: Option<i64>, expected: &str) {
        let mut out = Vec::new();
        let grep = grep.map(|grep| regex::bytes::Regex::new(grep).unwrap());
        let grep = grep.map(|grep| Box::new(move |line: &[u8]| grep.is_match(line)) as Matches);
        let range = LineRange { first, last };
        let mut selected = Selected::new(&mut out, grep, Some(range));
        let text: String = (1..=10).map(|n| format!("line {n}\n")).collect();
        // In pieces that cut lines.
        let written = text.as_bytes().chunks(3).try_for_each(|piece| selected.write_all(piece));
        if written.is_ok() {
            selected.settle(true).unwrap();
        }
        drop(selected);
        let out = String::from_utf8(out).unwrap().replace("line ", "").replace('\n', " ");
        assert_eq!(out.trim(), expected, "{range:?}");
    }

    #[test]
    fn ranges() {
        let all = "1 2 3 4 5 6 7 8 9 10";
        check(None, None, None, all);
        check(None, Some(9), None, "9 10");
        check(None, Some(3), Some(4), "3 4");
        check(None, None, Some(2), "1 2");
        check(None, Some(-3), None, "8 9 10");
        check(None, Some(-3), Some(-2), "8 9");
        check(None, Some(-3), Some(8), "8");
        check(None, None, Some(-9), "1 2");
        check(None, Some(2), Some(-8), "2 3");
        check(None, None, Some(-1), all);
        check(None, Some(-100), None, all);
        check(None, Some(i64::MIN), Some(i64::MAX), all);
        check(None, Some(i64::MIN), Some(i64::MIN), "");
        check(None, Some(5), Some(3), "");
        check(Some("[135]$"), Some(2), None, "3 5");
        check(Some("[135]$"), Some(-1), None, "5");
        check(Some("x"), None, None, "");
    }

    #[test]
    fn the_last_lines_of_what_is_there_and_then_all() {
        let mut out = Vec::new();
        let range = LineRange { first: Some(-2), last: None };
        let mut selected = Selected::new(&mut out, None, Some(range));
        selected.write_all(b"1\n2\n3\n4").unwrap();
        selected.settle(false).unwrap();
        selected.write_all(b"4\n5\n6").unwrap();
        selected.settle(true).unwrap();
        assert_eq!(selected.n_lines(), 6);
        drop(selected);
        assert_eq!(out, b"2\n3\n44\n5\n6");
    }
}
