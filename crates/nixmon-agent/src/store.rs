//! Looks at the store of runs: files with their sizes, and how runs stand.

#![expect(clippy::disallowed_methods, reason = "what is mirrored is in files")]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nixmon_fleet::{BusyRun, RunFile};
use nixmon_runs::query::Look;
use nixmon_runs::{Activity, RunDir};
use serde_json::Value;

use crate::mirror::{Identity, Seen, SeenRun};

/// Largest document, in bytes; the message around it has room in [`nixmon_fleet::MAX_TEXT`].
const MAX_DOCUMENT: usize = nixmon_fleet::MAX_TEXT - (4 << 10);

/// Returns the place of a file of a run.
pub(crate) fn path(dir: &RunDir, file: RunFile) -> PathBuf {
    match file {
        RunFile::Facts => dir.file("facts.json"),
        RunFile::Status => dir.file("status.json"),
        RunFile::Exit => dir.file("exit.json"),
        RunFile::Summary => dir.file("summary.json"),
        RunFile::Input => dir.input(),
        RunFile::Rest(guard) => dir.rest_of(guard),
        RunFile::Lines => dir.lines(),
        RunFile::Changes => dir.changes(),
    }
}

/// Returns the files of a run as they are now. Its end is found out elsewhere.
pub(crate) fn seen(dir: &RunDir) -> SeenRun {
    let mut seen = SeenRun::default();
    for file in RunFile::all() {
        let Ok(metadata) = std::fs::symlink_metadata(path(dir, file)) else { continue };
        if !metadata.is_file() {
            continue;
        }
        if file.grows() {
            seen.files.insert(file, Seen { size: metadata.len(), identity: identity(&metadata) });
        } else {
            let mut state = DefaultHasher::new();
            (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()).hash(&mut state);
            seen.documents.insert(file, state.finish());
        }
    }
    seen
}

fn identity(metadata: &std::fs::Metadata) -> Identity {
    let made = metadata.created().ok().and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
    let made = made.and_then(|made| u64::try_from(made.as_nanos()).ok()).unwrap_or(0);
    Identity { inode: metadata.ino(), made }
}

/// Reads a part of a growing file; nothing if it is another file by now, or shorter.
pub(crate) fn read_part(
    path: &Path,
    wanted: Identity,
    offset: u64,
    len: usize,
) -> io::Result<Option<Vec<u8>>> {
    let file = nixmon_runs::open_file(path)?;
    let metadata = file.metadata()?;
    if identity(&metadata) != wanted || metadata.len() < offset.saturating_add(len as u64) {
        return Ok(None);
    }
    let mut bytes = vec![0; len];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A small file, read.
#[derive(Debug)]
pub(crate) enum Read {
    /// Its content.
    Content(Value),
    /// It is not there, or damaged.
    Missing,
    /// It is too large for a message.
    TooLarge,
}

/// Reads a small file. From a status that is too large the lists of packages are left out.
pub(crate) fn read_document(dir: &RunDir, file: RunFile) -> Read {
    let Ok(mut reader) = nixmon_runs::open_file(&path(dir, file)) else { return Read::Missing };
    let mut bytes = Vec::new();
    let limit = 64 << 20;
    if io::Read::read_to_end(&mut io::Read::take(&mut reader, limit), &mut bytes).is_err() {
        return Read::Missing;
    }
    if bytes.len() as u64 == limit {
        return Read::TooLarge;
    }
    let Ok(mut content) = serde_json::from_slice::<Value>(&bytes) else { return Read::Missing };
    if let (RunFile::Status, Some(fields)) = (file, content.as_object_mut())
        && bytes.len() > MAX_DOCUMENT
    {
        for list in ["derivations", "packages", "work", "slow"] {
            fields.remove(list);
        }
    }
    if content.to_string().len() > MAX_DOCUMENT { Read::TooLarge } else { Read::Content(content) }
}

/// Returns a run in progress as a beat has it.
pub(crate) fn busy(look: &Look) -> BusyRun {
    let status = &look.status;
    let builds = (status.built as u64, status.wanted as u64);
    let fetches = (status.fetched as u64, status.to_fetch as u64);
    let (done, total) = if builds.1 > 0 { builds } else { fetches };
    BusyRun {
        run: status.id.0,
        phase: status.phase,
        line: status.line.clone(),
        done,
        total: (total > 0).then_some(total),
        remaining_ms: status.eta.as_ref().map(|eta| eta.remaining_ms),
        silent_ms: status.silent_ms,
        is_stuck: status.activity == Some(Activity::Stuck),
    }
}

/// Returns the generation that the system's profile names, as `142`.
pub(crate) fn generation() -> Option<String> {
    let link = std::fs::read_link("/nix/var/nix/profiles/system").ok()?;
    let name = link.file_name()?.to_str()?;
    let number = name.strip_prefix("system-")?.strip_suffix("-link")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| number.to_owned())
}

/// Returns the boot of the machine.
pub(crate) fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// A cache of what is known of runs that are over, so that none is looked at twice.
pub(crate) type Over = BTreeMap<u64, SeenRun>;
