//! Search over a whole log.

use std::io;

use regex::bytes::{Regex, RegexBuilder};

use super::{Log, View};

/// Largest number of lines that a search returns; more are counted.
pub(crate) const MAX_FOUND: usize = 10_000;
/// Longest text or expression to search for, in bytes.
pub(crate) const MAX_NEEDLE: usize = 1000;
/// Lines that are read at once.
const STEP: u64 = 4096;

/// A text or a regular expression to search for.
#[derive(Clone, Debug)]
pub(crate) struct Needle(Regex);

/// The lines that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The first [`MAX_FOUND`] of them, from 1.
    pub(crate) lines: Vec<u64>,
    /// The number of all of them.
    pub(crate) total: u64,
    /// The number of lines that were searched.
    pub(crate) searched: u64,
}

impl Needle {
    /// Makes a needle. A text without an upper-case letter matches in either case.
    ///
    /// # Errors
    ///
    /// A sentence, if the expression is none, is empty, or is too long.
    pub(crate) fn new(text: &str, is_regex: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err("there is nothing to search for".to_owned());
        }
        if text.len() > MAX_NEEDLE {
            return Err(format!("a search has at most {MAX_NEEDLE} bytes"));
        }
        let pattern = if is_regex { text.to_owned() } else { regex::escape(text) };
        let built = RegexBuilder::new(&pattern)
            .case_insensitive(!text.chars().any(char::is_uppercase))
            .size_limit(1 << 20)
            .build();
        built.map(Self).map_err(|error| {
            // The whole error draws a picture of several lines.
            let text = error.to_string();
            format!("this is no regular expression: {}", text.lines().last().unwrap_or_default())
        })
    }

    /// Searches a view.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub(crate) fn search(&self, log: &Log, view: View) -> io::Result<Found> {
        let mut found = Found::default();
        let n_lines = log.n_lines(view);
        while found.searched < n_lines {
            let text = log.raw(view, found.searched, STEP.min(n_lines - found.searched))?;
            for line in text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n') {
                found.searched += 1;
                if self.0.is_match(line) {
                    found.total += 1;
                    if found.lines.len() < MAX_FOUND {
                        found.lines.push(found.searched);
                    }
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Key, Kind, NewLine, Writer};
    use super::*;

    fn log(n_lines: u64) -> Log {
        let (mut writer, log) = Writer::new(&std::env::temp_dir()).unwrap();
        let source = writer.add_source("/nix/store/x-a.drv", "a");
        for n in 1..=n_lines {
            let source = if n % 2 == 0 { source } else { 0 };
            let name = if source == 0 { "" } else { "a> " };
            writer.push(&NewLine {
                key: Key { source, phase: 0 },
                kind: Kind::Text,
                at_ms: n,
                text: &format!("{name}Line {n}."),
                name: name.len(),
                spans: &[],
            });
        }
        writer.finish(None);
        log
    }

    fn check(text: &str, is_regex: bool, view: View, expected: &[u64]) {
        let found = Needle::new(text, is_regex).unwrap().search(&log(10_000), view).unwrap();
        assert_eq!(found.lines, expected, "{text}");
        assert_eq!(found.total, expected.len() as u64);
    }

    #[test]
    fn lines_are_found() {
        check("line 77.", false, View::Whole, &[77]);
        check("LINE 77.", false, View::Whole, &[]);
        check("Line 9998.", false, View::Whole, &[9998]);
        check("Line 9998.", false, View::Of(1), &[4999]);
        check("^line (3|8192)\\.$", true, View::Whole, &[3]);
        check("(3|8192)\\.$", true, View::Of(1), &[4096]);
        check("a> line 2.", false, View::Whole, &[2]);
        check("a>", false, View::Of(1), &[]);
    }

    #[test]
    fn more_lines_are_counted() {
        let found = Needle::new("line", false).unwrap().search(&log(30_000), View::Whole).unwrap();
        assert_eq!((found.lines.len(), found.total, found.searched), (MAX_FOUND, 30_000, 30_000));
    }

    #[test]
    fn bad_needles_are_refused() {
        for (text, is_regex) in
            [("", false), ("(", true), ("a{9999}{9999}", true), (&*"x".repeat(1001), false)]
        {
            assert!(Needle::new(text, is_regex).is_err(), "{text}");
        }
        assert!(Needle::new("(", false).is_ok());
    }
}
