//! Reads what a command and the Nix below it print, each stream on a thread of its own, so that none waits for another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::drive::background::{Patient, is_gone};
use nixmon_log::input::Source;

/// Longest time that standard error waits until standard output has been passed on.
const PATIENCE: Duration = Duration::from_millis(20);
/// Time between two checks of that.
const STEP: Duration = Duration::from_micros(100);
/// Maximum size of one read.
const CHUNK: usize = 128 << 10;
/// Time that a reader waits for the next piece if pieces come faster: Nix writes each line by itself, and to be woken for
/// each costs more than all that is done with it. A socket holds some 250 short records, so Nix does not wait for us.
const GATHER: Duration = Duration::from_micros(500);
/// Maximum number of connections at a time; each is a process of Nix.
const MAX_CONNECTIONS: usize = 4096;

/// Something of a stream.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes, and when they came.
    Bytes(Source, Arc<[u8]>, Instant),
    /// A connection was taken.
    Opened(Source),
    /// It has ended.
    Closed(Source, Instant),
    /// Output cannot be copied any more, although its reader is still there.
    NotCopied(io::Error),
    /// The reader of the copy has gone, and so the stream is not read any more: its writer gets SIGPIPE, as it would without
    /// nixmon.
    Unread(Source),
}

/// Takes pieces. Returns false if they are not wanted any more; streams are read all the same, so that no writer waits.
pub(super) trait Take: Fn(Piece) -> bool + Clone + Send + 'static {}

impl<F: Fn(Piece) -> bool + Clone + Send + 'static> Take for F {}

/// The activity of a reader at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    state: Arc<AtomicU8>,
    /// Gone once it is not read any more, so that its writer notices.
    stream: Weak<File>,
}

const READING: u8 = 0;
const HANDING_ON: u8 = 1;
const CLOSED: u8 = 2;

impl Progress {
    /// The stream has ended and everything of it was handed on.
    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    /// Something was read and is not handed on yet.
    pub(super) fn is_handing_on(&self) -> bool {
        self.state.load(Ordering::Acquire) == HANDING_ON
    }
}

/// A stream of the same programs that is handed on first. Two pipes have no common order, and what says what is going on
/// goes to standard output as a rule, what is wrong with it to standard error.
#[derive(Debug)]
pub(super) struct First(Progress);

impl First {
    /// The stream of this reader.
    pub(super) fn new(reader: Progress) -> Self {
        Self(reader)
    }

    /// Waits until everything of it is handed on, but not long: whoever takes its copy may stand still.
    fn wait(&self) {
        let begun = Instant::now();
        // Its reader may be between reading and saying so.
        let mut n_idle = 0;
        while n_idle < 2 && begun.elapsed() < PATIENCE {
            n_idle = if self.is_idle() { n_idle + 1 } else { 0 };
            thread::sleep(STEP);
        }
    }

    fn is_idle(&self) -> bool {
        let Some(stream) = self.0.stream.upgrade() else { return true };
        let mut files = [PollFd::new(&*stream, PollFlags::IN)];
        let is_empty = poll(&mut files, Some(&Timespec::default()))
            .is_ok_and(|_| !files[0].revents().contains(PollFlags::IN));
        is_empty && !self.0.is_handing_on()
    }
}

/// Reads a stream to its end; first it is copied to `copy`, unchanged, then it is handed on, `first` before it.
///
/// # Errors
///
/// If there can be no thread.
pub(super) fn spawn(
    source: Source,
    stream: OwnedFd,
    copy: Option<File>,
    first: Option<First>,
    take: impl Take,
) -> io::Result<Progress> {
    let stream = Arc::new(File::from(stream));
    let progress = Progress { state: Arc::default(), stream: Arc::downgrade(&stream) };
    let ours = progress.clone();
    // A pipe holds 64 KiB unless we ask for more; where that is refused, reads are smaller.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&*stream, 256 << 10);
    let span = tracing::debug_span!("stream", ?source);
    thread::Builder::new().name(format!("{source:?}").to_lowercase()).spawn(move || {
        let _entered = span.enter();
        read(source, &*stream, copy, first.as_ref(), &ours, &take);
        drop(stream);
        let _ = take(Piece::Closed(source, Instant::now()));
        ours.state.store(CLOSED, Ordering::Release);
    })?;
    Ok(progress)
}

