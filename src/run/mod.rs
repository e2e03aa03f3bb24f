//! The one place that does I/O: standard input or files, the clock, signals, `.drv` files, recordings, the exit status.

#![expect(clippy::disallowed_methods, reason = "the clock, files and processes are this module's business")]

mod background;
mod command;
pub(crate) mod diagnostics;
mod drv_reader;
mod filter;
mod limited;
mod progress;
pub mod query;
mod recording;
mod replay;
mod session;
mod signals;
#[cfg(feature = "live")]
mod terminal;

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

// For the tests that try its command lines on real Nix.
#[doc(hidden)]
pub use command::nix;
pub(crate) use command::{guard, monitor, run as run_command, start};
pub(crate) use filter::filter;
pub use recording::{Recorder, Recording};
pub(crate) use replay::replay;

use crate::cli::{LogsArg, PassthroughArg};
use crate::frontend::{Condition, Json, Limits, Lines, LinesOptions, LogLines, Passthrough, Results};
#[cfg(feature = "live")]
use crate::frontend::{Live, LiveOptions};
use crate::pipeline::Pipeline;
use crate::render::{Style, Thresholds};
use crate::settings::{Form, Output, Settings};
use crate::text::{Palette, Symbols};
use crate::wire;
use background::{Backlog, Stream};

/// The exit status of the program.
///
/// A filter cannot see the exit status of the command before it in the pipe, so it reports what the stream tells. `run` and
/// `wait` end as the command did. Failures of nixmon itself have statuses of `sysexits.h`.
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
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> anyhow::Error {
        Self { status, message: message.into() }.into()
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Writes an error or a warning to standard error, without waiting for its reader while a command or a stream is watched.
pub fn complain(error: &anyhow::Error) {
    background::write_message(&format!("nixmon: {error:#}\n"));
}

/// What a live view has to know about its terminal; nothing where there is none.
#[derive(Debug, Default)]
struct Watch {
    #[cfg(feature = "live")]
    terminal: Option<terminal::Watch>,
    /// What waits to be written.
    output: Backlog,
}

impl Watch {
    /// Whether there is a view to be drawn.
    fn is_live(&self) -> bool {
        #[cfg(feature = "live")]
        return self.terminal.is_some();
        #[cfg(not(feature = "live"))]
        false
    }

    /// How the terminal is at the moment.
    fn condition(&mut self) -> Condition {
        #[cfg(feature = "live")]
        return self.terminal.as_mut().map(terminal::Watch::condition).unwrap_or_default();
        #[cfg(not(feature = "live"))]
        Condition::default()
    }
}

impl Watch {
    /// Whether the user has typed since the last frame.
    fn has_typed(&self) -> bool {
        #[cfg(feature = "live")]
        return self.terminal.as_ref().is_some_and(terminal::Watch::has_typed);
        #[cfg(not(feature = "live"))]
        false
    }

    /// Waits until the terminal has taken what was written, but not long.
    fn settle(&self) {
        #[cfg(feature = "live")]
        if let Some(terminal) = &self.terminal {
            terminal.settle();
        }
    }
}

/// Makes a pipeline whose output is what the settings ask for; `writer` is for all but a live view, which draws on
/// `stream`.
fn pipeline<W: Write + 'static>(
    writer: impl FnOnce() -> (W, Backlog),
    stream: Stream,
    settings: &Settings,
) -> (Pipeline, Watch) {
    #[cfg(feature = "live")]
    if settings.output.form == Form::Live {
        let output = &settings.output;
        let LinesOptions { palette, style, passthrough, logs, .. } = options(output, settings.thresholds);
        let options = LiveOptions {
            palette,
            style,
            passthrough,
            logs,
            report_lines: output.max_lines,
            title: output.title,
            progress: output.progress,
        };
        terminal::reset_at_panic(stream, Live::reset_sequence(&options));
        let (terminal, watch) = terminal::open(stream);
        let pipeline = Pipeline::new(Live::new(Box::new(terminal), options), logs);
        let output = watch.backlog.clone();
        return (pipeline, Watch { terminal: Some(watch), output });
    }
    let (writer, output) = writer();
    (pipeline_to(writer, &settings.output, settings.thresholds), Watch { output, ..Watch::default() })
}

/// Makes a pipeline that writes what the settings ask for: condensed lines instead of a live view.
pub fn to_writer(writer: impl Write + 'static, output: &Output) -> Pipeline {
    pipeline_to(writer, output, Thresholds::default())
}

fn pipeline_to(writer: impl Write + 'static, output: &Output, thresholds: Thresholds) -> Pipeline {
    let options = options(output, thresholds);
    let logs = options.logs;
    match output.form {
        #[cfg(feature = "live")]
        Form::Live => Pipeline::new(Lines::new(writer, options), logs),
        Form::Lines => Pipeline::new(Lines::new(writer, options), logs),
        Form::Json => Pipeline::new(Json::new(writer, output.snapshots), logs),
        Form::Quiet => Pipeline::new(Results::new(writer), logs),
    }
}

/// Makes a pipeline that shows nothing.
fn silent_pipeline() -> (Pipeline, Watch) {
    (Pipeline::new(Results::new(std::io::sink()), LogLines::default()), Watch::default())
}

/// Condensed lines for a file.
fn plain_lines<W: Write>(writer: W, settings: &Settings) -> Lines<W> {
    let output = Output { color: false, ascii: false, ..settings.output.clone() };
    Lines::new(writer, options(&output, settings.thresholds)).kept()
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    wire::millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

pub(crate) fn options(output: &Output, thresholds: Thresholds) -> LinesOptions {
    let symbols = if output.ascii { Symbols::ascii() } else { Symbols::unicode() };
    LinesOptions {
        palette: if output.color { Palette::colored() } else { Palette::default() },
        style: Style { symbols, ascii: output.ascii, thresholds },
        limits: Limits { lines: output.max_lines, bytes: output.max_bytes, every: output.every },
        passthrough: match output.passthrough {
            PassthroughArg::Auto => Passthrough::Auto,
            PassthroughArg::All => Passthrough::All,
            PassthroughArg::None => Passthrough::None,
        },
        logs: match output.logs {
            LogsArg::Failed => LogLines::Failed(output.log_lines.unwrap_or(crate::render::LOG_LINES)),
            LogsArg::None => LogLines::None,
            LogsArg::All => LogLines::All(output.log_lines),
        },
    }
}
