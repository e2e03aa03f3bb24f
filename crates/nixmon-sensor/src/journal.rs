//! The journal: the newest events in files below a directory of the user's state, each with a number.
//!
//! - `events.jsonl`: entries ([`Entry`]), one a line, the newest last. `events.1.jsonl`: those before them; when the first file
//!   is full it takes the place of the second, whose entries are gone.
//! - `journal.lock`: held while entries are added, for the sensor is not the only one to do so.
//! - `sensor.lock`: held by a sensor as long as it lives; has the name of its backend.
//!
//! The directory has the mode 0700, files 0600, and no link in the place of a file is followed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::model::event::{Backend, Entry, Record};

/// Size of one of the two files, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Bytes at the end of a file that hold its last whole line.
const TAIL: u64 = 64 << 10;

/// A journal of events.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
    max_file: u64,
}

/// Entries of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The entries after the cursor that was asked for, or the newest of them.
    pub entries: Vec<Entry>,
    /// The cursor of the newest entry of the journal.
    pub cursor: u64,
    /// Number of entries after the cursor that are not here: older than the journal reaches, or too many for the page.
    pub omitted: u64,
}

/// A sensor's hold on the journal. It ends with the value, or with the process.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "the lock is held until the file is closed")] File);

impl Journal {
    /// Makes a journal in a directory, which need not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), max_file: MAX_FILE }
    }

    /// Returns its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes this process the sensor that writes the journal; `None` if there is one.
    ///
    /// # Errors
    ///
    /// If the directory or the file cannot be written.
    pub fn hold(&self, backend: Backend) -> io::Result<Option<Held>> {
        self.make_directory()?;
        let mut file =
            open(OpenOptions::new().read(true).write(true).create(true), &self.file("sensor.lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        writeln!(file, "{}", backend.name())?;
        Ok(Some(Held(file)))
    }

    /// Returns the backend of the sensor that lives now; `None` if there is none.
    pub fn sensor(&self) -> Option<Backend> {
        let mut file = open(OpenOptions::new().read(true), &self.file("sensor.lock")).ok()?;
        match file.try_lock_shared() {
            Err(std::fs::TryLockError::WouldBlock) => {}
            _ => return None,
        }
        let mut name = String::new();
        file.read_to_string(&mut name).ok()?;
        Backend::ALL.into_iter().find(|backend| backend.name() == name.trim())
    }

    /// Adds records. Returns the cursor of the last one.
    ///
    /// # Errors
    ///
    /// If they cannot be written, as on a full disk. Half a line is skipped by readers and the next writer.
    pub fn append(&self, records: impl IntoIterator<Item = Record>) -> io::Result<u64> {
        self.make_directory()?;
        let lock = open(OpenOptions::new().write(true).create(true), &self.file("journal.lock"))?;
        lock.lock()?;
        let (newest, older) = (self.file("events.jsonl"), self.file("events.1.jsonl"));
        let mut file = open(OpenOptions::new().read(true).append(true).create(true), &newest)?;
        let mut cursor = match last_cursor(&mut file)? {
            Some(cursor) => cursor,
            None => open(OpenOptions::new().read(true), &older)
                .and_then(|mut file| last_cursor(&mut file))
                .ok()
                .flatten()
                .unwrap_or(0),
        };
        let mut bytes = Vec::new();
        if ends_in_a_line(&mut file)? {
            bytes.push(b'\n');
        }
        for record in records {
            cursor += 1;
            serde_json::to_writer(&mut bytes, &Entry { cursor, record })?;
            bytes.push(b'\n');
        }
        file.write_all(&bytes)?;
        if file.metadata()?.len() > self.max_file {
            std::fs::rename(&newest, &older)?;
        }
        Ok(cursor)
    }

    /// Reads the entries after a cursor, the newest `most` of them; `None` if nothing was ever written. A cursor from the
    /// future is of a journal that is gone, and all are new.
    ///
    /// # Errors
    ///
    /// If a file is there and cannot be read.
    pub fn since(&self, cursor: u64, most: usize) -> io::Result<Option<Page>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut exists = false;
        for name in ["events.1.jsonl", "events.jsonl"] {
            let file = match open(OpenOptions::new().read(true), &self.file(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            exists = true;
            let mut bytes = Vec::new();
            // A file that grew beyond its limit is of a writer that could not rename it.
            file.take(4 * self.max_file).read_to_end(&mut bytes)?;
            let lines = bytes.split(|byte| *byte == b'\n');
            entries.extend(lines.filter_map(|line| serde_json::from_slice::<Entry>(line).ok()));
        }
        if !exists {
            return Ok(None);
        }
        // Renamed between the two reads, a file is read twice.
        entries.sort_by_key(|entry| entry.cursor);
        entries.dedup_by_key(|entry| entry.cursor);
        let newest = entries.last().map_or(0, |entry| entry.cursor);
        let cursor = if cursor > newest { 0 } else { cursor };
        let mut entries: Vec<Entry> = entries.into_iter().filter(|entry| entry.cursor > cursor).collect();
        entries.drain(..entries.len().saturating_sub(most));
        let omitted = (newest - cursor).saturating_sub(entries.len() as u64);
        Ok(Some(Page { entries, cursor: newest, omitted }))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn make_directory(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)
    }
}

/// Opens a file for its owner alone: the file itself, never what a link in its place points at.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = options.mode(0o600).custom_flags(flags).open(path);
    let file = file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{}: no regular file", path.display())));
    }
    Ok(file)
}

