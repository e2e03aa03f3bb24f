//! The files of a log: its text, the styles of its lines, and a table of lines with a fixed size of row.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use super::ansi::{self, Span, Style};
use super::sections::{Key, Sections};

/// Bytes of a row in the table of lines.
const ROW: usize = 36;
/// Bytes of a span in the file of styles.
const SPAN: usize = 8;
/// Bytes that are written at once.
const FULL: usize = 256 << 10;
/// Bytes of a line that a range of lines shows. The raw text has all.
pub(crate) const MAX_SHOWN: usize = 4096;
/// Bytes of text in one range of lines; its first line is there in any case.
pub(crate) const MAX_RANGE: usize = 1 << 20;
/// Number of names of phases; lines of further ones have none.
const MAX_PHASES: usize = 4096;

/// The kind of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Text of a builder, of Nix or of another program.
    #[default]
    Text,
    /// A message of nixmon about a failure.
    Failure,
}

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewLine<'a> {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    /// Time since the run began, in milliseconds.
    pub(crate) at_ms: u64,
    /// The text, free of control characters.
    pub(crate) text: &'a str,
    /// Length of the name of the derivation at its beginning.
    pub(crate) name: usize,
    /// Styles of what follows the name.
    pub(crate) spans: &'a [Span],
}

/// The extent of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Number of lines.
    pub(crate) n_lines: u64,
    /// Bytes of text.
    pub(crate) n_bytes: u64,
    /// All that was recorded at some moment has been read.
    pub(crate) is_current: bool,
    /// No more will come.
    pub(crate) is_complete: bool,
    /// Why it cannot be read to its end.
    pub(crate) error: Option<String>,
}

/// The files.
#[derive(Debug)]
struct Files {
    text: File,
    styles: File,
    rows: File,
}

/// Everything about the lines that is in memory.
#[derive(Debug, Default)]
struct Index {
    /// Derivations that have lines: path and name. The number of the first is 1.
    sources: Vec<(String, String)>,
    phases: Vec<String>,
    sections: Sections,
    /// The lines of each derivation, and its sections.
    views: Vec<(Vec<u32>, Sections)>,
    n_lines: u64,
    n_bytes: u64,
}

/// A log that is read while it may still grow. Clones read the same log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    files: Arc<Files>,
    index: Arc<Mutex<Index>>,
    progress: watch::Receiver<Progress>,
}

/// Writes a log.
#[derive(Debug)]
pub(crate) struct Writer {
    files: Arc<Files>,
    index: Arc<Mutex<Index>>,
    progress: watch::Sender<Progress>,
    text: Vec<u8>,
    styles: Vec<u8>,
    rows: Vec<u8>,
    keys: Vec<Key>,
    n_text: u64,
    n_styles: u64,
    n_rows: u64,
    /// Nothing is written any more, for this reason.
    broken: Option<String>,
}

