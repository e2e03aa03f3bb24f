//! The directory of one run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{self, Durability, Lock};
use super::status::StoredStatus;
use super::{Exit, FORMAT, Facts, ProcessId, RunId, RunState, Status, StoreError, patience};

/// The largest number of guards that follow one another in a run.
pub const GUARDS: u32 = 8;
/// Time in which a new run gets its monitor, in milliseconds.
const STARTING: u64 = 10_000;
/// The longest wait for another process that finds out how a run has ended.
const RECOVERY: Duration = Duration::from_secs(20);
/// Time between two looks at a process that is about to end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Number of looks after which a dying process counts as alive: the system may be waiting for a disk.
const LOOKS: u32 = 400;

/// The directory of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
    /// It is written even if it belongs to another user.
    allows_others: bool,
    /// It is a copy of a run of another machine.
    is_mirror: bool,
}

/// The width of a guard's note, so that a later one is no longer.
const NOTE: usize = 1024;

/// The message of a guard that cannot write its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardNote {
    /// The reason why it cannot record the output, or not all of it.
    pub trouble: Option<String>,
    /// The end of the command, if `exit.json` cannot be written.
    pub exit: Option<Exit>,
}

/// The process that looks after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has ended, and its status says how.
    Ended,
    /// Its monitor is alive, or is being started.
    Monitored,
    /// The monitor has died; the guard records the command's output.
    Guarded,
    /// Monitor and guard have died, but the command still runs.
    Unwatched,
    /// All have ended; the status does not say so yet.
    Over,
}

impl Life {
    /// Returns whether the command runs or is going to.
    pub fn goes_on(self) -> bool {
        matches!(self, Self::Monitored | Self::Guarded | Self::Unwatched)
    }
}

/// The fields that every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
    #[serde(default)]
    environment: AnyEnvironment,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnyEnvironment {
    nixmon: Option<String>,
}

impl AnyFormat {
    /// An object with a format. An array would do for serde too.
    fn of(bytes: &[u8]) -> Option<Self> {
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        serde_json::from_slice::<Self>(bytes).ok().filter(|any| is_object && any.format > 0)
    }
}

impl RunDir {
    pub(super) fn new(id: RunId, path: PathBuf) -> Self {
        Self { id, path, allows_others: false, is_mirror: false }
    }

    /// The run that is kept in this directory; `None` if its name is no number.
    pub fn at(path: &Path) -> Option<Self> {
        let id = super::store::number(path.file_name()?.to_str()?)?;
        Some(Self::new(id, path.to_owned()))
    }

    /// Writes it even if it belongs to another user.
    #[must_use]
    pub fn allow_others(self, allows_others: bool) -> Self {
        Self { allows_others, ..self }
    }

    /// Says that it is a copy of a run of another machine: see [`crate::Store::mirror`].
    #[must_use]
    pub(super) fn mirror(self, is_mirror: bool) -> Self {
        Self { is_mirror, ..self }
    }

    /// Fails if it belongs to another user.
    fn check_owner(&self) -> Result<(), StoreError> {
        if self.allows_others { Ok(()) } else { files::check_owner(&self.path) }
    }

    /// Which run.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The raw input with its times.
    pub fn input(&self) -> PathBuf {
        self.file("input.zst")
    }

    /// The recording of the guard after the monitor's death.
    pub fn rest(&self) -> PathBuf {
        self.file("rest.zst")
    }

    /// The recordings of guards, of which one may follow another that was killed, too.
    pub fn rests(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        (1..=GUARDS).map(|n| self.rest_of(n))
    }

    /// The recording of the guard with this number, 1 being that which starts the command.
    pub fn rest_of(&self, guard: u32) -> PathBuf {
        match guard {
            0 | 1 => self.rest(),
            n => self.file(&format!("rest-{n}.zst")),
        }
    }

    /// Returns whether a guard has recorded anything.
    pub fn has_rest(&self) -> bool {
        self.rests().any(|rest| rest.exists())
    }

    /// The size of its recording, in bytes.
    pub fn recording_size(&self) -> u64 {
        let sizes = std::iter::once(self.input()).chain(self.rests());
        sizes.filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum()
    }

    /// The condensed lines.
    pub fn lines(&self) -> PathBuf {
        self.file("lines.txt")
    }

    /// The changes, as JSON lines.
    pub fn changes(&self) -> PathBuf {
        self.file("changes.jsonl.zst")
    }

    /// Room on the disk for how it ends.
    pub fn reserve(&self) -> PathBuf {
        self.file("reserve")
    }

    /// Gives that room back. Room that is not there is no error.
    pub fn remove_reserve(&self) {
        files::remove(&self.reserve());
    }

    /// Removes that room and halves of files, of a run whose processes were killed.
    pub fn remove_leftovers(&self) {
        self.remove_reserve();
        files::remove_temporaries(&self.path);
    }

