//! Display width: how many columns of a terminal a text takes.
//!
//! All functions take text without escapes and control characters, see [`sanitize`](super::sanitize()).

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Characters before a boundary that can change what the character after it joins: an emoji with its modifiers.
const CONTEXT: usize = 8;

/// Columns that the text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts the text to a number of columns, with `ellipsis` at the end if anything was cut.
///
/// Never cuts what is drawn as one: letters with combining marks, emoji sequences, flags. Where even the ellipsis does not
/// fit, the text is cut without one.
pub fn truncate<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    match cut(text, columns, ellipsis) {
        None => Cow::Borrowed(text),
        Some((kept, "")) => Cow::Borrowed(kept),
        Some((kept, ellipsis)) => Cow::Owned([kept, ellipsis].concat()),
    }
}

/// Where [`truncate`] cuts: the text to keep and the ellipsis to put after it. None where the text fits.
pub(super) fn cut<'a, 'e>(text: &'a str, columns: usize, ellipsis: &'e str) -> Option<(&'a str, &'e str)> {
    let ellipsis = if width(ellipsis) <= columns { ellipsis } else { "" };
    let limit = columns - width(ellipsis);
    let mut taken = 0;
    let mut kept = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (cluster, after) = split_cluster(rest);
        taken += width(cluster);
        if taken > columns {
            return Some((text.get(..kept)?, ellipsis));
        }
        rest = after;
        if taken <= limit {
            kept = text.len() - rest.len();
        }
    }
    None
}

/// Splits off the first characters that are drawn as one.
///
/// What belongs together is taken from the width: a character joins those before it if together they are not as wide as
/// apart, or if it has no width of its own. Two regional indicators (a flag) are as wide as apart, and some emoji become
/// wide only by what follows them, so these join by rule.
fn split_cluster(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    if let ([b' '..=b'~'], []) | ([b' '..=b'~'], [0..0x80, ..]) = bytes.split_at(bytes.len().min(1)) {
        return text.split_at(1);
    }
    let mut chars = text.char_indices();
    let Some((_, first)) = chars.next() else {
        return ("", "");
    };
    // Whether a regional indicator waits for its other half.
    let mut half_flag = is_regional_indicator(first);
    let mut after_joiner = false;
    let mut starts = [0; CONTEXT];
    for (n, (at, c)) in chars.enumerate() {
        let is_flag = half_flag && is_regional_indicator(c);
        let is_sequence = after_joiner && is_pictographic(c);
        let joins = c.width() == Some(0) || is_flag || is_sequence || {
            // `starts` is a ring of where the last characters start; the oldest is the one to be replaced.
            let start = if n + 1 < CONTEXT { 0 } else { starts[(n + 1) % CONTEXT] };
            let (before, with) = (text.get(start..at), text.get(start..at + c.len_utf8()));
            let apart = before.map_or(0, width) + c.width().unwrap_or(1);
            with.map_or(0, width) != apart
        };
        if !joins {
            return text.split_at(at);
        }
        half_flag = is_regional_indicator(c) && !is_flag;
        after_joiner = c == '\u{200d}';
        starts[(n + 1) % CONTEXT] = at;
    }
    (text, "")
}

