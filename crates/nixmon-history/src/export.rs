//! Exporting: the whole history, or a part of it, as JSON lines.

use std::io::Write;

use crate::record::{Line, SCHEMA};
use crate::store::{RunFilter, Store, StoreError};

/// A failure of an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The lines could not be written.
    #[error("failed to write the export")]
    Write(#[source] std::io::Error),
    /// The history failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the runs chosen, the oldest first, each followed by what happened in it. Returns the number of lines.
pub fn export(store: &Store, filter: &RunFilter<'_>, out: &mut dyn Write) -> Result<usize, ExportError> {
    let mut lines = 0;
    let mut say = |line: Line| -> Result<(), ExportError> {
        let text = serde_json::to_string(&line).map_err(|e| ExportError::Write(e.into()))?;
        lines += 1;
        writeln!(out, "{text}").map_err(ExportError::Write)
    };
    say(Line::Header { schema: SCHEMA })?;
    let mut runs = store.runs(filter)?;
    runs.reverse();
    for run in runs {
        say(Line::Run(run.record.clone()))?;
        store.builds(&run)?.into_iter().map(Line::Build).try_for_each(&mut say)?;
        store.downloads(&run)?.into_iter().map(Line::Download).try_for_each(&mut say)?;
        store.packages(&run)?.into_iter().map(Line::Package).try_for_each(&mut say)?;
        store.units(&run)?.into_iter().map(Line::Unit).try_for_each(&mut say)?;
        store.predictions(&run)?.into_iter().map(Line::Prediction).try_for_each(&mut say)?;
    }
    Ok(lines)
}
