//! Reads one record's JSON without building a tree: strings stay where they are.
//!
//! Handles what Nix writes and gives up on the rest ([`scan`] returns `None`), so that the caller can ask a full JSON
//! parser. What it accepts, it must read exactly as serde_json would; a test holds it to that.

use crate::nix::log::{ActivityType, Field, Fields, LogMessage, Position, ResultType, Text};

/// Reads one record. A `trusted` one is known to be valid JSON, so nested values may be skipped over unread.
#[inline(always)] // see `decode`
pub(super) fn scan(record: &[u8], trusted: bool) -> Option<LogMessage<'_>> {
    match (Scanner { rest: record, trusted }).usual() {
        Some(message) => Some(message),
        None => Scanner { rest: record, trusted }.object()?.into_message(),
    }
}

/// The keys that matter, of any action.
#[derive(Default)]
struct Keys<'a> {
    seen: u32,
    action: Text<'a>,
    id: u64,
    level: u64,
    parent: u64,
    kind: u64,
    text: Text<'a>,
    msg: Text<'a>,
    raw_msg: Option<Text<'a>>,
    phase: Text<'a>,
    position: Position<'a>,
    fields: Fields<'a>,
    payload: Option<&'a str>,
    trace: Option<&'a str>,
}

const ACTION: u32 = 1;
const ID: u32 = 1 << 1;
const LEVEL: u32 = 1 << 2;
const PARENT: u32 = 1 << 3;
const TYPE: u32 = 1 << 4;
const TEXT: u32 = 1 << 5;
const MSG: u32 = 1 << 6;
const RAW_MSG: u32 = 1 << 7;
const PHASE: u32 = 1 << 8;
const FILE: u32 = 1 << 9;
const LINE: u32 = 1 << 10;
const COLUMN: u32 = 1 << 11;
const FIELDS: u32 = 1 << 12;
const PAYLOAD: u32 = 1 << 13;
const TRACE: u32 = 1 << 14;

impl<'a> Keys<'a> {
    fn has(&self, bits: u32) -> bool {
        self.seen & bits == bits
    }

    /// A record lacks nothing that its action needs, or the full parser decides what to do with it.
    fn into_message(self) -> Option<LogMessage<'a>> {
        if !self.has(ACTION) {
            return None;
        }
        match &*self.action.decode() {
            "start" if self.has(ID | TYPE) => Some(LogMessage::Start {
                id: self.id,
                level: self.level,
                parent: self.parent,
                kind: ActivityType::from(self.kind),
                text: self.text,
                fields: self.fields,
            }),
            "stop" if self.has(ID) => Some(LogMessage::Stop { id: self.id }),
            "result" if self.has(ID | TYPE) => Some(LogMessage::Result {
                id: self.id,
                kind: ResultType::from(self.kind),
                fields: self.fields,
                payload: self.payload,
            }),
            "msg" if self.has(MSG) => Some(LogMessage::Msg {
                level: self.level,
                msg: self.msg,
                raw_msg: self.raw_msg,
                position: self.position,
                trace: self.trace,
            }),
            "setPhase" if self.has(PHASE) => Some(LogMessage::SetPhase { phase: self.phase }),
            "start" | "stop" | "result" | "msg" | "setPhase" => None,
            _ => Some(LogMessage::Other { action: self.action }),
        }
    }
}

