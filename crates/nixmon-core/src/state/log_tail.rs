//! The end of a build's log, and the first lines of it that look like errors.
//!
//! Log lines are most of a long stream and almost none is ever shown, so a line costs one copy into a buffer that is
//! reused, and the full log is Nix's to keep.

use super::Dropped;
use crate::excerpt::{ErrorLines, excerpt};
use nixmon_log::escapes::{last_carriage, sanitize};
use nixmon_log::nix::log::Text;

/// The tail holds between this many bytes and twice as many.
const KEEP: usize = 16 << 10;
/// Room for a short log, so that it need not grow line by line.
const FIRST: usize = 2 << 10;
/// A longer line keeps its beginning.
const MAX_LINE: usize = 4 << 10;
/// Number of lines that look like errors kept from before the tail.
const MAX_EARLY: usize = 40;
/// Number of lines kept after each of them: a snippet, a caret, a trace.
const FOLLOWING: usize = 6;

/// A bounded log.
#[derive(Clone, Debug, Default)]
pub struct LogTail {
    buffer: String,
    lines: u64,
    /// The first lines before the buffer that look like errors, each with the lines that follow it.
    early: Vec<String>,
    /// So many of the lines that leave the buffer next follow an error.
    following: usize,
    /// Lines dropped and lines cut that were not counted yet.
    uncounted: (u64, u64),
    /// When the last line came.
    pub(super) last_at: super::Moment,
}

impl LogTail {
    /// An empty log that is written to `buffer`, of which the capacity counts.
    pub(super) fn new(mut buffer: String) -> Self {
        buffer.clear();
        Self { buffer, ..Self::default() }
    }

    /// Takes the buffer back.
    pub(super) fn into_buffer(self) -> String {
        self.buffer
    }

    /// Adds a line in its JSON form. Returns it as it is kept.
    pub fn push(&mut self, text: Text<'_>) -> &str {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(FIRST);
        }
        let from = self.buffer.len();
        text.decode_into(&mut self.buffer);
        self.end_line(from)
    }

    /// Adds a line. Returns it as it is kept.
    pub fn push_str(&mut self, line: &str) -> &str {
        let from = self.buffer.len();
        self.buffer.push_str(line);
        self.end_line(from)
    }

    fn end_line(&mut self, from: usize) -> &str {
        if self.buffer.len() - from > MAX_LINE {
            let mut end = from + MAX_LINE;
            while !self.buffer.is_char_boundary(end) {
                end -= 1;
            }
            self.buffer.truncate(end);
            self.uncounted.1 += 1;
            self.buffer.shrink_to(4 * KEEP);
        }
        let n_bytes = self.buffer.len() - from;
        self.buffer.push('\n');
        self.lines += 1;
        if self.buffer.len() > 2 * KEEP {
            self.drop_oldest();
        }
        let end = self.buffer.len() - 1;
        self.buffer.get(end - n_bytes..end).unwrap_or_default()
    }

    fn drop_oldest(&mut self) {
        let target = self.buffer.len() - KEEP;
        if let Some(end) = memchr::memchr(b'\n', &self.buffer.as_bytes()[target..]) {
            let cut = target + end + 1;
            let n_lines = memchr::memchr_iter(b'\n', &self.buffer.as_bytes()[..cut]).count();
            let kept = self.early.len();
            self.keep_early(cut);
            self.uncounted.0 += (n_lines - (self.early.len() - kept)) as u64;
            self.buffer.drain(..cut);
        }
    }

    /// Keeps what is worth it of the lines that leave the buffer. Only here are lines judged: nearly all logs are shorter
    /// than the buffer.
    fn keep_early(&mut self, cut: usize) {
        let mut room = MAX_EARLY - self.early.len();
        if room == 0 {
            return;
        }
        let leaving = &self.buffer[..cut];
        let mut errors = ErrorLines::of(leaving);
        let mut at = 0;
        let mut next = errors.next(at);
        while room > 0 && at < cut {
            if self.following == 0 {
                let Some(error) = next else { break };
                at = error;
            }
            if next == Some(at) {
                self.following = FOLLOWING + 1;
            }
            let Some((line, rest)) = leaving[at..].split_once('\n') else { break };
            self.early.push(line.to_owned());
            room -= 1;
            self.following -= 1;
            at = cut - rest.len();
            if next.is_some_and(|error| error < at) {
                next = errors.next(at);
            }
        }
    }

    /// Adds what was dropped since the last call.
    #[inline]
    pub(super) fn count_dropped(&mut self, dropped: &mut Dropped) {
        if self.uncounted != (0, 0) {
            let (lines, cut) = std::mem::take(&mut self.uncounted);
            dropped.log_lines += lines;
            dropped.lines_cut += cut;
        }
    }

    /// The same for a log of programs that are no builders.
    pub(super) fn count_dropped_of_others(&mut self, dropped: &mut Dropped) {
        let (lines, cut) = std::mem::take(&mut self.uncounted);
        dropped.other_lines += lines;
        dropped.lines_cut += cut;
    }

    /// Returns whether what is kept stays within its limits.
    pub(super) fn is_bounded(&self) -> bool {
        self.buffer.len() <= 2 * KEEP && self.early.len() <= MAX_EARLY
    }

    /// Returns the number of lines that there were.
    pub fn len(&self) -> u64 {
        self.lines
    }

    /// Returns whether there was none.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The last line.
    pub fn last(&self) -> Option<&str> {
        let text = self.buffer.strip_suffix('\n')?;
        Some(text.rsplit('\n').next().unwrap_or(text))
    }

    /// The lines that are left, oldest first, safe to show: early errors, of which it returns the number, then the tail.
    pub fn lines(&self) -> (usize, Vec<String>) {
        let lines = self.early.iter().map(String::as_str).chain(self.buffer.lines());
        let lines = lines.map(|line| sanitize(last_carriage(line)).trim_end().to_owned());
        (self.early.len(), lines.collect())
    }

    /// At most `max` lines that say why, safe to show; `None` stands for lines left out.
    pub fn excerpt(&self, max: usize) -> Vec<Option<String>> {
        let (early, lines) = self.lines();
        excerpt_of(&lines, early, max)
    }

    /// The last `n` lines, oldest first, safe to show.
    pub fn tail(&self, n: usize) -> Vec<String> {
        let lines: Vec<&str> = self.buffer.lines().collect();
        lines[lines.len().saturating_sub(n)..]
            .iter()
            .map(|line| sanitize(line).trim_end().to_owned())
            .collect()
    }
}

