//! The few signs in our output, and what stands for them where there is only ASCII.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// Signs for output. Each is text of its own; spaces around it are the line's affair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbols {
    /// It worked.
    pub success: &'static str,
    /// It did not.
    pub failure: &'static str,
    /// It did, but.
    pub warning: &'static str,
    /// It is going on.
    pub running: &'static str,
    /// It waits for something else.
    pub waiting: &'static str,
    /// It was not even begun, since something before it failed.
    pub skipped: &'static str,
    /// Comes from elsewhere.
    pub download: &'static str,
    /// Goes elsewhere.
    pub upload: &'static str,
    /// Something was left out.
    pub ellipsis: &'static str,
    /// From here to there, old to new.
    pub arrow: &'static str,
    /// Between parts of a line.
    pub bullet: &'static str,
    /// Before a thought at the end of a line.
    pub dash: &'static str,
    /// So many times.
    pub times: &'static str,
    /// In a tree: a child with another after it.
    pub branch: &'static str,
    /// In a tree: the last child.
    pub last_branch: &'static str,
    /// In a tree: past the children of another.
    pub trunk: &'static str,
}

impl Symbols {
    /// Signs that the fonts of terminals have, each as wide as Unicode says. None is of a patched font.
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
        }
    }
}

/// Rewrites text in ASCII, for locales without UTF-8.
///
/// Our symbols become their ASCII forms, quotation marks and dashes the plain ones. What has no width is dropped, and
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

    fn all(symbols: Symbols) -> [&'static str; 16] {
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
        ]
    }

    #[test]
    fn ascii_forms_are_those_of_transliteration() {
        for (unicode, plain) in all(Symbols::unicode()).into_iter().zip(all(Symbols::ascii())) {
            assert_eq!(ascii(unicode), plain);
            assert!(plain.is_ascii());
            assert_eq!(crate::text::sanitize(unicode), unicode);
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
