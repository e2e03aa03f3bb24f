//! The exit statuses of the program, and failures that carry one.

use std::process::ExitCode;

/// The exit status of the program.
///
/// A filter ends as the command before it in the pipe if that can be known, otherwise as the stream tells. `run` and `wait`
/// end as the command did. Failures of nixmon itself have statuses of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: nothing failed.
    Success,
    /// 1: something failed, or the stream ended in the middle.
    Failure,
    /// 2: the command line or the configuration is wrong.
    Usage,
    /// 65 (`EX_DATAERR`): the files of a run are damaged, or were written by another version.
    Data,
    /// 66 (`EX_NOINPUT`): there is no such run, file, derivation or unit.
    NotFound,
    /// 71 (`EX_OSERR`): the system refuses something that is needed.
    System,
    /// 74 (`EX_IOERR`): something cannot be read or written, as on a full disk.
    Io,
    /// 75 (`EX_TEMPFAIL`): a run with this name is in progress.
    Busy,
    /// 124, as of `timeout`: the time limit of `wait` has passed.
    TimedOut,
    /// 130: the user ended it.
    Interrupted,
    /// The exit status of a command, as a shell reports it.
    Command(u8),
}

impl ExitStatus {
    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Data => 65,
            Self::NotFound => 66,
            Self::System => 71,
            Self::Io => 74,
            Self::Busy => 75,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
            Self::Command(status) => status,
        }
    }

    pub(crate) fn of(code: i32) -> Self {
        match code {
            0 => Self::Success,
            130 => Self::Interrupted,
            _ => Self::Failure,
        }
    }
}

/// A failure that is none of the typed ones, with the exit status that fits it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failed {
    /// The exit status.
    pub status: ExitStatus,
    /// The message.
    pub message: String,
}

impl Failed {
    /// Makes an error with this exit status.
    pub(crate) fn error(status: ExitStatus, message: impl Into<String>) -> anyhow::Error {
        Self { status, message: message.into() }.into()
    }

    /// Makes the error of output that cannot be written.
    pub(crate) fn unwritten(error: &std::io::Error) -> anyhow::Error {
        Self::error(ExitStatus::Failure, format!("cannot write to standard output: {error}"))
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
