//! Prefixes of any form, which are known because lines in a row begin alike: `null_resource.web (local-exec): `,
//! `2026-03-25 10:00:01,123 - deploy - INFO - `, `=> `.
//!
//! A line that only Nix or an activation prints shows where its prefix ends. The prefix is believed if the line before or
//! the line behind begins with it as well, apart from its numbers, its level and the width of its spaces, or if nothing was
//! printed before.

use super::prefix::{Sender, is_of_nix};

/// Longest prefix.
const MAX_PREFIX: usize = 160;
/// Prefixes that are remembered, of the programs of one stream.
const MAX_KNOWN: usize = 64;

/// A piece of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Digits, of which lines have different ones: a time, a number of the line.
    Number,
    /// Spaces, with which some programs align what follows.
    Space,
    /// The level of a message: `INFO`, `error`.
    Level,
    /// A part that is the same in each line.
    Text(Box<str>),
}

/// A prefix apart from what differs between lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    pieces: Vec<Piece>,
    /// The spaces at its end, which are always the same: those behind them belong to the line.
    end: Box<str>,
}

/// Knows the prefixes of any form of a stream.
#[derive(Debug, Default)]
pub(super) struct AnyPrefix {
    known: Vec<Pattern>,
    /// The prefix of a line of Nix's that is believed if the next line has it, too.
    pending: Option<Pattern>,
    /// The beginning of the line before.
    before: String,
    has_lines: bool,
    /// Nix has printed lines without a prefix.
    is_bare: bool,
}

impl AnyPrefix {
    /// Returns the line behind a prefix that is known.
    pub(super) fn strip<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(pending) = self.pending.take()
            && pending.strip(text).is_some_and(|rest| !rest.trim().is_empty())
            && self.known.len() < MAX_KNOWN
        {
            self.known.push(pending);
        }
        self.known.iter().find_map(|pattern| pattern.strip(text))
    }

    /// Reads a line without any other prefix. Returns what stands behind its prefix if that is believed now.
    pub(super) fn learn<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if self.is_bare || text.trim().is_empty() {
            return None;
        }
        if is_of_nix(text, Sender::Collector) {
            self.is_bare = true;
            return None;
        }
        let rest = self.believed(text);
        self.has_lines = true;
        self.before.clear();
        self.before.push_str(beginning(text));
        rest
    }

    fn believed<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (at, is_sure) = line_of_nix(text)?;
        let (prefix, rest) = text.split_at(at);
        if !is_prefix(prefix, is_sure) || self.known.len() == MAX_KNOWN {
            return None;
        }
        let pattern = Pattern::new(prefix);
        if pattern.strip(&self.before).is_some() || is_sure && !self.has_lines {
            self.known.push(pattern);
            return Some(rest);
        }
        if is_sure {
            self.pending = Some(pattern);
        }
        None
    }
}

/// Returns where a line of Nix's or of an activation begins, and whether nobody else has such a line.
fn line_of_nix(text: &str) -> Option<(usize, bool)> {
    let head = beginning(text);
    let finds = |what: &str| memchr::memmem::find(head.as_bytes(), what.as_bytes());
    // `building '/…`, `activating the configuration...`
    for (at, _) in head.match_indices("ing ") {
        let word = head[..at].rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |before| before + 1);
        if let Some(line) = text.get(word..).filter(|_| word > 0)
            && is_of_nix(line, Sender::Collector)
        {
            return Some((word, true));
        }
    }
    let end = [" will be ", "nits failed: "].iter().find_map(|words| finds(words));
    let start =
        end.and_then(|end| ["these ", "this ", "warning: "].iter().find_map(|word| head[..end].rfind(word)));
    let start = start.or_else(|| finds("Starting ").or_else(|| finds("warning: Git tree '/")));
    if let Some(start) = start.filter(|start| *start > 0)
        && is_of_nix(&text[start..], Sender::Collector)
    {
        return Some((start, true));
    }
    let at = finds("error").filter(|at| *at > 0)?;
    is_of_nix(&text[at..], Sender::Program)
        .then_some((at, true))
        .or_else(|| is_of_nix(&text[at..], Sender::Collector).then_some((at, false)))
}

/// Returns whether a text before a line may be a prefix. Behind words of a sentence an error is quoted.
fn is_prefix(text: &str, is_sure: bool) -> bool {
    let visible = text.trim();
    let Some(last) = visible.chars().next_back() else { return false };
    // Quoted lines in Nix's own errors: `       > text`, `  12| text`.
    let is_quoted = text.starts_with(' ')
        && (visible == ">"
            || visible.strip_suffix('|').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())));
    let ends = text.len() > text.trim_end().len() || !last.is_alphanumeric();
    let is_apart = if is_sure {
        ends && !matches!(last, '"' | '\'' | '`' | '(' | ',' | '=')
    } else {
        ends && (matches!(last, '|' | ']' | '│') || visible.ends_with("):"))
    };
    is_apart && !is_quoted
}

/// The beginning of a line, in which a prefix can be.
fn beginning(text: &str) -> &str {
    text.char_indices().nth(MAX_PREFIX).map_or(text, |(at, _)| &text[..at])
}

impl Pattern {
    fn new(prefix: &str) -> Self {
        let body = prefix.trim_end_matches([' ', '\t']);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest = body;
        while let Some((piece, text)) = next_piece(rest) {
            rest = &rest[text.len()..];
            pieces.push(piece);
        }
        Self { pieces, end: prefix[body.len()..].into() }
    }

