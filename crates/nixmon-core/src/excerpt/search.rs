//! The lines of a long text that look like errors, found in one pass over all of it.
//!
//! A text is looked through for every needle at once by a vectorised search, which takes half the time of judging each
//! line; only lines with a needle are judged. Where the machine cannot do that, each line is.

use std::sync::OnceLock;

use aho_corasick::Span;
use aho_corasick::packed::{Config, Searcher};

use super::needles::NEEDLES;
use super::score::{PYTEST, SHELLCHECK, TEX, is_error_line};

/// `None` where the machine has no such search. It takes half as long again if one of the words has less than four
/// bytes, so [`TEX`] is looked for by itself.
fn searcher() -> Option<&'static Searcher> {
    static SEARCHER: OnceLock<Option<Searcher>> = OnceLock::new();
    SEARCHER
        .get_or_init(|| {
            let starts = [PYTEST, SHELLCHECK].map(|start| [b"\n", start].concat().to_ascii_lowercase());
            Config::new().builder().extend(NEEDLES).extend(starts).build()
        })
        .as_ref()
}

/// A text, prepared for the search.
#[derive(Debug)]
pub(crate) struct ErrorLines<'a> {
    text: &'a str,
    lowercase: Vec<u8>,
    searcher: Option<&'static Searcher>,
    /// Position of the next newline with [`TEX`] behind it; the text's end if there is none.
    tex: usize,
}

impl<'a> ErrorLines<'a> {
    /// Takes whole lines.
    pub(crate) fn of(text: &'a str) -> Self {
        let lowercase = text.as_bytes().to_ascii_lowercase();
        Self { text, lowercase, searcher: searcher(), tex: 0 }
    }

    /// Returns the beginning of the first line that looks like an error as [`is_error_line`] says. `from` is the
    /// beginning of a line; only it and those behind it count.
    pub(crate) fn next(&mut self, from: usize) -> Option<usize> {
        let mut line = from;
        loop {
            let end = self.end_of(line);
            if is_error_line(self.text.as_bytes().get(line..end)?) {
                return Some(line);
            }
            line = self.candidate(end)?;
        }
    }

    /// Returns the beginning of the first line after `from` that may look like an error.
    fn candidate(&mut self, end: usize) -> Option<usize> {
        let rest = self.lowercase.get(end..).filter(|rest| rest.len() > 1)?;
        let Some(searcher) = self.searcher else { return Some(end + 1) };
        if self.tex < end || end == 0 {
            let start = [b"\n", TEX].concat();
            self.tex = end + memchr::memmem::find(rest, &start).unwrap_or(rest.len());
        }
        let span = Span { start: end, end: self.tex };
        let Some(found) = searcher.find_in(&self.lowercase, span) else {
            return Some(self.tex + 1).filter(|line| *line < self.lowercase.len());
        };
        // A line's start is found with the newline before it, a needle anywhere in the line.
        let before = self.lowercase.get(end..found.end() - 1)?;
        Some(end + memchr::memrchr(b'\n', before)? + 1)
    }

    fn end_of(&self, line: usize) -> usize {
        let rest = self.text.as_bytes().get(line..).unwrap_or_default();
        line + memchr::memchr(b'\n', rest).unwrap_or(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_same_lines_as_one_by_one(
            lines in prop::collection::vec(
                prop::collection::vec(
                    prop_oneof![
                        prop::sample::select(&[
                            "a.c:1:1: error: ", "Error", "ERROR: ", "! ", "E   ", "In x line 3:", "fail", "FAILED", " ", "not ", "*** ",
                            "0 errors", "no such file", "panicked at", "ä", "", "warning: ", "rro", "r", "E",
                        ][..]).prop_map(str::to_owned),
                        "[ -~]{0,20}",
                    ],
                    0..4,
                ).prop_map(|parts| parts.concat()),
                0..30,
            ),
            ends in any::<bool>(),
        ) {
            let mut text = lines.join("\n");
            if ends {
                text.push('\n');
            }
            let (mut expected, mut at) = (Vec::new(), 0);
            for line in text.split_inclusive('\n') {
                if is_error_line(line.trim_end_matches('\n').as_bytes()) {
                    expected.push(at);
                }
                at += line.len();
            }
            for searcher in [searcher(), None] {
                let mut search = ErrorLines { searcher, ..ErrorLines::of(&text) };
                let (mut found, mut from) = (Vec::new(), 0);
                while let Some(line) = search.next(from) {
                    found.push(line);
                    from = search.end_of(line) + 1;
                    if from >= text.len() {
                        break;
                    }
                }
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