fn read(
    source: Source,
    mut stream: impl Read,
    mut copy: Option<File>,
    first: Option<&First>,
    progress: &Progress,
    take: &impl Take,
) {
    let mut buffer = vec![0; CHUNK];
    let mut last: Option<Instant> = None;
    let mut n_bytes: u64 = 0;
    loop {
        let n = match stream.read(&mut buffer) {
            Ok(0) => return tracing::debug!(n_bytes, "the stream has ended"),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Only of a terminal or a socket that has gone.
            Err(error) => return tracing::debug!(n_bytes, %error, "the stream cannot be read any more"),
        };
        n_bytes += n as u64;
        let at = Instant::now();
        progress.state.store(HANDING_ON, Ordering::Release);
        if let Some(first) = first {
            first.wait();
        }
        let bytes = buffer.get(..n).unwrap_or_default();
        if let Some(Err(error)) = copy.as_ref().map(|copy| write_all(copy, bytes)) {
            copy = None;
            if error.kind() == io::ErrorKind::BrokenPipe {
                let _ = take(Piece::Bytes(source, bytes.into(), at));
                let _ = take(Piece::Unread(source));
                return;
            }
            // A terminal that has gone, or a disk that is full: the command continues.
            if !is_gone(&error) {
                let _ = take(Piece::NotCopied(error));
            }
        }
        let _ = take(Piece::Bytes(source, bytes.into(), at));
        progress.state.store(READING, Ordering::Release);
        let is_fast = last.replace(at).is_some_and(|last| at.saturating_duration_since(last) < GATHER * 2);
        // Output that is copied may be a conversation, and a large piece was gathered by its writer.
        if is_fast && copy.is_none() && n < CHUNK / 4 {
            thread::sleep(GATHER);
        }
    }
}

fn write_all(file: &File, bytes: &[u8]) -> io::Result<()> {
    Patient { out: &mut &*file, fd: file.as_fd() }.write_all(bytes)
}

/// Takes connections of Nix's processes, for as long as we live; they are numbered from `first`.
///
/// # Errors
///
/// If there can be no thread.
pub(super) fn spawn_listener(listener: UnixListener, first: u32, take: impl Take) -> io::Result<()> {
    let open = Arc::new(());
    let parent = tracing::Span::current();
    thread::Builder::new().name("log-socket".to_owned()).spawn(move || {
        for (number, connection) in (first..).zip(listener.incoming()) {
            let Ok(connection) = connection else {
                // Too many open files; Nix waits a moment.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            let source = Source::Log(number);
            let (counted, take) = (Arc::clone(&open), take.clone());
            if Arc::strong_count(&open) > MAX_CONNECTIONS {
                tracing::warn!(number, "too many connections: this one is closed");
                continue;
            }
            let _ = take(Piece::Opened(source));
            let closed = take.clone();
            let span = tracing::debug_span!(parent: &parent, "connection", number);
            let reader = move || {
                let _entered = span.enter();
                tracing::debug!("a process of Nix has connected");
                read(source, connection, None, None, &Progress::default(), &take);
                let _ = take(Piece::Closed(source, Instant::now()));
                drop(counted);
            };
            // Without a thread the connection is closed, and Nix says all of it on its standard error alone.
            if thread::Builder::new().name(format!("log-{number}")).spawn(reader).is_err() {
                let _ = closed(Piece::Closed(source, Instant::now()));
            }
        }
    })?;
    Ok(())
}
