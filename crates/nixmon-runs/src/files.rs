//! Files that are replaced as a whole, and locks.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Size limit of a JSON file; nixmon writes no larger ones.
const MAX_JSON: u64 = 64 << 20;
/// Number of tries to take a lock. A process that only checks whether it is held has it for a moment.
const TRIES: u32 = 100;
/// Time between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Survival of a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// The run would be lost with it.
    Synced,
    /// There is a newer one soon, or it can be made again.
    Cached,
}

/// A held lock; it ends with the value, or with the process, whatever ends it.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// The locked file. A process that inherits it holds the lock too, until the last of them has closed it.
    pub fn into_file(self) -> File {
        self.0
    }
}

/// Takes a lock; `None` if another process has it.
pub(super) fn try_lock(path: &Path) -> Result<Option<Lock>, StoreError> {
    let file = open_lock(path)?;
    for n_try in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) if n_try + 1 < TRIES => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(StoreError::io("cannot lock", path, source)),
        }
    }
    Ok(None)
}

fn open_lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    file.map_err(|source| StoreError::io("cannot write", path, source))
}

/// Returns whether a lock is held. Needs no permission to write.
pub(super) fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Creates a private directory, and those above it.
pub(super) fn make_dir(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StoreError::io("cannot make", path, source))
}

/// Writes beside the file and renames, so that a reader sees the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_file_name(format!(".{name}.{}-{n}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        if durability == Durability::Synced {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)?;
        if durability == Durability::Synced {
            sync_parent(path)?;
        }
        Ok(())
    };
    write().map_err(|source| {
        // It may never have been made.
        let _ = std::fs::remove_file(&temporary);
        StoreError::io("cannot write", path, source)
    })
}

/// A renamed file is where it is only once its directory is written.
pub(super) fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The same for JSON.
pub(super) fn replace_json(
    path: &Path,
    value: &impl Serialize,
    durability: Durability,
) -> Result<(), StoreError> {
    let json = serde_json::to_vec(value);
    let mut bytes = json.map_err(|error| StoreError::io("cannot write", path, error.into()))?;
    bytes.push(b'\n');
    replace(path, &bytes, durability)
}

/// Reads a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(source) => return Err(StoreError::io("cannot read", path, source)),
    };
    let mut bytes = Vec::new();
    let read = file.take(MAX_JSON).read_to_end(&mut bytes);
    read.map_err(|source| StoreError::io("cannot read", path, source))?;
    Ok(Some(bytes))
}

/// Reads JSON. What is damaged, as by a power failure, is as good as missing.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    Ok(read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

pub(super) fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Bytes of the files in a directory.
pub(super) fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| entry.metadata().ok());
    sizes.filter(|metadata| metadata.is_file()).map(|metadata| metadata.len()).sum()
}

/// Creates a private directory with a new name.
pub(super) fn make_own_dir(parent: &Path, name: &str) -> Option<PathBuf> {
    (0..16_u32).find_map(|n| {
        let path = parent.join(format!("{name}-{:x}-{n:x}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).ok().map(|()| path)
    })
}
