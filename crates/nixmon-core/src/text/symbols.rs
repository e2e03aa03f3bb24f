//! The symbols in the output, and their ASCII forms.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Symbols for output, without spaces around them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbols {
    /// A success.
    pub success: &'static str,
    /// A failure.
    pub failure: &'static str,
    /// A warning.
    pub warning: &'static str,
    /// Something in progress.
    pub running: &'static str,
    /// Something that waits for something else.
    pub waiting: &'static str,
    /// Something that cannot begin because something before it failed.
    pub skipped: &'static str,
    /// A download.
    pub download: &'static str,
    /// An upload.
    pub upload: &'static str,
    /// An omission.
    pub ellipsis: &'static str,
    /// A change from old to new, or an advice.
    pub arrow: &'static str,
    /// A separator of parts of a line.
    pub bullet: &'static str,
    /// A dash before the end of a sentence.
    pub dash: &'static str,
    /// A multiplication sign.
    pub times: &'static str,
    /// A branch of a tree to a child with further siblings.
    pub branch: &'static str,
    /// A branch of a tree to the last child.
    pub last_branch: &'static str,
    /// A line of a tree past the children of another node.
    pub trunk: &'static str,
    /// A cell of a bar that is done.
    pub bar_done: &'static str,
    /// A cell of a bar that is to come.
    pub bar_left: &'static str,
}

impl Default for Symbols {
    fn default() -> Self {
        Self::unicode()
    }
}

impl Symbols {
    /// The symbols for a terminal or a file: Unicode, or ASCII only.
    pub const fn new(ascii: bool) -> Self {
        if ascii { Self::ascii() } else { Self::unicode() }
    }

    /// Symbols that terminal fonts have, each as wide as Unicode defines. None needs a patched font.
    pub const fn unicode() -> Self {
        Symbols {
            success: "✓",
            failure: "✗",
            warning: "⚠",
            running: "▶",
            waiting: "⏸",
            skipped: "⊘",
            download: "↓",
            upload: "↑",
            ellipsis: "…",
            arrow: "→",
            bullet: "·",
            dash: "—",
            times: "×",
            branch: "├─",
            last_branch: "└─",
            trunk: "│ ",
            bar_done: "━",
            bar_left: "─",
        }
    }

    /// Stand-ins for terminals and locales without Unicode.
    pub const fn ascii() -> Self {
        Symbols {
            success: "ok",
            failure: "x",
            warning: "!",
            running: ">",
            waiting: "=",
            skipped: "skip",
            download: "v",
            upload: "^",
            ellipsis: "...",
            arrow: "->",
            bullet: "|",
            dash: "-",
            times: "x",
            branch: "|-",
            last_branch: "`-",
            trunk: "| ",
            bar_done: "#",
            bar_left: "-",
        }
    }
}

/// Rewrites text in ASCII, for locales without UTF-8.
///
/// Symbols become their ASCII forms, quotation marks and dashes plain ones. Characters without width are dropped, and
/// any other character becomes `?`. Widths change, so this comes before any truncation.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            c if c.width() == Some(0) => {}
            c => out.push_str(transliterated(c)),
        }
    }
    Cow::Owned(out)
}

fn transliterated(c: char) -> &'static str {
    match c {
        '✓' => "ok",
        '✗' => "x",
        '⚠' => "!",
        '▶' => ">",
        '⏸' => "=",
        '⊘' => "skip",
        '↓' => "v",
        '↑' => "^",
        '…' => "...",
        '→' => "->",
        '·' => "|",
        '×' => "x",
        '├' | '│' => "|",
        '└' => "`",
        '━' => "#",
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '─' => "-",
        '\u{2018}'..='\u{201b}' => "'",
        '\u{201c}'..='\u{201f}' => "\"",
        '•' => "*",
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => " ",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(symbols: Symbols) -> [&'static str; 18] {
        // Without `..`, so that a new field is tested too.
        let Symbols {
            success,
            failure,
            warning,
            running,
            waiting,
            skipped,
            download,
            upload,
            ellipsis,
            arrow,
            bullet,
            dash,
            times,
            branch,
            last_branch,
            trunk,
            bar_done,
            bar_left,
        } = symbols;
        [
            success,
            failure,
            warning,
            running,
            waiting,
            skipped,
            download,
            upload,
            ellipsis,
            arrow,
            bullet,
            dash,
            times,
            branch,
            last_branch,
            trunk,
            bar_done,
            bar_left,
        ]
    }

    #[test]
    fn ascii_forms_are_those_of_transliteration() {
        for (unicode, plain) in all(Symbols::unicode()).into_iter().zip(all(Symbols::ascii())) {
            assert_eq!(ascii(unicode), plain);
            assert!(plain.is_ascii());
            assert_eq!(nixmon_log::escapes::sanitize(unicode), unicode);
            let columns = unicode.chars().count();
            assert_eq!(crate::text::width(unicode), columns, "{unicode}");
        }
    }

    #[test]
    fn transliterates() {
        for (text, expected) in [
            ("plain", "plain"),
            ("✓ 3 built · 1 failed", "ok 3 built | 1 failed"),
            ("error: ‘x’ – “y”", "error: 'x' - \"y\""),
            ("e\u{301}té 漢", "et? ?"),
            ("├─ a\n└─ b", "|- a\n`- b"),
            ("❤\u{fe0f}", "?"),
        ] {
            assert_eq!(ascii(text), expected);
        }
        assert!(matches!(ascii("x"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn is_ascii(text: String) {
            prop_assert!(ascii(&text).is_ascii());
        }
    }
}
