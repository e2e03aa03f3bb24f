//! The condensed lines of a run, followed from a cursor on.

use std::fs::File;
use std::time::Duration;

use super::Runs;
use super::condensed::{CondensedLines, catch_up};
use crate::{QueryError, RunDir, Status, retention};

/// Time after which there may be something new.
const POLL: Duration = Duration::from_millis(200);

/// A reader of a run's condensed lines.
#[derive(Debug)]
pub struct Follow {
    dir: RunDir,
    lines: CondensedLines,
    cursor: u64,
    /// Keeps the run from being removed.
    _awaited: Option<File>,
}

/// The news of a run since the last look.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Followed {
    /// The new lines.
    pub lines: Vec<NewLine>,
    /// The status, not older than the lines.
    pub status: Status,
    /// Time after which to look again; `None` if the run has ended, so that there will be no more.
    pub look_again: Option<Duration>,
}

/// A condensed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// The cursor after this line.
    pub cursor: u64,
    /// The line as it was written; not yet free of control sequences.
    pub text: String,
}

impl Follow {
    pub(super) fn new(dir: &RunDir, cursor: Option<u64>) -> Result<Self, QueryError> {
        let mut lines = CondensedLines::of(dir);
        // Without a cursor, lines that exist already are not new.
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => lines.read()?.len() as u64,
        };
        Ok(Self { dir: dir.clone(), lines, cursor, _awaited: retention::await_end(dir.path()) })
    }

    /// Returns the lines that are new since the last call, and the status.
    ///
    /// # Errors
    ///
    /// If the run cannot be read.
    pub fn next(&mut self, runs: &Runs<'_>, now: u64) -> Result<Followed, QueryError> {
        // The status comes first: once a run has ended, there are no more lines.
        let mut status = runs.look(&self.dir, now)?.status;
        let all = self.lines.read()?;
        let mut lines = Vec::new();
        for text in all.iter().skip(usize::try_from(self.cursor).unwrap_or(usize::MAX)) {
            self.cursor = self.cursor.saturating_add(1);
            lines.push(NewLine { cursor: self.cursor, text: text.clone() });
        }
        catch_up(&mut status, all);
        // Lines that were lost to a full disk count too.
        status.cursor = status.cursor.max(self.cursor);
        let look_again = (!status.has_ended()).then_some(POLL);
        Ok(Followed { lines, status, look_again })
    }
}