fn is_regional_indicator(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Whether a joiner can join the character to an emoji. The blocks of emoji rather than the exact property: too much
/// held together does no harm.
fn is_pictographic(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Fills up with spaces at the end. Text that is as wide or wider stays as it is.
pub fn pad(text: &str, columns: usize) -> Cow<'_, str> {
    match columns.saturating_sub(width(text)) {
        0 => Cow::Borrowed(text),
        n_spaces => Cow::Owned([text, &" ".repeat(n_spaces)].concat()),
    }
}

/// Fills up with spaces at the beginning, as numbers want it.
pub fn pad_start(text: &str, columns: usize) -> Cow<'_, str> {
    match columns.saturating_sub(width(text)) {
        0 => Cow::Borrowed(text),
        n_spaces => Cow::Owned([&" ".repeat(n_spaces), text].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn truncates() {
        for (text, columns, ellipsis, expected) in [
            ("", 0, "…", ""),
            ("hello", 5, "…", "hello"),
            ("hello", 4, "…", "hel…"),
            ("hello", 4, "...", "h..."),
            ("hello", 3, "...", "..."),
            ("hello", 2, "...", "he"),
            ("hello", 1, "…", "…"),
            ("hello", 0, "…", ""),
            ("漢字漢字", 8, "…", "漢字漢字"),
            ("漢字漢字", 7, "…", "漢字漢…"),
            ("漢字漢字", 6, "…", "漢字…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "…", "e\u{301}…"),
            ("👩\u{200d}👩\u{200d}👧\u{200d}👦 family", 5, "…", "👩\u{200d}👩\u{200d}👧\u{200d}👦 f…"),
            (
                "👩🏿\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}👩🏿👍🏽ab",
                5,
                "…",
                "👩🏿\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}👩🏿👍🏽…",
            ),
            ("👍🏽👍🏽", 3, "…", "👍🏽…"),
            ("🇩🇪🇫🇷", 3, "…", "🇩🇪…"),
            ("🇩🇪🇫🇷", 2, "", "🇩🇪"),
            ("☀\u{fe0f}☀\u{fe0f}", 3, "…", "☀\u{fe0f}…"),
            ("1\u{fe0f}\u{20e3}23", 3, "…", "1\u{fe0f}\u{20e3}…"),
        ] {
            assert_eq!(truncate(text, columns, ellipsis), expected, "{text:?} to {columns}");
        }
    }

    #[test]
    fn pads() {
        for (text, columns, end, start) in
            [("ab", 4, "ab  ", "  ab"), ("漢", 3, "漢 ", " 漢"), ("ab", 2, "ab", "ab"), ("ab", 1, "ab", "ab")]
        {
            assert_eq!((&*pad(text, columns), &*pad_start(text, columns)), (end, start));
        }
    }

    /// Sanitised text rich in what joins.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z ]{1,4}",
            "[\u{300}-\u{304}\u{200c}\u{200d}\u{fe0e}\u{fe0f}\u{20e3}]",
            "[\u{1f1e6}-\u{1f1ff}]",
            "[👩👧❤☀👍💻\u{1f3fb}-\u{1f3ff}]",
            "[漢字한\u{1100}-\u{1112}\u{1161}-\u{1175}لاי]",
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..20)
            .prop_map(|pieces| super::super::sanitize(&pieces.concat()).into_owned())
    }

    proptest! {
        #[test]
        fn never_wider(text in text(), columns in 0..40_usize, ellipsis in "…|\\.\\.\\.|") {
            let cut = truncate(&text, columns, &ellipsis);
            prop_assert!(width(&cut) <= columns, "{:?}", cut);
            if width(&text) <= columns {
                prop_assert_eq!(&cut, &text);
            } else {
                let kept = cut.strip_suffix(&*ellipsis).unwrap_or(&cut);
                prop_assert!(text.starts_with(kept));
            }
        }

        #[test]
        fn clusters_add_up(text in text()) {
            let mut rest = &*text;
            let mut sum = 0;
            while !rest.is_empty() {
                let (cluster, after) = split_cluster(rest);
                prop_assert!(!cluster.is_empty());
                sum += width(cluster);
                rest = after;
            }
            prop_assert_eq!(sum, width(&text));
        }

        #[test]
        fn padded(text in text(), columns in 0..40_usize) {
            prop_assert_eq!(width(&pad(&text, columns)), columns.max(width(&text)));
        }
    }

    #[test]
    fn long_text_is_linear() {
        // Would not end if a boundary looked at the whole of what is before it.
        for text in [
            "a\u{301}".repeat(100_000),
            "👩\u{200d}".repeat(100_000),
            format!("a{}", "\u{301}".repeat(300_000)),
        ] {
            assert!(width(&truncate(&text, 80, "…")) <= 80);
            assert!(width(&truncate(&text, 8, "…")) <= 8);
        }
    }
}
