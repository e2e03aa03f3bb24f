//! The JSON lines that nixmon writes, for programs: the last one of `--output json` is the summary record.
//!
//! The types are made from changes and states by hand, so that the state can change without them. Every line has `type`
//! and `schema`; a name or a meaning changes only with the number of the schema. All types can be read as well: [`Line`] is
//! any line, and keeps lines and names that this version does not know. `docs/output.schema.json` is made from the types and
//! their comments by [`schemas()`], and a test holds both together.

mod changes;
mod derivations;
mod inside;
mod line;
mod names;
mod run;
mod schema;
mod summary;

pub use changes::{Event, Record, from_change, notice};
pub use derivations::derivations;
pub use inside::{Package, Work, packages, work};
pub use line::Line;
pub use names::{
    ActivationResult, BuildResult, NoteKind, Outcome, PackageHealth, PackageStatus, Phase, Stage, TextKind,
    UnitAction, WorkStage,
};
pub use run::{RunLine, UnreadableRun};
pub use schema::{Schemas, schemas};
pub use summary::{
    DroppedSummary, Eta, FlakeInputs, Frame, Hashes, InputSummary, Location, RunningBuild, Snapshot, Summary,
    SummaryActivation, SummaryCounts, SummaryFailure, SummaryUnits, snapshot, summary,
};

/// The version of all types here.
pub const SCHEMA: u32 = 1;

/// Milliseconds, saturating.
pub fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
