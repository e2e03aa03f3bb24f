//! Standard output or standard error without waiting for it.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as blocking;
use std::thread;

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

/// A stream on a thread of its own: a terminal that stands still must not keep us from reading, since Nix would
/// wait for us.
#[derive(Debug)]
pub(super) struct Background {
    sender: Option<blocking::SyncSender<Vec<u8>>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Writes that the terminal has not taken yet.
    pending: Arc<AtomicUsize>,
}

/// Writes that may wait for a reader who is slow; of condensed lines there are never so many.
const WRITES: usize = 1024;

impl Background {
    pub(super) fn spawn(stream: Stream) -> Self {
        let (sender, writes) = blocking::sync_channel::<Vec<u8>>(WRITES);
        let pending = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&pending);
        let thread = thread::spawn(move || {
            let (mut stdout, mut stderr);
            let out: &mut dyn Write = match stream {
                Stream::Stdout => {
                    stdout = std::io::stdout().lock();
                    &mut stdout
                }
                // Its lock is for everybody who complains.
                Stream::Stderr => {
                    stderr = std::io::stderr();
                    &mut stderr
                }
            };
            for bytes in writes {
                // The reader has gone: whatever else there is to say, nobody hears it.
                if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                    return;
                }
                left.fetch_sub(1, Ordering::Release);
            }
        });
        Self { sender: Some(sender), thread: Some(thread), pending }
    }

    /// Whether something that was written has not been taken yet.
    #[cfg(feature = "live")]
    pub(super) fn is_busy(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }
}

impl Write for Background {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        self.pending.fetch_add(1, Ordering::Release);
        sender.send(bytes.to_vec()).map_err(|_| gone())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but that it is done.
            let _ = thread.join();
        }
    }
}