/// The lines to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    /// All lines.
    #[default]
    Whole,
    /// The lines of the derivation with this number.
    Of(u32),
}

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    pub(crate) at_ms: u64,
    /// The text without the name of the derivation, at most [`MAX_SHOWN`] bytes.
    pub(crate) text: String,
    /// The text was cut.
    pub(crate) is_cut: bool,
    /// Parts of the text with their classes; empty if none has a style.
    pub(crate) parts: Vec<(String, String)>,
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Makes a log whose files are in `directory` and have no name, so that nothing is left of them.
    ///
    /// # Errors
    ///
    /// If they cannot be made.
    pub(crate) fn new(directory: &Path) -> io::Result<(Self, Log)> {
        let file = || tempfile::tempfile_in(directory);
        let files = Arc::new(Files { text: file()?, styles: file()?, rows: file()? });
        let index = Arc::new(Mutex::new(Index { phases: vec![String::new()], ..Index::default() }));
        let (progress, receiver) = watch::channel(Progress::default());
        let log = Log { files: Arc::clone(&files), index: Arc::clone(&index), progress: receiver };
        let writer = Self {
            files,
            index,
            progress,
            text: Vec::new(),
            styles: Vec::new(),
            rows: Vec::new(),
            keys: Vec::new(),
            n_text: 0,
            n_styles: 0,
            n_rows: 0,
            broken: None,
        };
        Ok((writer, log))
    }

    /// Adds a derivation, and returns its number.
    pub(crate) fn add_source(&mut self, path: &str, name: &str) -> u32 {
        let mut index = lock(&self.index);
        index.sources.push((path.to_owned(), name.to_owned()));
        index.views.push(Default::default());
        u32::try_from(index.sources.len()).unwrap_or(u32::MAX)
    }

    /// Adds the name of a phase, and returns its number.
    pub(crate) fn add_phase(&mut self, name: &str) -> u16 {
        let mut index = lock(&self.index);
        if index.phases.len() >= MAX_PHASES {
            return 0;
        }
        index.phases.push(name.to_owned());
        u16::try_from(index.phases.len() - 1).unwrap_or(0)
    }

    /// Writes a line. An error is kept for [`Writer::publish`].
    pub(crate) fn push(&mut self, line: &NewLine<'_>) {
        if self.broken.is_some() {
            return;
        }
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut row = [0; ROW];
        let mut fields = Fields { row: &mut row, at: 0 };
        fields.put(&(self.n_text + self.text.len() as u64).to_le_bytes());
        fields.put(&(self.n_styles + self.styles.len() as u64).to_le_bytes());
        fields.put(&small(line.text.len()).to_le_bytes());
        fields.put(&u32::try_from(line.at_ms).unwrap_or(u32::MAX).to_le_bytes());
        fields.put(&line.key.source.to_le_bytes());
        fields.put(&line.key.phase.to_le_bytes());
        fields.put(&u16::try_from(line.spans.len()).unwrap_or(0).to_le_bytes());
        fields.put(&u16::try_from(line.name).unwrap_or(0).to_le_bytes());
        fields.put(&[u8::from(line.kind == Kind::Failure), 0]);
        self.rows.extend_from_slice(&row);
        for (at, style) in line.spans {
            self.styles.extend_from_slice(&at.to_le_bytes());
            self.styles.extend_from_slice(&style.0.to_le_bytes());
        }
        self.text.extend_from_slice(line.text.as_bytes());
        self.text.push(b'\n');
        self.keys.push(line.key);
        if self.text.len() + self.rows.len() >= FULL {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.broken.is_some() || self.keys.is_empty() {
            return;
        }
        let written = self
            .files
            .text
            .write_all_at(&self.text, self.n_text)
            .and_then(|()| self.files.styles.write_all_at(&self.styles, self.n_styles))
            .and_then(|()| self.files.rows.write_all_at(&self.rows, self.n_rows));
        if let Err(error) = written {
            self.broken = Some(error.to_string());
            return;
        }
        self.n_text += self.text.len() as u64;
        self.n_styles += self.styles.len() as u64;
        self.n_rows += self.rows.len() as u64;
        self.text.clear();
        self.styles.clear();
        self.rows.clear();
        let mut index = lock(&self.index);
        for key in self.keys.drain(..) {
            let line = index.n_lines;
            index.n_lines += 1;
            index.sections.push(key);
            let view = (key.source as usize).checked_sub(1).and_then(|n| index.views.get_mut(n));
            if let (Some((lines, sections)), Ok(line)) = (view, u32::try_from(line)) {
                lines.push(line);
                sections.push(key);
            }
        }
        index.n_bytes = self.n_text;
    }

    /// Makes the lines so far readable, and wakes those that wait for more.
    ///
    /// # Errors
    ///
    /// If they could not be written: the disk is full.
    pub(crate) fn publish(&mut self) -> Result<(), String> {
        self.flush();
        let (n_lines, n_bytes) = {
            let index = lock(&self.index);
            (index.n_lines, index.n_bytes)
        };
        self.progress.send_if_modified(|progress| {
            let is_more = progress.n_lines != n_lines;
            progress.n_lines = n_lines;
            progress.n_bytes = n_bytes;
            is_more
        });
        match &self.broken {
            Some(error) => Err(format!("a copy of the log cannot be written: {error}")),
            None => Ok(()),
        }
    }

    /// Takes note that all that was recorded until now has been published.
    pub(crate) fn set_current(&self) {
        self.progress.send_if_modified(|progress| !std::mem::replace(&mut progress.is_current, true));
    }

    /// Ends the log: no more will come, or no more can be read for this reason.
    pub(crate) fn finish(&mut self, error: Option<String>) {
        let error = self.publish().err().or(error);
        self.progress.send_modify(|progress| {
            progress.is_current = true;
            progress.is_complete = true;
            progress.error = error;
        });
    }
}