    /// Reads the facts.
    ///
    /// # Errors
    ///
    /// If another nixmon has written it, if it is missing or damaged, or cannot be read.
    pub fn facts(&self) -> Result<Facts, StoreError> {
        let damaged = || StoreError::Damaged { id: self.id };
        let bytes = files::read(&self.file("facts.json"))?.ok_or_else(damaged)?;
        let any = AnyFormat::of(&bytes).ok_or_else(damaged)?;
        self.check_format(any.format, any.environment.nixmon)?;
        serde_json::from_slice(&bytes).map_err(|_| damaged())
    }

    fn check_format(&self, format: u64, version: Option<String>) -> Result<(), StoreError> {
        match format == u64::from(FORMAT) {
            true => Ok(()),
            false => Err(StoreError::Format { id: self.id, format, version }),
        }
    }

    /// Replaces the facts.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_facts(&self, facts: &Facts) -> Result<(), StoreError> {
        self.check_owner()?;
        files::replace_json(&self.file("facts.json"), facts, Durability::Synced)
    }

    /// Reads the status that was written last; `None` if it is missing or damaged.
    ///
    /// # Errors
    ///
    /// If another nixmon has written it, or if it cannot be read.
    pub fn status(&self) -> Result<Option<Status>, StoreError> {
        let Some(bytes) = files::read(&self.file("status.json"))? else { return Ok(None) };
        let Some(any) = AnyFormat::of(&bytes) else { return Ok(None) };
        self.check_format(any.format, None)?;
        let stored = serde_json::from_slice::<Status>(&bytes).ok();
        Ok(stored.map(|mut status| {
            // Version 0.1.0 stored an activity for every state.
            status.activity = status.activity.filter(|_| status.state == RunState::Running);
            status
        }))
    }

    /// Replaces the status.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_status(&self, status: &Status) -> Result<(), StoreError> {
        self.store_status(status, None)
    }

    /// Replaces the status of a run whose report is about to be written, and notes where in the condensed lines it begins.
    /// Should its writer be killed, another process knows from this what is the report and what was there before. The next
    /// status ends it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_status_before_report(&self, status: &Status, report_at: u64) -> Result<(), StoreError> {
        self.store_status(status, Some(report_at))
    }

    fn store_status(&self, status: &Status, report_at: Option<u64>) -> Result<(), StoreError> {
        self.check_owner()?;
        let ended = matches!(status.state, RunState::Ended | RunState::Lost);
        let durability = if ended { Durability::Synced } else { Durability::Cached };
        let stored = StoredStatus { format: FORMAT, report_at, status };
        files::replace_json(&self.file("status.json"), &stored, durability)
    }

    /// Reads where in the condensed lines a report begins whose writer has not finished.
    pub(super) fn report_at(&self) -> Result<Option<u64>, StoreError> {
        #[derive(Deserialize)]
        struct ReportAt {
            report_at: Option<u64>,
        }
        Ok(files::read_json::<ReportAt>(&self.file("status.json"))?.and_then(|stored| stored.report_at))
    }

    /// Reads the condensed lines up to the last whole one, or up to a report whose writer has not finished.
    pub(super) fn lines_before_report(&self) -> Result<Vec<u8>, StoreError> {
        let mut lines = files::read(&self.lines())?.unwrap_or_default();
        lines.truncate(memchr::memrchr(b'\n', &lines).map_or(0, |end| end + 1));
        if let Some(at) = self.report_at()?.and_then(|at| usize::try_from(at).ok())
            && (at == 0 || lines.get(at - 1) == Some(&b'\n'))
        {
            lines.truncate(at);
        }
        Ok(lines)
    }

    /// Reads the end of the command; `None` if it was not seen, or not yet.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn exit(&self) -> Result<Option<Exit>, StoreError> {
        let exit = files::read_json(&self.file("exit.json"))?;
        Ok(exit.or_else(|| self.guard_note().exit))
    }

    /// Reads what the guard has noted beside its recording.
    pub fn guard_note(&self) -> GuardNote {
        files::read_json(&self.file("guard.lock")).ok().flatten().unwrap_or_default()
    }

    /// Writes what the guard has to note, into the file that it has locked: it is there already and keeps its size, so this
    /// is possible on a full disk, and in a directory that cannot be written any more.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_guard_note(&self, note: &GuardNote) -> Result<(), StoreError> {
        let path = self.file("guard.lock");
        let failed = |source| StoreError::io("cannot write", &path, source);
        let json = serde_json::to_string(note).map_err(|error| failed(error.into()))?;
        let mut file = files::open_to_overwrite(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, format!("{json:<NOTE$}\n").as_bytes()).map_err(failed)
    }

    /// Writes the end of the command.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_exit(&self, exit: &Exit) -> Result<(), StoreError> {
        self.check_owner()?;
        files::replace_json(&self.file("exit.json"), exit, Durability::Synced)
    }

    /// The summary record; `None` if there is none yet, or if it is damaged.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn summary(&self) -> Result<Option<serde_json::Value>, StoreError> {
        files::read_json(&self.file("summary.json"))
    }

    /// Writes the summary record.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_summary(&self, summary: &impl Serialize) -> Result<(), StoreError> {
        self.check_owner()?;
        files::replace_json(&self.file("summary.json"), summary, Durability::Synced)
    }

    /// Replaces the condensed lines, of a run whose monitor is gone.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn write_lines(&self, lines: &[u8]) -> Result<(), StoreError> {
        self.check_owner()?;
        files::replace(&self.lines(), lines, Durability::Cached)
    }

    /// Notes that the user has ended it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn mark_stopped(&self) -> Result<(), StoreError> {
        self.check_owner()?;
        let path = self.file("stop");
        files::create(&path).map(drop).map_err(|error| StoreError::io("cannot write", &path, error))
    }

    /// Returns whether the user has ended it.
    pub fn is_stopped(&self) -> bool {
        self.file("stop").exists()
    }

    /// Takes the monitor's lock; `None` if another monitor has it.
    ///
    /// # Errors
    ///
    /// If it cannot be taken at all.
    pub fn lock_monitor(&self) -> Result<Option<Lock>, StoreError> {
        self.check_owner()?;
        files::try_lock(&self.file("monitor.lock"))
    }

    /// Takes the guard's lock; `None` if another guard has it.
    ///
    /// # Errors
    ///
    /// If it cannot be taken at all.
    pub fn lock_guard(&self) -> Result<Option<Lock>, StoreError> {
        self.check_owner()?;
        files::try_lock(&self.file("guard.lock"))
    }

    /// Waits for the lock of those who find out how a run has ended whose monitor has died; `None` if the process that
    /// holds it is stopped, or takes very long.
    ///
    /// # Errors
    ///
    /// If it cannot be taken at all.
    pub(crate) fn lock_recovery(&self) -> Result<Option<Lock>, StoreError> {
        self.check_owner()?;
        patience::lock_of_worker(&self.file("recovery.lock"), RECOVERY)
    }

    /// Returns whether a process holds the monitor's lock and is not dying.
    pub fn monitor_lives(&self) -> bool {
        self.is_held("monitor.lock", |facts| facts.monitor)
    }

    /// Returns whether a process holds the guard's lock and is not dying.
    pub fn guard_lives(&self) -> bool {
        self.is_held("guard.lock", |facts| facts.guard)
    }

    /// Returns whether a lock is held. A killed process has its locks until the system has tidied up after it, but it must
    /// count as dead at once; so this waits for its end.
    fn is_held(&self, lock: &str, holder: fn(Facts) -> Option<ProcessId>) -> bool {
        let path = self.file(lock);
        if !files::is_locked(&path) {
            return false;
        }
        let holder = self.facts().ok().and_then(holder);
        remains(holder.as_ref(), || files::is_locked(&path))
    }

    /// Finds the process that looks after the run; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not of this format. What is damaged is taken for missing.
    pub fn life(&self, now: u64) -> Result<Life, StoreError> {
        match self.status()? {
            Some(status) if status.state == RunState::Ended => return Ok(Life::Ended),
            // Its processes are those of another machine, which finds out how it has ended.
            _ if self.is_mirror => return Ok(Life::Monitored),
            _ => {}
        }
        if self.monitor_lives() {
            return Ok(Life::Monitored);
        }
        // The monitor may have written the end and gone since the status was read.
        if self.status()?.is_some_and(|status| status.state == RunState::Ended) {
            return Ok(Life::Ended);
        }
        let facts = match self.facts() {
            Ok(facts) => Some(facts),
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        let exit = self.exit()?;
        // It may still read what the command's children print.
        if self.guard_lives() {
            return Ok(Life::Guarded);
        }
        let Some(facts) = facts else { return Ok(Life::Over) };
        if exit.is_none()
            && facts.process.as_ref().is_some_and(|process| remains(Some(process), || process.lives()))
        {
            return Ok(Life::Unwatched);
        }
        let is_starting = facts.monitor.is_none()
            && facts.process.is_none()
            && now.abs_diff(facts.created_at) < STARTING
            && exit.is_none();
        Ok(if is_starting { Life::Monitored } else { Life::Over })
    }

    /// Bytes of its files.
    pub fn size(&self) -> u64 {
        files::size(&self.path)
    }

    /// Removes the socket of a run that has ended. One that is not there is no error.
    pub(crate) fn remove_socket(&self, facts: &Facts) {
        let Some(socket) = facts.socket.as_deref().map(Path::new) else { return };
        if socket.file_name().is_none_or(|name| name != super::socket::NAME) {
            return;
        }
        files::remove(socket);
        if let Some(parent) = socket.parent().filter(|parent| *parent != self.path) {
            // One of its own; it is left where there is anything else in it.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

/// Returns whether something of a process is there and remains. If the process is dying, this waits for its end.
fn remains(process: Option<&ProcessId>, is_there: impl Fn() -> bool) -> bool {
    for _ in 0..LOOKS {
        // Asked first: what a process has that is gone by now is gone when that is asked.
        let is_dying = process.is_some_and(ProcessId::is_dying);
        if !is_there() {
            return false;
        }
        if !is_dying {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    true
}
