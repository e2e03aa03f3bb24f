//! The one place that does I/O: standard input or files, the clock, signals, `.drv` files, recordings, the exit status.

#![expect(clippy::disallowed_methods, reason = "the clock, files and processes are this module's business")]

mod config;
mod drv_reader;
mod filter;
mod pipeline;
mod recording;
mod replay;
mod service_logs;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;

pub use pipeline::Pipeline;
pub use recording::{Recorder, Recording, Step};

use crate::cli::{Cli, PassthroughArg};
use crate::frontend::{Json, Limits, Lines, LinesOptions, Passthrough};
use crate::render::{Style, Thresholds};
use crate::settings::{self, Form, Settings, Task};
use crate::text::{Palette, Symbols};
use pipeline::Frontend;

/// What the program ends with.
///
/// A filter cannot see the exit status of the command before it in the pipe, so this is what the stream tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: nothing failed.
    Success,
    /// 1: something failed, or the stream ended in the middle.
    Failure,
    /// 2: the command line or a file it names is wrong.
    Usage,
    /// 130: the user ended it.
    Interrupted,
}

impl ExitStatus {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
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

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Does what the settings say.
pub fn run(settings: &Settings) -> Result<ExitStatus> {
    match &settings.task {
        Task::Filter { record } => filter::filter(settings, record.as_deref()),
        Task::Replay { files, speed, exit_status } => replay::replay(settings, files, *speed, *exit_status),
        Task::ConfigCheck => {
            print(format!("{}\n", config::checked(settings)).as_bytes());
            Ok(ExitStatus::Success)
        }
        Task::ConfigShow { json } => {
            let text = if *json { config::json(settings) } else { config::text(settings) };
            print(text.as_bytes());
            Ok(ExitStatus::Success)
        }
        Task::Completions(shell) => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "nixmon", &mut out);
            print(&out);
            Ok(ExitStatus::Success)
        }
        Task::Man => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut out)?;
            print(&out);
            Ok(ExitStatus::Success)
        }
    }
}

/// Says on standard error why nothing was done.
pub fn complain(error: &anyhow::Error) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "nixmon: {error:#}");
}

/// A reader who has gone is no error.
fn print(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

/// The frontend that the settings ask for.
fn frontend<W: Write>(writer: W, output: &settings::Output, thresholds: settings::Thresholds) -> Frontend<W> {
    let settings::Thresholds { slow, quiet } = thresholds;
    let symbols = if output.ascii { Symbols::ascii() } else { Symbols::unicode() };
    let options = LinesOptions {
        palette: if output.color { Palette::colored() } else { Palette::default() },
        style: Style { symbols, ascii: output.ascii, thresholds: Thresholds { slow, quiet } },
        limits: Limits { lines: output.max_lines, bytes: output.max_bytes, every: output.every },
        passthrough: match output.passthrough {
            PassthroughArg::Auto => Passthrough::Auto,
            PassthroughArg::All => Passthrough::All,
            PassthroughArg::None => Passthrough::None,
        },
    };
    match output.form {
        Form::Lines => Frontend::Lines(Box::new(Lines::new(writer, options))),
        Form::Json => Frontend::Json(Json::new(writer, output.snapshots)),
        Form::Quiet => Frontend::Quiet(crate::frontend::Sink::new(writer)),
    }
}
