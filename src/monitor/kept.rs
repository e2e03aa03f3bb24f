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
use nixmon_runs::recording::compressed;
use nixmon_runs::{Facts, RunDir, Status, StoreError, create_file};

/// Time between two flushes: a killed monitor loses no more than this.
const FLUSH: Duration = Duration::from_millis(250);
/// Time between two syncs to the disk. A sync itself takes time: a power failure loses at most a second.
const SYNC: Duration = Duration::from_millis(750);
/// Maximum number of bytes that wait for the disk. Bytes beyond are not kept, and the status says so.
const MAX_PENDING: u64 = 64 << 20;
/// Time that the end of a run waits for the disk.
const LAST: Duration = Duration::from_secs(10);

/// Space that is reserved for the end of a run on a full disk: its exit, its summary and its last status.
const RESERVE: u64 = 64 << 10;

/// Maximum number of bytes of lines that are written together.
const MAX_LINES: usize = 64 << 10;

enum Job {
    Bytes(Source, Arc<[u8]>, Moment),
    Closed(Source, Moment),
    Derivation(DerivationFacts, Moment),
    Exit(i32, Moment),
    Lines(Vec<u8>),
    Changes(Vec<u8>),
    Status(Box<Status>),
    /// The report comes next.
    Report(Box<Status>),
    Facts(Box<Facts>),
    Summary(serde_json::Value),
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
    dropped: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a trouble; the first one is reported.
    fn is_not_whole(&self, what: &str, error: &dyn std::fmt::Display) {
        self.trouble().get_or_insert_with(|| format!("{what} is not whole: {error}"));
    }
}

impl Kept {
    /// Makes the files.
    pub(super) fn create(run: &RunDir, machine: &Machine) -> Result<Self> {
        let mut input = Recorder::create_of_command(&run.input())?;
        input.machine(machine, Moment::ZERO);
        let files = Files {
            run: run.clone(),
            input: Some(input),
            lines: Some(create_file(&run.lines())?),
            pending_lines: Vec::new(),
            changes: Some(compressed(create_file(&run.changes())?, 1)?),
        };
        reserve(&run.reserve());
        let shared = Arc::new(Shared::default());
        let (sender, jobs) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("kept".to_owned()).spawn(move || files.serve(&jobs, &theirs))?;
        Ok(Self { sender: Some(sender), shared, thread: Some(thread) })
    }

    pub(super) fn bytes(&self, source: Source, bytes: Arc<[u8]>, at: Moment) {
        let n = bytes.len() as u64;
        if self.shared.pending.load(Ordering::Relaxed) + n > MAX_PENDING {
            let dropped = self.shared.dropped.fetch_add(n, Ordering::Relaxed) + n;
            *self.shared.trouble() =
                Some(format!("the recording is not whole: the disk was too slow for {dropped} bytes of it"));
            return;
        }
        self.shared.pending.fetch_add(n, Ordering::Relaxed);
        self.send(Job::Bytes(source, bytes, at));
    }

    pub(super) fn closed(&self, source: Source, at: Moment) {
        self.send(Job::Closed(source, at));
    }

    pub(super) fn derivation(&self, facts: &DerivationFacts, at: Moment) {
        self.send(Job::Derivation(facts.clone(), at));
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

    /// Returns the reason why something is missing.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble().clone()
    }

    /// Waits for the disk, up to a limit. Returns the reason why something is missing.
    pub(super) fn finish(mut self) -> Option<String> {
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
        self.trouble()
    }

