//! Rendering: views to lines. Writes nothing; the size and the moment are arguments.

mod activation;
mod eta;
mod failure;
mod inside;
mod lines;
mod packages;
mod report;
mod room;
mod stalls;
mod tree;
mod updates;

pub(crate) use activation::{unit_actions, unit_names};
pub use eta::{eta, never_seen, waits_for};
pub(crate) use failure::failure_block;
pub use failure::{failure_in_short, is_said_by_heading};
pub(crate) use lines::build_failed;
pub use lines::{announcement, heartbeat, phase, text};
pub use packages::{by_activity, moving, packages};
pub use report::{Extent, Passed, log_files, log_files_of, report, verdict};
pub use stalls::{rough, stalls};
pub use tree::{BegunStep, Memory, Viewport, frame, status};

pub use crate::view::Thresholds;

use crate::text::Symbols;
use nixmon_log::nix::error::Location;
use nixmon_log::nix::store_path;

/// Default number of log lines for a failure.
pub const LOG_LINES: usize = 8;

/// The abilities of the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Symbols for the locale.
    pub symbols: Symbols,
    /// The output is limited to ASCII.
    pub ascii: bool,
    /// Times after which something is reported as slow.
    pub thresholds: Thresholds,
}

/// Formats a position; a file in the source of a flake is relative to the flake.
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
