//! The program's tasks: each subcommand is handed to the module that does it.

#![expect(clippy::disallowed_methods, reason = "files and processes are this module's business")]

mod clients;
mod config;
pub(crate) mod process_tree;
pub(crate) mod service_logs;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::{Cli, with_options_in_place};
pub use crate::drive::recording::{Recorder, Recording};
pub use crate::drive::{complain, to_writer};
use crate::drive::{diagnostics, filter, replay};
use crate::settings::{Settings, Task};
// The names by which clients know other modules.
use crate::drive::{options, plain_lines, progress, recording, session, thresholds, unix_ms};
use crate::monitor as command;
pub(crate) use clients::{Steps, complain_of_damage, current, store};

/// The exit status of the program.
///
/// A filter cannot see the exit status of the command before it in the pipe, so its own is what the stream tells. `run` and
/// `wait` end as the command did.
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

/// Does what the settings say.
pub fn run(settings: &Settings) -> Result<ExitStatus> {
    // The monitor writes diagnostics to a file of its run, and the guard has nobody to tell.
    if !matches!(settings.task, Task::Guard | Task::Monitor(_)) {
        diagnostics::start(settings)?;
    }
    match &settings.task {
        Task::Filter { record } => filter::filter(settings, record.as_deref()),
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

/// Prints to standard output. A reader that has gone is no error.
fn print(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}
