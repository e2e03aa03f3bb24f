//! Estimates: when a run will end, how sure that is, and what holds it up.
//!
//! All here is a function of its arguments: no clock, no files, no database. The same [`Past`] and [`Plan`] give the same answer.
//! Times are milliseconds since the run began.

mod eta;
mod factors;
mod fit;
mod model;
mod past;
mod path;
mod plan;
mod random;
mod schedule;
mod stages;

pub use eta::{Estimator, Eta, Expected, conformal_factor};
pub use model::Rung;
#[doc(hidden)]
pub use model::Tuning;
pub use past::{CachePast, Past, PastRun, Sample, concurrency};
pub use path::{CriticalPath, Step};
pub use plan::{Machine, MachineId, Node, NodeId, Plan, Stage, Work};
pub use schedule::Slowdown;
pub use stages::{Foreseen, StageTimes, TargetPast};
