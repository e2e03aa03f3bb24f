//! Standard output or standard error without waiting for it.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::Notify;

use super::complain;

/// Where we write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its file descriptor.
    pub(super) fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => rustix::stdio::stdout(),
            Self::Stderr => rustix::stdio::stderr(),
        }
    }
}

/// A stream on a thread of its own: a terminal that stands still must not keep us from anything else.
#[derive(Debug)]
pub(super) struct Background {
    sender: Option<blocking::Sender<Vec<u8>>>,
    thread: Option<thread::JoinHandle<()>>,
    backlog: Backlog,
}

/// What a reader has not taken yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    writes: AtomicUsize,
    /// The reader has gone, and nothing more is written.
    gone: AtomicBool,
    /// Nobody wants to wait for the reader any more.
    abandoned: AtomicBool,
    fell: Notify,
}

/// Where so many writes wait for a reader, no more input is taken until he has gone on; of condensed lines there are
/// never so many.
const WRITES: usize = 1024;
/// Whoever wants to leave waits so long for a reader who stands still.
const ABANDONED: Duration = Duration::from_millis(500);

impl Backlog {
    fn writes(&self) -> usize {
        if self.0.gone.load(Ordering::Acquire) { 0 } else { self.0.writes.load(Ordering::Acquire) }
    }

    /// Whether something that was written has not been taken yet.
    #[cfg(feature = "live")]
    pub(super) fn is_busy(&self) -> bool {
        self.writes() > 0
    }

    /// Whether so much waits that nothing should come to it.
    pub(super) fn is_full(&self) -> bool {
        self.has_all() && !self.is_abandoned()
    }

    fn has_all(&self) -> bool {
        self.writes() >= WRITES
    }

    fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Acquire)
    }

    /// Waits until there is room again.
    pub(super) async fn room(&self) {
        self.falls_to(WRITES / 2).await;
    }

    /// Waits until everything was taken.
    pub(super) async fn taken(&self) {
        self.falls_to(0).await;
    }

    /// For one at a time.
    async fn falls_to(&self, writes: usize) {
        while self.writes() > writes && !self.is_abandoned() {
            self.0.fell.notified().await;
        }
    }

    /// Does not wait for the reader any more: what has no room is lost, and so is what he has not taken soon after the
    /// end. Somebody wants to see the end.
    pub(super) fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Release);
        self.0.fell.notify_one();
    }
}

impl Background {
    /// The stream, and what will wait for its reader.
    pub(super) fn spawn(stream: Stream) -> (Self, Backlog) {
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
                // Its lock is for everybody who complains.
                Stream::Stderr => {
                    stderr = io::stderr();
                    &mut stderr
                }
            };
            for bytes in writes {
                let mut patient = Patient { out: &mut *out, fd: stream.fd() };
                if let Err(error) = patient.write_all(&bytes).and_then(|()| patient.flush()) {
                    counted.gone.store(true, Ordering::Release);
                    counted.fell.notify_one();
                    // A reader who has gone does not want to know; on standard error nobody would hear it.
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
        (Self { sender: Some(sender), thread: Some(thread), backlog: backlog.clone() }, backlog)
    }
}

impl Write for Background {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = || io::Error::from(ErrorKind::BrokenPipe);
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        if self.backlog.is_abandoned() && self.backlog.has_all() {
            return Ok(bytes.len());
        }
        self.backlog.0.writes.fetch_add(1, Ordering::AcqRel);
        sender.send(bytes.to_vec()).map_err(|_| gone())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Background {
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
        // It has nothing to say but that it is done.
        let _ = thread.join();
    }
}

/// Whether an error of writing says that the reader has gone: of a pipe, or of a terminal.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// A writer that waits for room also where somebody has set its file to be non-blocking: whoever shares a terminal or a
/// pipe may.
pub(super) struct Patient<'a, W: ?Sized> {
    pub(super) out: &'a mut W,
    pub(super) fd: BorrowedFd<'a>,
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
