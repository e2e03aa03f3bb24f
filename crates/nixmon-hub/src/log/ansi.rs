//! Colours of a line of a log: SGR sequences (ECMA-48, 8.3.117) become classes of a style sheet.
//!
//! Only sixteen colours are told apart, since each has to be readable on a light and on a dark page; the others are mapped
//! to the nearest of them. Text is never hidden: `conceal` and a colour equal to its background have no effect.

use nixmon_log::escapes::{last_carriage, sanitize};

/// Largest number of styled parts of a line.
const MAX_SPANS: usize = 64;

/// A style, as bits: colour and background (number + 1, 0 for none), bold, faint, italic, underlined, struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style(pub(crate) u32);

const BACKGROUND: u32 = 8;
const FLAGS: [(u32, &str); 5] =
    [(1 << 16, "bold"), (1 << 17, "faint"), (1 << 18, "italic"), (1 << 19, "underline"), (1 << 20, "strike")];
const INVERSE: u32 = 1 << 21;

impl Style {
    fn color(self) -> u32 {
        self.0 & 0xff
    }

    fn background(self) -> u32 {
        (self.0 >> BACKGROUND) & 0xff
    }

    fn set_color(&mut self, color: u32) {
        self.0 = (self.0 & !0xff) | color;
    }

    fn set_background(&mut self, color: u32) {
        self.0 = (self.0 & !(0xff << BACKGROUND)) | (color << BACKGROUND);
    }

    fn set(&mut self, bits: u32, on: bool) {
        self.0 = if on { self.0 | bits } else { self.0 & !bits };
    }

    /// Returns the names of the classes, separated by spaces. `c0` to `c15` are colours, `b0` to `b15` backgrounds.
    pub(crate) fn classes(self) -> String {
        let mut classes = Vec::new();
        let (mut color, mut background) = (self.color(), self.background());
        if self.0 & INVERSE != 0 {
            std::mem::swap(&mut color, &mut background);
        }
        // A background has one colour of text that can be read on it.
        if background > 0 {
            classes.push(format!("b{}", background - 1));
        } else if color > 0 {
            classes.push(format!("c{}", color - 1));
        } else if self.0 & INVERSE != 0 {
            classes.push("inverse".to_owned());
        }
        let flags = FLAGS.iter().filter(|(bit, _)| self.0 & bit != 0);
        classes.extend(flags.map(|(_, name)| (*name).to_owned()));
        classes.join(" ")
    }

    /// Applies the parameters of an SGR sequence.
    fn apply(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|number| match number {
            "" => 0,
            number => number.parse::<u32>().unwrap_or(u32::MAX),
        });
        while let Some(number) = numbers.next() {
            match number {
                0 => *self = Self::default(),
                1..=4 | 9 => self.set(FLAGS[number.min(5) as usize - 1].0, true),
                7 => self.set(INVERSE, true),
                21 | 22 => self.set(FLAGS[0].0 | FLAGS[1].0, false),
                23 | 24 => self.set(FLAGS[number as usize - 21].0, false),
                27 => self.set(INVERSE, false),
                29 => self.set(FLAGS[4].0, false),
                30..=37 => self.set_color(number - 29),
                90..=97 => self.set_color(number - 81),
                39 => self.set_color(0),
                40..=47 => self.set_background(number - 39),
                100..=107 => self.set_background(number - 91),
                49 => self.set_background(0),
                38 | 48 => {
                    let Some(color) = extended(&mut numbers) else { return };
                    if number == 38 { self.set_color(color + 1) } else { self.set_background(color + 1) }
                }
                _ => {}
            }
        }
    }
}

