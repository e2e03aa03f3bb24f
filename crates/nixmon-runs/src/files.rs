//! Files that are replaced as a whole, and locks.

use std::collections::hash_map::RandomState;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

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

/// A held lock; it ends with the value, or with the process, whatever ends it. A process that inherits the file holds it
/// too, until the last of them has closed it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock is held until the file is closed")] File);

/// Makes a file of a run that only its owner can read, or empties it. A link in its place is not followed.
///
/// # Errors
///
/// If it cannot be written. The error names the file.
pub fn create_file(path: &Path) -> io::Result<File> {
    create(path).map_err(|error| named(path, &error))
}

/// Opens a file to read it, without following a link, and without waiting where it is a pipe.
///
/// # Errors
///
/// If it cannot be read, or is no regular file.
pub fn open_file(path: &Path) -> io::Result<File> {
    open(path)
}

/// Opens a file to read it, without following a link, and without waiting where it is a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Makes a file that only its owner can read, or empties it.
pub(super) fn create(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().write(true).create(true).truncate(true), path)
}

/// Opens a file that is there to write over its beginning.
pub(super) fn open_to_overwrite(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().write(true), path)
}

/// Adds the name of the file to an error.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Opens a file of the store: the file itself, never what a link in its place points at.
fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let is_new = std::fs::symlink_metadata(path).is_err();
    let opened = options.mode(0o600).custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
            io::Error::other("it is a symbolic link, which is not followed")
        }
        _ => error,
    })?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if is_new {
        give(&file, path);
    }
    Ok(file)
}

/// Gives a new file or directory of root to the owner of its directory, who could not use the store with it otherwise.
fn give(file: &File, path: &Path) {
    let Some(parent) = path.parent().and_then(|parent| std::fs::metadata(parent).ok()) else { return };
    let is_ours = file.metadata().is_ok_and(|file| file.uid() == parent.uid());
    if !is_ours && rustix::process::geteuid().is_root() {
        let (user, group) =
            (rustix::fs::Uid::from_raw(parent.uid()), rustix::fs::Gid::from_raw(parent.gid()));
        // Without it the file is as good as any; its owner is told when it cannot be read.
        let _ = rustix::fs::fchown(file, Some(user), Some(group));
    }
}

/// Fails if a directory belongs to another user, or, if it does not exist, would be made in one of a user by root. Its
/// owner could replace every file of ours by another one while we use it.
///
/// # Errors
///
/// [`StoreError::OtherOwner`].
pub fn check_owner(dir: &Path) -> Result<(), StoreError> {
    let own = rustix::process::geteuid();
    for path in dir.ancestors() {
        let Ok(metadata) = std::fs::metadata(path) else { continue };
        let is_ours =
            metadata.uid() == own.as_raw() || path != dir && (!own.is_root() || metadata.uid() == 0);
        return match is_ours {
            true => Ok(()),
            false => Err(StoreError::OtherOwner { path: path.to_owned(), user: metadata.uid() }),
        };
    }
    Ok(())
}

/// Returns a part of a name that nobody can guess.
fn unique() -> String {
    format!("{:x}-{:016x}", std::process::id(), RandomState::new().build_hasher().finish())
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
    let file = open_with(OpenOptions::new().read(true).write(true).create(true).truncate(false), path);
    file.map_err(|source| StoreError::io("cannot write", path, source))
}

/// Returns whether a lock is held. Needs no permission to write.
pub(super) fn is_locked(path: &Path) -> bool {
    let Ok(file) = open(path) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Creates a private directory, and those above it.
///
/// # Errors
///
/// If one cannot be made.
pub fn make_dir(path: &Path) -> Result<(), StoreError> {
    let new: Vec<_> = path.ancestors().take_while(|path| std::fs::symlink_metadata(path).is_err()).collect();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| StoreError::io("cannot make", path, error))?;
    for path in new.into_iter().rev() {
        if let Ok(made) = File::open(path) {
            give(&made, path);
        }
    }
    Ok(())
}

/// Replaces a file as a whole, durably: a reader sees the old one or the new one.
///
/// # Errors
///
/// If it cannot be written.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    replace(path, bytes, Durability::Synced)
}

/// Writes beside the file and renames, so that a reader sees the old one or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", unique()));
    let write = || -> std::io::Result<()> {
        let mut file = open_with(OpenOptions::new().write(true).create_new(true), &temporary)?;
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
        remove(&temporary);
        StoreError::io("cannot write", path, source)
    })
}

/// Removes a file. Nobody looks for it later, so that an error is not the last word; one that is not there is none.
pub(super) fn remove(path: &Path) {
    const TRIES: u32 = 3;
    for _ in 0..TRIES {
        match std::fs::remove_file(path) {
            Err(error) if !is_missing(&error) => {}
            _ => return,
        }
    }
}

/// Removes halves of files, of processes that were killed before they could rename them. The caller knows that no other
/// process replaces files of this directory.
pub(super) fn remove_temporaries(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_temporary = entry.file_name().to_str().is_some_and(is_temporary);
        if is_temporary && entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            remove(&entry.path());
        }
    }
}

/// Returns whether this is a name as [`replace`] gives them.
fn is_temporary(name: &str) -> bool {
    name.strip_prefix('.').and_then(|name| name.rsplit_once('.')).is_some_and(|(name, unique)| {
        !name.is_empty() && unique.contains('-') && unique.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
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
    let file = match open(path) {
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
    (0..4).find_map(|_| {
        let path = parent.join(format!("{name}-{}", unique()));
        DirBuilder::new().mode(0o700).create(&path).ok().map(|()| path)
    })
}
