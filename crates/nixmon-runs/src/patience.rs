//! Locks that are waited for, but not for ever: a process that holds one may be stopped.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::StoreError;
use super::files::{self, Lock};
use super::proc::Proc;

/// Longest wait for a lock whose holder is stopped or unknown.
const STOPPED: Duration = Duration::from_secs(3);

/// Waits for a lock, `limit` at most.
///
/// # Errors
///
/// If it is still held then, with its holder; or if it cannot be taken at all.
pub(super) fn lock(path: &Path, limit: Duration) -> Result<Lock, StoreError> {
    let begun = Instant::now();
    loop {
        if let Some(lock) = files::try_lock(path)? {
            return Ok(lock);
        }
        if begun.elapsed() >= limit {
            return Err(StoreError::Locked { path: path.to_owned(), holder: holder(path).map(Holder::told) });
        }
    }
}

/// Waits for a lock whose holder works for a while; `None` if the holder is stopped, or takes longer than `limit`.
///
/// # Errors
///
/// If it cannot be taken at all.
pub(super) fn lock_of_worker(path: &Path, limit: Duration) -> Result<Option<Lock>, StoreError> {
    let begun = Instant::now();
    loop {
        if let Some(lock) = files::try_lock(path)? {
            return Ok(Some(lock));
        }
        let is_over = begun.elapsed() >= limit
            || begun.elapsed() >= STOPPED && holder(path).is_none_or(|holder| holder.is_stopped);
        if is_over {
            return Ok(None);
        }
    }
}

/// The process that holds a lock.
struct Holder {
    pid: i32,
    name: String,
    is_stopped: bool,
}

impl Holder {
    fn told(self) -> String {
        let Self { pid, name, is_stopped } = self;
        let stopped = if is_stopped { ", which is stopped" } else { "" };
        format!("{} (process {pid}){stopped}", nixmon_log::escapes::sanitize(&name))
    }
}

/// Finds the holder of a lock, if the system tells.
fn holder(path: &Path) -> Option<Holder> {
    let proc = Proc::default();
    let inode = std::fs::metadata(path).ok()?.ino();
    let pid = proc.lock_holder(inode)?;
    let stat = proc.stat(pid)?;
    Some(Holder { pid, name: stat.name().to_owned(), is_stopped: stat.is_stopped() })
}