/// Fills a row from its beginning.
struct Fields<'a> {
    row: &'a mut [u8; ROW],
    at: usize,
}

impl Fields<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(place) = self.row.get_mut(self.at..self.at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }
}

/// A row, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) text_at: u64,
    styles_at: u64,
    pub(crate) len: u32,
    at_ms: u32,
    key: Key,
    n_spans: u16,
    name: u16,
    kind: Kind,
}

impl Row {
    fn read(bytes: &[u8]) -> Option<Self> {
        let long = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        Some(Self {
            text_at: long(0)?,
            styles_at: long(8)?,
            len: word(16)?,
            at_ms: word(20)?,
            key: Key { source: word(24)?, phase: half(28)? },
            n_spans: half(30)?,
            name: half(32)?,
            kind: if *bytes.get(34)? == 0 { Kind::Text } else { Kind::Failure },
        })
    }
}

impl Log {
    /// Returns the extent of the log at the moment.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Waits until line `n` of the whole log is there, counted from 1, or all that was recorded so far; for at most `limit`.
    pub(crate) async fn reach(&self, n: u64, limit: Duration) -> Progress {
        let mut progress = self.progress.clone();
        let is_there = |progress: &Progress| progress.is_current || progress.n_lines >= n;
        let _ = tokio::time::timeout(limit, progress.wait_for(is_there)).await;
        self.progress()
    }

    /// Returns a receiver of the extent, to wait for more.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Returns the number of lines of a view.
    pub(crate) fn n_lines(&self, view: View) -> u64 {
        let index = lock(&self.index);
        match view {
            View::Whole => index.n_lines,
            View::Of(source) => of(&index, source).map_or(0, |(lines, _)| lines.len() as u64),
        }
    }

    /// Returns the derivations that have lines, with their numbers, paths, names and numbers of lines.
    pub(crate) fn sources(&self) -> Vec<(u32, String, String, u64)> {
        let index = lock(&self.index);
        (1..)
            .zip(&index.sources)
            .map(|(n, (path, name))| {
                let n_lines = of(&index, n).map_or(0, |(lines, _)| lines.len() as u64);
                (n, path.clone(), name.clone(), n_lines)
            })
            .collect()
    }

    /// Returns the view of a derivation: by its path, the last part of it, or its name, of which the last one counts.
    pub(crate) fn view_of(&self, reference: &str) -> Option<View> {
        let index = lock(&self.index);
        let matches = |(path, name): &(String, String)| {
            path == reference || name == reference || path.rsplit('/').next() == Some(reference)
        };
        let at = index.sources.iter().rposition(matches)?;
        u32::try_from(at + 1).ok().map(View::Of)
    }

    /// Returns the name of a derivation, and that of a phase; empty if there is none.
    pub(crate) fn names(&self, key: Key) -> (String, String) {
        let index = lock(&self.index);
        let source = (key.source as usize).checked_sub(1).and_then(|n| index.sources.get(n));
        let phase = index.phases.get(usize::from(key.phase)).cloned().unwrap_or_default();
        (source.map(|(_, name)| name.clone()).unwrap_or_default(), phase)
    }