/// Reads a colour of the 256 or a true colour, and returns the nearest of the sixteen.
fn extended(numbers: &mut impl Iterator<Item = u32>) -> Option<u32> {
    match numbers.next()? {
        5 => match numbers.next()? {
            color @ 0..=15 => Some(color),
            cube @ 16..=231 => {
                let level = |n: u32| if n == 0 { 0 } else { 55 + 40 * n };
                let cube = cube - 16;
                Some(nearest(level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
            }
            gray @ 232..=255 => {
                let level = 8 + 10 * (gray - 232);
                Some(nearest(level, level, level))
            }
            _ => None,
        },
        2 => {
            let (red, green, blue) = (numbers.next()?, numbers.next()?, numbers.next()?);
            Some(nearest(red.min(255), green.min(255), blue.min(255)))
        }
        _ => None,
    }
}

/// Returns the nearest of the sixteen colours, by their values in xterm.
fn nearest(red: u32, green: u32, blue: u32) -> u32 {
    const COLORS: [(u32, u32, u32); 16] = [
        (0, 0, 0),
        (205, 0, 0),
        (0, 205, 0),
        (205, 205, 0),
        (0, 0, 238),
        (205, 0, 205),
        (0, 205, 205),
        (229, 229, 229),
        (127, 127, 127),
        (255, 0, 0),
        (0, 255, 0),
        (255, 255, 0),
        (92, 92, 255),
        (255, 0, 255),
        (0, 255, 255),
        (255, 255, 255),
    ];
    let square = |a: u32, b: u32| a.abs_diff(b).pow(2);
    let distance = |&(r, g, b): &(u32, u32, u32)| square(r, red) + square(g, green) + square(b, blue);
    (0..16).zip(&COLORS).min_by_key(|(_, color)| distance(color)).map_or(7, |(n, _)| n)
}

/// A styled part of a line: it begins at this byte of the text and ends where the next part begins.
pub(crate) type Span = (u32, Style);

/// Returns the text that a log shows for a line as a program wrote it, and the parts of it that have a style.
pub(crate) fn styled(raw: &str) -> (String, Vec<Span>) {
    let raw = last_carriage(raw).trim_end();
    let mut text = String::with_capacity(raw.len());
    let mut spans: Vec<Span> = Vec::new();
    let mut style = Style::default();
    let mut rest = raw;
    while let Some((before, parameters, after)) = next_sgr(rest) {
        text.push_str(&sanitize(before));
        style.apply(parameters);
        let at = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let n_spans = spans.len();
        match spans.last_mut() {
            Some(last) if last.0 == at => last.1 = style,
            Some(last) if last.1 == style => {}
            None if style == Style::default() => {}
            _ if n_spans >= MAX_SPANS => {}
            _ => spans.push((at, style)),
        }
        rest = after;
    }
    text.push_str(&sanitize(rest));
    text.truncate(text.trim_end().len());
    spans.retain(|(at, _)| (*at as usize) < text.len());
    // A part without a style at the beginning says nothing.
    if spans.first().is_some_and(|(_, style)| *style == Style::default()) {
        spans.remove(0);
    }
    (text, spans)
}

/// Splits a text at its first whole SGR sequence: what is before it, its parameters, what is after it.
fn next_sgr(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices("\u{1b}[").find_map(|(at, start)| {
        let (before, rest) = text.split_at(at);
        let rest = rest.strip_prefix(start)?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
        let after = rest.get(end..)?.strip_prefix('m')?;
        Some((before, rest.get(..end)?, after))
    })
}

/// Splits a text into its parts with the classes of each.
pub(crate) fn parts<'a>(text: &'a str, spans: &[Span]) -> Vec<(&'a str, String)> {
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut style = Style::default();
    for (at, next) in spans.iter().copied().chain([(u32::MAX, Style::default())]) {
        let end = text.floor_char_boundary((at as usize).min(text.len()));
        if let Some(part) = text.get(begin..end).filter(|part| !part.is_empty()) {
            parts.push((part, style.classes()));
        }
        begin = begin.max(end);
        style = next;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &str, expected: &[(&str, &str)]) {
        let (text, spans) = styled(raw);
        let parts = parts(&text, &spans);
        let parts: Vec<(&str, &str)> =
            parts.iter().map(|(text, classes)| (*text, classes.as_str())).collect();
        assert_eq!(parts, expected, "{raw:?}");
    }

    #[test]
    fn colors() {
        check("plain", &[("plain", "")]);
        check("\u{1b}[31mred\u{1b}[0m plain", &[("red", "c1"), (" plain", "")]);
        check("a\u{1b}[1;92mb\u{1b}[22mc\u{1b}[md", &[("a", ""), ("b", "c10 bold"), ("c", "c10"), ("d", "")]);
        check("\u{1b}[31mred\u{1b}[31m red", &[("red red", "c1")]);
        check(
            "\u{1b}[38;5;196mx\u{1b}[38;5;4my\u{1b}[38;2;1;2;3mz",
            &[("x", "c9"), ("y", "c4"), ("z", "c0")],
        );
        check("\u{1b}[3;4;9mx\u{1b}[23;24;29my", &[("x", "italic underline strike"), ("y", "")]);
        check("\u{1b}[41;37mx\u{1b}[49my", &[("x", "b1"), ("y", "c7")]);
        check("\u{1b}[7mx\u{1b}[27my", &[("x", "inverse"), ("y", "")]);
        // Text stays readable.
        check("\u{1b}[8mhidden\u{1b}[30;40mblack", &[("hidden", ""), ("black", "b0")]);
        // Other sequences, unfinished ones and numbers that are none.
        check("\u{1b}[2Ja\u{1b}]0;title\u{7}b\u{1b}[3", &[("ab", "")]);
        check("\u{1b}[38;5;999mx\u{1b}[99999999999my", &[("xy", "")]);
        check("\u{1b}[31m", &[]);
        check("1 %\r2 %\r\u{1b}[32mdone", &[("done", "c2")]);
    }

    proptest! {
        /// The text is what every other view of a log shows, and nothing in it controls anything.
        #[test]
        fn the_text_is_clean(raw in r"(\x1b\[[0-9;:]{0,6}m|\x1b\[[0-9]?|\x1b\]|\r|[a-z<>&\x{202e} ]|\x07){0,30}") {
            let (text, spans) = styled(&raw);
            prop_assert_eq!(sanitize(&text), text.as_str());
            let joined: String = parts(&text, &spans).iter().map(|(part, _)| *part).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
