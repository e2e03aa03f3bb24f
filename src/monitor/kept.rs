//! Writes the files of a run on a thread of its own: a slow or full disk must not hold up the command.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use nixmon_core::pipeline::Machine;
use nixmon_core::state::{DerivationFacts, Moment};
use nixmon_log::input::Source;
use nixmon_runs::Recorder;
use nixmon_runs::recording::{Appender, Packer};
use nixmon_runs::{Facts, RunDir, Status, StoreError, create_file};

/// Time between two flushes: a killed monitor loses no more than this.
const FLUSH: Duration = Duration::from_millis(250);
/// Time between two syncs to the disk. A sync itself takes time: a power failure loses at most a second.
const SYNC: Duration = Duration::from_millis(750);
/// Maximum number of bytes that wait for the disk. Bytes beyond are not kept, and the status says so.
const MAX_PENDING: u64 = 64 << 20;
/// Time between two tries to write to a disk that has not taken something.
const RETRY: Duration = Duration::from_secs(1);
/// Maximum number of bytes of lines, and of packed changes, that wait for such a disk.
const MAX_WAITING: usize = 1 << 20;
/// Time that the end of a run waits for the disk.
const LAST: Duration = Duration::from_secs(10);

/// Space that is reserved for the end of a run on a full disk: its exit, its summary and its last status.
const RESERVE: u64 = 64 << 10;

/// Maximum number of bytes of lines that are written together.
const MAX_LINES: usize = 64 << 10;

enum Job {
    Bytes(Source, Arc<[u8]>, Moment),
    Lost(Source, usize),
    Closed(Source, Moment),
    Derivation(DerivationFacts, Moment),
    Inside(Option<String>, serde_json::Value, Moment),
    Exit(i32, Moment),
    Lines(Vec<u8>),
    Changes(Vec<u8>),
    Status(Box<Status>),
    /// The report comes next.
    Report(Box<Status>),
    Facts(Box<Facts>),
    Summary(serde_json::Value),
    /// Nothing more comes that is wanted.
    Finish,
}

/// Takes what is to be written, and never waits.
#[derive(Debug)]
pub(super) struct Kept {
    sender: Option<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: AtomicU64,
    lines: AtomicU64,
    trouble: Mutex<Trouble>,
}

/// Reasons why the files lack something.
#[derive(Debug, Default)]
struct Trouble {
    /// Something is lost; the first reason is reported.
    lost: Option<String>,
    /// Bytes of the recording that are lost.
    lost_bytes: u64,
    /// The disk does not take a file at the moment, for this reason.
    waits: Option<(&'static str, String)>,
}

impl Trouble {
    fn told(&self) -> Option<String> {
        let waits = || self.waits.as_ref().map(|(what, error)| format!("{what} cannot be written: {error}"));
        self.lost.clone().or_else(waits)
    }
}

impl Shared {
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a loss; the first one is reported.
    fn is_not_whole(&self, what: &str, error: &dyn std::fmt::Display) {
        self.trouble().lost.get_or_insert_with(|| format!("{what} is not whole: {error}"));
    }

    /// Takes note of bytes of the recording that are lost.
    fn has_lost(&self, n_bytes: u64, reason: &dyn std::fmt::Display) {
        let mut trouble = self.trouble();
        trouble.lost_bytes += n_bytes;
        let n_bytes = trouble.lost_bytes;
        trouble.lost = Some(format!("the recording is not whole: {n_bytes} bytes are missing: {reason}"));
    }
}

impl Kept {
    /// Begins to write the files.
    pub(super) fn create(run: &RunDir, machine: &Machine) -> Result<Self> {
        let mut input = Recorder::create_of_command(&run.input())?;
        input.machine(machine, Moment::ZERO);
        let files = Files {
            run: run.clone(),
            input,
            lines: Appender::new(&run.lines()),
            changes: Packer::new(&run.changes(), 1)?,
            // Without room for the end of the run the large files wait.
            retry_at: (!reserve(&run.reserve())).then(Instant::now),
            is_ending: false,
        };
        let shared = Arc::new(Shared::default());
        let (sender, jobs) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("kept".to_owned()).spawn(move || files.serve(&jobs, &theirs))?;
        Ok(Self { sender: Some(sender), shared, thread: Some(thread) })
    }

    /// Returns the way for the streams of the command, from the threads that read them.
    pub(super) fn streams(&self) -> KeptStreams {
        KeptStreams { sender: self.sender.clone(), shared: Arc::clone(&self.shared) }
    }

    pub(super) fn derivation(&self, facts: &DerivationFacts, at: Moment) {
        self.send(Job::Derivation(facts.clone(), at));
    }

