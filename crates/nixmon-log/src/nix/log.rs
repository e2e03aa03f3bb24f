//! The records of `--log-format internal-json`: activities, results, messages.
//!
//! Numbers that this version of nixmon does not know are kept as data ([`ActivityType::Other`], [`ResultType::Other`]):
//! a new Nix must not end a session. The numbers are those of `src/libutil/logging.hh` in Nix.

use std::borrow::Cow;

/// Level of a message: 0 error, 1 warn, 2 notice, 3 info (the default), 4 talkative, 5 chatty, 6 debug,
/// 7 vomit. Level 0 does not mean error: `builtins.trace` prints at level 0 too.
pub type VerbosityLevel = u64;

/// Type of an activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivityType {
    /// Described by its text only.
    Unknown,
    /// One store path from one store to another; fields: path, source, destination.
    CopyPath,
    /// One URL; field: the URL.
    FileTransfer,
    /// One request to obtain outputs; lives as long as its worker.
    Realise,
    /// Counts the paths that a worker substitutes or copies.
    CopyPaths,
    /// Counts the derivations that a worker builds.
    Builds,
    /// One build; fields: derivation, machine (empty: local), two numbers without meaning.
    Build,
    /// `nix store optimise`.
    OptimiseStore,
    /// `nix store verify`.
    VerifyPaths,
    /// One store path from a substituter; fields: path, substituter.
    Substitute,
    /// A question to a substituter; fields: path, substituter.
    QueryPathInfo,
    /// The hook that runs after a build; field: derivation.
    PostBuildHook,
    /// A build that cannot start yet: lock, machine, build user.
    BuildWaiting,
    /// A source tree, such as a flake input (2.20 and later).
    FetchTree,
    /// A source copied to the store (after 2.35).
    FetchToStore,
    /// A number not known here.
    Other(u64),
}

impl From<u64> for ActivityType {
    fn from(number: u64) -> Self {
        match number {
            0 => Self::Unknown,
            100 => Self::CopyPath,
            101 => Self::FileTransfer,
            102 => Self::Realise,
            103 => Self::CopyPaths,
            104 => Self::Builds,
            105 => Self::Build,
            106 => Self::OptimiseStore,
            107 => Self::VerifyPaths,
            108 => Self::Substitute,
            109 => Self::QueryPathInfo,
            110 => Self::PostBuildHook,
            111 => Self::BuildWaiting,
            112 => Self::FetchTree,
            113 => Self::FetchToStore,
            other => Self::Other(other),
        }
    }
}

/// Type of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// A file replaced by a hard link.
    FileLinked,
    /// One line of a build's log.
    BuildLogLine,
    /// A path without a valid signature.
    UntrustedPath,
    /// A path whose content does not match.
    CorruptedPath,
    /// The build's phase.
    SetPhase,
    /// done, expected, running, failed.
    Progress,
    /// An activity type and how much of it is to come.
    SetExpected,
    /// One line of the post-build hook.
    PostBuildLogLine,
    /// One line of git's progress.
    FetchStatus,
    /// 109: told apart by shape. Upstream after 2.35 (fields): a source reached the store. Determinate (payload): a hash
    /// mismatch.
    FetchToStoreOrHashMismatch,
    /// 110 of Determinate Nix: the result of a build, in the payload.
    BuildResult,
    /// A number not known here.
    Other(u64),
}

impl From<u64> for ResultType {
    fn from(number: u64) -> Self {
        match number {
            100 => Self::FileLinked,
            101 => Self::BuildLogLine,
            102 => Self::UntrustedPath,
            103 => Self::CorruptedPath,
            104 => Self::SetPhase,
            105 => Self::Progress,
            106 => Self::SetExpected,
            107 => Self::PostBuildLogLine,
            108 => Self::FetchStatus,
            109 => Self::FetchToStoreOrHashMismatch,
            110 => Self::BuildResult,
            other => Self::Other(other),
        }
    }
}

/// A string of a record, still in its JSON form: decoded only when somebody looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// A text that needs no decoding.
    pub fn plain(text: &'a str) -> Self {
        Self { raw: text, escaped: false }
    }

    /// The characters between the quotes of a valid JSON string; `escaped` if a backslash is among them.
    pub(crate) fn json(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// Returns whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Returns whether the text may begin with one of these ASCII characters; an escape may stand for any.
    pub fn may_begin_with(&self, chars: &[u8]) -> bool {
        self.raw
            .as_bytes()
            .first()
            .is_some_and(|first| chars.contains(first) || self.escaped && *first == b'\\')
    }

    /// The text itself; borrowed where the JSON form has no escapes.
    pub fn decode(&self) -> Cow<'a, str> {
        if self.escaped {
            let mut out = String::with_capacity(self.raw.len());
            self.decode_into(&mut out);
            Cow::Owned(out)
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Appends the text to `out`.
    pub fn decode_into(&self, out: &mut String) {
        if !self.escaped {
            out.push_str(self.raw);
            return;
        }
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            out.push_str(&rest[..at]);
            let (c, used) = unescape(&rest.as_bytes()[at..]);
            out.push(c);
            // The scanner has seen that the escape is whole; were it not, the rest would be dropped.
            rest = rest.get(at + used..).unwrap_or("");
        }
        out.push_str(rest);
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.decode() == other.decode()
    }
}

