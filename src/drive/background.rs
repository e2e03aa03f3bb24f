//! Writing to standard output or standard error without waiting for its reader.
//!
//! Each stream has at most one thread, and everything that is written to the stream while the thread lives goes through
//! it: the report, answers to signals, complaints. So nothing overtakes anything else, and a full pipe or a stalled
//! terminal never blocks the event loop.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc as blocking};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::Notify;

use super::complain;

/// A standard stream to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its file descriptor.
    pub(crate) fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => rustix::stdio::stdout(),
            Self::Stderr => rustix::stdio::stderr(),
        }
    }
}

/// A stream that is written to by a thread of its own. Clones share the thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Background(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sender: Option<blocking::Sender<Vec<u8>>>,
    thread: Option<thread::JoinHandle<()>>,
    backlog: Backlog,
}

/// The thread of standard error, if there is one.
static STDERR: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// The writes that a reader has not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    writes: AtomicUsize,
    /// The reader has gone, and nothing more is written.
    gone: AtomicBool,
    /// Nothing more can be written, and not because the reader has gone.
    failed: AtomicBool,
    /// The program no longer waits for the reader.
    abandoned: AtomicBool,
    fell: Notify,
}

/// The loops stop reading input while this many writes are pending; condensed output never reaches it.
const WRITES: usize = 1024;
/// Time that shutdown waits for a stalled reader.
const ABANDONED: Duration = Duration::from_millis(500);

impl Backlog {
    fn writes(&self) -> usize {
        if self.0.gone.load(Ordering::Acquire) { 0 } else { self.0.writes.load(Ordering::Acquire) }
    }

    /// Returns whether something could not be written, which the reader does not know.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Returns whether a write is pending.
    pub(crate) fn is_busy(&self) -> bool {
        self.writes() > 0
    }

    /// Returns whether so many writes are pending that none should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.has_all() && !self.is_abandoned()
    }

    fn has_all(&self) -> bool {
        self.writes() >= WRITES
    }

    fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Acquire)
    }

    /// Waits until there is room again.
    pub(crate) async fn room(&self) {
        self.falls_to(WRITES / 2).await;
    }

    /// Waits until everything was taken.
    pub(crate) async fn taken(&self) {
        self.falls_to(0).await;
    }

    /// Waits until at most this many writes are pending. Only one task may wait at a time.
    async fn falls_to(&self, writes: usize) {
        while self.writes() > writes && !self.is_abandoned() {
            self.0.fell.notified().await;
        }
    }

    /// Stops waiting for the reader, because the user wants the program to end: writes beyond the limit are lost, and so
    /// are those that the reader has not taken soon after the end.
    pub(crate) fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Release);
        self.0.fell.notify_one();
    }
}

impl Background {
    /// Returns the stream's writer. Standard error has one thread: while it lives, everybody gets the same.
    pub(crate) fn spawn(stream: Stream) -> Self {
        match stream {
            Stream::Stdout => Self(Arc::new(Shared::spawn(stream))),
            Stream::Stderr => {
                let mut running = STDERR.lock().unwrap_or_else(PoisonError::into_inner);
                let shared = running.upgrade().unwrap_or_else(|| Arc::new(Shared::spawn(stream)));
                *running = Arc::downgrade(&shared);
                Self(shared)
            }
        }
    }

    /// The writes that are pending.
    pub(crate) fn backlog(&self) -> Backlog {
        self.0.backlog.clone()
    }
}

/// Writes a message to standard error: in the background if something else is written there in the background, else
/// directly.
pub(crate) fn write_message(message: &str) {
    let running = STDERR.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    // If this fails, there is no way left to say so.
    let _ = match running {
        Some(shared) => shared.write(message.as_bytes()),
        None => io::stderr().write_all(message.as_bytes()),
    };
}

impl Shared {
    fn spawn(stream: Stream) -> Self {
        let (sender, writes) = blocking::channel::<Vec<u8>>();
        let backlog = Backlog::default();
        let counted = Arc::clone(&backlog.0);
        let thread = thread::spawn(move || {
            let (mut stdout, mut stderr);
            let out: &mut dyn Write = match stream {
                Stream::Stdout => {
                    stdout = io::stdout().lock();
                    &mut stdout
                }
                // Locked for each write only: a panic is reported there, too.
                Stream::Stderr => {
                    stderr = io::stderr();
                    &mut stderr
                }
            };
            for bytes in writes {
                let mut patient = Patient { out: &mut *out, fd: stream.fd() };
                if let Err(error) = patient.write_all(&bytes).and_then(|()| patient.flush()) {
                    counted.failed.store(!is_gone(&error), Ordering::Release);
                    counted.gone.store(true, Ordering::Release);
                    counted.fell.notify_one();
                    // A reader that has gone is no error, and one of standard error could not be told.
                    if stream == Stream::Stdout && !is_gone(&error) {
                        complain(&anyhow::Error::new(error).context("cannot write to standard output"));
                    }
                    return;
                }
                let left = counted.writes.fetch_sub(1, Ordering::AcqRel) - 1;
                if left == 0 || left == WRITES / 2 {
                    counted.fell.notify_one();
                }
            }
        });
        Self { sender: Some(sender), thread: Some(thread), backlog }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let gone = || io::Error::from(ErrorKind::BrokenPipe);
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        if self.backlog.is_abandoned() && self.backlog.has_all() {
            return Ok(());
        }
        self.backlog.0.writes.fetch_add(1, Ordering::AcqRel);
        sender.send(bytes.to_vec()).map_err(|_| gone())
    }
}

impl Write for Background {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sender = None;
        let Some(thread) = self.thread.take() else { return };
        let begun = Instant::now();
        while self.backlog.is_abandoned() && !thread.is_finished() {
            if begun.elapsed() >= ABANDONED {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        // A thread returns nothing, and a panic in it was reported already.
        let _ = thread.join();
    }
}

/// Returns whether a write error says that the reader of a pipe or a terminal has gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// A writer that waits for room even if its file is non-blocking: any process that shares the terminal or pipe may have
/// made it so.
pub(crate) struct Patient<'a, W: ?Sized> {
    pub(crate) out: &'a mut W,
    pub(crate) fd: BorrowedFd<'a>,
}

impl<W: Write + ?Sized> Patient<'_, W> {
    fn until_there_is_room<T>(&mut self, mut write: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match write(self.out) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut files = [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::OUT)];
                    match poll(&mut files, None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                written => return written,
            }
        }
    }
}

impl<W: Write + ?Sized> Write for Patient<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_there_is_room(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.until_there_is_room(Write::flush)
    }
}