fn last_cursor(file: &mut File) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let mut lines = bytes.split(|byte| *byte == b'\n').rev();
    Ok(lines.find_map(|line| serde_json::from_slice::<Entry>(line).ok()).map(|entry| entry.cursor))
}

/// Returns whether a file's last line has no end.
fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::LossEvent;

    fn record(n: u64) -> Record {
        Record::Loss(LossEvent { at_ms: n, overruns: n, missed: 0 })
    }

    fn cursors(journal: &Journal, since: u64, most: usize) -> (Vec<u64>, u64, u64) {
        let page = journal.since(since, most).unwrap().unwrap();
        (page.entries.iter().map(|entry| entry.cursor).collect(), page.cursor, page.omitted)
    }

    #[test]
    fn entries_are_numbered_across_writers() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path().join("watch"));
        assert_eq!(journal.since(0, 10).unwrap(), None);
        assert_eq!(journal.append([record(1), record(2)]).unwrap(), 2);
        assert_eq!(Journal::new(journal.directory()).append([record(3)]).unwrap(), 3);
        assert_eq!(cursors(&journal, 0, 10), (vec![1, 2, 3], 3, 0));
        assert_eq!(cursors(&journal, 2, 10), (vec![3], 3, 0));
        assert_eq!(cursors(&journal, 3, 10), (vec![], 3, 0));
        assert_eq!(cursors(&journal, 0, 2), (vec![2, 3], 3, 1));
        // A journal that was there before had more.
        assert_eq!(cursors(&journal, 99, 10), (vec![1, 2, 3], 3, 0));
    }

    #[test]
    fn half_a_line_costs_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        journal.append([record(1)]).unwrap();
        let path = directory.path().join("events.jsonl");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"cursor\":2,\"ty").unwrap();
        assert_eq!(journal.append([record(2)]).unwrap(), 2);
        assert_eq!(cursors(&journal, 0, 10), (vec![1, 2], 2, 0));
    }

    #[test]
    fn old_entries_are_left_out_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal { max_file: 1000, ..Journal::new(directory.path()) };
        for n in 1..=200 {
            assert_eq!(journal.append([record(n)]).unwrap(), n);
        }
        let (cursors, cursor, omitted) = cursors(&journal, 0, 1000);
        assert!(cursors.len() > 10 && cursors.len() < 60, "{cursors:?}");
        assert_eq!((cursor, omitted), (200, 200 - cursors.len() as u64));
        assert!(cursors.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{cursors:?}");
        let size = |name: &str| std::fs::metadata(directory.path().join(name)).map_or(0, |file| file.len());
        assert!(size("events.jsonl") + size("events.1.jsonl") < 2300);
    }

    #[test]
    fn one_sensor_holds_it() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        assert_eq!(journal.sensor(), None);
        let held = journal.hold(Backend::Proc).unwrap().unwrap();
        assert!(journal.hold(Backend::Connector).unwrap().is_none());
        assert_eq!(journal.sensor(), Some(Backend::Proc));
        drop(held);
        assert_eq!(journal.sensor(), None);
        assert!(journal.hold(Backend::Connector).unwrap().is_some());
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, directory.path().join("events.jsonl")).unwrap();
        let journal = Journal::new(directory.path());
        assert!(journal.append([record(1)]).is_err());
        assert_eq!(std::fs::read_to_string(target).unwrap(), "precious");
    }
}