impl Eq for Text<'_> {}

/// The character that an escape sequence stands for, and its length in bytes.
fn unescape(escape: &[u8]) -> (char, usize) {
    let simple = match escape.get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => {
            let high = hex4(escape.get(2..6));
            if (0xd800..0xdc00).contains(&high) && escape.get(6..8) == Some(b"\\u") {
                let low = hex4(escape.get(8..12));
                if (0xdc00..0xe000).contains(&low) {
                    let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
                }
            }
            return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
        }
        // `"`, `\` and `/` stand for themselves.
        Some(&c) => char::from(c),
        None => char::REPLACEMENT_CHARACTER,
    };
    (simple, 2)
}

fn hex4(digits: Option<&[u8]>) -> u32 {
    digits
        .and_then(|digits| {
            digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
        })
        .unwrap_or(u32::from(char::REPLACEMENT_CHARACTER))
}

/// One element of `fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// An unsigned integer.
    Int(u64),
    /// A string.
    Str(Text<'a>),
    /// Anything else; no known Nix writes it.
    Other,
}

/// The `fields` of a record. Up to four are held in place, which is as many as any known record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    head: [Field<'a>; 4],
    in_head: usize,
    more: Vec<Field<'a>>,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self { head: [Field::Other; 4], in_head: 0, more: Vec::new() }
    }
}

impl<'a> Fields<'a> {
    /// Adds a field at the end.
    pub fn push(&mut self, field: Field<'a>) {
        match self.head.get_mut(self.in_head) {
            Some(slot) => {
                *slot = field;
                self.in_head += 1;
            }
            None => self.more.push(field),
        }
    }

    /// The field at a position.
    pub fn get(&self, index: usize) -> Option<Field<'a>> {
        let head = self.head.get(..self.in_head).unwrap_or_default();
        head.get(index).or_else(|| self.more.get(index.checked_sub(self.in_head)?)).copied()
    }

    /// The string at a position.
    pub fn str(&self, index: usize) -> Option<Text<'a>> {
        match self.get(index) {
            Some(Field::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The integer at a position.
    pub fn int(&self, index: usize) -> Option<u64> {
        match self.get(index) {
            Some(Field::Int(int)) => Some(int),
            _ => None,
        }
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.in_head + self.more.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.in_head == 0
    }
}

/// A position in a Nix expression as an error record gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position<'a> {
    /// A path or another origin such as `«string»`; from 2.20 on with `:LINE:COLUMN` at its end.
    pub file: Option<Text<'a>>,
    /// Counted from 1; 0 where there is no origin.
    pub line: Option<u64>,
    /// Counted from 1.
    pub column: Option<u64>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogMessage<'a> {
    /// An activity begins.
    Start {
        /// Unique while it lives; its upper 32 bits are the process.
        id: u64,
        /// A hint: activities are never filtered by verbosity.
        level: VerbosityLevel,
        /// 0 where there is none, and in 2.4 to 2.17.
        parent: u64,
        /// Its type.
        kind: ActivityType,
        /// For people; often empty.
        text: Text<'a>,
        /// For programs.
        fields: Fields<'a>,
    },
    /// An activity ends; says nothing about success.
    Stop {
        /// The activity.
        id: u64,
    },
    /// News of an activity.
    Result {
        /// The activity.
        id: u64,
        /// Its type.
        kind: ResultType,
        /// The report.
        fields: Fields<'a>,
        /// The report in Determinate Nix, as JSON.
        payload: Option<&'a str>,
    },
    /// Free text.
    Msg {
        /// Its level.
        level: VerbosityLevel,
        /// The text, with terminal escapes.
        msg: Text<'a>,
        /// For errors: the text without `error:`, trace and indentation.
        raw_msg: Option<Text<'a>>,
        /// For errors: the position.
        position: Position<'a>,
        /// For errors with `--show-trace`: the frames, as JSON.
        trace: Option<&'a str>,
    },
    /// A builder's own record; Nix turns it into [`ResultType::SetPhase`], so it is seen in raw logs only.
    SetPhase {
        /// The phase.
        phase: Text<'a>,
    },
    /// An action not known here.
    Other {
        /// Its name.
        action: Text<'a>,
    },
}
