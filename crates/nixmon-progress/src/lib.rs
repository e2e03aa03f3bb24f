//! Reads what build tools print, and says where a build is.
//!
//! The crate is a function of its inputs: lines and their times go in, and [`Unit`]s, [`Package`]s, a percent and causes come
//! out. It opens no file, asks no clock and starts nothing. What the lines do not say is given as [`Hints`]: the jobs of the
//! command line ([`jobs`]), the project's targets ([`packages`]) and an earlier run ([`Past`]).
//!
//! ```
//! use std::time::Duration;
//! use nixmon_progress::{Build, Hints};
//!
//! let mut build = Build::new(Hints::default());
//! build.line("[1/4] Building C object CMakeFiles/a.dir/a.c.o", Duration::from_millis(300));
//! build.line("[2/4] Building C object CMakeFiles/a.dir/b.c.o", Duration::from_millis(600));
//! let unit = build.unit(Duration::from_millis(600)).expect("two lines of ninja");
//! assert_eq!((unit.done, unit.total), (2, Some(4)));
//! assert_eq!(unit.current.as_deref(), Some("b.c"));
//! ```
//!
//! A line that is no progress costs a few nanoseconds, so every line of a log can be given. Each tool has a table of its
//! own in `tools`, with the place in the tool's sources that shows the form. Counts are believed only as parts of a
//! sequence: a builder that prints `[99/100]` is at no percent.

mod belief;
mod build;
pub mod causes;
mod form;
mod jobs;
mod json;
pub mod packages;
mod past;
mod scan;
mod status;
mod step;
mod stored;
mod times;
mod tools;
mod unit;
mod weights;

pub use build::{Build, Finished, Health, Hints, Package, Status};
pub use jobs::jobs;
pub use past::{Past, PastUnit};
pub use scan::may_begin;
pub use times::{FileTime, cargo_timings, ninja_log};
pub use unit::{Stage, Tests, Tool, Unit};
pub use weights::Language;
