//! The recorder of one run, which never fails: what cannot be written is counted.

use std::path::Path;

use super::{Batch, Notice, RunId, Store, StoreError};
use crate::record::{BuildRecord, DownloadRecord, PackageRecord, PredictionRecord, RunRecord, UnitRecord};
use crate::stats::Regression;

/// The rows that were not written, and the first reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The rows.
    pub rows: u64,
    /// True if the run itself is missing from the history, or its end.
    pub run: bool,
    /// The first reason, as a text for the user.
    pub reason: Option<String>,
}

impl Losses {
    /// Returns true if nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && !self.run
    }
}

/// Writes one run to the history as it goes on.
///
/// Its methods take time when other processes write; a program calls them from a thread of its own.
#[derive(Debug)]
pub struct Recorder {
    store: Option<Store>,
    run: Option<RunId>,
    record: RunRecord,
    pending: Batch,
    losses: Losses,
}

/// The rows that wait at most while nothing can be written; more are lost.
const MOST_PENDING: usize = 20_000;
/// The rows at which a batch is written, however soon: each batch rewrites pages of every table.
const BATCH: usize = 512;

impl Recorder {
    /// Begins a run in the history at `path`. Returns what a user should be told.
    pub fn begin(path: &Path, record: RunRecord, now_ms: i64) -> (Self, Option<Notice>) {
        let mut recorder =
            Recorder { store: None, run: None, record, pending: Batch::default(), losses: Losses::default() };
        let mut notice = None;
        match Store::open(path, now_ms) {
            Ok((mut store, said)) => {
                notice = said;
                match store.begin_run(&recorder.record) {
                    Ok(run) => recorder.run = Some(run),
                    Err(error) => recorder.reason(&error),
                }
                recorder.store = Some(store);
            }
            Err(error) => {
                recorder.reason(&error);
                recorder.losses.run = true;
            }
        }
        (recorder, notice)
    }

    /// Returns the number of the run, if it is in the history.
    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    /// Returns what was lost so far.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Takes a build that has ended.
    pub fn build(&mut self, build: BuildRecord) {
        self.pending.builds.push(build);
        self.took();
    }

    /// Takes a download that has ended.
    pub fn download(&mut self, download: DownloadRecord) {
        self.pending.downloads.push(download);
        self.took();
    }

    /// Takes a unit that has ended.
    pub fn unit(&mut self, unit: UnitRecord) {
        self.pending.units.push(unit);
        self.took();
    }

    /// Takes a package that has ended.
    pub fn package(&mut self, package: PackageRecord) {
        self.pending.packages.push(package);
        self.took();
    }

    /// Takes a prediction.
    pub fn prediction(&mut self, prediction: PredictionRecord) {
        self.pending.predictions.push(prediction);
        self.took();
    }

    fn took(&mut self) {
        if self.pending.len() >= BATCH {
            self.flush();
        }
    }

    /// Writes what waits. A program calls it now and then, so that a run that is killed has taught what it finished.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let Some(store) = &mut self.store else {
            self.losses.rows += self.pending.len() as u64;
            self.pending = Batch::default();
            return;
        };
        let written = match self.run {
            Some(run) => store.add(run, &self.pending),
            None => store.begin_run(&self.record).and_then(|run| {
                self.run = Some(run);
                store.add(run, &self.pending)
            }),
        };
        match written {
            Ok(()) => self.pending = Batch::default(),
            Err(error) => {
                self.reason(&error);
                // What another process holds up is tried again; what the disk refuses may fit later.
                if self.pending.len() > MOST_PENDING || matches!(error, StoreError::Corrupt(_)) {
                    self.losses.rows += self.pending.len() as u64;
                    self.pending = Batch::default();
                }
            }
        }
    }

    /// Writes what waits, and returns the packages that take longer in this run than before; see [`Store::regressions`].
    pub fn regressions(&mut self) -> Vec<(String, Regression)> {
        self.flush();
        let (Some(store), Some(id)) = (&self.store, self.run) else { return Vec::new() };
        // A history that cannot be read has nothing to tell; that it cannot be written is a loss already.
        store.run(id).ok().flatten().and_then(|run| store.regressions(&run).ok()).unwrap_or_default()
    }

    /// Ends the run, and returns what was lost.
    pub fn finish(mut self, record: &RunRecord) -> Losses {
        self.flush();
        self.losses.rows += self.pending.len() as u64;
        match (&mut self.store, self.run) {
            (Some(store), Some(run)) => {
                if let Err(error) = store.finish_run(run, record) {
                    self.losses.run = true;
                    self.reason(&error);
                }
            }
            _ => self.losses.run = true,
        }
        if self.losses.is_empty() {
            self.losses.reason = None;
        }
        self.losses
    }

    fn reason(&mut self, error: &StoreError) {
        self.losses.reason.get_or_insert_with(|| error.to_string());
    }
}
