//! A line on its way through the tables, and the context that earlier lines give it.

use std::time::Duration;

use super::{LineContext, Tool};

/// Longest text in a change.
pub(super) const MAX_TEXT: usize = 600;
/// Lines of something else, after lines a builder may have printed, that still let these be the last ones.
pub(super) const AT_THE_END: u32 = 3;

/// A line's text and the machine it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Line<'l> {
    pub(super) text: &'l str,
    /// The text for people: without the layer's name that forms of labelled tools begin with.
    pub(super) shown: &'l str,
    pub(super) node: Option<&'l str>,
    pub(super) ctx: LineContext,
}

/// The derivation that was built last, as far as human-readable output says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastBuild {
    None,
    /// A whole configuration: nothing is built after it, and its builder prints nothing.
    Configuration(Tool),
    /// Something else, whose builder may be what prints now.
    Other,
}

/// `sudo` has refused; whether that was an activation's, and whether it mattered, the rest of the stream says.
#[derive(Debug, Clone)]
pub(super) struct PendingSudo {
    pub(super) tool: Option<Tool>,
    /// There is reason to think that it was to run a switch.
    pub(super) credible: bool,
    pub(super) line: String,
    pub(super) at: Duration,
    pub(super) unrelated: u32,
}

/// Nix's words for a build that failed, in every version.
pub(super) fn is_build_failure(line: &str) -> bool {
    [
        "error: builder for '",
        "error: Cannot build '",
        "error: build of '",
        "builder for '",
        "cannot build derivation '",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}
