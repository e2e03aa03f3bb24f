//! The log of a run, written once into files without a name, so that any part of it is read at once: a range of lines, a
//! search, the whole text. Memory grows with derivations and sections, and by four bytes for each line of a builder.

mod ansi;
mod search;
mod sections;
mod spool;

pub(crate) use ansi::{Span, styled};
pub(crate) use search::Needle;
pub(crate) use sections::Key;
pub(crate) use spool::{Kind, Log, NewLine, View, Writer};