    /// Keeps facts about what is built in a derivation, or by the command.
    pub(super) fn inside(&self, derivation: Option<String>, hints: serde_json::Value, at: Moment) {
        self.send(Job::Inside(derivation, hints, at));
    }

    pub(super) fn exit_status(&self, status: i32, at: Moment) {
        self.send(Job::Exit(status, at));
    }

    pub(super) fn status(&self, status: Status) {
        self.send(Job::Status(Box::new(status)));
    }

    /// Notes that the report comes next: should this process be killed, the one that finishes it knows where it begins.
    pub(super) fn report_begins(&self, status: Status) {
        self.send(Job::Report(Box::new(status)));
    }

    pub(super) fn facts(&self, facts: Facts) {
        self.send(Job::Facts(Box::new(facts)));
    }

    pub(super) fn summary(&self, json: serde_json::Value) {
        self.send(Job::Summary(json));
    }

    /// Returns the writer for condensed lines.
    pub(super) fn lines(&self) -> KeptWriter {
        KeptWriter {
            sender: self.sender.clone(),
            shared: Arc::clone(&self.shared),
            job: Job::Lines,
            lines: true,
        }
    }

    /// Returns the writer for JSON lines.
    pub(super) fn changes(&self) -> KeptWriter {
        KeptWriter {
            sender: self.sender.clone(),
            shared: Arc::clone(&self.shared),
            job: Job::Changes,
            lines: false,
        }
    }

    /// Returns the number of condensed lines.
    pub(super) fn cursor(&self) -> u64 {
        self.shared.lines.load(Ordering::Relaxed)
    }

    /// Returns the reason why something is missing, or is for the moment.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble().told()
    }

    /// Returns the reason why something is lost.
    pub(super) fn loss(&self) -> Option<String> {
        self.shared.trouble().lost.clone()
    }

    /// Waits for the disk, up to a limit. Returns the reason why something is missing.
    pub(super) fn finish(mut self) -> Option<String> {
        self.send(Job::Finish);
        self.sender = None;
        let thread = self.thread.take()?;
        let begun = Instant::now();
        while !thread.is_finished() && begun.elapsed() < LAST {
            thread::sleep(Duration::from_millis(2));
        }
        if !thread.is_finished() {
            self.shared.is_not_whole("the recording", &"the disk was too slow for its end");
        } else if thread.join().is_err() {
            self.shared.is_not_whole("the recording", &"it was not written to its end");
        }
        self.loss()
    }

    fn send(&self, job: Job) {
        if let Some(sender) = &self.sender {
            // The thread lives until the sender is dropped.
            let _ = sender.send(job);
        }
    }
}

/// Takes what the command prints, on the threads that read it: a flood waits for the loop, and must not be lost with it.
#[derive(Clone, Debug)]
pub(super) struct KeptStreams {
    sender: Option<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
}

impl KeptStreams {
    pub(super) fn bytes(&self, source: Source, bytes: Arc<[u8]>, at: Moment) {
        let n = bytes.len() as u64;
        if self.shared.pending.load(Ordering::Relaxed) + n > MAX_PENDING {
            self.shared.has_lost(n, &"the disk was too slow");
            return self.send(Job::Lost(source, bytes.len()));
        }
        self.shared.pending.fetch_add(n, Ordering::Relaxed);
        self.send(Job::Bytes(source, bytes, at));
    }

    pub(super) fn closed(&self, source: Source, at: Moment) {
        self.send(Job::Closed(source, at));
    }

    fn send(&self, job: Job) {
        if let Some(sender) = &self.sender {
            // After the end of the run nothing is kept.
            let _ = sender.send(job);
        }
    }
}

/// Writes to a file of a run, by way of the thread.
#[derive(Debug)]
pub(super) struct KeptWriter {
    sender: Option<mpsc::Sender<Job>>,
    shared: Arc<Shared>,
    job: fn(Vec<u8>) -> Job,
    lines: bool,
}

