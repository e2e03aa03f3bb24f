//! The process that writes into our standard input, and how it ended.
//!
//! A filter is no parent of what it watches, and a pipe carries no exit status. Linux says which processes hold the
//! writing end of a pipe (`/proc/PID/fd`), and since 6.15 how a process ended, to whoever holds a pidfd of it. So at the
//! start the family of processes that writes into our pipe is looked for, and its oldest member is remembered: `nix`, or
//! the `sh` or `make` around it. Programs that only pass on what they read are no family of their own: `tee` ends with 0
//! whatever becomes of the build, so the search goes on with the pipe that they read from.
//!
//! All of this is a gain where it succeeds. A writer that has ended before it is looked for, another user's process that
//! cannot be told, an older kernel, another system, a file: then nothing is known, and the stream decides.

#[cfg(target_os = "linux")]
mod chain;
mod program;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(target_os = "linux")]
pub use watch::Writer;

/// Looks for what writes into standard input. `None` if there is no such thing to be seen, or if the arguments say that
/// something else is to be done.
pub fn find() -> Option<Writer> {
    let is_filter = std::env::args_os().nth(1).is_none_or(|first| first.as_encoded_bytes().starts_with(b"-"));
    if is_filter { Writer::find() } else { None }
}

/// No other system tells.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct Writer;

#[cfg(not(target_os = "linux"))]
impl Writer {
    fn find() -> Option<Self> {
        None
    }

    pub(super) fn wait(&self) {}

    pub(super) fn refresh(&self) {}

    pub(super) async fn end(&self) -> Option<nixmon_core::pipeline::WriterEnd> {
        None
    }
}
