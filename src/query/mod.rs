//! The half of the look-ups that needs a pipeline: the logs of a run, and its end if its monitor died.

mod log;
mod recover;
mod steps;

pub use log::{LogNote, LogRequest, Logs};
pub(crate) use steps::Steps;

use crate::runs::query::Runs;
use crate::runs::{QueryError, StoreError};
use crate::settings::Settings;

/// Opens the runs of the user's store for look-ups.
///
/// # Errors
///
/// If no place for it is known.
pub fn runs(settings: &Settings) -> Result<Runs<'_>, StoreError> {
    Ok(Runs::new(settings.store()?, |dir, facts, exit| {
        recover::replay(dir, facts, exit, settings).map_err(|error| match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => QueryError::Unreadable {
                id: dir.id(),
                source: error.downcast().unwrap_or_else(std::io::Error::other),
            },
        })
    }))
}