struct Scanner<'a> {
    /// The unread rest.
    rest: &'a [u8],
    trusted: bool,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.skip())
    }

    fn spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.skip();
        }
    }

    /// A record exactly as Nix writes nearly all: no spaces, keys in alphabetical order, none that is rare.
    #[inline(always)] // see `decode`
    fn usual(&mut self) -> Option<LogMessage<'a>> {
        self.word(br#"{"action":""#)?;
        match self.peek()? {
            b'r' => {
                self.word(br#"result","fields":"#)?;
                let mut fields = Fields::default();
                self.fields(&mut fields)?;
                self.word(br#","id":"#)?;
                let id = self.int()?;
                self.word(br#","type":"#)?;
                let kind = ResultType::from(self.int()?);
                self.end()?;
                Some(LogMessage::Result { id, kind, fields, payload: None })
            }
            b's' if self.word(br#"stop","id":"#).is_some() => {
                let id = self.int()?;
                self.end()?;
                Some(LogMessage::Stop { id })
            }
            b's' => {
                self.word(br#"start","#)?;
                let mut fields = Fields::default();
                if self.word(br#""fields":"#).is_some() {
                    self.fields(&mut fields)?;
                    self.eat(b',')?;
                }
                self.word(br#""id":"#)?;
                let id = self.int()?;
                self.word(br#","level":"#)?;
                let level = self.int()?;
                self.word(br#","parent":"#)?;
                let parent = self.int()?;
                self.word(br#","text":"#)?;
                let text = self.text()?;
                self.word(br#","type":"#)?;
                let kind = ActivityType::from(self.int()?);
                self.end()?;
                Some(LogMessage::Start { id, level, parent, kind, text, fields })
            }
            b'm' => {
                self.word(br#"msg","level":"#)?;
                let level = self.int()?;
                self.word(br#","msg":"#)?;
                let msg = self.text()?;
                self.end()?;
                Some(LogMessage::Msg {
                    level,
                    msg,
                    raw_msg: None,
                    position: Position::default(),
                    trace: None,
                })
            }
            _ => None,
        }
    }

    fn end(&self) -> Option<()> {
        (self.rest == b"}").then_some(())
    }

    fn object(&mut self) -> Option<Keys<'a>> {
        let mut keys = Keys::default();
        self.spaces();
        self.eat(b'{')?;
        loop {
            self.spaces();
            let key = self.string()?;
            if key.1 {
                return None;
            }
            self.spaces();
            self.eat(b':')?;
            self.spaces();
            self.member(key.0, &mut keys)?;
            self.spaces();
            match self.peek()? {
                b',' => self.skip(),
                b'}' => {
                    self.skip();
                    self.spaces();
                    return self.rest.is_empty().then_some(keys);
                }
                _ => return None,
            }
        }
    }

    fn member(&mut self, key: &'a str, keys: &mut Keys<'a>) -> Option<()> {
        let bit = match key {
            "action" => ACTION,
            "id" => ID,
            "level" => LEVEL,
            "parent" => PARENT,
            "type" => TYPE,
            "text" => TEXT,
            "msg" => MSG,
            "raw_msg" => RAW_MSG,
            "phase" => PHASE,
            "file" => FILE,
            "line" => LINE,
            "column" => COLUMN,
            "fields" => FIELDS,
            "payload" => PAYLOAD,
            "trace" => TRACE,
            _ => return self.skip_value(),
        };
        // Which of two equal keys counts is for the full parser to say.
        if keys.seen & bit != 0 {
            return None;
        }
        keys.seen |= bit;
        match bit {
            ACTION => keys.action = self.text()?,
            ID => keys.id = self.int()?,
            LEVEL => keys.level = self.int()?,
            PARENT => keys.parent = self.int()?,
            TYPE => keys.kind = self.int()?,
            TEXT => keys.text = self.text()?,
            MSG => keys.msg = self.text()?,
            RAW_MSG => keys.raw_msg = Some(self.text()?),
            PHASE => keys.phase = self.text()?,
            FILE => keys.position.file = self.optional(Self::text)?,
            LINE => keys.position.line = self.optional(Self::int)?,
            COLUMN => keys.position.column = self.optional(Self::int)?,
            FIELDS => self.fields(&mut keys.fields)?,
            PAYLOAD => keys.payload = Some(self.nested()?),
            _ => keys.trace = Some(self.nested()?),
        }
        Some(())
    }

    fn text(&mut self) -> Option<Text<'a>> {
        self.string().map(|(raw, escaped)| Text::json(raw, escaped))
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.peek()? == b'n' {
            self.word(b"null")?;
            return Some(None);
        }
        read(self).map(Some)
    }

    /// A word of known length: comparing it takes a few instructions and no call.
    fn word<const N: usize>(&mut self, word: &[u8; N]) -> Option<()> {
        let (first, rest) = self.rest.split_first_chunk::<N>()?;
        (first == word).then(|| self.rest = rest)
    }

    /// An unsigned integer that fits; signs, fractions and leading zeros are for the full parser.
    fn int(&mut self) -> Option<u64> {
        let mut rest = self.rest;
        let mut value: u64 = 0;
        // Ids have seventeen digits, sizes nine.
        while let Some((eight, after)) = rest.split_first_chunk()
            && let Some(digits) = eight_digits(*eight)
        {
            value = value.wrapping_mul(100_000_000).wrapping_add(digits);
            rest = after;
        }
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            rest = after;
        }
        let digits = self.rest.get(..self.rest.len() - rest.len())?;
        // Nineteen digits always fit.
        if digits.len() > 19 {
            value = std::str::from_utf8(digits).ok()?.parse().ok()?;
        }
        let leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
        let goes_on = matches!(rest.first(), Some(b'.' | b'e' | b'E'));
        self.rest = rest;
        (!digits.is_empty() && !leading_zero && !goes_on).then_some(value)
    }

    /// The characters between the quotes, and whether there are escapes among them.
    fn string(&mut self) -> Option<(&'a str, bool)> {
        self.eat(b'"')?;
        let text = self.rest;
        let mut escaped = false;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', text.get(end..)?)?;
            if text[end] == b'"' {
                break;
            }
            escaped = true;
            match text.get(end + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => end += 2,
                b'u' => {
                    let digits = text.get(end + 2..end + 6)?;
                    // Surrogates, alone or in pairs, are for the full parser.
                    if !digits.iter().all(u8::is_ascii_hexdigit) || matches!(digits[0], b'd' | b'D') {
                        return None;
                    }
                    end += 6;
                }
                _ => return None,
            }
        }
        let (text, rest) = text.split_at_checked(end)?;
        self.rest = rest;
        self.skip();
        // JSON forbids control characters in strings; the full parser knows what to say of them, and of bad UTF-8.
        if has_control(text) {
            return None;
        }
        Some((std::str::from_utf8(text).ok()?, escaped))
    }

    fn fields(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        self.eat(b'[')?;
        self.spaces();
        if self.peek()? == b']' {
            self.skip();
            return Some(());
        }
        loop {
            self.spaces();
            let field = match self.peek()? {
                b'"' => Field::Str(self.text()?),
                b'0'..=b'9' => Field::Int(self.int()?),
                b'n' if self.trusted => {
                    self.word(b"null")?;
                    Field::Other
                }
                _ => return None,
            };
            fields.push(field);
            self.spaces();
            match self.peek()? {
                b',' => self.skip(),
                b']' => {
                    self.skip();
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'0'..=b'9' => self.int().map(drop),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            _ => self.nested().map(drop),
        }
    }

    /// An array or an object of a record that is known to be valid.
    fn nested(&mut self) -> Option<&'a str> {
        if !self.trusted {
            return None;
        }
        let from = self.rest;
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'[' | b'{' => {
                    depth += 1;
                    self.skip();
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.skip();
                }
                _ => self.skip(),
            }
            if depth == 0 {
                return std::str::from_utf8(from.get(..from.len() - self.rest.len())?).ok();
            }
        }
    }
}

/// One in each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Returns whether a byte is below 0x20, eight bytes at a time.
fn has_control(text: &[u8]) -> bool {
    let (eights, rest) = text.as_chunks();
    // The difference borrows a byte's highest bit where the byte is too small; one that has that bit is not.
    let borrowed = eights.iter().fold(0, |borrowed, eight| {
        let eight = u64::from_le_bytes(*eight);
        borrowed | (eight.wrapping_sub(EACH * 0x20) & !eight)
    });
    borrowed & (EACH * 0x80) != 0 || rest.iter().any(|byte| *byte < b' ')
}

/// The number that eight digits stand for, if that is what they are.
fn eight_digits(bytes: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(bytes) ^ (EACH * 0x30);
    // 9 + 0x76 is the most that leaves a byte's highest bit at 0.
    if (digits | digits.wrapping_add(EACH * 0x76)) & (EACH * 0x80) != 0 {
        return None;
    }
    // The first digit is in the lowest byte. Neighbours are put together three times: 8 of one, 4 of two, 2 of four
    // digits.
    let twos = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_found_wherever_they_are() {
        for len in 0..20 {
            for byte in 0..=u8::MAX {
                for at in 0..len {
                    for other in [b' ', b'a', 0x7f, 0x80, 0xff] {
                        let mut text = vec![other; len];
                        text[at] = byte;
                        assert_eq!(has_control(&text), byte < 0x20, "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn eight_digits_are_read_at_once() {
        for (text, expected) in [
            (b"00000000", Some(0)),
            (b"12345678", Some(12_345_678)),
            (b"99999999", Some(99_999_999)),
            (b"00000090", Some(90)),
            (b"1234567,", None),
            (b"/2345678", None),
            (b"1234:678", None),
            (b"12345\xb078", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(eight_digits(*text), expected, "{text:?}");
        }
    }
}
