//! Results only.

use std::io::Write;

use super::StickyWriter;
use crate::state::{Change, TextKind};

/// Writes results of the command and nothing else.
#[derive(Debug)]
pub struct Results<W> {
    writer: StickyWriter<W>,
}

impl<W: Write> Results<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer: StickyWriter::new(writer) }
    }

    /// Takes changes that were accepted.
    pub fn changes(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Text(TextKind::Result, text) = change {
                self.writer.write(format!("{text}\n").as_bytes());
            }
        }
    }
}