    /// Returns the sections of a view: the first line of each, from 0, and its owners.
    pub(crate) fn sections(&self, view: View) -> Vec<super::sections::Section> {
        let sections = {
            let index = lock(&self.index);
            match view {
                View::Whole => Some(index.sections.clone()),
                View::Of(source) => of(&index, source).map(|(_, sections)| sections.clone()),
            }
        };
        sections.map(|sections| sections.all()).unwrap_or_default()
    }

    /// Returns the numbers in the whole log of lines of a view.
    fn lines_of(&self, view: View, first: u64, count: u64) -> Vec<u64> {
        let index = lock(&self.index);
        match view {
            View::Whole => (first..first.saturating_add(count).min(index.n_lines)).collect(),
            View::Of(source) => {
                let lines = of(&index, source).map(|(lines, _)| lines.as_slice()).unwrap_or_default();
                let first = usize::try_from(first).unwrap_or(usize::MAX);
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                lines.iter().skip(first).take(count).map(|line| u64::from(*line)).collect()
            }
        }
    }

    /// Reads the rows of some lines, which are in order.
    pub(crate) fn rows(&self, lines: &[u64]) -> io::Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(lines.len());
        for lines in lines.chunk_by(|a, b| b - a == 1) {
            let Some(first) = lines.first() else { continue };
            let mut bytes = vec![0; lines.len() * ROW];
            self.files.rows.read_exact_at(&mut bytes, first * ROW as u64)?;
            rows.extend(bytes.chunks_exact(ROW).filter_map(Row::read));
        }
        Ok(rows)
    }

    /// Reads lines of a view, `first` counted from 0. There may be fewer than `count`: the text has a limit.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub(crate) fn range(&self, view: View, first: u64, count: u64) -> io::Result<Vec<Line>> {
        let lines = self.lines_of(view, first, count);
        let mut read = Vec::with_capacity(lines.len());
        let mut room = MAX_RANGE;
        for row in self.rows(&lines)? {
            let line = self.line(&row)?;
            let size = line.text.len() + 64;
            if size > room && !read.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            read.push(line);
        }
        Ok(read)
    }

    fn line(&self, row: &Row) -> io::Result<Line> {
        let name = u64::from(row.name);
        let len = (row.len as usize).saturating_sub(usize::from(row.name));
        let mut bytes = vec![0; len.min(MAX_SHOWN)];
        self.files.text.read_exact_at(&mut bytes, row.text_at + name)?;
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if len > MAX_SHOWN {
            // The last character may be half a one.
            text.truncate(text.trim_end_matches('\u{fffd}').len());
        }
        let mut bytes = vec![0; usize::from(row.n_spans) * SPAN];
        self.files.styles.read_exact_at(&mut bytes, row.styles_at)?;
        let spans: Vec<Span> = bytes
            .chunks_exact(SPAN)
            .filter_map(|span| {
                let at = u32::from_le_bytes(span.get(..4)?.try_into().ok()?);
                Some((at, Style(u32::from_le_bytes(span.get(4..)?.try_into().ok()?))))
            })
            .collect();
        let parts = match spans.is_empty() {
            true => Vec::new(),
            false => ansi::parts(&text, &spans)
                .into_iter()
                .map(|(part, classes)| (part.to_owned(), classes))
                .collect(),
        };
        Ok(Line {
            key: row.key,
            kind: row.kind,
            at_ms: u64::from(row.at_ms),
            is_cut: len > MAX_SHOWN,
            text,
            parts,
        })
    }

    /// Reads some of the whole text, from a byte on; empty at its end.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn text(&self, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let end = lock(&self.index).n_bytes;
        let count = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(count);
        let mut bytes = vec![0; count];
        self.files.text.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Reads the whole text of some lines of a view, without names of derivations if it is that of one.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub(crate) fn raw(&self, view: View, first: u64, count: u64) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        for row in self.rows(&self.lines_of(view, first, count))? {
            let name = if view == View::Whole { 0 } else { row.name };
            // With the end of the line.
            let len = (row.len as usize + 1).saturating_sub(usize::from(name));
            let begin = text.len();
            text.resize(begin + len, 0);
            let place = text.get_mut(begin..).unwrap_or_default();
            self.files.text.read_exact_at(place, row.text_at + u64::from(name))?;
        }
        Ok(text)
    }
}

