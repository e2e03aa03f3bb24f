//! The file with the state of an agent, which a later one goes on from.

#![expect(clippy::disallowed_methods, reason = "the files of this directory are this module's business")]

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use nixmon_runs::StoreError;
use serde::{Deserialize, Serialize};

use crate::commands::Commands;
use crate::mirror::Generations;

/// The version of the file.
const FORMAT: u32 = 1;

/// The state of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    format: u32,
    /// Identifies the store of runs.
    pub(crate) store: String,
    /// Commands of the hub.
    pub(crate) commands: Commands,
    /// Generations of the files of runs of which the hub does not have everything.
    pub(crate) generations: Generations,
}

/// The directory with the state of an agent, of which one process at a time has the lock.
#[derive(Debug)]
pub(crate) struct StateDir {
    directory: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Takes the directory; nothing if another agent has it.
    pub(crate) fn open(directory: &Path) -> Result<Option<Self>, StoreError> {
        nixmon_runs::make_dir(directory)?;
        let path = directory.join("lock");
        let failed = |error: io::Error| StoreError::Io { doing: "cannot lock", path: path.clone(), error };
        let lock = nixmon_runs::create_file(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { directory: directory.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.join("state.json")
    }

    /// Reads the state. One that is missing or damaged is empty: then all is sent anew, and commands in progress are found by
    /// their runs.
    pub(crate) fn read(&self) -> State {
        let bytes = std::fs::read(self.file()).unwrap_or_default();
        let state: State = serde_json::from_slice(&bytes).unwrap_or_default();
        if state.format == FORMAT { state } else { State { format: FORMAT, ..State::default() } }
    }

    /// Replaces the state.
    pub(crate) fn write(&self, state: &State) -> Result<(), StoreError> {
        let path = self.file();
        let failed = |error: io::Error| StoreError::Io { doing: "cannot write", path: path.clone(), error };
        let json = serde_json::to_vec(state).map_err(|error| failed(error.into()))?;
        nixmon_runs::replace_file(&path, &json)
    }
}

/// Returns the identity of a store of runs: a text in a file of it that is made at the first call.
pub(crate) fn store_id(root: &Path) -> Result<String, StoreError> {
    let path = root.join("id");
    let read = || {
        let text = std::fs::read_to_string(&path).ok()?;
        let id = text.trim().to_owned();
        (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    };
    if let Some(id) = read() {
        return Ok(id);
    }
    nixmon_runs::make_dir(root)?;
    let own = root.join(format!(".id.{}", random()));
    nixmon_runs::replace_file(&own, format!("{}\n", random()).as_bytes())?;
    // Of several processes the first one names it.
    let linked = std::fs::hard_link(&own, &path);
    let _ = std::fs::remove_file(&own);
    let failed = |error: io::Error| StoreError::Io { doing: "cannot write", path: path.clone(), error };
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => read().ok_or_else(|| failed(io::ErrorKind::InvalidData.into())),
    }
}

/// Returns 32 random hexadecimal digits.
pub(crate) fn random() -> String {
    use std::hash::{BuildHasher, Hasher};
    // Each hasher has keys of its own, from the system.
    let number = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_kept_and_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("agent");
        let own = StateDir::open(&place).unwrap().unwrap();
        assert!(StateDir::open(&place).unwrap().is_none());
        let state = State { store: "x".to_owned(), ..own.read() };
        own.write(&state).unwrap();
        drop(own);
        let own = StateDir::open(&place).unwrap().unwrap();
        assert_eq!(own.read(), state);
        for damaged in ["", "{", "[]", r#"{"format":9,"store":"x"}"#] {
            std::fs::write(place.join("state.json"), damaged).unwrap();
            assert_eq!(own.read(), State { format: own.read().format, ..State::default() }, "{damaged}");
        }
        let id = store_id(dir.path()).unwrap();
        assert_eq!(store_id(dir.path()).unwrap(), id);
        assert_eq!(id.len(), 32);
        assert_ne!(random(), random());
    }
}
