//! Removal of what foreign text must not bring to a terminal, a page or a report.

use std::borrow::Cow;

/// Removes terminal escape sequences (CSI, OSC, DCS, two-byte escapes) and keeps every other character.
///
/// Borrows where there is nothing to remove, which is the usual case. A sequence that does not end runs to the end of
/// the text.
pub fn strip_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\u{9b}', '\u{9d}', '\u{90}']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = match c {
            '\u{1b}' => match chars.next() {
                None => break,
                Some(kind) => kind,
            },
            '\u{9b}' => '[',
            '\u{9d}' => ']',
            '\u{90}' => 'P',
            _ => {
                out.push(c);
                continue;
            }
        };
        match kind {
            // Parameters and intermediates up to one final byte.
            '[' => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
            // Strings that BEL or ST ends.
            ']' | 'P' | 'X' | '^' | '_' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\u{07}' | '\u{9c}' => break,
                        '\u{1b}' if chars.peek() == Some(&'\\') => {
                            chars.next();
                            break;
                        }
                        _ => {}
                    }
                }
            }
            // Intermediates (character sets and the like), then one final byte.
            ' '..='/' => while chars.next().is_some_and(|c| (' '..='/').contains(&c)) {},
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// Makes foreign text safe for one line: no escapes, no control characters, tabs as one space.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control()) {
        return Cow::Borrowed(text);
    }
    let stripped = strip_escapes(text);
    Cow::Owned(
        stripped
            .chars()
            .filter_map(|c| match c {
                '\t' | '\n' | '\r' => Some(' '),
                c if c.is_control() => None,
                c => Some(c),
            })
            .collect(),
    )
}
