//! Runs that are kept, for `status --json`, `list --json` and `wait --json`.

use serde::Serialize;

/// One of a run's condensed lines.
#[derive(Clone, Debug, Serialize)]
pub struct RunLine {
    /// `line`.
    pub r#type: &'static str,
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the run.
    pub run: u64,
    /// The cursor behind this line.
    pub cursor: u64,
    /// The line.
    pub text: String,
}

/// A run of which nothing can be told.
#[derive(Clone, Debug, Serialize)]
pub struct UnreadableRun {
    /// `unreadable-run`.
    pub r#type: &'static str,
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// The number of the run.
    pub run: u64,
    /// Why.
    pub error: String,
}
