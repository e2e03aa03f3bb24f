//! Evidence from outside the stream, gathered when a run has ended.

use crate::activation::{SwitchId, Unit};

/// Facts that explain failures and are not in the stream: existing files and the time of day. The program gathers them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Existing log files of failed builds.
    pub log_files: Vec<String>,
    /// Existing logs of units, the best first.
    pub service_logs: Vec<ServiceLog>,
    /// Existing logs that the configuration names for a failed step, or for the tool that ran it.
    pub step_logs: Vec<StepLog>,
    /// Targets of the configuration that switch to the flake whose lock file changed.
    pub switches: Vec<String>,
    /// Local time at which the first activation began, in the form of `journalctl --since`: `2026-08-20 10:12:03`. Unknown
    /// in a replay.
    pub switch_began: Option<String>,
}

/// The log file of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLog {
    /// The unit.
    pub unit: Unit,
    /// The file.
    pub file: String,
    /// The file is named in the configuration of nixmon.
    pub configured: bool,
    /// The last useful lines of a failed unit, without escapes.
    pub lines: Vec<String>,
}

/// The log file of a failed step of an activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLog {
    /// The activation.
    pub run: SwitchId,
    /// The file.
    pub file: String,
}

impl Evidence {
    /// Lists the log files of the failed step of an activation, the best first.
    pub fn of_step(&self, run: SwitchId) -> impl Iterator<Item = &str> {
        self.step_logs.iter().filter(move |log| log.run == run).map(|log| log.file.as_str())
    }

    /// Returns the log file of a build, given the path of its derivation.
    pub fn of_build(&self, derivation: &str) -> Option<&str> {
        // Nix uses the first two characters of the name as a directory.
        let base = derivation.rsplit_once('/')?.1.get(2..)?;
        let fits =
            |file: &&String| file.rsplit_once('/').is_some_and(|(_, f)| f.trim_end_matches(".bz2") == base);
        self.log_files.iter().find(fits).map(String::as_str)
    }

    /// Lists the log files of a unit, the best first.
    pub fn of_unit(&self, unit: &Unit) -> impl Iterator<Item = &ServiceLog> {
        self.service_logs.iter().filter(move |log| log.unit == *unit)
    }

    /// Lists the log hints of the summary record: the configured files of these units, then `hints`.
    pub fn hints(&self, units: &[Unit], hints: Vec<String>) -> Vec<String> {
        let configured = |unit| self.of_unit(unit).filter(|log| log.configured).map(|log| log.file.clone());
        let mut all: Vec<String> = Vec::new();
        for hint in units.iter().flat_map(configured).chain(hints) {
            if !all.contains(&hint) {
                all.push(hint);
            }
        }
        all
    }
}
