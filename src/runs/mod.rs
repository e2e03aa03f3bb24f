//! The runs that are kept: a directory for each, in a store that several processes and versions of nixmon share.
//!
//! `$XDG_STATE_HOME/nixmon/runs/` holds
//!
//! - `next`: the number of the next run; numbers are never given twice. `lock`: held while it changes, and a copy of it.
//! - `N/facts.json` ([`Facts`]): what was started, where and by whom; written once, and again when its
//!   processes are known and when Nix has said how many builds it runs at once.
//! - `N/status.json` ([`Status`]): how the run stands; replaced as a whole every eight seconds, and
//!   after one where there is news.
//! - `N/input.zst`, `N/rest.zst`: the raw input with its times, as a recording; `rest.zst` is what the guard kept after the
//!   monitor's death, with times since the run began too.
//! - `N/lines.txt`: the condensed lines; a cursor is a number of lines of it. `N/changes.jsonl.zst`: the same as JSON lines.
//! - `N/exit.json` ([`Exit`]): what became of the command, written by the guard.
//! - `N/summary.json`: the summary record.
//! - `N/monitor.lock`, `N/guard.lock`: locked by a process as long as it lives, which no reused process number can fake.
//! - `N/log.sock`: the socket that Nix writes its log to, while the run goes on; elsewhere if the path is too long for one.
//! - `N/reserve`: room for the end of a run whose disk fills up; removed before.
//! - `N/stop`: the user has ended the run. `N/recovery.lock`: held while the end of a run is found out whose monitor died.
//! - `.new-N`, `.removed-N`: a run that is being made or removed, which is none.
//!
//! Files are replaced by renaming, so a reader sees one state or the other. A directory whose `format` is unknown is left
//! alone and said to be of another version.

#![expect(clippy::disallowed_methods, reason = "the files of this store are this module's business")]

mod dir;
mod error;
mod facts;
mod files;
mod process;
mod retention;
mod socket;
mod status;
mod store;

pub use dir::{Life, RunDir};
pub use error::StoreError;
pub use facts::{Environment, Exit, Facts, ProcessId};
pub use files::Lock;
#[cfg(target_os = "linux")]
pub(crate) use process::Stat;
pub use retention::{Reason, Removed};
pub use socket::socket_elsewhere;
pub use status::{Activity, ReadOn, RootCause, RunState, Status};
pub use store::{Created, Store};

/// The version of everything in a run's directory.
pub const FORMAT: u32 = 1;

/// The number of a run. Counts up from 1 and is never given twice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
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
