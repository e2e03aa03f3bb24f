//! Removal of everything in foreign text that could harm a terminal, a page or a report.

use std::borrow::Cow;

/// Characters that begin an escape sequence: ESC, and the C1 forms of DCS, SOS, CSI, OSC, PM and APC.
const INTRODUCERS: [char; 7] = ['\u{1b}', '\u{90}', '\u{98}', '\u{9b}', '\u{9d}', '\u{9e}', '\u{9f}'];

/// Removes terminal escape sequences (CSI, OSC, DCS, two-byte escapes) and keeps every other character.
///
/// Borrows the text if there is nothing to remove, which is the usual case. An unfinished sequence ends where a terminal
/// abandons it: at another escape, at CAN or SUB, or at a character that cannot be part of it. Unlike in a terminal, it also
/// ends with its line, so that one broken line cannot hide those after it.
pub fn strip_escapes(text: &str) -> Cow<'_, str> {
    // ESC is one byte; of the C1 forms the first is 0xc2, as of few other characters.
    let Some(from) = memchr::memchr2(0x1b, 0xc2, text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let Some(first) = text.get(from..).and_then(|rest| rest.find(INTRODUCERS)).map(|at| from + at) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut next = Some(first);
    while let Some((plain, sequence)) = next.and_then(|next| rest.split_at_checked(next)) {
        out.push_str(plain);
        rest = skip_sequence(sequence);
        next = rest.find(INTRODUCERS);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the text after the escape sequence at the beginning of `text`.
fn skip_sequence(text: &str) -> &str {
    let mut chars = text.chars();
    let kind = match chars.next() {
        Some('\u{1b}') => {
            // Intermediates say that this is about character sets and the like.
            let rest = chars.as_str().trim_start_matches(|c| matches!(c, ' '..='/'));
            let has_intermediates = rest.len() < chars.as_str().len();
            chars = rest.chars();
            match chars.next() {
                Some(c @ '0'..='~') if !has_intermediates => c,
                Some('0'..='~') => return chars.as_str(),
                _ => return rest,
            }
        }
        Some('\u{90}') => 'P',
        Some('\u{9b}') => '[',
        Some(_) => ']',
        None => return "",
    };
    let rest = chars.as_str();
    let tail = |end: usize| rest.get(end..).unwrap_or_default();
    match kind {
        // Parameters and intermediates up to one final byte.
        '[' => match rest.char_indices().find(|(_, c)| !matches!(c, ' '..='?')) {
            Some((end, '@'..='~')) => tail(end + 1),
            Some((end, '\u{18}' | '\u{1a}')) => tail(end + 1),
            Some((end, _)) => tail(end),
            None => "",
        },
        // Strings that BEL or ST ends.
        ']' | 'P' | 'X' | '^' | '_' => {
            let ends = ['\u{07}', '\u{9c}', '\u{18}', '\u{1a}', '\u{1b}', '\n'];
            match rest.char_indices().find(|(_, c)| ends.contains(c)) {
                Some((end, '\n')) => tail(end),
                // ST, or an escape of its own.
                Some((end, '\u{1b}')) => tail(end).strip_prefix("\u{1b}\\").unwrap_or(tail(end)),
                Some((end, c)) => tail(end + c.len_utf8()),
                None => "",
            }
        }
        _ => rest,
    }
}

/// Makes foreign text safe for one line: without escapes, control characters, and characters that reorder or hide text.
///
/// Tabs and line breaks become one space each. The only Unicode format characters that are kept are those needed for writing:
/// joiners (U+200C and U+200D, in emoji and in several scripts) and variation selectors of emoji.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    // A byte test, since nearly every line is ASCII.
    if is_printable_ascii(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    if !text.chars().any(|c| c.is_control() || is_hazard(c)) {
        return Cow::Borrowed(text);
    }
    let stripped = strip_escapes(text);
    let mut out = String::with_capacity(stripped.len());
    let mut chars = stripped.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push(' '),
            c if c.is_control() || is_hazard(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Returns whether all bytes are from space to tilde, eight bytes at a time.
fn is_printable_ascii(text: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (eights, rest) = text.as_chunks();
    // The highest bit of a byte is set if it is not ASCII, if it is below a space, or if it is DEL. A borrow or a carry
    // from a lower byte means that that one is such a byte already.
    let bad = eights.iter().fold(0, |bad, eight| {
        let eight = u64::from_le_bytes(*eight);
        bad | eight | eight.wrapping_sub(EACH * 0x20) | eight.wrapping_add(EACH)
    });
    bad & (EACH * 0x80) == 0 && rest.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Makes control characters and those that reorder or hide text visible, as `\u{1b}`, and keeps line breaks and tabs.
///
/// For text that the user or a file name has brought into a message of nixmon's own: there it matters what it is, and
/// nothing may vanish.
pub fn escape(text: &str) -> Cow<'_, str> {
    let is_shown = |c: char| matches!(c, '\n' | '\t') || !c.is_control() && !is_hazard(c);
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_shown(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    Cow::Owned(out)
}

/// Returns whether a character is invisible and changes the text around it: bidirectional controls, invisible operators, tags.
fn is_hazard(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' // soft hyphen
        | '\u{61c}' | '\u{200e}' | '\u{200f}' // marks of direction
        | '\u{180e}' | '\u{200b}' // separators without width
        | '\u{2028}'..='\u{202e}' // line breaks, embeddings and overrides of direction
        | '\u{2060}'..='\u{206f}' // invisible operators, isolates of direction, deprecated controls
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' // annotations
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' // tags and supplementary variation selectors: text that only programs see
    )
}

/// Returns the text that a terminal shows in the end for a line with carriage returns: the part after the last one.
///
/// Blank parts do not count, since they only clear the line (`\r` at the end, `\r\x1b[K`): the last visible text is more
/// useful than none.
pub fn last_carriage(line: &str) -> &str {
    let visible = |part: &&str| !strip_escapes(part).trim().is_empty();
    if line.contains('\r') { line.rsplit('\r').find(visible).unwrap_or_default() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_hidden_is_made_visible() {
        for (input, expected) in [
            ("plain é ✓", "plain é ✓"),
            ("two\nlines\tand more", "two\nlines\tand more"),
            ("\x1b[2Jmake", "\\u{1b}[2Jmake"),
            ("a\x1b]0;x\x07.zst\r\0", "a\\u{1b}]0;x\\u{7}.zst\\u{d}\\u{0}"),
            ("evil\u{202e}txt.zst\u{2066}\u{9b}", "evil\\u{202e}txt.zst\\u{2066}\\u{9b}"),
            ("👩\u{200d}🚀", "👩\u{200d}🚀"),
        ] {
            assert_eq!(escape(input), expected);
        }
    }

    #[test]
    fn escapes() {
        for (input, expected) in [
            ("", ""),
            ("plain é ✓", "plain é ✓"),
            // As Nix and compilers write them.
            ("\x1b[31;1merror:\x1b[0m cannot build", "error: cannot build"),
            ("\x1b[38;5;214mx\x1b[m", "x"),
            ("\x1b[38:2::255:0:0mx", "x"),
            ("\x1b[?25l\x1b[2K\x1b[1Gx\x1b[?25h", "x"),
            ("\u{9b}31mx\u{9b}0m", "x"),
            // Links and titles, ended by ST, by BEL and by the C1 form.
            ("\x1b]8;;https://example.org\x1b\\text\x1b]8;;\x1b\\", "text"),
            ("\x1b]0;title\x07x", "x"),
            ("\u{9d}0;title\u{9c}x", "x"),
            ("\x1bPq#0;2\x1b\\x", "x"),
            ("\u{90}q\x1b\\x", "x"),
            ("\x1b_payload\x1b\\x\x1b^pm\x1b\\y\x1bXsos\x1b\\z", "xyz"),
            ("\u{9f}a\u{9c}x\u{9e}b\u{9c}y\u{98}c\u{9c}z", "xyz"),
            // Other escapes, with and without intermediates.
            ("\x1b(Bx\x1b)0y\x1b#8z", "xyz"),
            ("\x1b=x\x1b>y\x1b7\x1b8\x1bcz", "xyz"),
            // Unfinished.
            ("x\x1b", "x"),
            ("x\x1b[", "x"),
            ("x\x1b[31", "x"),
            ("x\x1b]0;title", "x"),
            ("x\x1b(", "x"),
            ("\x1b[31\nx", "\nx"),
            ("\x1b[31\u{18}x", "x"),
            ("\x1b[3éx", "éx"),
            ("\x1b]0;title\nerror: x", "\nerror: x"),
            ("\x1béx\x1b\ny", "éx\ny"),
            // One in another.
            ("\x1b\x1b[31mx", "x"),
            ("\x1b[3\x1b[1mx", "x"),
            ("\x1b]0;a\x1b[31mx\x07", "x\x07"),
            ("\x1b[\u{9b}31mx", "x"),
            ("\x1b]0;\x1b]0;a\x07\x07x", "\x07x"),
        ] {
            assert_eq!(strip_escapes(input), expected, "{input:?}");
        }
        assert!(matches!(strip_escapes("a\tb\r\x08"), Cow::Borrowed(_)));
    }

    #[test]
    fn safe_lines() {
        for (input, expected) in [
            ("plain", "plain"),
            ("a\tb\nc\rd\r\ne", "a b c d e"),
            ("\x1b[1mbold\x1b[0m\x07\x00\x7f\u{9c}", "bold"),
            ("rm\x08\x08ls", "rmls"),
            ("a\u{85}b\u{2028}c\u{2029}d", "a b c d"),
            ("user\u{202e}gpj.exe\u{202c}", "usergpj.exe"),
            ("\u{2066}a\u{2069}\u{200f}b\u{61c}", "ab"),
            ("a\u{200b}b\u{2060}c\u{feff}d\u{ad}e", "abcde"),
            ("x\u{e0049}\u{e0067}\u{e0001}y", "xy"),
            (
                "e\u{301} 👩\u{200d}💻 ❤\u{fe0f} می\u{200c}خواهم",
                "e\u{301} 👩\u{200d}💻 ❤\u{fe0f} می\u{200c}خواهم",
            ),
            ("שלום 漢字", "שלום 漢字"),
        ] {
            assert_eq!(sanitize(input), expected, "{input:?}");
        }
        assert!(matches!(sanitize("é ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn printable_bytes_are_told_from_others_wherever_they_are() {
        for len in 0..20 {
            for byte in 0..=u8::MAX {
                for at in 0..len {
                    for other in [b' ', b'a', b'~', b'\t', 0xff] {
                        let mut text = vec![other; len];
                        text[at] = byte;
                        let expected = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
                        assert_eq!(is_printable_ascii(&text), expected, "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn carriage_returns() {
        for (input, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("  indented", "  indented"),
            ("10%\r20%\r30%", "30%"),
            ("10%\r20%\r", "20%"),
            ("10%\r\x1b[K", "10%"),
            ("\r\x1b[2K\x1b[32mdone\x1b[0m", "\x1b[2K\x1b[32mdone\x1b[0m"),
            ("Receiving objects: 100%\r      \r", "Receiving objects: 100%"),
            ("\r\r", ""),
        ] {
            assert_eq!(last_carriage(input), expected, "{input:?}");
        }
    }

    /// Text with many beginnings and ends of sequences.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\x1b".to_owned()),
            "[\x1b\u{90}\u{98}\u{9b}-\u{9f}\x07\x18\\\\\\[\\]P_mK0;( \r\n\t\x08]",
            "[\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}]",
            any::<char>().prop_map(String::from),
            "[a-z]{1,3}",
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn sanitized_is_safe_and_stable(text in hostile()) {
            let safe = sanitize(&text);
            prop_assert!(!safe.chars().any(|c| c.is_control() || is_hazard(c)), "{:?}", safe);
            prop_assert_eq!(sanitize(&safe), &*safe);
        }

        #[test]
        fn stripping_is_stable_and_keeps_lines(text in hostile()) {
            let stripped = strip_escapes(&text);
            prop_assert!(!stripped.contains(INTRODUCERS));
            prop_assert_eq!(strip_escapes(&stripped), &*stripped);
            prop_assert_eq!(stripped.matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn last_carriage_has_none(text in hostile()) {
            prop_assert!(!last_carriage(&text).contains('\r'));
        }
    }
}
