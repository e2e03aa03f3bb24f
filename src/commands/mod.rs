//! The subcommands: they call the other rooms and print.

#![expect(clippy::disallowed_methods, reason = "commands read the clock to wait")]

#[cfg(feature = "agent")]
mod agent;
mod config;
mod describe;
mod error;
mod history;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
mod hub_hosts;
mod jobs;
mod list;
mod log;
#[cfg(feature = "mcp")]
mod mcp;
mod package_history;
mod package_status;
mod packages;
mod prune;
mod status;
mod stop;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "hub", feature = "mcp-http"))]
mod token;
mod unit;
mod wait;
mod watch;

use std::io::Write;

use anyhow::{Context, Result};
use clap::CommandFactory;

pub use error::{exit_status, hint};

use crate::cli::{Cli, with_options_in_place};
use crate::drive::writer::Writer;
use crate::drive::{diagnostics, filter, replay};
use crate::exit_status::{ExitStatus, Failed};
use crate::monitor;
use crate::settings::{Settings, Task};
use nixmon_core::frontend::json_line;
use nixmon_core::text::{self, Line, Palette, Role, Symbols};

/// Executes the task of the settings. `writer` is what writes into standard input, if that was looked for and found.
///
/// # Errors
///
/// If it cannot be done; [`exit_status`] tells what to exit with.
pub fn run(settings: &Settings, writer: Option<Writer>) -> Result<ExitStatus> {
    // The monitor writes diagnostics to a file of its run, and the guard has no reader.
    if !matches!(settings.task, Task::Guard | Task::Monitor(_)) {
        diagnostics::start(settings.log_level.as_deref(), settings.verbose)?;
    }
    match &settings.task {
        Task::Filter { record, project } => {
            filter::filter(settings, record.as_deref(), project.clone(), writer)
        }
        Task::Replay { files, speed, exit_status, project } => {
            replay::replay(settings, files, *speed, *exit_status, project.as_deref())
        }
        Task::Run(task) => monitor::run(settings, task),
        Task::Start { run, after } => monitor::start(settings, run, after.as_deref()),
        Task::Guard => monitor::guard(),
        Task::Monitor(directory) => monitor::monitor(settings, directory),
        Task::Status(args) => status::status(settings, args),
        Task::Wait(args) => wait::wait(settings, args),
        Task::Log(args) => log::log(settings, args),
        Task::Stop(args) => stop::stop(settings, args),
        Task::List(args) => list::list(settings, args),
        Task::Prune { dry_run } => prune::prune(settings, *dry_run),
        #[cfg(feature = "mcp")]
        Task::Mcp(args) => mcp::mcp(settings, args),
        #[cfg(feature = "agent")]
        Task::Agent(args) => agent::agent(settings, args),
        #[cfg(feature = "hub")]
        Task::Hub(args) => hub::hub(settings, args),
        Task::History(command) => history::history(settings, command),
        Task::Watch(args) => watch::watch(settings, args),
        Task::Jobs(args) => jobs::jobs(settings, args),
        Task::Packages(args) => packages::packages(settings, args),
        Task::ConfigCheck => {
            let missing = config::missing_directories(settings);
            if !missing.is_empty() {
                return Err(Failed::error(ExitStatus::Usage, missing.join("\n")));
            }
            print(format!("{}\n", config::checked(settings)).as_bytes())?;
            Ok(ExitStatus::Success)
        }
        Task::ConfigShow { json } => {
            let text = if *json { config::json(settings) } else { config::text(settings) };
            print(text.as_bytes())?;
            Ok(ExitStatus::Success)
        }
        Task::Completions(shell) => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut with_options_in_place(Cli::command()), "nixmon", &mut out);
            print(&out)?;
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
            print(&out)?;
            Ok(ExitStatus::Success)
        }
    }
}

/// Prints bytes. Returns whether the reader is still there, as far as is known; it is no error if it has gone.
///
/// # Errors
///
/// If they cannot be written, as on a full disk.
fn print(bytes: &[u8]) -> Result<bool> {
    let mut stdout = std::io::stdout();
    // Flushed, since an error at the end of the program would be lost.
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failed::unwritten(&error)),
    }
}

/// Returns the symbols for the terminal.
/// Makes a line, or a cell of a table, that has one role.
fn part(role: Role, text: impl AsRef<str>) -> Line {
    Line::new().with(role, text)
}

fn symbols(settings: &Settings) -> Symbols {
    Symbols::new(settings.output.ascii)
}

/// Renders a line for standard output.
fn written(settings: &Settings, line: &Line) -> String {
    let palette = if settings.output.color { Palette::colored() } else { Palette::default() };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = line.write(&palette, &mut out);
    out.push('\n');
    if settings.output.ascii { text::ascii(&out).into_owned() } else { out }
}

/// Prints lines. It is no error if the reader has gone.
fn print_lines(settings: &Settings, lines: &[Line]) -> Result<()> {
    let text: String = lines.iter().map(|line| written(settings, line)).collect();
    print(text.as_bytes()).map(drop)
}

/// Prints a line of JSON. Returns whether the reader is still there.
fn print_json(value: &impl serde::Serialize) -> Result<bool> {
    let mut json = Vec::new();
    json_line(value, &mut json);
    print(&json)
}
