//! Reads one record's JSON without building a tree: strings stay where they are.
//!
//! Handles what Nix writes and gives up on the rest ([`scan`] returns `None`), so that the caller can ask a full JSON
//! parser. What it accepts, it must read exactly as serde_json would; a test holds it to that.

use crate::nix::log::{ActivityType, Field, Fields, LogMessage, Position, ResultType, Text};

/// Reads one record. `trusted` text is known to be valid JSON, so nested values may be skipped over unread.
pub(super) fn scan(record: &str, trusted: bool) -> Option<LogMessage<'_>> {
    let mut scanner = Scanner { text: record, at: 0, trusted };
    if let Some(message) = scanner.usual() {
        return Some(message);
    }
    scanner.at = 0;
    let keys = scanner.object()?;
    keys.into_message()
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
    text: &'a str,
    at: usize,
    trusted: bool,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// A record exactly as Nix writes nearly all: no spaces, keys in alphabetical order, none that is rare.
    fn usual(&mut self) -> Option<LogMessage<'a>> {
        self.word(r#"{"action":""#)?;
        let message = match self.peek()? {
            b'r' => {
                self.word(r#"result","fields":"#)?;
                let mut fields = Fields::default();
                self.fields(&mut fields)?;
                let id = self.int_of(r#","id":"#)?;
                let kind = ResultType::from(self.int_of(r#","type":"#)?);
                LogMessage::Result { id, kind, fields, payload: None }
            }
            b's' if self.word(r#"stop""#).is_some() => LogMessage::Stop { id: self.int_of(r#","id":"#)? },
            b'm' => {
                self.word(r#"msg""#)?;
                let level = self.int_of(r#","level":"#)?;
                self.word(r#","msg":"#)?;
                let msg = self.text()?;
                LogMessage::Msg { level, msg, raw_msg: None, position: Position::default(), trace: None }
            }
            _ => return None,
        };
        self.word("}")?;
        (self.at == self.text.len()).then_some(message)
    }

    fn int_of(&mut self, key: &str) -> Option<u64> {
        self.word(key)?;
        self.int()
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
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    self.spaces();
                    return (self.at == self.text.len()).then_some(keys);
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
            self.word("null")?;
            return Some(None);
        }
        read(self).map(Some)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// An unsigned integer that fits; signs, fractions and leading zeros are for the full parser.
    fn int(&mut self) -> Option<u64> {
        let from = self.at;
        let mut value: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - from;
        // Nineteen digits always fit.
        if digits > 19 {
            value = self.text.get(from..self.at)?.parse().ok()?;
        }
        let leading_zero = digits > 1 && self.text.as_bytes()[from] == b'0';
        let goes_on = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (digits > 0 && !leading_zero && !goes_on).then_some(value)
    }

    /// The characters between the quotes, and whether there are escapes among them.
    fn string(&mut self) -> Option<(&'a str, bool)> {
        self.eat(b'"')?;
        let bytes = self.text.as_bytes();
        let from = self.at;
        let mut escaped = false;
        loop {
            let found = memchr::memchr2(b'"', b'\\', bytes.get(self.at..)?)?;
            self.at += found;
            if bytes[self.at] == b'"' {
                let raw = self.text.get(from..self.at)?;
                self.at += 1;
                return Some((raw, escaped));
            }
            escaped = true;
            match bytes.get(self.at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                b'u' => {
                    let digits = bytes.get(self.at + 2..self.at + 6)?;
                    // Surrogates, alone or in pairs, are for the full parser.
                    if !digits.iter().all(u8::is_ascii_hexdigit) || matches!(digits[0], b'd' | b'D') {
                        return None;
                    }
                    self.at += 6;
                }
                _ => return None,
            }
        }
    }

    fn fields(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        self.eat(b'[')?;
        self.spaces();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.spaces();
            let field = match self.peek()? {
                b'"' => Field::Str(self.text()?),
                b'0'..=b'9' => Field::Int(self.int()?),
                b'n' if self.trusted => {
                    self.word("null")?;
                    Field::Other
                }
                _ => return None,
            };
            fields.push(field);
            self.spaces();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
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
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.nested().map(drop),
        }
    }

    /// An array or an object of text that is known to be valid.
    fn nested(&mut self) -> Option<&'a str> {
        if !self.trusted {
            return None;
        }
        let from = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 {
                return self.text.get(from..self.at);
            }
        }
    }
}
