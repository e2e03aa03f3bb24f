//! Copies of runs of hosts as files, made from the engine and followed while somebody looks at them.
//!
//! A copy has the layout of a run in a store, so everything that reads a run of this machine reads it as well. It is a cache: it
//! can be removed at any time, and is when the hub begins.

#![expect(clippy::disallowed_methods, reason = "copies that nobody looks at are told by the clock")]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nixmon_core::wire::millis;
use nixmon_fleet::RunFile;
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::{Replayed, Runs};
use nixmon_runs::{Places, RunDir, RunOutcome, RunState, Store, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::engine::{Engine, Host, HostId, HostRun};
use crate::failure::Failure;
use crate::program::Program;
use crate::source::Source;

/// Number of hosts whose runs are looked at at once; the one that was asked for longest ago makes room.
const MAX_HOSTS: usize = 64;
/// Number of copies for each host.
const MAX_COPIES: usize = 24;
/// Time for which a copy is followed after somebody has looked at it.
const FOLLOWED: Duration = Duration::from_secs(60);
/// Time between two looks at the engine if it says nothing.
const POLL: Duration = Duration::from_millis(500);
/// Time for which an agent sends pieces faster after somebody has looked at a run.
const WATCHED: Duration = Duration::from_secs(15);
/// Time between two such notes.
const WATCH: Duration = Duration::from_secs(5);
/// Longest wait for the part of a run that the engine has.
const FIRST: Duration = Duration::from_secs(15);
/// Time for which the end of a run waits for the rest of its files.
const REST: Duration = Duration::from_secs(30);
/// Bytes that are asked for at once.
const CHUNK: u64 = 4 << 20;

/// Copies of runs, by host.
pub(crate) struct Mirrors {
    engine: Engine,
    directory: TempDir,
    /// Says to other processes that the directory is in use.
    _lock: File,
    /// The one that was asked for last is the last.
    sources: Mutex<Vec<(HostId, Arc<Source>)>>,
}

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirrors").field("directory", &self.directory.path()).finish_non_exhaustive()
    }
}

/// Begin of the names of directories with copies.
const PREFIX: &str = "mirror-";
/// Name of the file that is locked as long as a directory is in use.
const LOCK: &str = "lock";

