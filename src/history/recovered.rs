//! The end of a run in the history whose monitor died: it is found out when the recording is replayed.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use super::filled::{Row, Shared, begun, ended, now_ms, recorded};
use super::{Context, HistoryFile, Measures};
use nixmon_core::pipeline::Sink;
use nixmon_core::state::Moment;
use nixmon_history::record::{RunOutcome, RunRecord};
use nixmon_history::store::{Batch, Store, StoreError};
use nixmon_runs::Facts;

/// Rows of a run while its recording is replayed.
pub(crate) struct Recovered {
    context: Context,
    record: RunRecord,
    stages: Shared,
    rows: Rc<RefCell<Batch>>,
}

impl Recovered {
    /// Begins with a run; `None` where no history is wanted or may be written, or the command never began.
    pub(crate) fn of(file: &HistoryFile, facts: Option<&Facts>) -> Option<Self> {
        let facts = facts.filter(|facts| facts.process.is_some())?;
        file.check_owner().ok()?;
        let context = Context::here(file)?.of_run(facts);
        let nix = facts.environment.nix.clone();
        let record = begun(&context, facts.id.to_string(), facts.created_at, nix);
        Some(Self { context, record, stages: Shared::default(), rows: Rc::default() })
    }

    /// Makes the sink of the replay.
    pub(crate) fn sink(&self) -> impl Sink + 'static {
        let rows = Rc::clone(&self.rows);
        let take = move |row| match row {
            Row::Build(build) => rows.borrow_mut().builds.push(*build),
            Row::Download(download) => rows.borrow_mut().downloads.push(*download),
            Row::Work(units, packages) => {
                let mut rows = rows.borrow_mut();
                rows.units.extend(units);
                rows.packages.extend(packages);
            }
        };
        recorded(&self.context.system, Rc::clone(&self.stages), Measures::default(), take)
    }

    /// Completes the run in the history. The look that found its end goes on whatever becomes of that.
    pub(crate) fn keep(self, outcome: Option<nixmon_runs::RunOutcome>, at: Moment) {
        let outcome = match outcome {
            Some(nixmon_runs::RunOutcome::Success) => RunOutcome::Success,
            Some(nixmon_runs::RunOutcome::Failure) => RunOutcome::Failure,
            Some(nixmon_runs::RunOutcome::Interrupted) => RunOutcome::Cancelled,
            Some(nixmon_runs::RunOutcome::NotStarted) => return,
            Some(nixmon_runs::RunOutcome::Incomplete) | None => RunOutcome::Unknown,
        };
        let record = ended(self.record, &self.stages.borrow(), outcome, at);
        if let Err(error) = complete(&self.context.path, &record, &self.rows.borrow()) {
            tracing::debug!(%error, "the history keeps an unfinished run");
        }
    }
}

fn complete(path: &Path, record: &RunRecord, rows: &Batch) -> Result<(), StoreError> {
    // A damaged history is moved aside by the next run, which says so.
    if path.exists() && matches!(Store::open_read_only(path), Err(StoreError::Corrupt(_))) {
        return Ok(());
    }
    Store::open(path, now_ms())?.0.complete_run(record, rows)
}