/// At most `max` lines of a log that say why; `None` stands for lines left out. The first `early` lines stand apart from
/// the rest.
pub(super) fn excerpt_of(lines: &[String], early: usize, max: usize) -> Vec<Option<String>> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut picked = Vec::new();
    let mut in_early = false;
    for line in excerpt(&lines, max) {
        if line.follows_gap || in_early && line.idx >= early {
            picked.push(None);
        }
        in_early = line.idx < early;
        picked.push(Some(line.line.to_owned()));
    }
    picked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::excerpt::is_error_line;

    #[test]
    fn the_tail_is_bounded_and_early_errors_stay() {
        let mut log = LogTail::default();
        log.push_str("src/a.c:1:1: error: the cause");
        for i in 0..100_000 {
            log.push_str(&format!("line {i}"));
        }
        assert_eq!(log.len(), 100_001);
        assert_eq!(log.last(), Some("line 99999"));
        let (early, lines) = log.lines();
        assert_eq!(early, 7);
        assert_eq!(lines[0], "src/a.c:1:1: error: the cause");
        assert!(lines.len() > 100 && lines.len() < 5_000, "{}", lines.len());
        assert_eq!(log.tail(2), ["line 99998", "line 99999"]);
        assert!(log.buffer.capacity() < 8 * KEEP);
    }

    proptest! {
        #[test]
        fn lines_kept_and_dropped_are_those_seen(
            lines in prop::collection::vec((0..6_usize, prop_oneof![0..200_usize, 0..9_000_usize]), 0..60),
        ) {
            let (mut log, mut dropped) = (LogTail::default(), Dropped::default());
            let mut cut = 0;
            for (kind, length) in lines {
                let start = if kind == 0 { "a.c:1:1: error: x" } else { "y" };
                let line = format!("{start}{}", "z".repeat(length));
                cut += u64::from(line.len() > MAX_LINE);
                log.push_str(&line);
                log.count_dropped(&mut dropped);
            }
            prop_assert_eq!(dropped.log_lines + log.lines().1.len() as u64, log.len());
            prop_assert_eq!(dropped.lines_cut, cut);
        }
    }

    proptest! {
        #[test]
        fn early_lines_are_those_that_each_line_would_tell(
            kinds in prop::collection::vec(prop_oneof![20 => Just(0), 1 => Just(1)], 0..2000),
            length in 0..60_usize,
        ) {
            let mut log = LogTail::default();
            let (mut expected, mut until) = (Vec::new(), 0);
            for (number, kind) in kinds.iter().enumerate() {
                let line = format!("{}{number}{}", if *kind == 1 { "a.c:1:1: error: x" } else { "y" }, "z".repeat(length));
                if is_error_line(line.as_bytes()) {
                    until = number + FOLLOWING + 1;
                }
                if number < until && expected.len() < MAX_EARLY {
                    expected.push((number, line.clone()));
                }
                log.push_str(&line);
            }
            let first = kinds.len() - log.buffer.lines().count();
            let expected: Vec<String> =
                expected.into_iter().filter(|(number, _)| *number < first).map(|(_, line)| line).collect();
            prop_assert_eq!(&log.early, &expected);
        }
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let mut log = LogTail::default();
        log.push_str(&"ä".repeat(1 << 20));
        assert_eq!(log.last().map(str::len), Some(MAX_LINE));
        log.push_str("");
        assert_eq!(log.last(), Some(""));
    }
}
