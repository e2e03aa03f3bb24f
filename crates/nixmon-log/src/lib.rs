//! Reads the output of Nix: the records of `--log-format internal-json` in whatever form they come, human-readable
//! lines of Nix 2.3 and later, and text of other programs in the same stream.
//!
//! [`input::Reader`] turns bytes into events and never fails. [`nix`] has Nix's own words and formats under the names that
//! nix-compat gives them: records, store paths, derivations, and the meaning of error texts. [`escapes`] removes
//! control sequences from foreign text. Nothing here does I/O or reads a clock.

pub mod escapes;
pub mod input;
pub mod label;
pub mod nix;
pub mod template;

/// The example of the README, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