impl Write for KeptWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len() as u64;
        if let Some(sender) = &self.sender
            && self.shared.pending.load(Ordering::Relaxed) + n <= MAX_PENDING
        {
            self.shared.pending.fetch_add(n, Ordering::Relaxed);
            if self.lines {
                let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
                self.shared.lines.fetch_add(lines, Ordering::Relaxed);
            }
            let _ = sender.send((self.job)(bytes.to_vec()));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's side.
struct Files {
    run: RunDir,
    input: Recorder,
    /// Lines are written after the recording is flushed.
    lines: Appender,
    changes: Packer,
    /// The disk has not taken everything, and is tried again then.
    retry_at: Option<Instant>,
    /// The end of the run is being written, which the large files must not take the room from.
    is_ending: bool,
}

/// Sees to it on a thread of its own that the disk has the recording. That may take a second, in which what comes is not to
/// be in memory alone.
struct Syncer(mpsc::SyncSender<File>);

impl Syncer {
    fn new(shared: &Arc<Shared>) -> Self {
        let (sender, files) = mpsc::sync_channel::<File>(1);
        let shared = Arc::clone(shared);
        // Without a thread the system writes it when it likes.
        let _ = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            for file in files {
                if let Err(error) = file.sync_data() {
                    shared.is_not_whole("the recording", &error);
                }
            }
        });
        Self(sender)
    }

    /// Begins, unless it is still at it.
    fn sync(&self, recording: &Recorder) {
        if let Some(file) = recording.file() {
            let _ = self.0.try_send(file);
        }
    }
}

