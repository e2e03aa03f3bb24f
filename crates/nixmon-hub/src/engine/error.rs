//! Failures of an engine.

/// A failure of an engine.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The tables are those of a newer nixmon.
    #[error(
        "the hub's database has format {found}, and this nixmon knows up to {known}; it is left as it is"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// The database holds something that nixmon never writes.
    #[error("the hub's database is damaged: {0}")]
    Damaged(String),
    /// The disk is full.
    #[error("the hub's database cannot be written: the disk is full")]
    Full,
    /// The database does not answer at the moment; trying again may help.
    #[error("the hub's database does not answer: {0}")]
    Unavailable(String),
    /// The address of the database cannot be used.
    #[error("the address of the hub's database cannot be used: {0}")]
    Address(String),
    /// The request asks for something that is not there, as a host that was removed.
    #[error("{0}")]
    Absent(&'static str),
    /// Any other failure.
    #[error("the hub's database failed: {0}")]
    Other(String),
}

impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full,
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            Some(DatabaseBusy | DatabaseLocked | SystemIoFailure | CannotOpen) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}
