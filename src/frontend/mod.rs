//! Sinks: each owns a writer and nothing else. What they say comes from `render` and `wire`.

mod activation;
mod budget;
mod json;
mod lines;

use std::io::{self, Write};

pub use budget::{Budget, Limits};
pub use json::Json;
pub use lines::{Lines, LinesOptions, Passthrough};

/// A writer that survives its own failure: once our output is gone we write no more, and reading goes on, since the
/// build must not stop because nobody looks.
#[derive(Debug)]
pub struct Sink<W> {
    writer: W,
    broken: Option<io::Error>,
}

impl<W: Write> Sink<W> {
    /// Wraps a writer.
    pub fn new(writer: W) -> Self {
        Self { writer, broken: None }
    }

    /// Writes and flushes, or does nothing any more.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.broken.is_none()
            && let Err(error) = self.writer.write_all(bytes).and_then(|()| self.writer.flush())
        {
            self.broken = Some(error);
        }
    }

    /// Why nothing is written any more.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.writer
    }
}
