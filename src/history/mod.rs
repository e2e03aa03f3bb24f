//! The history of builds beside a pipeline: it is filled by what happens, and foresees the end of a run.
//!
//! Both work on threads of their own, behind queues that never hold up the run: what does not fit is a counted loss.

#![expect(
    clippy::disallowed_methods,
    reason = "threads, the clock and the database are this module's business"
)]

mod beside;
mod filled;
mod foreseen;
mod inside;
mod measures;
mod mirror;
mod recovered;
mod resources;
mod simple;
mod target;
mod work;
mod written;

pub(crate) use beside::{Beside, Identity};
pub(crate) use filled::{Row, Shared, begun, ended, now_ms, outcome, recorded};
pub(crate) use foreseen::{AskJobs, Forecaster};
pub(crate) use inside::{Builder, Insights, tool_jobs};
pub(crate) use measures::Measures;
pub(crate) use recovered::Recovered;
pub(crate) use target::Subject;

use std::path::{Path, PathBuf};

use nixmon_core::pipeline::Machine;
use nixmon_history::store::Retention;
use nixmon_runs::{Environment, Facts, StoreError};

/// The place of the history and the rules for its use.
#[derive(Clone, Debug)]
pub(crate) struct HistoryFile {
    /// The database, whether it is used or not; `None` if there is no home directory.
    pub(crate) path: Option<PathBuf>,
    /// It is used and filled.
    pub(crate) is_used: bool,
    /// Its bounds.
    pub(crate) retention: Retention,
    /// It is written even if its directory belongs to another user.
    pub(crate) allow_other_owner: bool,
}

impl HistoryFile {
    /// Fails if the history is in a directory of another user, who could plant a link there, and would not get back a file of ours.
    pub(crate) fn check_owner(&self) -> Result<(), StoreError> {
        match self.path.as_deref().and_then(Path::parent) {
            Some(directory) if !self.allow_other_owner => nixmon_runs::check_owner(directory),
            _ => Ok(()),
        }
    }
}

/// The circumstances of a run that estimates and the history need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// The database.
    pub(crate) path: PathBuf,
    /// The machine on which Nix runs.
    pub(crate) host: String,
    /// Its system, as `x86_64-linux`.
    pub(crate) system: String,
    /// Nix's `max-jobs`, where it is known.
    pub(crate) max_jobs: Option<u32>,
    /// The cores that a build may use.
    pub(crate) cores: u32,
    /// The target, and what its command line says.
    pub(crate) subject: Subject,
    /// The directories in which tools of the command write down how long its steps took.
    pub(crate) written_in: Vec<PathBuf>,
}

impl Context {
    /// Returns the circumstances of a run on this machine, or `None` where there is no history, or none is wanted.
    pub(crate) fn here(file: &HistoryFile) -> Option<Self> {
        let path = file.path.clone().filter(|_| file.is_used)?;
        Some(Self { path, ..Self::of_machine() })
    }

    /// Returns what is known of this machine, without a history.
    pub(crate) fn of_machine() -> Self {
        let environment = machine();
        Self {
            host: environment.host,
            system: environment.system,
            cores: u32::try_from(environment.cores).unwrap_or(0),
            ..Self::default()
        }
    }

    /// Returns the same for a run whose facts are known.
    pub(crate) fn of_run(self, facts: &Facts) -> Self {
        let Environment { host, system, cores, jobs, .. } = &facts.environment;
        let own = |own: String, known: &String| if known.is_empty() { own } else { known.clone() };
        Self {
            host: own(self.host, host),
            system: own(self.system, system),
            cores: u32::try_from(*cores).ok().filter(|cores| *cores > 0).unwrap_or(self.cores),
            max_jobs: number_of_jobs(jobs.as_deref(), *cores),
            subject: Subject::of(facts.name.as_deref(), &facts.command).with_tool_jobs(facts.tool_jobs),
            path: self.path,
            written_in: Builder::of_run(facts).written_in(),
        }
    }

    /// Returns the same for the machine of a recording.
    pub(crate) fn of_recording(self, machine: &Machine) -> Self {
        Self {
            host: machine.host.clone().unwrap_or(self.host),
            system: machine.system.clone().unwrap_or(self.system),
            max_jobs: machine.max_jobs.or(self.max_jobs),
            cores: machine.cores.unwrap_or(self.cores),
            ..self
        }
    }

    /// Returns what a recording keeps of the machine.
    pub(crate) fn machine(&self) -> Machine {
        Machine {
            host: Some(self.host.clone()),
            system: Some(self.system.clone()),
            max_jobs: self.subject.max_jobs.or(self.max_jobs),
            cores: Some(self.subject.cores.unwrap_or(self.cores)),
        }
    }
}

/// Reads Nix's setting `max-jobs`.
pub(crate) fn number_of_jobs(setting: Option<&str>, cores: usize) -> Option<u32> {
    match setting? {
        "auto" => u32::try_from(cores).ok().filter(|cores| *cores > 0),
        number => number.parse().ok(),
    }
}

/// Returns what is known of this machine.
pub(crate) fn machine() -> Environment {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    Environment {
        nixmon: env!("CARGO_PKG_VERSION").to_owned(),
        nix: None,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        system: format!("{}-{system}", std::env::consts::ARCH),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        jobs: None,
    }
}
