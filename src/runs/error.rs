//! Why a run cannot be had.

use std::path::{Path, PathBuf};

use super::{FORMAT, RunId};
use crate::text;

/// Why a run cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// `cannot read` and the like.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No directory for runs is known.
    #[error("there is no home directory: neither XDG_STATE_HOME nor HOME is set to an absolute path")]
    NoHome,
    /// There are no runs at all.
    #[error("there are no runs; `nixmon run -- COMMAND` makes one")]
    Empty,
    /// There is no run of this number.
    #[error("there is no run {id}; {known}")]
    UnknownNumber {
        /// The number.
        id: RunId,
        /// What there is.
        known: String,
    },
    /// No run has this name.
    #[error("no run is called {}; {known}", text::sanitize(name))]
    UnknownName {
        /// The name.
        name: String,
        /// What is meant, or what there is.
        known: String,
    },
    /// Another nixmon has written it.
    #[error("run {id} was written by another nixmon: {}", of_format(*format, version.as_deref()))]
    Format {
        /// The run.
        id: RunId,
        /// Its format.
        format: u64,
        /// The version of nixmon that has written it, if it says so.
        version: Option<String>,
    },
    /// What was started is not known any more.
    #[error("run {id} cannot be read: its facts.json is missing or damaged")]
    Damaged {
        /// The run.
        id: RunId,
    },
    /// A run of this name goes on.
    #[error(
        "{} {} already (run {id}, since {since}); see nixmon status {id}, or give --allow-concurrent",
        text::sanitize(name), if *queued { "is queued" } else { "runs" }
    )]
    Busy {
        /// The name.
        name: String,
        /// The run.
        id: RunId,
        /// It waits for another one.
        queued: bool,
        /// For how long it has.
        since: String,
    },
    /// There are no numbers left.
    #[error("{}: there are no numbers left", path.display())]
    NoNumbers {
        /// The store.
        path: PathBuf,
    },
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    /// Whether nothing can be written here, or no more: what is known can be told all the same.
    pub fn is_unwritable(&self) -> bool {
        use std::io::ErrorKind;
        matches!(self, Self::Io { source, .. }
        if matches!(
            source.kind(),
            ErrorKind::ReadOnlyFilesystem
                | ErrorKind::PermissionDenied
                | ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
        ))
    }
}

fn of_format(format: u64, version: Option<&str>) -> String {
    let version = version.map(|version| format!(" ({})", text::sanitize(version))).unwrap_or_default();
    let age = if format > u64::from(FORMAT) { "a newer" } else { "an older" };
    format!("its format is {format}, this one knows {FORMAT}; {age} nixmon is needed{version}")
}
