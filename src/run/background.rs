//! Standard output without waiting for it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as blocking;
use std::thread;

/// Standard output on a thread of its own: a terminal that stands still must not keep us from reading, since Nix would
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
    pub(super) fn spawn() -> Self {
        let (sender, writes) = blocking::sync_channel::<Vec<u8>>(WRITES);
        let pending = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&pending);
        let thread = thread::spawn(move || {
            let mut stdout = std::io::stdout().lock();
            for bytes in writes {
                // The reader has gone: whatever else there is to say, nobody hears it.
                if stdout.write_all(&bytes).and_then(|()| stdout.flush()).is_err() {
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
