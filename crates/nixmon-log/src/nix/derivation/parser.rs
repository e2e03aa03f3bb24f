//! The pieces of the format that both readers share.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::{OutputRef, ParseDerivationError};

/// Levels of dynamic derivations. Nix has no limit and practice has one or two.
const MAX_DEPTH: usize = 64;

/// The form of the input derivations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    Traditional,
    DynamicDerivations,
}

/// A position in the content of a `.drv` file.
pub(super) struct Parser<'a> {
    input: &'a [u8],
    offset: usize,
}

type Result<T> = std::result::Result<T, ParseDerivationError>;

impl<'a> Parser<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Parser { input, offset: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.offset..).unwrap_or_default()
    }

    fn next(&mut self) -> Result<u8> {
        let byte = *self.input.get(self.offset).ok_or(ParseDerivationError::UnexpectedEnd)?;
        self.offset += 1;
        Ok(byte)
    }

    /// Consumes the byte if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.input.get(self.offset) == Some(&byte);
        self.offset += usize::from(found);
        found
    }

    /// Consumes one delimiter of the format.
    pub(super) fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) {
            return Ok(());
        }
        if self.rest().is_empty() {
            return Err(ParseDerivationError::UnexpectedEnd);
        }
        let expected = match byte {
            b'"' => "'\"'",
            b'(' => "'('",
            b')' => "')'",
            b'[' => "'['",
            _ => "','",
        };
        Err(ParseDerivationError::Expected { expected, offset: self.offset })
    }

    /// Reads what stands before the outputs.
    pub(super) fn header(&mut self) -> Result<Version> {
        for (word, version) in
            [("Derive(", Version::Traditional), ("DrvWithVersion(", Version::DynamicDerivations)]
        {
            let (word, rest) = (word.as_bytes(), self.rest());
            if rest.starts_with(word) {
                self.offset += word.len();
                if version == Version::DynamicDerivations {
                    if *self.bytes()? != *b"xp-dyn-drv" {
                        return Err(ParseDerivationError::UnknownVersion);
                    }
                    self.expect(b',')?;
                }
                return Ok(version);
            }
            if word.starts_with(rest) {
                return Err(ParseDerivationError::UnexpectedEnd);
            }
        }
        Err(ParseDerivationError::Expected { expected: "'Derive' or 'DrvWithVersion'", offset: self.offset })
    }

    /// Reads a list, giving the parser to `item` at each of its items.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            match self.next()? {
                b',' => {}
                b']' => return Ok(()),
                _ => {
                    let offset = self.offset - 1;
                    return Err(ParseDerivationError::Expected { expected: "',' or ']'", offset });
                }
            }
        }
    }

    /// Reads a string. Borrows it where nothing is escaped.
    pub(super) fn bytes(&mut self) -> Result<Cow<'a, [u8]>> {
        self.expect(b'"')?;
        let mut out = Vec::new();
        loop {
            let rest = self.rest();
            let n = memchr2(b'"', b'\\', rest).ok_or(ParseDerivationError::UnexpectedEnd)?;
            let (plain, _) = rest.split_at(n);
            self.offset += n;
            if self.next()? == b'"' {
                if out.is_empty() {
                    return Ok(Cow::Borrowed(plain));
                }
                out.extend_from_slice(plain);
                return Ok(Cow::Owned(out));
            }
            out.extend_from_slice(plain);
            // As in Nix, any other escaped character stands for itself.
            out.push(match self.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                byte => byte,
            });
        }
    }

    /// Reads a string that Nix makes of characters: a name, a path, a system.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>> {
        let bytes = self.bytes()?;
        let not_utf8 = ParseDerivationError::NotUtf8 { offset: self.offset };
        match bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| not_utf8),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_utf8),
        }
    }

    /// Passes over a string.
    pub(super) fn skip_string(&mut self) -> Result<()> {
        self.expect(b'"')?;
        // Up to the next quote, and again if an odd number of backslashes before it escapes it. The count stops where
        // this string or the last such quote began, so no byte is counted twice.
        loop {
            let rest = self.rest();
            let n = memchr(b'"', rest).ok_or(ParseDerivationError::UnexpectedEnd)?;
            let (plain, _) = rest.split_at(n);
            self.offset += n + 1;
            let n_backslashes = plain.iter().rev().take_while(|&&byte| byte == b'\\').count();
            if n_backslashes % 2 == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn output(&mut self) -> Result<OutputRef<'a>> {
        self.expect(b'(')?;
        let name = self.text()?;
        self.expect(b',')?;
        let path = self.text()?;
        self.expect(b',')?;
        let hash_algo = self.text()?;
        self.expect(b',')?;
        let hash = self.text()?;
        self.expect(b')')?;
        Ok(OutputRef { name, path, hash_algo, hash })
    }

    /// Reads one input derivation: gives its path, and its output names to `name`.
    ///
    /// The names are those that must exist: outputs that are used, and outputs whose content is a derivation of which
    /// something is used. What is used of the latter is passed over.
    pub(super) fn input_derivation(
        &mut self,
        version: Version,
        mut name: impl FnMut(Cow<'a, str>),
    ) -> Result<Cow<'a, str>> {
        self.expect(b'(')?;
        let path = self.text()?;
        self.expect(b',')?;
        if version == Version::DynamicDerivations && self.take(b'(') {
            self.list(|parser| parser.text().map(&mut name))?;
            self.expect(b',')?;
            self.list(|parser| {
                parser.expect(b'(')?;
                name(parser.text()?);
                parser.expect(b',')?;
                parser.skip_node(MAX_DEPTH)?;
                parser.expect(b')')
            })?;
            self.expect(b')')?;
        } else {
            self.list(|parser| parser.text().map(&mut name))?;
        }
        self.expect(b')')?;
        Ok(path)
    }

    /// Passes over output names and those of the derivations that the outputs are: `["out"]` or
    /// `(["out"],[("out",node),…])`.
    fn skip_node(&mut self, depth: usize) -> Result<()> {
        if !self.take(b'(') {
            return self.list(Self::skip_string);
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ParseDerivationError::TooDeep { offset: self.offset });
        };
        self.list(Self::skip_string)?;
        self.expect(b',')?;
        self.list(|parser| {
            parser.expect(b'(')?;
            parser.skip_string()?;
            parser.expect(b',')?;
            parser.skip_node(depth)?;
            parser.expect(b')')
        })?;
        self.expect(b')')
    }

    /// Accepts nothing more, but for a newline of whoever edited the file.
    pub(super) fn end(&self) -> Result<()> {
        match self.rest().trim_ascii() {
            [] => Ok(()),
            _ => Err(ParseDerivationError::Trailing { offset: self.offset }),
        }
    }
}
