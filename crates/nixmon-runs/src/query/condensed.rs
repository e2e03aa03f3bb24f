//! The condensed lines of a run, and a status that is not older than they are.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files;
use crate::{QueryError, RunDir, RunId, RunState, Status};
use nixmon_core::text::stamped;
use nixmon_log::escapes::sanitize;

/// The condensed lines of a run, read again only when there may be more.
#[derive(Debug)]
pub(super) struct CondensedLines {
    run: RunId,
    path: PathBuf,
    seen: Option<(u64, u64, i64, i64)>,
    lines: Vec<String>,
}

impl CondensedLines {
    pub(super) fn of(run: &RunDir) -> Self {
        Self { run: run.id(), path: run.lines(), seen: None, lines: Vec::new() }
    }

    /// Returns all whole lines so far. They are few: that is what condensed lines are for.
    pub(super) fn read(&mut self) -> Result<&[String], QueryError> {
        self.refresh().map_err(|error| QueryError::Unreadable {
            id: self.run,
            error: files::named(&self.path, &error),
        })?;
        Ok(&self.lines)
    }

    fn refresh(&mut self) -> std::io::Result<()> {
        let seen = identity(&self.path)?;
        if seen.is_some() && self.seen != seen {
            let mut bytes = Vec::new();
            files::open(&self.path)?.read_to_end(&mut bytes)?;
            self.seen = seen;
            let text = String::from_utf8_lossy(&bytes);
            self.lines = text
                .rsplit_once('\n')
                .map_or_else(Vec::new, |(whole, _)| whole.split('\n').map(str::to_owned).collect());
        }
        Ok(())
    }
}

fn identity(path: &Path) -> std::io::Result<Option<(u64, u64, i64, i64)>> {
    match std::fs::symlink_metadata(path) {
        Ok(file) => Ok(Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings a status up to the lines. A status is written once in a second at most, lines as they come: without this a
/// cursor would go back from one command to the next, and what is said contradict a line that was just printed.
///
/// The lines are text, and a line about the whole run is known by the time before it: the file is what readers of a run see and
/// what cursors count. A second file with the same as data could differ from it when a monitor is killed between the two.
pub(super) fn catch_up(status: &mut Status, lines: &[String]) {
    if status.state == RunState::Ended {
        // It was written after the last line.
        return;
    }
    let known = usize::try_from(status.cursor).unwrap_or(usize::MAX);
    let Some(newer) = lines.get(known..).filter(|newer| !newer.is_empty()) else { return };
    if let Some(line) = newer.iter().rev().find_map(|line| stamped(line)) {
        status.line = sanitize(line).into_owned();
    }
    status.cursor = lines.len() as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: RunState, cursor: u64, lines: &[&str], expected: (u64, &str)) {
        let mut status = Status { state, cursor, line: "Evaluating…".to_owned(), ..Status::default() };
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        catch_up(&mut status, &lines);
        assert_eq!((status.cursor, status.line.as_str()), expected, "{lines:?}");
    }

    #[test]
    fn a_status_is_not_older_than_the_lines() {
        use RunState::{Ended, Lost, Running};
        let lines =
            ["[0s] Building… 2 to build", "some text", "[1m03s] ✗ a-1.0 failed", "[x] text", "[12] text"];
        check(Running, 0, &lines[..1], (1, "Building… 2 to build"));
        check(Running, 1, &lines[..1], (1, "Evaluating…"));
        check(Running, 9, &lines, (9, "Evaluating…"));
        check(Running, 1, &lines[..2], (2, "Evaluating…"));
        check(Running, 0, &lines[..4], (4, "✗ a-1.0 failed"));
        check(Lost, 0, &lines[..3], (3, "✗ a-1.0 failed"));
        check(Ended, 0, &lines, (0, "Evaluating…"));
        check(Running, 0, &[], (0, "Evaluating…"));
    }
}
