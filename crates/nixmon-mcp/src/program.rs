//! The seam to the program around the server.

use std::path::PathBuf;

use nixmon_runs::query::{Look, Runs};
use nixmon_runs::{Places, RunId, StoreError};

use crate::answers::{EventAnswer, HistoryAnswer, JobsAnswer, PackageHistoryAnswer, PackageStatusAnswer};

/// A program that serves its runs.
pub trait Program: Send + Sync + 'static {
    /// Returns the look-ups of the runs.
    ///
    /// # Errors
    ///
    /// If no place for the store is known.
    fn runs(&self) -> Result<Runs<'_>, StoreError>;
    /// Returns places of logs that a recording lacks.
    fn places(&self) -> &Places;
    /// Returns the names of the configured targets.
    fn targets(&self) -> Vec<String>;
    /// Returns the command of a target.
    fn target(&self, name: &str) -> Option<Order>;
    /// Returns the kind of a command.
    fn kind(&self, command: &[String]) -> CommandKind;
    /// Checks the name of a run.
    ///
    /// # Errors
    ///
    /// If it cannot be one: a sentence that says what a name is.
    fn checked_name(&self, name: &str) -> Result<String, String>;
    /// Returns the directory in which a run starts that names none.
    fn directory(&self) -> PathBuf;
    /// Starts a run that outlives this process.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    fn start(&self, order: &Order) -> Result<RunId, StartError>;
    /// Returns the dry run of a switch, and the state of the flake that it is about.
    ///
    /// # Errors
    ///
    /// If the command has none, or its flake is not a directory of this machine: a sentence that says so.
    fn plan(&self, order: &Order) -> Result<PlanCheck, String>;
    /// Returns what is known of earlier runs.
    fn history(&self) -> &dyn History;
    /// Returns what is known of single packages.
    fn packages(&self) -> &dyn Packages;
    /// Returns the events of the machine.
    fn events(&self) -> &dyn Events;
}

/// A run to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its working directory.
    pub directory: Option<PathBuf>,
    /// The name of the run.
    pub name: Option<String>,
    /// It is a target of the configuration.
    pub is_target: bool,
    /// The run that has to succeed before.
    pub after: Option<String>,
}

/// A failure to start a run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used, or a run of this name is in progress.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The program does not exist or cannot be executed.
    #[error("{program}: {reason}")]
    NotStarted {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
    /// The monitor could not be started.
    #[error("{0}")]
    Monitor(String),
}

/// The kind of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// It builds or evaluates with Nix, and changes neither a system nor a home.
    Build,
    /// It switches a system or a home to another configuration.
    Switch,
    /// Any other program.
    Other,
}

/// The dry run of a switch, and the state that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanCheck {
    /// The command that shows what would be built.
    pub dry_run: Vec<String>,
    /// A digest of the flake's lock file and `.nix` files.
    pub fingerprint: String,
    /// The generation that is active now.
    pub generation: Option<Generation>,
}

/// A generation to roll back to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// A command that returns to it.
    pub rollback: String,
}

/// An estimate of a run. Without one, all fields are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Time until the end, in milliseconds.
    pub remaining_ms: Option<u64>,
    /// The lower and the upper end of it, in milliseconds.
    pub range_ms: Option<(u64, u64)>,
    /// The history has no run of this target that succeeded; `None` if the history cannot tell.
    pub is_first: Option<bool>,
    /// It is made of runs with other numbers of jobs.
    pub other_jobs: bool,
}

/// Estimates from earlier runs.
pub trait History: Send + Sync {
    /// Estimates the rest of a run.
    fn estimate(&self, look: &Look) -> Estimate {
        let _ = look;
        Estimate::default()
    }
    /// Estimates a run that is about to start.
    fn expected(&self, order: &Order) -> Estimate {
        let _ = order;
        Estimate::default()
    }
    /// Returns the past of a target; `None` if it has none.
    fn history(&self, target: &str) -> Option<HistoryAnswer> {
        let _ = target;
        None
    }
    /// Returns the best number of jobs for a target; `None` if no run of it tells.
    fn optimal_jobs(&self, target: &str) -> Option<JobsAnswer> {
        let _ = target;
        None
    }
}

/// Single packages of a run and their past.
pub trait Packages: Send + Sync {
    /// Returns the packages that a run works on: those that move in [`SHORT`](crate::SHORT) bytes, or if it `is_full` all in
    /// [`LONG`](crate::LONG).
    fn status(&self, look: &Look, is_full: bool) -> Option<PackageStatusAnswer> {
        let _ = (look, is_full);
        None
    }
    /// Returns the past of a package, with a number of jobs if one is given.
    fn history(&self, package: &str, jobs: Option<u64>) -> Option<PackageHistoryAnswer> {
        let _ = (package, jobs);
        None
    }
}

/// Events of the machine, as a sensor reports them.
pub trait Events: Send + Sync {
    /// Returns the events after a cursor.
    fn since(&self, cursor: u64) -> Option<EventAnswer> {
        let _ = cursor;
        None
    }
}

/// No history, no packages and no sensor: every answer says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingYet;

impl History for NothingYet {}
impl Packages for NothingYet {}
impl Events for NothingYet {}
