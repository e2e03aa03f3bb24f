//! Store derivations: the content of `.drv` files, in ATerm format.
//!
//! [`Derivation`] is the whole of one. [`DerivationInputs`] is what a dependency graph needs, borrowed from the file and
//! read without looking at the rest, since graphs have a hundred thousand of them.
//!
//! The format is that of `src/libstore/derivations.cc` in Nix: `Derive(outputs,input derivations,input sources,system,
//! builder,arguments,environment)`, and `DrvWithVersion("xp-dyn-drv",…)` of the experimental feature
//! `dynamic-derivations` (Nix 2.17 and later).

mod inputs;
mod parser;
mod write;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

pub use inputs::{DerivationInputs, InputDerivation, OutputRef};
use parser::Parser;

/// A derivation: what is built, of what, and how.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Derivation {
    /// Outputs by output name.
    pub outputs: BTreeMap<String, Output>,
    /// Output names that are needed of each input derivation, by the path of the `.drv`.
    ///
    /// For a dynamic derivation (an output that is itself a derivation) only the outermost outputs are here.
    pub input_derivations: BTreeMap<String, BTreeSet<String>>,
    /// Store paths that are needed and no derivation makes.
    pub input_sources: BTreeSet<String>,
    /// The system it is built on, `x86_64-linux` or `builtin`.
    pub system: String,
    /// Path of the builder, or `builtin:…`.
    pub builder: String,
    /// Arguments of the builder: bytes, as Nix strings are.
    pub arguments: Vec<Vec<u8>>,
    /// Environment of the builder: the attributes of the derivation.
    pub environment: BTreeMap<String, Vec<u8>>,
}

/// One output of a derivation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Output {
    /// Store path. None where it is known only after the build (content-addressed, or with such an input).
    pub path: Option<String>,
    /// Hash algorithm of a content-addressed output, with the method before it: `sha256`, `r:sha256`, `text:sha256`.
    pub hash_algo: Option<String>,
    /// Hash of a fixed output in base-16. `impure` for an impure derivation's.
    pub hash: Option<String>,
}

impl Output {
    /// Returns whether the output has its hash given beforehand.
    pub fn is_fixed(&self) -> bool {
        self.hash.as_deref().is_some_and(|hash| hash != "impure")
    }
}

impl Derivation {
    /// Parses the content of a `.drv` file.
    ///
    /// The last of a repeated name is kept, and output names of a repeated input derivation are united.
    ///
    /// # Errors
    /// Fails where the content is not a derivation, or not a whole one.
    pub fn from_aterm_bytes(input: &[u8]) -> Result<Derivation, ParseDerivationError> {
        let mut derivation = Derivation::default();
        let parser = &mut Parser::new(input);
        let version = parser.header()?;
        parser.list(|parser| {
            let output = parser.output()?;
            let some = |text: Cow<'_, str>| (!text.is_empty()).then(|| text.into_owned());
            let (path, hash_algo, hash) = (some(output.path), some(output.hash_algo), some(output.hash));
            derivation.outputs.insert(output.name.into_owned(), Output { path, hash_algo, hash });
            Ok(())
        })?;
        parser.expect(b',')?;
        parser.list(|parser| {
            let mut names = BTreeSet::new();
            let path = parser.input_derivation(version, |name| {
                names.insert(name.into_owned());
            })?;
            derivation.input_derivations.entry(path.into_owned()).or_default().append(&mut names);
            Ok(())
        })?;
        parser.expect(b',')?;
        parser.list(|parser| {
            derivation.input_sources.insert(parser.text()?.into_owned());
            Ok(())
        })?;
        parser.expect(b',')?;
        derivation.system = parser.text()?.into_owned();
        parser.expect(b',')?;
        derivation.builder = parser.text()?.into_owned();
        parser.expect(b',')?;
        parser.list(|parser| {
            derivation.arguments.push(parser.bytes()?.into_owned());
            Ok(())
        })?;
        parser.expect(b',')?;
        parser.list(|parser| {
            parser.expect(b'(')?;
            let name = parser.text()?.into_owned();
            parser.expect(b',')?;
            derivation.environment.insert(name, parser.bytes()?.into_owned());
            parser.expect(b')')
        })?;
        parser.expect(b')')?;
        parser.end()?;
        Ok(derivation)
    }

    /// Writes the derivation as Nix does, in the form `Derive(…)`.
    pub fn to_aterm_bytes(&self) -> Vec<u8> {
        write::derivation(self)
    }

    /// Returns whether it is a fixed-output derivation: one whose output has its hash given beforehand.
    pub fn is_fixed_output(&self) -> bool {
        self.outputs.values().any(Output::is_fixed)
    }
}

/// Why the content of a file is not a derivation.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseDerivationError {
    /// The content ends in the middle.
    #[error("derivation ends unexpectedly")]
    UnexpectedEnd,
    /// Another character than the format has there.
    #[error("expected {expected} at offset {offset} of derivation")]
    Expected {
        /// The expected syntax.
        expected: &'static str,
        /// Bytes before it.
        offset: usize,
    },
    /// Not UTF-8 where Nix has a name or a path.
    #[error("string before offset {offset} of derivation is not UTF-8")]
    NotUtf8 {
        /// Bytes up to the end of the string.
        offset: usize,
    },
    /// A `DrvWithVersion` of a version later than we know.
    #[error("unknown version of the derivation format")]
    UnknownVersion,
    /// More levels of dynamic derivations than anyone has.
    #[error("dynamic derivations nested too deep at offset {offset} of derivation")]
    TooDeep {
        /// Bytes before the innermost level that was read.
        offset: usize,
    },
    /// Content after the derivation.
    #[error("unexpected content after derivation at offset {offset}")]
    Trailing {
        /// Bytes of the derivation.
        offset: usize,
    },
}

#[cfg(test)]
mod tests;
