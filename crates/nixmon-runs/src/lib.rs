//! Recorded runs: a directory for each, in a store that several processes and versions of nixmon share.
//!
//! `$XDG_STATE_HOME/nixmon/runs/` holds
//!
//! - `next`: the number of the next run; numbers are never given twice. `lock`: held while it changes, and a copy of it.
//!   `seen`: the time by which age counts.
//! - `N/facts.json` ([`Facts`]): the command, its directory and its processes; written once, and again when its
//!   processes are known and when Nix has said how many builds it runs at once.
//! - `N/status.json` ([`Status`]): the status; replaced as a whole every eight seconds, and after one second if there is
//!   news.
//! - `N/input.zst`, `N/rest.zst`: the raw input with its times, as a recording; `rest.zst` is the
//!   recording of the guard after the monitor's death, with times since the run began too, and `rest-2.zst` that of the
//!   guard after it.
//! - `N/lines.txt`: the condensed lines; a cursor is a number of lines of it. `N/changes.jsonl.zst`: the same as JSON lines.
//! - `N/exit.json` ([`Exit`]): the end of the command, written by the guard.
//! - `N/summary.json`: the summary record.
//! - `N/monitor.lock`, `N/guard.lock`: locked by a process as long as it lives, which no reused process number can fake. The guard
//!   notes in its file what it cannot write elsewhere ([`GuardNote`]).
//! - `N/log.sock`: the socket that Nix writes its log to, during the run; elsewhere if the path is too long for one.
//! - `N/reserve`: room for the end of a run whose disk fills up; removed before.
//! - `N/stop`: the user has ended the run. `N/recovery.lock`: held while the end of a run whose monitor died is found out.
//! - `.new-N`, `.removed-N`: a run that is being made or removed, and is not listed.
//!
//! Directories have the mode 0700 and files 0600; no link in the place of a file is followed, and a store of another user is
//! only read. Files are replaced by renaming, so a reader sees one state or the other. A directory whose `format` is unknown is left
//! alone and said to be of another version.

#![expect(clippy::disallowed_methods, reason = "the files of this store are this module's business")]

pub mod clock;
mod dir;
mod error;
mod evidence;
mod facts;
mod files;
mod patience;
mod played;
pub mod proc;
mod process;
mod progress;
pub mod query;
pub mod recording;
mod retention;
mod socket;
mod status;
mod steps;
mod store;

pub use dir::{GUARDS, GuardNote, Life, RunDir};
pub use error::{ErrorKind, InProgress, KnownRuns, QueryError, StoreError, about, short_command};
pub use evidence::{Places, ServiceLogs, SwitchTarget, check_pattern, evidence};
pub use facts::{Environment, Exit, Facts, ProcessId, Reading, StdoutUse};
pub use files::{Lock, check_owner, create_file, make_dir, open_file, replace_file};
pub use played::Played;
pub use progress::progress;
pub use recording::{Recorder, Recording, RecordingError};
pub use retention::{Reason, Removed, Retention};
pub use socket::socket_elsewhere;
pub use status::{
    Activity, ReadOn, RootCause, RunOutcome, RunPhase, RunState, Status, StatusRecord, StatusType,
};
pub use steps::Steps;
pub use store::{Created, Store};

/// The version of everything in a run's directory.
pub const FORMAT: u32 = 1;

/// The number of a run. Counts up from 1 and is never given twice.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct RunId(pub u64);

#[cfg(test)]
mod tests;

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The example of the README, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
