//! Display width of text in columns of a terminal.
//!
//! All functions take text without escapes and control characters, see [`sanitize`](super::sanitize()).

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Returns the display width of a text in columns.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts the text to a number of columns, with `ellipsis` at the end if anything was cut.
///
/// Never cuts a cluster that is drawn as one: letters with combining marks, emoji sequences, flags. If even the ellipsis
/// does not fit, the text is cut without one.
pub fn truncate<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    match cut(text, columns, ellipsis) {
        None => Cow::Borrowed(text),
        Some((kept, "")) => Cow::Borrowed(kept),
        Some((kept, ellipsis)) => Cow::Owned([kept, ellipsis].concat()),
    }
}

/// Returns the text that [`truncate`] keeps and the ellipsis to put after it, or `None` if the text fits.
pub(super) fn cut<'a, 'e>(text: &'a str, columns: usize, ellipsis: &'e str) -> Option<(&'a str, &'e str)> {
    let ellipsis = if width(ellipsis) <= columns { ellipsis } else { "" };
    let limit = columns - width(ellipsis);
    if text.is_ascii() {
        return (text.len() > columns).then(|| (text.get(..limit).unwrap_or(text), ellipsis));
    }
    let mut taken = 0;
    let mut kept = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        let end = at + cluster.len();
        taken += width(cluster);
        if taken > columns {
            // Some letters of neighbouring clusters are drawn as one, so the sum can be too much.
            taken = text.get(..end).map_or(taken, width);
        }
        if taken > columns {
            return Some((text.get(..kept)?, ellipsis));
        }
        if taken <= limit {
            kept = end;
        }
    }
    None
}

/// Fills a text with spaces at the end. Text that is as wide or wider stays as it is.
pub fn pad(text: &str, columns: usize) -> Cow<'_, str> {
    match columns.saturating_sub(width(text)) {
        0 => Cow::Borrowed(text),
        n_spaces => Cow::Owned([text, &" ".repeat(n_spaces)].concat()),
    }
}

/// Fills a text with spaces at the beginning, for columns of numbers.
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
            .prop_map(|pieces| nixmon_log::escapes::sanitize(&pieces.concat()).into_owned())
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
        fn padded(text in text(), columns in 0..40_usize) {
            prop_assert_eq!(width(&pad(&text, columns)), columns.max(width(&text)));
        }
    }

    #[test]
    fn long_text_is_linear() {
        // This would hang if each boundary looked at all the text before it.
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
