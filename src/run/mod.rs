//! The one place that does I/O: standard input or files, the clock, signals, `.drv` files, recordings, the exit status.

#![expect(clippy::disallowed_methods, reason = "the clock, files and processes are this module's business")]

mod background;
mod clients;
mod command;
mod config;
mod drv_reader;
mod filter;
mod frontends;
mod pipeline;
mod process_tree;
mod recording;
mod replay;
mod service_logs;
mod session;
mod signals;
#[cfg(feature = "live")]
mod terminal;
mod writer;

use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::CommandFactory;

// For the tests that try its command lines on real Nix.
#[doc(hidden)]
pub use command::nix;
pub use pipeline::Pipeline;
pub use recording::{Recorder, Recording, Step};
pub use writer::Writer;

use crate::cli::{Cli, LogsArg, PassthroughArg, with_options_in_place};
use crate::frontend::{Condition, Json, Limits, Lines, LinesOptions, LogLines, Passthrough};
#[cfg(feature = "live")]
use crate::frontend::{Live, LiveOptions};
use crate::render::{Style, Thresholds};
use crate::settings::{self, Form, Output, Settings, Task};
use crate::text::{Palette, Symbols};
use crate::wire;
use background::{Backlog, Stream};
use frontends::Frontend;

/// What the program ends with.
///
/// A filter ends as the command before it in the pipe where that can be known, else as the stream tells. `run` and `wait`
/// end as the command did.
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
    /// 124, as of `timeout`: what was waited for has not happened in time.
    TimedOut,
    /// That of a command, as a shell says it.
    Command(u8),
}

impl ExitStatus {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Interrupted => 130,
            Self::TimedOut => 124,
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

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Looks for what writes into standard input, before anything else is done. `None` where there is no such thing to be seen,
/// or where the arguments say that something else is to be done.
pub fn find_writer() -> Option<Writer> {
    let is_filter = std::env::args_os().nth(1).is_none_or(|first| first.as_encoded_bytes().starts_with(b"-"));
    if is_filter { Writer::find() } else { None }
}

/// Does what the settings say. `writer` is what [`find_writer`] has found.
pub fn run(settings: &Settings, writer: Option<Writer>) -> Result<ExitStatus> {
    match &settings.task {
        Task::Filter { record } => filter::filter(settings, record.as_deref(), writer),
        Task::Replay { files, speed, exit_status } => replay::replay(settings, files, *speed, *exit_status),
        Task::Run(task) => command::run(settings, task),
        Task::Start { run, after } => command::start(settings, run, after.as_deref()),
        Task::Guard => command::guard(),
        Task::Monitor(directory) => command::monitor(settings, directory),
        Task::Status(args) => clients::status(settings, args),
        Task::Wait(args) => clients::wait(settings, args),
        Task::Log(args) => clients::log(settings, args),
        Task::Stop(args) => clients::stop(settings, args),
        Task::List(args) => clients::list(settings, args),
        Task::Prune { dry_run } => clients::prune(settings, *dry_run),
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
            clap_complete::generate(*shell, &mut with_options_in_place(Cli::command()), "nixmon", &mut out);
            print(&out);
            Ok(ExitStatus::Success)
        }
        Task::Man { directory } => {
            let command = with_options_in_place(Cli::command().disable_help_subcommand(true));
            if let Some(directory) = directory {
                return clap_mangen::generate_to(command, directory)
                    .with_context(|| format!("cannot write manual pages to {}", directory.display()))
                    .map(|()| ExitStatus::Success);
            }
            let mut out = Vec::new();
            clap_mangen::Man::new(command).render(&mut out)?;
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

/// A pipeline whose output is what the settings ask for; `writer` is for all but a live view, which draws on `stream`.
fn pipeline<W: Write>(
    writer: impl FnOnce() -> (W, Backlog),
    stream: Stream,
    settings: &Settings,
) -> (Pipeline<W>, Watch) {
    let thresholds = thresholds(settings);
    #[cfg(feature = "live")]
    if settings.output.form == Form::Live {
        let output = &settings.output;
        let LinesOptions { palette, style, passthrough, logs, .. } = options(output, thresholds);
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
        let live = Live::new(Box::new(terminal), options);
        let pipeline = Pipeline::new(Frontend::Live(Box::new(live)), logs);
        let output = watch.backlog.clone();
        return (pipeline, Watch { terminal: Some(watch), output });
    }
    let (writer, output) = writer();
    (to_writer(writer, &settings.output, thresholds), Watch { output, ..Watch::default() })
}

/// A pipeline that writes to a writer: condensed lines where a live view is asked for.
fn to_writer<W: Write>(writer: W, output: &Output, thresholds: Thresholds) -> Pipeline<W> {
    let options = options(output, thresholds);
    let logs = options.logs;
    let frontend = match output.form {
        #[cfg(feature = "live")]
        Form::Live => Frontend::Lines(Box::new(Lines::new(writer, options))),
        Form::Lines => Frontend::Lines(Box::new(Lines::new(writer, options))),
        Form::Json => Frontend::Json(Json::new(writer, output.snapshots)),
        Form::Quiet => Frontend::Quiet(crate::frontend::Sink::new(writer)),
    };
    Pipeline::new(frontend, logs)
}

/// A pipeline that says nothing but what is kept of it.
fn silent_pipeline<W: Write>(writer: W) -> (Pipeline<W>, Watch) {
    let sink = Frontend::Quiet(crate::frontend::Sink::new(writer));
    (Pipeline::new(sink, LogLines::default()), Watch::default())
}

/// Condensed lines for a file.
fn plain_lines<W: Write>(writer: W, settings: &Settings) -> Lines<W> {
    let output = Output { color: false, ascii: false, ..settings.output.clone() };
    Lines::new(writer, options(&output, thresholds(settings))).kept()
}

/// The user's thresholds, as the rendering takes them: it knows of no settings.
fn thresholds(settings: &Settings) -> Thresholds {
    let settings::Thresholds { slow, quiet } = settings.thresholds;
    Thresholds { slow, quiet }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    wire::millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn options(output: &Output, thresholds: Thresholds) -> LinesOptions {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_the_same_for_settings_and_rendering() {
        let settings::Thresholds { slow, quiet } = settings::Thresholds::default();
        assert_eq!(Thresholds { slow, quiet }, Thresholds::default());
    }
}
