//! Exit statuses of failures, by kind. The only place where they are decided.

use crate::exit_status::{ExitStatus, Failed};
use crate::settings::ConfigError;
use nixmon_history::import::ImportError;
use nixmon_history::store::StoreError as HistoryError;
use nixmon_runs::{ErrorKind, QueryError, RecordingError, StoreError};

/// Returns what to exit with after a failure.
pub fn exit_status(error: &anyhow::Error) -> ExitStatus {
    error.chain().find_map(of_cause).unwrap_or(ExitStatus::System)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<ExitStatus> {
    if let Some(status) = cause.downcast_ref::<Failed>() {
        return Some(status.status);
    }
    if cause.is::<ConfigError>() {
        return Some(ExitStatus::Usage);
    }
    if let Some(error) = cause.downcast_ref::<QueryError>() {
        return Some(of_kind(error.kind()));
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(of_kind(error.kind()));
    }
    if let Some(error) = cause.downcast_ref::<HistoryError>() {
        return Some(of_history(error));
    }
    match cause.downcast_ref::<ImportError>() {
        Some(ImportError::Store(error)) => return Some(of_history(error)),
        Some(ImportError::Read(_)) => return Some(ExitStatus::Io),
        Some(ImportError::Format | ImportError::Newer { .. }) => return Some(ExitStatus::Data),
        None => {}
    }
    let error = match cause.downcast_ref::<RecordingError>() {
        Some(RecordingError::Create { error, .. } | RecordingError::Read(error)) => error,
        Some(_) => return Some(ExitStatus::Data),
        None => cause.downcast_ref::<std::io::Error>()?,
    };
    Some(match error.kind() {
        std::io::ErrorKind::NotFound => ExitStatus::NotFound,
        _ => ExitStatus::Io,
    })
}

fn of_history(error: &HistoryError) -> ExitStatus {
    match error {
        HistoryError::Newer { .. } | HistoryError::Corrupt(_) => ExitStatus::Data,
        HistoryError::Missing => ExitStatus::NotFound,
        HistoryError::Busy(_) => ExitStatus::Busy,
        _ => ExitStatus::Io,
    }
}

fn of_kind(kind: ErrorKind) -> ExitStatus {
    match kind {
        ErrorKind::Usage | ErrorKind::Ambiguous => ExitStatus::Usage,
        ErrorKind::UnknownRun | ErrorKind::NotFound | ErrorKind::NoStore => ExitStatus::NotFound,
        ErrorKind::Damaged | ErrorKind::Incompatible => ExitStatus::Data,
        ErrorKind::Busy => ExitStatus::Busy,
        ErrorKind::Io => ExitStatus::Io,
        ErrorKind::DoesNotEnd => ExitStatus::Failure,
    }
}

/// Returns advice on a failure, to be read after its message and a semicolon.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let query = cause.downcast_ref::<QueryError>().and_then(QueryError::hint);
        query.or_else(|| cause.downcast_ref::<StoreError>().and_then(StoreError::hint))
    })
}
