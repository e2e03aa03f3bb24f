//! Errors of the store and of look-ups, with their kinds.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{FORMAT, RunId};
use nixmon_core::text::{count, truncate};
use nixmon_log::escapes::sanitize;

/// Columns of a command in an error.
const COMMAND: usize = 60;

/// The kind of an error: what a caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong.
    Usage,
    /// There is no store: no home directory is known.
    NoStore,
    /// There is no such run, or none at all.
    UnknownRun,
    /// More than one run is meant.
    Ambiguous,
    /// The run has no such derivation, unit, log or recording.
    NotFound,
    /// A run with the same name is in progress.
    Busy,
    /// The files of the run are damaged.
    Damaged,
    /// The run was written by another version of nixmon.
    Incompatible,
    /// The run does not end.
    DoesNotEnd,
    /// A file cannot be read or written.
    Io,
}

/// A failure to find, read, create or remove a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error("{doing} {}: {error}", path.display())]
    Io {
        /// `cannot read` and the like.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason; not the source, which would be told once more.
        error: std::io::Error,
    },
    /// A directory belongs to another user, who could replace files in it while they are used.
    #[error(
        "{} belongs to another user (uid {user}), and nothing is written there unless NIXMON_ALLOW_OTHER_OWNER=1",
        path.display()
    )]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// The user's number.
        user: u32,
    },
    /// No directory for runs is known.
    #[error("there is no home directory: neither XDG_STATE_HOME nor HOME is set to an absolute path")]
    NoHome,
    /// There are no runs at all.
    #[error("no runs yet")]
    Empty,
    /// There is no run with this number.
    #[error("there is no run {id}")]
    UnknownNumber {
        /// The number.
        id: RunId,
        /// The runs that there are.
        known: KnownRuns,
    },
    /// No run has this name.
    #[error("no run is called {}", sanitize(name))]
    UnknownName {
        /// The name.
        name: String,
        /// A name that is nearly the same.
        near: Option<String>,
        /// The runs that there are.
        known: KnownRuns,
    },
    /// The run was written by another version of nixmon.
    #[error("run {id} was written by another nixmon: {}", of_format(*format, version.as_deref()))]
    Format {
        /// The run.
        id: RunId,
        /// Its format.
        format: u64,
        /// The version of nixmon that wrote it, if it is known.
        version: Option<String>,
    },
    /// The facts of the run are missing or damaged.
    #[error("run {id} cannot be read: its facts.json is missing or damaged")]
    Damaged {
        /// The run.
        id: RunId,
    },
    /// A run with this name is in progress.
    #[error(
        "{} {} already (run {id}, for {since})",
        sanitize(name), if *queued { "is queued" } else { "is running" }
    )]
    Busy {
        /// The name.
        name: String,
        /// The run.
        id: RunId,
        /// It is queued behind another run.
        queued: bool,
        /// Time for which it has been running or queued.
        since: String,
    },
    /// Another process holds a lock of the store.
    #[error("{} is locked by {}", path.display(), holder.as_deref().unwrap_or("another process"))]
    Locked {
        /// The file.
        path: PathBuf,
        /// The process, if the system tells.
        holder: Option<String>,
    },
    /// There are no numbers left.
    #[error("{}: there are no numbers left", path.display())]
    NoNumbers {
        /// The store.
        path: PathBuf,
    },
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), error }
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::OtherOwner { .. } | Self::NoNumbers { .. } => ErrorKind::Io,
            Self::NoHome => ErrorKind::NoStore,
            Self::Empty | Self::UnknownNumber { .. } | Self::UnknownName { .. } => ErrorKind::UnknownRun,
            Self::Format { .. } => ErrorKind::Incompatible,
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::Busy { .. } | Self::Locked { .. } => ErrorKind::Busy,
        }
    }

    /// Returns advice, to be read after the message and a semicolon.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty => Some("start one with `nixmon run -- COMMAND`".to_owned()),
            Self::UnknownName { near: Some(near), .. } => Some(format!("did you mean {}?", sanitize(near))),
            Self::UnknownNumber { known, .. } | Self::UnknownName { known, .. } => Some(known.to_string()),
            Self::Busy { id, .. } => Some(format!("see nixmon status {id}, or pass --allow-concurrent")),
            _ => None,
        }
    }

    /// Returns whether the place is read-only, full, or not ours. What is known can be reported all the same.
    pub(crate) fn is_unwritable(&self) -> bool {
        use std::io::ErrorKind;
        matches!(self, Self::OtherOwner { .. })
            || matches!(self, Self::Io { error, .. }
            if matches!(
                error.kind(),
                ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::PermissionDenied
                    | ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::FileTooLarge
            ))
    }
}