fn of(index: &Index, source: u32) -> Option<&(Vec<u32>, Sections)> {
    index.views.get((source as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::super::styled;
    use super::*;

    fn log(lines: &[(u32, &str)]) -> (Writer, Log) {
        let (mut writer, log) = Writer::new(&std::env::temp_dir()).unwrap();
        let phase = writer.add_phase("buildPhase");
        assert_eq!(
            (writer.add_source("/nix/store/x-a.drv", "a"), writer.add_source("/nix/store/y-b.drv", "b")),
            (1, 2)
        );
        for (source, raw) in lines {
            let (text, spans) = styled(raw);
            let name = ["", "a> ", "b> "][*source as usize];
            writer.push(&NewLine {
                key: Key { source: *source, phase },
                kind: Kind::Text,
                at_ms: 7,
                text: &format!("{name}{text}"),
                name: name.len(),
                spans: &spans,
            });
        }
        (writer, log)
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_read_by_number() {
        let (mut writer, log) =
            log(&[(0, "one"), (1, "two"), (2, "\u{1b}[31mthree\u{1b}[0m!"), (1, "four"), (0, "")]);
        assert_eq!(log.n_lines(View::Whole), 0, "nothing is there before it is published");
        writer.publish().unwrap();
        assert_eq!(texts(&log.range(View::Whole, 0, 99).unwrap()), ["one", "two", "three!", "four", ""]);
        assert_eq!(texts(&log.range(View::Whole, 3, 1).unwrap()), ["four"]);
        assert_eq!(texts(&log.range(View::Whole, 9, 1).unwrap()), [""; 0]);
        assert_eq!(texts(&log.range(View::Of(1), 0, 99).unwrap()), ["two", "four"]);
        assert_eq!(texts(&log.range(View::Of(1), 1, 99).unwrap()), ["four"]);
        assert_eq!(texts(&log.range(View::Of(9), 0, 99).unwrap()), [""; 0]);
        let styled = log.range(View::Of(2), 0, 1).unwrap();
        assert_eq!(styled[0].parts, [("three".to_owned(), "c1".to_owned()), ("!".to_owned(), String::new())]);
        assert_eq!(log.names(styled[0].key), ("b".to_owned(), "buildPhase".to_owned()));
        assert_eq!(log.raw(View::Whole, 0, 3).unwrap(), b"one\na> two\nb> three!\n");
        assert_eq!(log.raw(View::Of(1), 0, 9).unwrap(), b"two\nfour\n");
        assert_eq!(log.text(4, 6).unwrap(), b"a> two");
        assert_eq!(log.text(1 << 40, 6).unwrap(), b"");
        for (reference, expected) in [
            ("b", Some(View::Of(2))),
            ("x-a.drv", Some(View::Of(1))),
            ("/nix/store/x-a.drv", Some(View::Of(1))),
            ("c", None),
        ] {
            assert_eq!(log.view_of(reference), expected, "{reference}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_ranges_have_a_limit() {
        let long = "é".repeat(MAX_SHOWN);
        let many: Vec<(u32, &str)> = (0..600).map(|_| (1, long.as_str())).collect();
        let (mut writer, log) = log(&many);
        writer.publish().unwrap();
        let lines = log.range(View::Whole, 0, 600).unwrap();
        assert!(lines.len() > 100 && lines.len() < 300, "{}", lines.len());
        assert!(lines[0].is_cut && lines[0].text.len() <= MAX_SHOWN && lines[0].text.ends_with('é'));
        assert_eq!(log.raw(View::Of(1), 0, 1).unwrap().len(), long.len() + 1);
    }

    #[test]
    fn an_end_is_told() {
        let (mut writer, log) = log(&[(0, "one")]);
        assert!(!log.progress().is_complete);
        writer.finish(None);
        let expected = Progress { n_lines: 1, n_bytes: 4, is_current: true, is_complete: true, error: None };
        assert_eq!(log.progress(), expected);
    }
}