    fn send(&self, job: Job) {
        if let Some(sender) = &self.sender {
            // The thread lives until the sender is dropped.
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
    input: Option<Recorder>,
    lines: Option<File>,
    /// Lines that are written together, because the recording is flushed before them.
    pending_lines: Vec<u8>,
    changes: Option<zstd::Encoder<'static, File>>,
}

impl Files {
    fn serve(mut self, jobs: &mpsc::Receiver<Job>, shared: &Shared) {
        // The times of the oldest write that is not flushed, and of the oldest that is not synced.
        let mut unflushed: Option<Instant> = None;
        let mut unsynced: Option<Instant> = None;
        loop {
            let waiting = jobs.try_recv();
            if matches!(waiting, Err(mpsc::TryRecvError::Empty)) {
                self.write_lines(shared);
            }
            let job = match waiting {
                Ok(job) => Ok(job),
                Err(_) => {
                    let flush = unflushed.map(|since| FLUSH.saturating_sub(since.elapsed()));
                    let sync = unsynced.map(|since| SYNC.saturating_sub(since.elapsed()));
                    match flush.into_iter().chain(sync).min() {
                        Some(wait) => jobs.recv_timeout(wait),
                        None => jobs.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                    }
                }
            };
            match job {
                Ok(job) => {
                    let now = Instant::now();
                    unflushed.get_or_insert(now);
                    unsynced.get_or_insert(now);
                    self.take(job, shared);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            if unsynced.is_some_and(|since| since.elapsed() >= SYNC) {
                self.write_out(Recorder::sync, shared);
                (unflushed, unsynced) = (None, None);
            } else if unflushed.is_some_and(|since| since.elapsed() >= FLUSH) {
                self.write_out(Recorder::flush, shared);
                unflushed = None;
            }
        }
        self.close(shared);
    }

    /// Stops writing the large files, so that there is room for the end of the run.
    fn give_up(&mut self) {
        self.input = None;
        self.changes = None;
        self.run.remove_reserve();
    }

    /// Writes a file about the end of the run; if there is no room, instead of the large files.
    fn write_at_any_price(
        &mut self,
        what: &str,
        shared: &Shared,
        write: impl Fn(&RunDir) -> Result<(), StoreError>,
    ) {
        let mut written = write(&self.run);
        if written.is_err() {
            self.give_up();
            written = write(&self.run);
        }
        if let Err(error) = written {
            shared.is_not_whole(what, &error);
        }
    }

    fn take(&mut self, job: Job, shared: &Shared) {
        match job {
            Job::Bytes(source, bytes, at) => {
                shared.pending.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                if let Some(input) = &mut self.input {
                    input.bytes_from(source, &bytes, at);
                }
            }
            Job::Closed(source, at) => {
                if let Some(input) = &mut self.input {
                    input.closed(source, at);
                }
            }
            Job::Derivation(facts, at) => {
                if let Some(input) = &mut self.input {
                    input.derivation(&facts, at);
                }
            }
            Job::Exit(status, at) => {
                if let Some(input) = &mut self.input {
                    input.exit_status(status, at);
                }
            }
            Job::Lines(bytes) => {
                shared.pending.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                self.pending_lines.extend_from_slice(&bytes);
                if self.pending_lines.len() >= MAX_LINES {
                    self.write_lines(shared);
                }
            }
            Job::Changes(bytes) => {
                shared.pending.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                if !write(&mut self.changes, &bytes, "changes.jsonl.zst", shared) {
                    self.give_up();
                }
            }
            Job::Status(mut status) => {
                // It has a cursor.
                self.write_lines(shared);
                if status.incomplete.is_none() {
                    status.incomplete = shared.trouble().clone();
                }
                if status.has_ended() {
                    self.close(shared);
                }
                self.write_at_any_price("the status", shared, |run| run.write_status(&status));
            }
            Job::Report(status) => self.report_begins(&status, shared),
            Job::Facts(facts) => {
                if let Err(error) = self.run.write_facts(&facts) {
                    shared.is_not_whole("facts.json", &error);
                }
            }
            Job::Summary(json) => {
                self.write_at_any_price("the summary", shared, |run| run.write_summary(&json));
            }
        }
    }

    /// Notes where the report begins, once all that comes before it is written.
    fn report_begins(&mut self, status: &Status, shared: &Shared) {
        self.write_lines(shared);
        if let Some(input) = &mut self.input {
            input.flush();
        }
        let at = self.lines.as_ref().and_then(|lines| lines.metadata().ok()).map(|lines| lines.len());
        if let Some(at) = at {
            // Without it a killed monitor's report may be missing.
            let _ = self.run.write_status_before_report(status, at);
        }
    }

    /// Finishes the large files, gives the reserve back and removes what a killed guard has left. With the last status, which comes next, the run has ended for every
    /// other process, and nobody tidies up after it any more.
    fn close(&mut self, shared: &Shared) {
        self.write_out(Recorder::sync, shared);
        if let Some(changes) = self.changes.take() {
            let _ = changes.finish();
        }
        // The guard has died or has nothing more to write.
        self.run.remove_leftovers();
    }

    /// Flushes the recording first: after a kill there must be no line whose input is missing.
    fn write_lines(&mut self, shared: &Shared) {
        if self.pending_lines.is_empty() {
            return;
        }
        if let Some(input) = &mut self.input {
            input.flush();
        }
        let lines = std::mem::take(&mut self.pending_lines);
        if !write(&mut self.lines, &lines, "lines.txt", shared) {
            self.give_up();
        }
    }

    fn write_out(&mut self, recording: fn(&mut Recorder), shared: &Shared) {
        self.write_lines(shared);
        if let Some(input) = &mut self.input {
            recording(input);
            if let Some(error) = input.broken() {
                shared.is_not_whole("the recording", error);
                self.give_up();
            }
        }
        if let Some(changes) = &mut self.changes
            && let Err(error) = changes.flush()
        {
            shared.is_not_whole("changes.jsonl.zst", &error);
            self.give_up();
        }
    }
}

/// Writes, and closes the file at the first error; then it is false.
fn write<W: Write>(file: &mut Option<W>, bytes: &[u8], name: &str, shared: &Shared) -> bool {
    if let Some(open) = file
        && let Err(error) = open.write_all(bytes)
    {
        shared.is_not_whole(name, &error);
        *file = None;
        return false;
    }
    true
}

/// Takes room on the disk. A file system that cannot do that promises nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(path: &Path) {
    if let Ok(file) = create_file(path) {
        let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, RESERVE);
    }
}

/// Takes room on the disk.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(path: &Path) {
    if let Ok(mut file) = create_file(path) {
        let _ = file.write_all(&vec![0; usize::try_from(RESERVE).unwrap_or_default()]);
    }
}