    /// Returns what stands behind the prefix, if the line begins with it.
    fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        let mut pieces = self.pieces.iter().peekable();
        while let Some(wanted) = pieces.next() {
            if let Piece::Text(word) = wanted {
                rest = rest.strip_prefix(&**word)?;
                continue;
            }
            if *wanted == Piece::Space && rest.trim().is_empty() && pieces.peek().is_none() {
                return Some("");
            }
            // Numbers are aligned with spaces.
            if *wanted == Piece::Number {
                rest = rest.trim_start_matches(' ');
            }
            let (piece, found) = next_piece(rest)?;
            if piece != *wanted {
                return None;
            }
            rest = &rest[found.len()..];
        }
        match rest.strip_prefix(&*self.end) {
            Some(rest) => Some(rest),
            None => rest.trim().is_empty().then_some(""),
        }
    }
}

/// Takes the next piece from a text: digits, spaces, letters, or one other character.
fn next_piece(text: &str) -> Option<(Piece, &str)> {
    const LEVELS: [&str; 10] =
        ["trace", "debug", "info", "notice", "note", "warn", "warning", "error", "fatal", "critical"];
    let first = text.chars().next()?;
    let run = |is_part: fn(char) -> bool| text.find(|c| !is_part(c)).map_or(text, |end| &text[..end]);
    Some(if first.is_ascii_digit() {
        (Piece::Number, run(|c| c.is_ascii_digit()))
    } else if matches!(first, ' ' | '\t') {
        (Piece::Space, run(|c| matches!(c, ' ' | '\t')))
    } else if first.is_alphabetic() {
        let word = run(char::is_alphabetic);
        let is_level = LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
        (if is_level { Piece::Level } else { Piece::Text(word.into()) }, word)
    } else {
        let text = &text[..first.len_utf8()];
        (Piece::Text(text.into()), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines, and what is behind the prefix of each, if it is believed.
    fn check(lines: &[(&str, Option<&str>)]) {
        let mut prefixes = AnyPrefix::default();
        for (line, expected) in lines {
            let found = prefixes.strip(line).or_else(|| prefixes.learn(line));
            assert_eq!(found, *expected, "{line}");
        }
    }

    const BUILDING: &str = "building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-lib.drv'...";

    #[test]
    fn prefixes_that_two_lines_have() {
        for (before, prefix, after) in [
            (
                "null_resource.x (local-exec): ",
                "null_resource.x (local-exec): ",
                "null_resource.x (local-exec): ",
            ),
            ("    default: ", "    default: ", "    default: "),
            ("web:build: ", "web:build: ", "web:build: "),
            ("│ ", "│ ", "│ "),
            ("9: [9.1s] | ", "9: [9.2s] | ", "9: [10.3s] | "),
            ("[9] ", "[10] ", "[11] "),
            (
                "2026-03-25 9:01,1 - x - INFO - ",
                "2026-03-25 9:02,2 - x - ERROR - ",
                "2026-03-25 9:03,3 - x - INFO - ",
            ),
            ("pod-7 nix ", "pod-7 nix ", "pod-7 nix "),
        ] {
            let lines = [
                format!("{before}$ nix build"),
                format!("{prefix}{BUILDING}"),
                format!("{after}       indented"),
                after.trim_end().to_owned(),
            ];
            check(&[
                (&lines[0], None),
                (&lines[1], Some(BUILDING)),
                (&lines[2], Some("       indented")),
                (&lines[3], Some("")),
                ("another line", None),
            ]);
            // Nothing is before.
            check(&[(&lines[1], Some(BUILDING)), (&lines[2], Some("       indented"))]);
            // The line before is of another program: the next one decides.
            check(&[("+ make", None), (&lines[1], None), (&lines[2], Some("       indented"))]);
        }
        check(&[
            ("x (local-exec): warning: unused", None),
            ("x (local-exec): error: attribute 'a' missing", Some("error: attribute 'a' missing")),
            ("x (local-exec):        at /x/flake.nix:3:5:", Some("       at /x/flake.nix:3:5:")),
        ]);
    }

    #[test]
    fn other_lines() {
        let quoted = format!("       > {BUILDING}");
        let said = format!("it says '{BUILDING}");
        for lines in [
            ["[1/2] Compiling a", "[2/2] Compiling error: b", "[2/2] done"],
            ["gcc: error: x.c", "gcc: error: y.c", "gcc: error: z.c"],
            ["got an error: x", "got an error: y", "got an error: z"],
            ["       > a", &quoted, "       > b"],
            ["it says 'a", &said, "it says 'b"],
            ["a", "       error: b", "       c"],
            [BUILDING, "[x] a", "[x] building"],
            ["    11| a", "    12| error: b", "    13| c"],
        ] {
            check(&lines.map(|line| (line, None)));
        }
        // A line of Nix's in the words of somebody, among other lines.
        let once = format!("last time: {BUILDING}");
        check(&[("a", None), (&once, None), ("b", None), (&once, None), ("c", None)]);
        // Bare lines of Nix's come first: what follows is of a builder.
        check(&[(BUILDING, None), ("machine (1): a", None), (&format!("machine (1): {BUILDING}"), None)]);
    }
}
