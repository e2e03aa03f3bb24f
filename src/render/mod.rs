//! How it reads: views to lines. Writes nothing; the size and the moment are arguments.

mod activation;
mod failure;
mod lines;
mod report;
mod room;
mod stalls;
mod tree;
mod updates;

pub use activation::unit_names;
pub use failure::{failure_block, failure_in_short, is_said_by_heading};
pub use lines::{announcement, build_failed, heartbeat, phase};
pub use report::{Extent, Passed, log_files, log_files_of, report, verdict};
pub use stalls::{rough, stalls};
pub use tree::{BegunStep, Memory, Viewport, frame, status};

use std::time::Duration;

use crate::nix::error::Location;
use crate::nix::store_path;
use crate::text::Symbols;

/// A failure takes this many lines of the log unless somebody asks for others.
pub const LOG_LINES: usize = 8;

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Signs of the locale.
    pub symbols: Symbols,
    /// Nothing but ASCII.
    pub ascii: bool,
    /// When something takes long.
    pub thresholds: Thresholds,
}

/// When something takes so long that it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A build that has run for so long is named.
    pub slow: Duration,
    /// A builder that has printed nothing for so long is said to be quiet. That is normal: linkers and test suites do it.
    pub quiet: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { slow: Duration::from_secs(10), quiet: Duration::from_secs(180) }
    }
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
