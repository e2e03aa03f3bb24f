//! What was found beside the stream when the run had ended.

use crate::activation::Unit;

/// What explains failures and is not in the stream: files that exist and the time of day. Whoever does I/O gathers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Logs of failed builds that exist.
    pub log_files: Vec<String>,
    /// Logs of units that exist, best first.
    pub service_logs: Vec<ServiceLog>,
    /// When the first activation began, in local time as `journalctl --since` takes it: `2026-08-20 10:12:03`. Unknown in
    /// a replay.
    pub switch_began: Option<String>,
}

/// A file to which a unit logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLog {
    /// The unit.
    pub unit: Unit,
    /// The file.
    pub file: String,
    /// The user has named it in the configuration.
    pub configured: bool,
    /// Of a failed unit: its last lines that say something, free of escapes.
    pub lines: Vec<String>,
}

impl Evidence {
    /// The log of the build of a derivation, given by its path.
    pub fn of_build(&self, derivation: &str) -> Option<&str> {
        // Nix takes the first two characters of the name for a directory.
        let base = derivation.rsplit_once('/')?.1.get(2..)?;
        let fits =
            |file: &&String| file.rsplit_once('/').is_some_and(|(_, f)| f.trim_end_matches(".bz2") == base);
        self.log_files.iter().find(fits).map(String::as_str)
    }

    /// The files of a unit, best first.
    pub fn of_unit(&self, unit: &Unit) -> impl Iterator<Item = &ServiceLog> {
        self.service_logs.iter().filter(move |log| log.unit == *unit)
    }

    /// Where to read on in the summary record: what the user has configured for these units, then `hints`.
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
