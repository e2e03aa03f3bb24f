//! The database: `history.db`, SQLite with a write-ahead log, shared by all processes of a user.
//!
//! Every writing transaction begins as `IMMEDIATE`: a transaction that reads first and writes then would fail at once when
//! another process has written in between, whatever the time-out. No method panics on what the disk or another process does;
//! each failure is a [`StoreError`], and [`Recorder`] turns it into a counted loss.

mod keep;
mod packages;
mod read;
mod recorder;
mod schema;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use keep::{Pruned, Retention};
pub use read::{RunFilter, StoredRun};
pub use recorder::{Losses, Recorder};
pub use write::{Batch, RunId};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The tables are those of a newer nixmon.
    #[error("the history has format {found}, and this nixmon knows up to {known}; it is left as it is")]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// The file is no database, or a damaged one.
    #[error("the history is damaged")]
    Corrupt(#[source] rusqlite::Error),
    /// The file or its directory cannot be written.
    #[error("the history cannot be written: it is read-only")]
    ReadOnly(#[source] rusqlite::Error),
    /// The disk is full.
    #[error("the history cannot be written: the disk is full")]
    Full(#[source] rusqlite::Error),
    /// Other processes held the database for longer than the time-out.
    #[error("the history is in use by other processes")]
    Busy(#[source] rusqlite::Error),
    /// There is no history yet.
    #[error("there is no history yet")]
    Missing,
    /// A file or directory could not be made, moved or read.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// The action.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Any other failure.
    #[error("the history failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                StoreError::ReadOnly(error)
            }
            Some(ErrorCode::DiskFull) => StoreError::Full(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(error),
            _ => StoreError::Sqlite(error),
        }
    }
}

/// Something that a user should be told about the opening of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The old file was damaged. It was moved, and a new history begun.
    MovedAside {
        /// The new place of the old file.
        to: PathBuf,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Notice::MovedAside { to } => {
                write!(
                    f,
                    "the history was damaged and has been moved to {}; a new one has been started",
                    to.display()
                )
            }
        }
    }
}

/// Longest wait of a write for other processes.
const BUSY: Duration = Duration::from_secs(5);

/// An open history.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the history at `path` for reading and writing, and makes it where there is none.
    ///
    /// A damaged file is moved aside, and a new one begun; the notice says so. One of a newer nixmon is left alone. `now_ms` names
    /// the file moved aside.
    pub fn open(path: &Path, now_ms: i64) -> Result<(Store, Option<Notice>), StoreError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| StoreError::Io {
                action: "create",
                path: parent.to_owned(),
                source,
            })?;
        }
        match Self::try_open(path) {
            Err(StoreError::Corrupt(_)) => {
                let to = Self::move_aside(path, now_ms)?;
                let store = Self::try_open(path)?;
                Ok((store, to.map(|to| Notice::MovedAside { to })))
            }
            result => Ok((result?, None)),
        }
    }

    fn try_open(path: &Path) -> Result<Store, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // Before anything is written, so that a newer format is left as it is.
        let found = schema::version(&connection)?;
        if found > schema::VERSION {
            return Err(StoreError::Newer { found, known: schema::VERSION });
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // With a write-ahead log this loses at most the last commits at a power failure, and never the rest.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
        schema::migrate(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Store { connection, path: path.to_owned() })
    }

    /// Opens the history for reading alone, also where nothing can be written.
    pub fn open_read_only(path: &Path) -> Result<Store, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing);
        }
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = |connection: Connection| -> Result<Store, StoreError> {
            connection.busy_timeout(BUSY)?;
            let found = schema::version(&connection)?;
            if found > schema::VERSION {
                return Err(StoreError::Newer { found, known: schema::VERSION });
            }
            if found == 0 {
                return Err(StoreError::Missing);
            }
            connection.query_row("SELECT count(*) FROM run WHERE id < 0", [], |_| Ok(()))?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(Store { connection, path: path.to_owned() })
        };
        match Connection::open_with_flags(path, flags).map_err(StoreError::from).and_then(read) {
            Err(StoreError::ReadOnly(_)) => {
                // Where the shared memory of the log cannot be made, the file alone is read.
                let text = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
                read(Connection::open_with_flags(format!("file:{text}?immutable=1"), flags)?)
            }
            result => result,
        }
    }

    /// Moves a damaged history away. Returns its new place, or `None` if another process was first.
    fn move_aside(path: &Path, now_ms: i64) -> Result<Option<PathBuf>, StoreError> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        let lock_path = beside(".lock");
        let lock = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(io("open", &lock_path))?;
        lock.lock().map_err(io("lock", &lock_path))?;
        // Another process may have moved it and begun a new one.
        if Self::try_open(path).is_ok() {
            return Ok(None);
        }
        let to = beside(&format!(".damaged-{now_ms}"));
        std::fs::rename(path, &to).map_err(io("move", path))?;
        for suffix in ["-wal", "-shm"] {
            let from = beside(suffix);
            if from.exists() {
                let mut name = to.as_os_str().to_owned();
                name.push(suffix);
                std::fs::rename(&from, PathBuf::from(name)).map_err(io("move", &from))?;
            }
        }
        Ok(Some(to))
    }

    /// Returns the path of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes of the database and its log.
    pub fn size(&self) -> u64 {
        ["", "-wal"]
            .iter()
            .map(|suffix| {
                let mut name = self.path.as_os_str().to_owned();
                name.push(suffix);
                std::fs::metadata(PathBuf::from(name)).map_or(0, |m| m.len())
            })
            .sum()
    }

    /// Limits the size of the database in pages, so that tests can fill the disk.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    }
}