impl Files {
    fn serve(mut self, jobs: &mpsc::Receiver<Job>, shared: &Arc<Shared>) {
        let syncer = Syncer::new(shared);
        // The times of the oldest write that is not flushed, and of the oldest that is not synced.
        let mut unflushed: Option<Instant> = None;
        let mut unsynced: Option<Instant> = None;
        loop {
            let waiting = jobs.try_recv();
            if matches!(waiting, Err(mpsc::TryRecvError::Empty)) && self.lines.waiting() > 0 {
                self.write_out(shared);
            }
            let job = match waiting {
                Ok(job) => Ok(job),
                Err(_) => {
                    let flush = unflushed.map(|since| FLUSH.saturating_sub(since.elapsed()));
                    let sync = unsynced.map(|since| SYNC.saturating_sub(since.elapsed()));
                    let retry = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
                    match flush.into_iter().chain(sync).chain(retry).min() {
                        Some(wait) => jobs.recv_timeout(wait),
                        None => jobs.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                    }
                }
            };
            match job {
                Ok(Job::Finish) => break,
                Ok(job) => {
                    let now = Instant::now();
                    unflushed.get_or_insert(now);
                    unsynced.get_or_insert(now);
                    self.take(job, shared);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            let is_due = self.retry_at.is_some_and(|at| at <= Instant::now());
            if is_due || unsynced.is_some_and(|since| since.elapsed() >= SYNC) {
                self.write_out(shared);
                syncer.sync(&self.input);
                (unflushed, unsynced) = (None, None);
            } else if unflushed.is_some_and(|since| since.elapsed() >= FLUSH) {
                self.write_out(shared);
                unflushed = None;
            }
        }
        // How the run ended is written; the rest may have what room is left.
        self.run.remove_reserve();
        self.finish();
        self.run.remove_leftovers();
    }

    /// Finishes the large files as far as the disk takes them.
    fn finish(&mut self) {
        self.input.finish();
        let _ = self.lines.flush();
        let _ = self.changes.finish();
    }

    /// Finishes the large files, gives the reserve back and removes what a killed guard has left. With the last status, which
    /// comes next, the run has ended for every other process, and nobody tidies up after it any more.
    fn close(&mut self, shared: &Shared) {
        self.write_out(shared);
        // Without the reserve the large files would take the room of the last status. Then they come after it.
        if self.retry_at.is_none() || self.run.reserve().exists() {
            self.finish();
        }
        // The guard has died or has nothing more to write.
        self.run.remove_leftovers();
    }

    /// Notes where the report begins, once all that comes before it is written.
    fn report_begins(&mut self, status: &Status, shared: &Shared) {
        self.write_out(shared);
        let path = self.run.lines();
        let written = std::fs::symlink_metadata(path).map_or(0, |lines| lines.len());
        // Lines that wait for the disk come before it as well.
        let at = written + self.lines.waiting() as u64;
        // Without it a killed monitor's report may be missing.
        let _ = self.run.write_status_before_report(status, at);
    }

    /// Writes the large files as far as the disk takes them. Where it does not, they wait, and it is tried again once there
    /// is room for the end of the run, too.
    fn write_out(&mut self, shared: &Shared) {
        let now = Instant::now();
        if self.is_ending || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        if self.retry_at.is_some() && !reserve(&self.run.reserve()) {
            self.retry_at = Some(now + RETRY);
            return;
        }
        self.retry_at = None;
        if let Some((what, error)) = self.try_to_write() {
            shared.trouble().waits = Some((what, error));
            self.retry_at = Some(now + RETRY);
        } else {
            shared.trouble().waits = None;
        }
    }

    /// Returns what the disk has not taken, and why.
    fn try_to_write(&mut self) -> Option<(&'static str, String)> {
        self.input.flush();
        if let Some(error) = self.input.broken() {
            return Some(("the recording", error.to_string()));
        }
        // Now: after a kill there must be no line whose input is missing.
        if let Err(error) = self.lines.flush() {
            return Some(("lines.txt", error.to_string()));
        }
        self.changes.flush().err().map(|error| ("changes.jsonl.zst", error.to_string()))
    }

    /// Writes a file about the run; if there is no room, in the room that is kept for that.
    fn write_at_any_price(
        &mut self,
        write: impl Fn(&RunDir) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        write(&self.run).or_else(|_| {
            self.run.remove_reserve();
            // The large files must not take it.
            self.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
            write(&self.run)
        })
    }

    fn take(&mut self, job: Job, shared: &Shared) {
        match job {
            Job::Bytes(source, bytes, at) => {
                shared.pending.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                let before = self.input.lost();
                self.input.bytes_from(source, &bytes, at);
                let lost = self.input.lost().saturating_sub(before);
                if lost > 0 {
                    let reason = self.input.broken().map(ToString::to_string).unwrap_or_default();
                    shared.has_lost(lost, &reason);
                }
            }
            // The loop ends with it.
            Job::Finish => {}
            Job::Lost(source, n_bytes) => self.input.lose(source, n_bytes),
            Job::Closed(source, at) => self.input.closed(source, at),
            Job::Derivation(facts, at) => self.input.derivation(&facts, at),
            Job::Inside(derivation, hints, at) => self.input.inside(derivation.as_deref(), &hints, at),
            Job::Exit(status, at) => self.input.exit_status(status, at),
            Job::Lines(bytes) => {
                shared.pending.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                if self.lines.waiting() > MAX_WAITING {
                    return shared.is_not_whole("lines.txt", &"the disk was full");
                }
                self.lines.push(&bytes);
                if self.lines.waiting() >= MAX_LINES {
                    self.write_out(shared);
                }
            }
            Job::Changes(bytes) => {
                shared.pending.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                if self.changes.waiting() > MAX_WAITING {
                    return shared.is_not_whole("changes.jsonl.zst", &"the disk was full");
                }
                self.changes.write(&bytes);
            }
            Job::Status(mut status) => {
                // It has a cursor.
                self.write_out(shared);
                if status.incomplete.is_none() {
                    status.incomplete = shared.trouble().told();
                }
                let has_ended = status.has_ended();
                if has_ended {
                    self.close(shared);
                }
                // Another one follows soon, unless this is the last.
                if let Err(error) = self.write_at_any_price(|run| run.write_status(&status))
                    && has_ended
                {
                    shared.is_not_whole("the status", &error);
                }
            }
            Job::Report(status) => self.report_begins(&status, shared),
            Job::Facts(facts) => {
                if let Err(error) = self.write_at_any_price(|run| run.write_facts(&facts)) {
                    shared.is_not_whole("facts.json", &error);
                }
            }
            Job::Summary(json) => {
                // The last chance of the large files, unless they would take the room for the end of the run.
                if !self.run.reserve().exists() && self.retry_at.is_some() {
                    let waits = shared.trouble().waits.clone();
                    let (what, error) =
                        waits.unwrap_or_else(|| ("the recording", "the disk was full".to_owned()));
                    shared.is_not_whole(what, &error);
                } else if let Some((what, error)) = self.try_to_write() {
                    shared.is_not_whole(what, &error);
                }
                self.is_ending = true;
                if let Err(error) = self.write_at_any_price(|run| run.write_summary(&json)) {
                    shared.is_not_whole("the summary", &error);
                }
            }
        }
    }
}

/// Takes room on the disk, if it has not been taken. Returns false if there is none. A file system that cannot do that
/// promises nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(path: &Path) -> bool {
    use rustix::io::Errno;
    if path.exists() {
        return true;
    }
    let Ok(file) = create_file(path) else { return false };
    let taken = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, RESERVE);
    let is_there = matches!(taken, Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL));
    if !is_there {
        // As if it had never been made.
        let _ = std::fs::remove_file(path);
    }
    is_there
}

/// Takes room on the disk, if it has not been taken. Returns false if there is none.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(path: &Path) -> bool {
    if path.exists() {
        return true;
    }
    let room = vec![0; usize::try_from(RESERVE).unwrap_or_default()];
    let is_there = create_file(path).is_ok_and(|mut file| file.write_all(&room).is_ok());
    if !is_there {
        // As if it had never been made.
        let _ = std::fs::remove_file(path);
    }
    is_there
}