impl Mirrors {
    /// Makes a directory for copies in `directory`, and removes those that killed hubs have left there.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub(crate) fn new(engine: Engine, directory: &Path) -> std::io::Result<Self> {
        remove_left(directory)?;
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(directory)?;
        let lock = File::create(directory.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { engine, directory, _lock: lock, sources: Mutex::default() })
    }

    /// Returns the runs of a host.
    pub(crate) fn source(&self, host: &Host) -> Arc<Source> {
        let mut sources = lock(&self.sources);
        let at = sources.iter().position(|(id, _)| *id == host.id);
        let source = match at {
            Some(at) => sources.remove(at).1,
            None => {
                let root = self.directory.path().join(host.id.0.to_string());
                let logs = self.directory.path().to_owned();
                let mirror = Mirror::new(self.engine.clone(), host.id, root);
                Arc::new(Source::mirror(host.name.clone(), Arc::new(mirror), logs))
            }
        };
        if sources.len() >= MAX_HOSTS {
            sources.remove(0);
        }
        sources.push((host.id, Arc::clone(&source)));
        source
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove_left(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !is_ours || !entry.file_type()?.is_dir() {
            continue;
        }
        let is_used = match File::open(entry.path().join(LOCK)) {
            Ok(file) => file.try_lock().is_err(),
            // It may be one that another hub is making at the moment.
            Err(_) => entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age < Duration::from_secs(60)),
        };
        if !is_used {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Copies of runs of a host.
pub(crate) struct Mirror {
    engine: Engine,
    host: HostId,
    root: PathBuf,
    places: Places,
    copies: Mutex<BTreeMap<u64, Copy>>,
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // Readers hold files that they have opened.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// Keeps a copy followed: a stream holds it as long as its client is there.
#[derive(Clone, Debug)]
pub(crate) struct Hold(#[expect(dead_code, reason = "it is counted")] Arc<()>);

/// A copy of a run.
#[derive(Clone)]
struct Copy {
    used: Arc<Mutex<Instant>>,
    /// Those who hold it have more of these.
    viewers: Arc<()>,
    copier: Arc<tokio::sync::Mutex<Copier>>,
    progress: watch::Receiver<Progress>,
}

/// The extent of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// The part that the engine has is being read.
    Begun,
    /// It has been read, and more may come.
    Current,
    /// All of it has been read.
    Complete,
    /// It is followed no more, since nobody looks at it or it cannot be written.
    Left(Option<String>),
}

impl Mirror {
    fn new(engine: Engine, host: HostId, root: PathBuf) -> Self {
        let places = Places { is_elsewhere: true, ..Places::default() };
        Self { engine, host, root, places, copies: Mutex::default() }
    }

    /// Keeps a copy followed as long as it is held.
    pub(crate) fn hold(&self, number: u64) -> Option<Hold> {
        lock(&self.copies).get(&number).map(|copy| Hold(Arc::clone(&copy.viewers)))
    }

    /// Makes sure that there is a copy of a run with all that the engine has of it.
    ///
    /// # Errors
    ///
    /// If there is no such run, or it cannot be copied.
    pub(crate) async fn follow(&self, reference: &str) -> Result<(), Failure> {
        let unknown = || Failure::not_found(format!("there is no run {} of this host", sanitize(reference)));
        let number: u64 = reference.parse().map_err(|_| unknown())?;
        let is_followed = |copy: &Copy| !matches!(*copy.progress.borrow(), Progress::Left(_));
        let known = lock(&self.copies).get(&number).filter(|copy| is_followed(copy)).cloned();
        let copy = match known {
            Some(copy) => copy,
            None => {
                let run = self.engine.run(self.host, number).await;
                let run = run.map_err(|error| Failure::unavailable(sanitize(&error.to_string())))?;
                let run = run.ok_or_else(unknown)?;
                self.begin(run)?
            }
        };
        *lock(&copy.used) = Instant::now();
        let mut progress = copy.progress.clone();
        let first = progress.wait_for(|progress| *progress != Progress::Begun);
        match tokio::time::timeout(FIRST, first).await {
            Ok(Ok(progress)) => match &*progress {
                Progress::Left(Some(error)) => Err(Failure::unavailable(format!(
                    "the run cannot be copied from the engine: {}",
                    sanitize(error)
                ))),
                _ => Ok(()),
            },
            // A large run is shown as far as it is there.
            Err(_) => Ok(()),
            Ok(Err(_)) => Err(Failure::unavailable("the run cannot be copied from the engine")),
        }
    }

    /// Begins a copy, or goes on with one.
    fn begin(&self, run: HostRun) -> Result<Copy, Failure> {
        let mut copies = lock(&self.copies);
        let (sender, progress) = watch::channel(Progress::Begun);
        if let Some(copy) = copies.get_mut(&run.number) {
            // Another request may have been faster.
            if matches!(*copy.progress.borrow(), Progress::Left(_)) {
                // A reader of its files goes on where it is.
                copy.progress = progress;
                tokio::spawn(follow(copy.clone(), sender));
            }
            return Ok(copy.clone());
        }
        while copies.len() >= MAX_COPIES {
            let Some(oldest) = copies.iter().min_by_key(|(_, copy)| *lock(&copy.used)).map(|(run, _)| *run)
            else {
                break;
            };
            copies.remove(&oldest);
            let _ = std::fs::remove_dir_all(self.root.join(oldest.to_string()));
        }
        let path = self.root.join(run.number.to_string());
        std::fs::create_dir_all(&path)?;
        let dir = RunDir::at(&path).ok_or_else(|| Failure::unavailable("a run has no number"))?;
        let number = run.number;
        let engine = self.engine.clone();
        let copier =
            Copier { engine, run, dir, files: BTreeMap::new(), documents: BTreeMap::new(), ended: None };
        let copy = Copy {
            used: Arc::new(Mutex::new(Instant::now())),
            viewers: Arc::default(),
            copier: Arc::new(tokio::sync::Mutex::new(copier)),
            progress,
        };
        copies.insert(number, copy.clone());
        tokio::spawn(follow(copy.clone(), sender));
        Ok(copy)
    }
}

impl Program for Mirror {
    fn runs(&self) -> Result<Runs<'_>, StoreError> {
        // Nothing is found out about a copy, so nothing is replayed.
        Ok(Runs::new(Store::mirror(&self.root), |_, _, _| Ok(Replayed::default())))
    }

    fn places(&self) -> &Places {
        &self.places
    }
}

/// Copies a run.
struct Copier {
    engine: Engine,
    run: HostRun,
    dir: RunDir,
    /// Generation and size of each growing file.
    files: BTreeMap<RunFile, (u64, u64)>,
    /// The text of each document.
    documents: BTreeMap<RunFile, String>,
    /// When the end of the run was seen first.
    ended: Option<Instant>,
}

type CopyError = Box<dyn std::error::Error + Send + Sync>;

/// Copies a run as it comes, until all of it is there or nobody looks at it any more.
async fn follow(copy: Copy, progress: watch::Sender<Progress>) {
    let Copy { used, viewers, copier, .. } = copy;
    let mut copier = copier.lock().await;
    let mut bell = copier.engine.doorbell();
    let mut watched: Option<Instant> = None;
    loop {
        bell.mark_unchanged();
        match copier.copy().await {
            Ok(false) => {}
            Ok(true) => {
                progress.send_replace(Progress::Complete);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, run = copier.run.number, "a run cannot be copied from the engine");
                progress.send_replace(Progress::Left(Some(error.to_string())));
                return;
            }
        }
        progress.send_if_modified(|progress| {
            let is_first = *progress == Progress::Begun;
            *progress = Progress::Current;
            is_first
        });
        // The map has one, and this task.
        if Arc::strong_count(&viewers) > 2 {
            *lock(&used) = Instant::now();
        }
        let idle = lock(&used).elapsed();
        if idle > FOLLOWED {
            progress.send_replace(Progress::Left(None));
            return;
        }
        if idle < WATCHED && watched.is_none_or(|at| at.elapsed() > WATCH) {
            watched = Some(Instant::now());
            let until = unix_ms() + millis(WATCHED);
            if let Err(error) = copier.engine.watch(copier.run.key, until).await {
                tracing::debug!(%error, "an agent cannot be told that its run is watched");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            changed = bell.changed() => if changed.is_err() { return },
        }
    }
}

impl Copier {
    /// Copies what is new, and returns whether that is all.
    async fn copy(&mut self) -> Result<bool, CopyError> {
        // What a run has when its end is known is whole, so the end comes first, and is written last.
        let run = self.engine.run(self.run.host, self.run.number).await?.ok_or("it has been removed")?;
        let documents = self.engine.documents(run.key).await?;
        for file in self.engine.files(run.key).await? {
            self.grow(file.file, file.generation, file.size).await?;
        }
        let mut status = None;
        for (file, _, content) in documents {
            match file {
                RunFile::Status => status = Some(content),
                file => self.document(file, content).await?,
            }
        }
        let has_ended = status.as_ref().is_some_and(|status| is(status, RunState::Ended));
        // Its files may be on their way.
        let is_early = has_ended
            && !run.is_complete
            && self.ended.get_or_insert_with(Instant::now).elapsed() < REST
            && run.missing.is_none();
        if let Some(mut status) = status.filter(|_| !is_early) {
            let missing = match &run.missing {
                Some(missing) => Some(missing.clone()),
                None if has_ended && !run.is_complete => Some("its host has not sent all of it".to_owned()),
                None => None,
            };
            if run.is_complete && !has_ended {
                set(&mut status, "state", json!(RunState::Ended));
                set(&mut status, "outcome", json!(RunOutcome::Incomplete));
            }
            if let Some(missing) = missing
                && status.get("incomplete").is_none_or(Value::is_null)
            {
                set(&mut status, "incomplete", json!(missing));
            }
            self.document(RunFile::Status, status).await?;
        }
        Ok(run.is_complete)
    }

    /// Appends what is new in a growing file.
    async fn grow(&mut self, file: RunFile, generation: u64, size: u64) -> Result<(), CopyError> {
        let path = path(&self.dir, file);
        let known = self.files.get(&file).copied();
        let mut at = match known {
            Some((of, at)) if of == generation => at,
            _ => {
                // A reader of the former file keeps it. That of a copy that is gone on with begins anew.
                let _ = std::fs::remove_file(&path);
                0
            }
        };
        self.files.insert(file, (generation, at));
        while at < size {
            let pieces = self.engine.pieces(self.run.key, file, generation, at, CHUNK).await?;
            let Some((last, bytes)) = pieces.last() else { break };
            let next = last + bytes.len() as u64;
            let to = path.clone();
            tokio::task::spawn_blocking(move || {
                let mut file = OpenOptions::new().create(true).append(true).open(&to)?;
                pieces.iter().try_for_each(|(_, bytes)| file.write_all(bytes))
            })
            .await??;
            if next <= at {
                break;
            }
            at = next;
            self.files.insert(file, (generation, at));
        }
        Ok(())
    }

    /// Writes a document, with the number that the run has here.
    async fn document(&mut self, file: RunFile, mut content: Value) -> Result<(), CopyError> {
        let name = match file {
            RunFile::Facts => "id",
            RunFile::Status => "run",
            _ => "",
        };
        if !name.is_empty() {
            set(&mut content, name, json!(self.run.number));
        }
        let text = content.to_string();
        if self.documents.get(&file) == Some(&text) {
            return Ok(());
        }
        let path = path(&self.dir, file);
        let bytes = text.clone();
        tokio::task::spawn_blocking(move || {
            // Never seen in parts.
            let new = path.with_extension("new");
            std::fs::write(&new, bytes)?;
            std::fs::rename(&new, &path)
        })
        .await??;
        self.documents.insert(file, text);
        Ok(())
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn is(status: &Value, state: RunState) -> bool {
    status.get("state") == Some(&json!(state))
}

fn path(dir: &RunDir, file: RunFile) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use nixmon_fleet::{Document, HostName, Piece, RunEnd};
    use nixmon_runs::RunId;

    use super::*;
    use crate::engine::RunKey;
    use crate::log::View;

    /// A recording with these lines, as its bytes come.
    fn recording(lines: std::ops::Range<u64>) -> Vec<u8> {
        let head = if lines.start == 0 { "nixmon-recording 1\n" } else { "" };
        let lines: String = lines.map(|n| format!("{n} line {n}\n")).collect();
        // Frames may follow one another.
        zstd(&format!("{head}{lines}"))
    }

    fn zstd(text: &str) -> Vec<u8> {
        zstd::encode_all(text.as_bytes(), 1).unwrap()
    }

    struct Fleet {
        engine: Engine,
        host: Host,
        key: RunKey,
        mirrors: Mirrors,
        size: u64,
        _directory: TempDir,
    }

    impl Fleet {
        /// A host whose second store begins to count at 1 again: its run 1 is run 8 here.
        async fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let engine = Engine::open(&directory.path().join("hub.db")).unwrap();
            let name = HostName::new("web").unwrap();
            let id = engine.add_host(&name, 1).await.unwrap();
            engine.run_of(id, "first", 7, 1).await.unwrap();
            let key = engine.run_of(id, "second", 1, 1).await.unwrap();
            let host = engine.host(&name).await.unwrap().unwrap();
            let mirrors = Mirrors::new(engine.clone(), directory.path()).unwrap();
            Self { engine, host, key, mirrors, size: 0, _directory: directory }
        }

        async fn number(&self) -> String {
            let runs = self.engine.runs(self.host.id, None, 10).await.unwrap();
            runs.iter().find(|run| run.key == self.key).unwrap().number.to_string()
        }

        async fn piece(&mut self, bytes: Vec<u8>) {
            let piece = Piece { run: 1, file: RunFile::Input, generation: 0, offset: self.size, bytes };
            self.size = piece.end();
            self.engine.append(self.key, piece).await.unwrap();
        }

        async fn document(&self, file: RunFile, version: u64, content: Value) {
            self.engine.keep_document(self.key, &Document { run: 1, file, version, content }).await.unwrap();
        }

        async fn status(&self, version: u64, state: RunState) {
            let outcome = (state == RunState::Ended).then_some(RunOutcome::Success);
            let exit_code = outcome.map(|_| 0);
            let status = json!({ "format": 1, "run": 1, "command": ["make"], "state": state, "outcome": outcome,
                "exit_code": exit_code, "incomplete": null });
            self.document(RunFile::Status, version, status).await;
        }

        async fn end(&self, reason: Option<&str>) {
            let end = RunEnd { run: 1, files: Vec::new(), reason: reason.map(str::to_owned) };
            self.engine.end_run(self.key, &end).await.unwrap();
        }
    }

    async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..400 {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it does not happen");
    }

    #[tokio::test]
    async fn a_run_of_a_host_is_read_like_one_of_this_machine() {
        let mut fleet = Fleet::new().await;
        let number = fleet.number().await;
        assert_ne!(number, "1");
        let source = fleet.mirrors.source(&fleet.host);
        assert!(source.look("1000").await.is_err() && source.look("../1").await.is_err());
        fleet.piece(recording(0..10)).await;
        fleet.document(RunFile::Facts, 1, json!({ "format": 1, "id": 1, "command": ["make"] })).await;
        fleet.status(1, RunState::Running).await;
        let (dir, look, play) = source.play(&number).await.unwrap();
        assert_eq!((dir.id().to_string(), look.status.id), (number.clone(), RunId(number.parse().unwrap())));
        assert!(look.life.goes_on());
        let lines = |n: u64| {
            let log = play.log.clone();
            async move { (log.n_lines(View::Whole) >= n).then_some(log) }
        };
        eventually(async || lines(10).await).await;
        // It grows, and its end waits for the rest of its files.
        fleet.status(2, RunState::Ended).await;
        fleet.piece(recording(10..20)).await;
        eventually(async || lines(20).await).await;
        let (_, look) = source.look(&number).await.unwrap();
        assert!(look.life.goes_on());
        fleet.piece(recording(20..30)).await;
        fleet.end(None).await;
        let look = eventually(async || {
            let (_, look) = source.look(&number).await.unwrap();
            (!look.life.goes_on()).then_some(look)
        })
        .await;
        assert!(look.status.has_succeeded());
        let log = eventually(async || lines(30).await).await;
        let text = String::from_utf8(log.text(0, 1 << 20).unwrap()).unwrap();
        let expected: String = (0..30).map(|n| format!("line {n}\n")).collect();
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn a_run_that_its_host_has_lost_is_no_success() {
        let mut fleet = Fleet::new().await;
        let number = fleet.number().await;
        fleet.piece(recording(0..10)).await;
        fleet.status(1, RunState::Running).await;
        fleet.end(Some("it was removed before all of it was sent")).await;
        let source = fleet.mirrors.source(&fleet.host);
        let (_, look) = source.look(&number).await.unwrap();
        assert_eq!(look.status.outcome, Some(RunOutcome::Incomplete));
        assert_eq!(look.status.incomplete.as_deref(), Some("it was removed before all of it was sent"));
    }

    #[tokio::test]
    async fn directories_of_killed_hubs_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::open(&directory.path().join("hub.db")).unwrap();
        let left = directory.path().join("mirror-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), "").unwrap();
        let first = Mirrors::new(engine.clone(), directory.path()).unwrap();
        assert!(!left.exists());
        let _second = Mirrors::new(engine, directory.path()).unwrap();
        assert!(first.directory.path().exists());
    }
}
