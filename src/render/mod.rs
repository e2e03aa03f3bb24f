//! How it reads: views to lines. Writes nothing; the size and the moment are arguments.

mod lines;
mod report;

pub use lines::{announcement, build_failed, heartbeat, phase};
pub use report::{Extent, log_files, report};

use crate::nix::error::Location;
use crate::nix::store_path;
use crate::text::Symbols;

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Signs of the locale.
    pub symbols: Symbols,
    /// Nothing but ASCII.
    pub ascii: bool,
}

/// A position as a person would write it: inside a flake's source relative to the flake.
pub fn location(location: &Location) -> String {
    let file = match store_path::path_name_and_rest(&location.file) {
        Some(("source", rest)) if !rest.is_empty() => rest.trim_start_matches('/'),
        Some((name, rest)) if name.ends_with("-source") && !rest.is_empty() => rest.trim_start_matches('/'),
        _ => &location.file,
    };
    match (location.line, location.column) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        (Some(line), None) => format!("{file}:{line}"),
        _ => file.to_owned(),
    }
}
