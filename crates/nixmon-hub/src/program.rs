//! The seam to the program around the hub.

use nixmon_runs::query::Runs;
use nixmon_runs::{Places, StoreError};

/// The program that serves the hub: it knows where the runs are.
pub trait Program: Send + Sync + 'static {
    /// Opens the store of runs.
    ///
    /// # Errors
    ///
    /// If no place for it is known.
    fn runs(&self) -> Result<Runs<'_>, StoreError>;

    /// Returns the places of logs that a recording lacks.
    fn places(&self) -> &Places;
}
