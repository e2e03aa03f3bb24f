//! Look-ups of runs. They return data and typed errors, print nothing, and never speak with a monitor: they read the files
//! that it writes.
//!
//! A look at a run whose monitor has died finds out from its recording how it ended, and keeps that. [`Recovery`] replays
//! the recording.

mod condensed;
#[cfg(test)]
mod damage;
mod follow;
mod log;
mod look;
mod recover;
mod select;
mod stop;
#[cfg(test)]
mod tests;

pub use follow::{Follow, Followed, NewLine};
pub use log::{LogNote, LogRequest, Logs};
pub use look::{Look, Replayed};
pub use recover::{OnRead, Recovery, expect};
pub use select::{LineRange, Matches, Selected};
pub use stop::Stopping;

use super::{Exit, Facts, InProgress, QueryError, Removed, Retention, RunDir, RunId, RunState, Store};

/// Replays the recording of a run whose monitor has died.
pub type Replay<'a> = dyn Fn(&RunDir, Option<&Facts>, Option<Exit>) -> Result<Replayed, QueryError> + 'a;

/// The runs of a store, looked up. Times are in milliseconds since 1970.
pub struct Runs<'a> {
    store: Store,
    replay: Box<Replay<'a>>,
}

impl std::fmt::Debug for Runs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A run in a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// The number of the run.
    pub id: RunId,
    /// The run, or why it cannot be read.
    pub look: Result<Look, QueryError>,
}

impl<'a> Runs<'a> {
    /// Looks up runs of `store`; `replay` is called for runs whose monitor has died.
    pub fn new(
        store: Store,
        replay: impl Fn(&RunDir, Option<&Facts>, Option<Exit>) -> Result<Replayed, QueryError> + 'a,
    ) -> Self {
        Self { store, replay: Box::new(replay) }
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Finds a run by its number or name, or the newest run.
    ///
    /// # Errors
    ///
    /// If there is no such run.
    pub fn find(&self, reference: Option<&str>) -> Result<RunDir, QueryError> {
        Ok(self.store.find(reference)?)
    }

    /// Looks at a run. The end of one whose monitor has died is found out and kept, if the store can be written.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or was written by another version.
    pub fn look(&self, dir: &RunDir, now: u64) -> Result<Look, QueryError> {
        look::look(dir, now, &*self.replay)
    }

    /// Lists the newest runs, at most `limit`, the newest first; also returns the number of older ones.
    ///
    /// # Errors
    ///
    /// If the store cannot be read. A run that cannot be read is listed with its error.
    pub fn list(
        &self,
        limit: Option<usize>,
    ) -> Result<(impl Iterator<Item = RunId> + use<>, usize), QueryError> {
        let ids = self.store.ids()?;
        let n = limit.map_or(ids.len(), |limit| limit.min(ids.len()));
        let n_older = ids.len() - n;
        Ok((ids.into_iter().rev().take(n), n_older))
    }

    /// Looks at a run of a list.
    pub fn listed(&self, id: RunId, now: u64) -> Listed {
        let look = self.store.run(id).map_err(Into::into).and_then(|dir| self.look(&dir, now));
        Listed { id, look }
    }

    /// Follows the condensed lines of a run from a cursor on, or from now on.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn follow(&self, dir: &RunDir, cursor: Option<u64>) -> Result<Follow, QueryError> {
        Follow::new(dir, cursor)
    }

    /// Returns the runs that are beyond the limits and can be removed.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn prune_plan(&self, retention: &Retention, now: u64) -> Result<Vec<Removed>, QueryError> {
        Ok(self.store.prune(retention, now, true)?)
    }

    /// Finds the run to stop: the one named, or the only one that is in progress.
    ///
    /// # Errors
    ///
    /// If there is no such run, or, without a reference, none or more than one is in progress.
    pub fn stop_target(&self, reference: Option<&str>, now: u64) -> Result<RunDir, QueryError> {
        if reference.is_some() {
            return self.find(reference);
        }
        let mut going: Vec<Look> = Vec::new();
        for id in self.store.ids()?.into_iter().rev() {
            // A run that cannot be read cannot be stopped either.
            let Ok(dir) = self.store.run(id) else { continue };
            if dir.life(now).is_ok_and(|life| life.goes_on()) {
                going.extend(self.look(&dir, now).ok());
            }
        }
        if let [only] = going.as_slice() {
            return Ok(only.dir.clone());
        }
        if going.is_empty() {
            return Err(QueryError::NothingInProgress);
        }
        let short = |look: Look| InProgress {
            id: look.status.id,
            is_queued: look.status.state == RunState::Queued,
            name: look.status.name,
            command: look.status.command,
        };
        Err(QueryError::Ambiguous { runs: going.into_iter().map(short).collect() })
    }
}
