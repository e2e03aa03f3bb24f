//! Marker files: a build that no sensor sees, in a container or on another machine, writes its result into a file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use nixmon_log::escapes::sanitize;
use rustix::fs::OFlags;

use crate::model::event::{Backend, BuildEvent, Verdict};

/// Bytes read of a file.
const MAX_FILE: u64 = 256;

/// A version of a file: its number, its size and the time of its last change.
type Version = (u64, u64, i64, i64);

#[derive(Debug)]
struct Marker {
    path: PathBuf,
    /// The version that was told, or was there at the beginning.
    told: Option<Version>,
    /// The version at the last look. Told is one that stays, since a file is made before it is written.
    last: Option<Version>,
}

/// Files whose change is the end of a build.
#[derive(Debug, Default)]
pub struct Markers(BTreeMap<String, Marker>);

impl Markers {
    /// Watches files, each with the name of its build. What they hold now is of the past.
    pub fn new(files: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let markers = files.into_iter().map(|(name, path)| {
            let version = version(&path);
            (name, Marker { path, told: version, last: version })
        });
        Self(markers.collect())
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks at the files at `now`, in milliseconds since 1970. Returns builds that have ended.
    pub fn poll(&mut self, now: u64) -> Vec<BuildEvent> {
        let mut ended = Vec::new();
        for (name, marker) in &mut self.0 {
            let version = version(&marker.path);
            let is_settled = version == marker.last;
            marker.last = version;
            if !is_settled || version == marker.told {
                continue;
            }
            marker.told = version;
            // One that was removed says nothing.
            if version.is_some() {
                ended.push(event(name, marker, now));
            }
        }
        ended
    }
}

fn version(path: &PathBuf) -> Option<Version> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Reads the first word of a file: an exit status, or a word for a result. Anything else is no result.
fn result(text: &str) -> (Verdict, Option<i32>) {
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match (word.parse::<i32>(), &*word) {
        (Ok(0), _) => (Verdict::Pass, Some(0)),
        (Ok(status @ 1..=255), _) => (Verdict::Fail, Some(status)),
        (_, "pass" | "passed" | "success" | "ok") => (Verdict::Pass, None),
        (_, "fail" | "failed" | "failure" | "error") => (Verdict::Fail, None),
        _ => (Verdict::Unknown, None),
    }
}

fn event(name: &str, marker: &Marker, now: u64) -> BuildEvent {
    let mut bytes = Vec::new();
    // A pipe would never end.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    if let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(&marker.path) {
        // What cannot be read is no result.
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    let (result, exit_status) = result(&String::from_utf8_lossy(&bytes));
    let name = sanitize(name).into_owned();
    let directory = marker.path.parent().map(|path| sanitize(&path.to_string_lossy()).into_owned());
    BuildEvent {
        program: "marker".to_owned(),
        directory,
        result: Some(result),
        exit_status,
        ended_ms: Some(now),
        ..BuildEvent::new(format!("marker-{name}-{now}"), &name, Backend::Marker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        for (text, expected) in [
            ("0\n", (Verdict::Pass, Some(0))),
            ("2 after 3m", (Verdict::Fail, Some(2))),
            ("Success", (Verdict::Pass, None)),
            ("FAILED: tests", (Verdict::Unknown, None)),
            ("failed tests", (Verdict::Fail, None)),
            ("", (Verdict::Unknown, None)),
            ("-1", (Verdict::Unknown, None)),
            ("4711", (Verdict::Unknown, None)),
            ("done", (Verdict::Unknown, None)),
        ] {
            assert_eq!(result(text), expected, "{text:?}");
        }
    }

    #[test]
    fn changes_are_told_when_they_are_over() {
        let temp = tempfile::tempdir().unwrap();
        let (old, new) = (temp.path().join("old"), temp.path().join("new"));
        std::fs::write(&old, "1").unwrap();
        let files = [("deploy".to_owned(), old.clone()), ("nightly".to_owned(), new.clone())];
        let mut markers = Markers::new(files);
        let mut poll = |now| {
            let ended = markers.poll(now).into_iter();
            ended.map(|build| (build.label, build.result, build.exit_status)).collect::<Vec<_>>()
        };
        assert_eq!(poll(1), []);
        std::fs::write(&new, "").unwrap();
        assert_eq!(poll(2), []);
        std::fs::write(&new, "0\n").unwrap();
        assert_eq!(poll(3), []);
        assert_eq!(poll(4), [("nightly".to_owned(), Some(Verdict::Pass), Some(0))]);
        assert_eq!(poll(5), []);
        std::fs::remove_file(&new).unwrap();
        assert_eq!((poll(6), poll(7)), (vec![], vec![]));
        std::fs::write(&old, "17").unwrap();
        assert_eq!(poll(8), []);
        assert_eq!(poll(9), [("deploy".to_owned(), Some(Verdict::Fail), Some(17))]);
    }
}
