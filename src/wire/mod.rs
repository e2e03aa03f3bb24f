//! The types that leave the program: JSON lines, of which the last is the summary record.
//!
//! They are made from changes and snapshots by hand, so that the state can change without them. Every line has `type` and
//! `schema`; a name or a meaning changes only with the schema's number. `docs/output.schema.json` says the same for other
//! programs, and a test holds both together.

mod changes;
mod run;
mod summary;

pub use changes::{Record, from_change, notice};
pub use run::{RunLine, UnreadableRun};
pub use summary::{Location, Snapshot, Summary, SummaryFailure, snapshot, summary};

/// The version of all types here.
pub const SCHEMA: u32 = 1;

/// Milliseconds, saturating.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