/// The runs of a store, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRuns {
    /// The oldest run.
    pub first: RunId,
    /// The newest run.
    pub last: RunId,
    /// The number of runs.
    pub n_runs: usize,
    /// Their names, each once, the newest first.
    pub names: Vec<String>,
}

impl fmt::Display for KnownRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: usize = 8;
        let Self { first, last, n_runs, names } = self;
        match n_runs {
            1 => write!(f, "there is run {first}")?,
            n => write!(f, "there are {n} runs, {first} to {last}")?,
        }
        if names.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = names.iter().take(NAMES).map(|name| sanitize(name)).collect();
        let more = if names.len() > NAMES { ", …" } else { "" };
        match n_runs {
            1 => write!(f, ", named {}", shown.join(", ")),
            // Not every run has one of them.
            _ => write!(f, "; names: {}{more}", shown.join(", ")),
        }
    }
}

/// A failure of a look-up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The store cannot be used, or has no such run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Without a reference, the only run in progress is meant, and there is none.
    #[error("no run is in progress")]
    NothingInProgress,
    /// Without a reference, the only run in progress is meant, and there are several.
    #[error("{} are in progress; name one:{}", count(runs.len() as u64, "run", "runs"), listed(runs))]
    Ambiguous {
        /// The runs in progress, the newest first.
        runs: Vec<InProgress>,
    },
    /// The run has no recording.
    #[error("run {id} has no recording")]
    NoRecording {
        /// The run.
        id: RunId,
    },
    /// The recording or the lines of a run cannot be read.
    #[error("cannot read run {id}: {error}")]
    Unreadable {
        /// The run.
        id: RunId,
        /// The system's reason, which names the file; not the source, which would be told once more.
        error: std::io::Error,
    },
    /// The regular expression is wrong.
    #[error("--grep {pattern}: {reason}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// The mistake in it.
        reason: String,
    },
    /// The run has no such derivation.
    #[error("run {id} has no derivation {}; {known}", sanitize(wanted))]
    UnknownDerivation {
        /// The run.
        id: RunId,
        /// The derivation.
        wanted: String,
        /// Similar names, or what else there is.
        known: String,
    },
    /// The run's activation does not mention this unit.
    #[error("run {id} does not mention a unit {}; {known}", sanitize(wanted))]
    UnknownUnit {
        /// The run.
        id: RunId,
        /// The unit.
        wanted: String,
        /// Units that it mentions.
        known: String,
    },
    /// A log that Nix has kept cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's reason; not the source, which would be told once more.
        error: std::io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write: {0}")]
    Write(std::io::Error),
    /// The run does not end, even after SIGKILL.
    #[error("run {id} does not end, even after SIGKILL to its command{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    DoesNotEnd {
        /// The run.
        id: RunId,
        /// The command's process number.
        pid: Option<i32>,
    },
}

impl QueryError {
    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::NothingInProgress => ErrorKind::UnknownRun,
            Self::Ambiguous { .. } => ErrorKind::Ambiguous,
            Self::NoRecording { .. } | Self::UnknownDerivation { .. } | Self::UnknownUnit { .. } => {
                ErrorKind::NotFound
            }
            Self::Pattern { .. } => ErrorKind::Usage,
            Self::Unreadable { .. } | Self::Log { .. } | Self::Write(_) => ErrorKind::Io,
            Self::DoesNotEnd { .. } => ErrorKind::DoesNotEnd,
        }
    }

    /// Returns advice, to be read after the message and a semicolon.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}

/// A run that is in progress, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InProgress {
    /// The number of the run.
    pub id: RunId,
    /// Its name.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// It is queued behind another run.
    pub is_queued: bool,
}

fn listed(runs: &[InProgress]) -> String {
    let line = |run: &InProgress| {
        let about = about(run.name.as_deref(), &run.command);
        let about = if about.is_empty() { about } else { format!(" ({about})") };
        format!("\n  run {}{about}{}", run.id, if run.is_queued { ", queued" } else { "" })
    };
    runs.iter().map(line).collect()
}

/// Returns `home: make home`, or whichever of the two is known.
pub fn about(name: Option<&str>, command: &[String]) -> String {
    let command = short_command(command);
    match name {
        Some(name) if command.is_empty() => sanitize(name).into_owned(),
        Some(name) => format!("{}: {command}", sanitize(name)),
        None => command,
    }
}

/// Returns a command in one line, cut to some columns.
pub fn short_command(command: &[String]) -> String {
    truncate(&sanitize(&command.join(" ")), COMMAND, "…").into_owned()
}

fn of_format(format: u64, version: Option<&str>) -> String {
    let version = version.map(|version| format!(" ({})", sanitize(version))).unwrap_or_default();
    let age = if format > u64::from(FORMAT) { "a newer" } else { "an older" };
    format!("its format is {format}, this one knows {FORMAT}; {age} nixmon is needed{version}")
}
