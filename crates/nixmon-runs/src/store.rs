//! The store: numbers, names, and the rule that a name runs once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{self, Durability, Lock};
use super::{
    Activity, FORMAT, Facts, KnownRuns, Life, RunDir, RunId, RunState, Status, StoreError, patience, socket,
};
use nixmon_core::text;

/// The store of runs.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    socket_dirs: Vec<PathBuf>,
    /// It is written even if it belongs to another user.
    allows_others: bool,
    /// Its runs are copies of those of another machine.
    is_mirror: bool,
    patience: Duration,
}

/// A run that was just made.
#[derive(Debug)]
pub struct Created {
    /// Its directory.
    pub dir: RunDir,
    /// Its facts, with its number and the place of its socket.
    pub facts: Facts,
    /// The monitor's lock. The process that holds it is the monitor; it can be handed to another process as an open file.
    pub lock: Lock,
}

/// A directory that is being made; only with the store's lock.
pub(super) const NEW: &str = ".new-";
/// A directory that is being removed.
pub(super) const REMOVED: &str = ".removed-";
/// Longest wait for the store's lock. Its holder makes or removes a run, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Greatest number that is given.
const MAX_NUMBER: u64 = 1_000_000_000_000;

impl Store {
    /// Opens the store in this directory, which is created together with its first run.
    pub fn open(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root, socket_dirs: Vec::new(), allows_others: false, is_mirror: false, patience: PATIENCE }
    }

    /// Opens copies of runs of another machine. Their processes are none of this machine, so a run goes on until its status says
    /// that it has ended, and nothing here finds that out.
    pub fn mirror(root: impl Into<PathBuf>) -> Self {
        Self { is_mirror: true, ..Self::open(root) }
    }

    /// Waits so long for the store's lock, before it is an error that another process holds it.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Puts sockets below one of these directories where the path of a run is too long for one.
    #[must_use]
    pub fn with_socket_dirs(self, socket_dirs: Vec<PathBuf>) -> Self {
        Self { socket_dirs, ..self }
    }

    /// Writes it even if it belongs to another user, who could make this process overwrite any file that it may write.
    #[must_use]
    pub fn allow_others(self, allows_others: bool) -> Self {
        Self { allows_others, ..self }
    }

    /// Fails if it belongs to another user.
    pub(super) fn check_owner(&self) -> Result<(), StoreError> {
        if self.allows_others { Ok(()) } else { files::check_owner(&self.root) }
    }

    /// Returns its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the directory of a new run, with the monitor's lock held. Number, format and socket of `facts` are set here.
    ///
    /// # Errors
    ///
    /// If a run with this name is queued or in progress, unless that is allowed or this one waits for it; or if the store
    /// cannot be written.
    pub fn create(&self, facts: Facts, allow_concurrent: bool) -> Result<Created, StoreError> {
        self.check_owner()?;
        files::make_dir(&self.root)?;
        let _lock = self.lock()?;
        if !allow_concurrent {
            self.check_name_is_free(&facts)?;
        }
        let id = self.take_number()?;
        let path = self.root.join(id.to_string());
        let socket =
            socket::path(&path, &self.socket_dirs).and_then(|socket| socket.to_str().map(str::to_owned));
        let facts = Facts { format: FORMAT, id, socket, ..facts };
        let new = RunDir::new(id, self.root.join(format!("{NEW}{id}"))).allow_others(self.allows_others);
        // Left by a process that died here.
        let _ = std::fs::remove_dir_all(new.path());
        files::make_dir(new.path())?;
        new.write_facts(&facts)?;
        new.write_status(&first_status(&facts))?;
        // No other process knows this directory.
        let lock = new.lock_monitor()?.ok_or_else(|| {
            StoreError::io("cannot lock", new.path(), std::io::ErrorKind::WouldBlock.into())
        })?;
        if let Err(error) = std::fs::rename(new.path(), &path) {
            let _ = std::fs::remove_dir_all(new.path());
            return Err(StoreError::io("cannot make", &path, error));
        }
        // Every other process sees it from here on; if it is not synced, a power failure may take it.
        let _ = files::sync_parent(&path);
        Ok(Created { dir: self.dir(id), facts, lock })
    }

    /// Waits for the store's lock, but not for ever.
    pub(super) fn lock(&self) -> Result<Lock, StoreError> {
        patience::lock(&self.root.join("lock"), self.patience)
    }

    /// The next number. It is kept in two files, so that the loss of one gives no number twice.
    fn take_number(&self) -> Result<RunId, StoreError> {
        let (next, copy) = (self.root.join("next"), self.root.join("lock"));
        let kept = [&next, &copy].into_iter().filter_map(|path| {
            let bytes = files::read(path).ok()??;
            std::str::from_utf8(&bytes).ok()?.trim().parse::<u64>().ok().filter(|n| *n <= MAX_NUMBER)
        });
        let highest = self.highest_directory()?;
        let number = kept.chain([highest + 1]).max().unwrap_or(1);
        if number > MAX_NUMBER {
            return Err(StoreError::NoNumbers { path: self.root.clone() });
        }
        let text = format!("{}\n", number + 1);
        files::replace(&next, text.as_bytes(), Durability::Synced)?;
        // Not replaced: it is locked.
        let written =
            files::create(&copy).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|error| StoreError::io("cannot write", &copy, error))?;
        Ok(RunId(number))
    }

    /// The highest number of any directory, of removed ones too; 0 if there is none.
    fn highest_directory(&self) -> Result<u64, StoreError> {
        let names = self.names()?;
        let numbers = names.iter().filter_map(|name| {
            let name = name.strip_prefix(NEW).or_else(|| name.strip_prefix(REMOVED)).unwrap_or(name);
            number(name)
        });
        Ok(numbers.map(|id| id.0).max().unwrap_or(0))
    }

    /// Names of everything in the store, in no order.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        let unreadable = |error| StoreError::io("cannot read", &self.root, error);
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if files::is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Fails if a run with this name is queued or in progress, but not for a run that has to end before.
    fn check_name_is_free(&self, facts: &Facts) -> Result<(), StoreError> {
        let Some(name) = &facts.name else { return Ok(()) };
        let before = self.waits_for(facts.after);
        for id in self.ids()?.into_iter().rev().filter(|id| !before.contains(id)) {
            let dir = self.dir(id);
            // A run that cannot be read has no name, and is not known to be in progress.
            let Ok(Some(status)) = dir.status() else { continue };
            if status.name.as_ref() != Some(name) || !dir.life(facts.created_at).is_ok_and(Life::goes_on) {
                continue;
            }
            let since = facts.created_at.saturating_sub(status.started_at.unwrap_or(status.created_at));
            return Err(StoreError::Busy {
                name: name.clone(),
                id,
                queued: status.state == RunState::Queued,
                since: text::duration(Duration::from_millis(since)),
            });
        }
        Ok(())
    }

    /// The run and those that it waits for.
    pub(super) fn waits_for(&self, run: Option<RunId>) -> Vec<RunId> {
        let mut all = Vec::new();
        let mut next = run;
        while let Some(id) = next.filter(|id| !all.contains(id)) {
            all.push(id);
            next = self.dir(id).facts().ok().and_then(|facts| facts.after);
        }
        all
    }

    /// The numbers of all runs, the oldest first.
    ///
    /// # Errors
    ///
    /// If the store exists and cannot be read.
    pub fn ids(&self) -> Result<Vec<RunId>, StoreError> {
        let mut ids: Vec<_> = self.names()?.iter().filter_map(|name| number(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The directory of a run, there or not.
    pub(super) fn dir(&self, id: RunId) -> RunDir {
        let dir = RunDir::new(id, self.root.join(id.to_string()));
        dir.allow_others(self.allows_others).mirror(self.is_mirror)
    }

    /// Returns the run with this number.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn run(&self, id: RunId) -> Result<RunDir, StoreError> {
        let dir = self.dir(id);
        if dir.path().is_dir() {
            return Ok(dir);
        }
        match self.known()? {
            Some(known) => Err(StoreError::UnknownNumber { id, known }),
            None => Err(StoreError::Empty),
        }
    }

    /// The run of this number, or the latest of this name, or the latest of all.
    ///
    /// # Errors
    ///
    /// If there is none; what there is, is said.
    pub fn find(&self, reference: Option<&str>) -> Result<RunDir, StoreError> {
        let Some(reference) = reference else {
            return self.ids()?.last().map(|id| self.dir(*id)).ok_or(StoreError::Empty);
        };
        if let Some(id) = number(reference) {
            return self.run(id);
        }
        if let Some(dir) = self.named(reference)?.next() {
            return Ok(dir);
        }
        let Some(known) = self.known()? else { return Err(StoreError::Empty) };
        let names: Vec<&str> = known.names.iter().map(String::as_str).collect();
        let near = text::nearest(reference, &names).map(str::to_owned);
        Err(StoreError::UnknownName { name: reference.to_owned(), near, known })
    }

    /// The runs of a name, the latest first.
    fn named(&self, name: &str) -> Result<impl Iterator<Item = RunDir>, StoreError> {
        let dirs = self.ids()?.into_iter().rev().map(|id| self.dir(id));
        Ok(dirs.filter(move |dir| dir.facts().is_ok_and(|facts| facts.name.as_deref() == Some(name))))
    }

    /// The latest run of a name that ended well.
    ///
    /// # Errors
    ///
    /// If the store exists and cannot be read.
    pub fn latest_ok(&self, name: &str) -> Result<Option<RunDir>, StoreError> {
        let is_ok = |dir: &RunDir| {
            let status = dir.status().ok().flatten();
            status.is_some_and(|status| status.has_succeeded())
        };
        Ok(self.named(name)?.find(is_ok))
    }

    /// The names of runs, each once, the latest first.
    fn all_names(&self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = Vec::new();
        for id in self.ids()?.into_iter().rev() {
            let name = self.dir(id).facts().ok().and_then(|facts| facts.name);
            names.extend(name.filter(|name| !names.contains(name)));
        }
        Ok(names)
    }

    /// Describes the runs in the store; `None` if there are none.
    fn known(&self) -> Result<Option<KnownRuns>, StoreError> {
        let ids = self.ids()?;
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(None) };
        Ok(Some(KnownRuns { first: *first, last: *last, n_runs: ids.len(), names: self.all_names()? }))
    }
}

/// A number as we write it, in digits and without zeros before it.
pub(super) fn number(text: &str) -> Option<RunId> {
    let id = text.parse::<u64>().ok().filter(|id| *id > 0 && *id <= MAX_NUMBER)?;
    (id.to_string() == text).then_some(RunId(id))
}

fn first_status(facts: &Facts) -> Status {
    let state = if facts.after.is_some() { RunState::Queued } else { RunState::Running };
    Status {
        id: facts.id,
        name: facts.name.clone(),
        command: facts.command.clone(),
        state,
        activity: (state == RunState::Running).then(Activity::default),
        created_at: facts.created_at,
        heartbeat_at: facts.created_at,
        after: facts.after,
        expected_ms: facts.expected_ms,
        ..Status::default()
    }
}
