//! Root causes: what failed by itself, told once.

use super::Moment;
use super::ids::DerivationId;
use nixmon_log::nix::error::{FailureKind, Frame, HashMismatch, Location, NixError, Stage};
use nixmon_progress::causes::Cause;

/// A root cause, with everything that is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The stage of the run; `None` for a wrong command line.
    pub stage: Option<Stage>,
    /// Its kind.
    pub kind: FailureKind,
    /// The derivation, if there is one and its path is known.
    pub derivation: Option<DerivationId>,
    /// The derivation's name, as far as it is known.
    pub name: Option<String>,
    /// The build phase it failed in.
    pub phase: Option<String>,
    /// Exit status of the builder, or of the program that failed.
    pub exit_status: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The machine it was built on, if it is another one.
    pub machine: Option<String>,
    /// One line that says what is wrong.
    pub message: String,
    /// Further lines that say why.
    pub details: Vec<String>,
    /// Position of the error.
    pub location: Option<Location>,
    /// The best position in the user's own files.
    pub user_location: Option<Location>,
    /// Both hashes of a mismatch.
    pub hashes: Option<HashMismatch>,
    /// The few lines of the log that say why; `None` stands for lines left out.
    pub excerpt: Vec<Option<String>>,
    /// The last lines of the log.
    pub log_tail: Vec<String>,
    /// The next step to take, where that is certain.
    pub advice: Option<&'static str>,
    /// Frames of the evaluation in the user's own files, innermost first, if Nix was asked for a trace.
    pub trace: Vec<Frame>,
    /// The builder is known to have printed nothing.
    pub printed_nothing: bool,
    /// Places of the whole log.
    pub log_hints: Vec<String>,
    /// The command that Nix names for the whole log, if it is another one than `nix log`, which is then not enabled.
    pub full_log: Option<String>,
    /// Nix names `nix log` for the whole log.
    pub(super) names_log: bool,
    /// When it was seen.
    pub at: Moment,
    /// Time that the build had been running.
    pub after: Option<Moment>,
    /// Named dependents that cannot be built because of it, where Nix said so and the graph is not known.
    pub named_blocked: usize,
    /// The derivation was built in the end, so this was none.
    pub retracted: bool,
    /// The unit or step of an activation that it belongs to.
    pub step: Option<String>,
    /// The error of a compiler, linker or configuration in the log of the build or in the text of the command.
    pub cause: Option<Cause>,
}

impl Failure {
    /// Makes a root cause of what an error says by itself.
    pub(super) fn from_error(error: NixError, stage: Option<Stage>, at: Moment) -> Self {
        let advice = error.advice();
        Self {
            stage,
            kind: error.kind,
            derivation: None,
            name: error.name,
            phase: None,
            exit_status: error.exit_status,
            signal: error.signal,
            machine: error.machine,
            message: error.message,
            details: error.details,
            location: error.location,
            user_location: error.user_location,
            hashes: error.hashes,
            excerpt: Vec::new(),
            log_tail: error.log_tail,
            advice,
            trace: error.trace,
            printed_nothing: false,
            log_hints: Vec::new(),
            names_log: error.full_log.is_some(),
            full_log: other_command(error.full_log),
            at,
            after: None,
            named_blocked: 0,
            retracted: false,
            step: None,
            cause: None,
        }
    }

    /// Returns the position of the error: the message's own, else that of its cause.
    pub fn place(&self) -> Option<Location> {
        self.location.clone().or_else(|| place_of(self.cause.as_ref()?))
    }
}

/// Returns the position that a cause names.
pub(super) fn place_of(cause: &Cause) -> Option<Location> {
    let place = cause.place.as_ref()?;
    Some(Location {
        file: place.file.clone(),
        line: place.line.map(u64::from),
        column: place.column.map(u64::from),
    })
}

/// The command for the whole log if it is not `nix log`: where the feature `nix-command` is not enabled, Nix names
/// `nix-store -l` (`libstore/build/derivation-building-goal.cc`).
pub(super) fn other_command(command: Option<String>) -> Option<String> {
    command.filter(|command| command.starts_with("nix-store -l "))
}
