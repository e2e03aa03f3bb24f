//! The part of a derivation that a dependency graph needs.

use std::borrow::Cow;

use super::ParseDerivationError;
use super::parser::Parser;

/// The parts of a derivation that a dependency graph needs, borrowed from the file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DerivationInputs<'a> {
    /// Outputs, in the order of the file: by output name.
    pub outputs: Vec<OutputRef<'a>>,
    /// Input derivations, in the order of the file: by path.
    pub input_derivations: Vec<InputDerivation<'a>>,
    /// The system it is built on, `x86_64-linux` or `builtin`.
    pub system: Cow<'a, str>,
    /// Attribute `pname`, where it has one: the name without the version.
    pub pname: Option<Cow<'a, str>>,
    /// Attribute `version`.
    pub version: Option<Cow<'a, str>>,
}

/// One output, with the strings of the file. A string that does not apply is empty, see [`Output`](super::Output).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OutputRef<'a> {
    /// Output name.
    pub name: Cow<'a, str>,
    /// Store path, if it is known before the build.
    pub path: Cow<'a, str>,
    /// Hash algorithm of a content-addressed output.
    pub hash_algo: Cow<'a, str>,
    /// Hash of a fixed output, or `impure`.
    pub hash: Cow<'a, str>,
}

impl OutputRef<'_> {
    /// Returns whether the output has its hash given beforehand.
    pub fn is_fixed(&self) -> bool {
        !self.hash.is_empty() && self.hash != "impure"
    }
}

/// One input derivation and what is needed of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InputDerivation<'a> {
    /// Path of the `.drv`.
    pub path: Cow<'a, str>,
    /// Output names that are needed. Of dynamic derivations the outermost only.
    pub outputs: Vec<Cow<'a, str>>,
}

impl<'a> DerivationInputs<'a> {
    /// Parses the beginning of a `.drv` file up to the system, and no more.
    ///
    /// `pname` and `version` stay empty. Damage after the system goes unseen, so the first kilobytes of a file may do;
    /// where they do not, the error is [`ParseDerivationError::UnexpectedEnd`].
    ///
    /// # Errors
    /// Fails where the content up to there is not that of a derivation.
    pub fn from_aterm_bytes(input: &'a [u8]) -> Result<Self, ParseDerivationError> {
        Self::parse(&mut Parser::new(input))
    }

    /// The same with `pname` and `version`: reads on to them, allocating nothing for the rest.
    ///
    /// Names of the environment are sorted (Nix writes them from an ordered map), so the reading ends after `version`.
    /// An attribute that is not UTF-8 counts as absent. Derivations with structured attributes have none of them.
    ///
    /// # Errors
    /// Fails where the content up to there is not that of a derivation.
    pub fn from_aterm_bytes_with_version(input: &'a [u8]) -> Result<Self, ParseDerivationError> {
        let parser = &mut Parser::new(input);
        let mut inputs = Self::parse(parser)?;
        parser.expect(b',')?;
        parser.skip_string()?;
        parser.expect(b',')?;
        parser.list(Parser::skip_string)?;
        parser.expect(b',')?;
        // An error is the way out of the list, too.
        let mut sought = true;
        let result = parser.list(|parser| {
            parser.expect(b'(')?;
            let name = parser.bytes()?;
            parser.expect(b',')?;
            match &*name {
                b"pname" => inputs.pname = utf8(parser.bytes()?),
                b"version" => inputs.version = utf8(parser.bytes()?),
                name => {
                    sought = *name < b"version"[..];
                    if !sought {
                        return Err(ParseDerivationError::UnexpectedEnd);
                    }
                    parser.skip_string()?;
                }
            }
            parser.expect(b')')
        });
        if sought { result.map(|()| inputs) } else { Ok(inputs) }
    }

    fn parse(parser: &mut Parser<'a>) -> Result<Self, ParseDerivationError> {
        let mut inputs = DerivationInputs::default();
        let version = parser.header()?;
        parser.list(|parser| {
            inputs.outputs.push(parser.output()?);
            Ok(())
        })?;
        parser.expect(b',')?;
        parser.list(|parser| {
            let mut outputs = Vec::new();
            let path = parser.input_derivation(version, |name| outputs.push(name))?;
            // An output of a dynamic derivation can be used both itself and as a derivation.
            outputs.sort_unstable();
            outputs.dedup();
            inputs.input_derivations.push(InputDerivation { path, outputs });
            Ok(())
        })?;
        parser.expect(b',')?;
        parser.list(Parser::skip_string)?;
        parser.expect(b',')?;
        inputs.system = parser.text()?;
        Ok(inputs)
    }

    /// Returns whether it is a fixed-output derivation: one whose output has its hash given beforehand.
    pub fn is_fixed_output(&self) -> bool {
        self.outputs.iter().any(OutputRef::is_fixed)
    }
}

fn utf8(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
