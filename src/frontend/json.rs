//! JSON lines for programs.

use std::io::Write;
use std::time::Duration;

use super::Sink;
use crate::input::InputCounts;
use crate::state::{Change, Moment, State};
use crate::text::Line;
use crate::view::Evidence;
use crate::wire;

/// Writes changes as they happen, snapshots if asked, and the summary record last.
#[derive(Debug)]
pub struct Json<W> {
    sink: Sink<W>,
    buffer: Vec<u8>,
    snapshots: Option<Duration>,
    last_snapshot: Moment,
}

/// What is gathered before it is written, unless something else ends the batch.
const BATCH: usize = 64 << 10;

impl<W: Write> Json<W> {
    /// Writes to `writer`; `snapshots` is the time between two of them.
    pub fn new(writer: W, snapshots: Option<Duration>) -> Self {
        Self { sink: Sink::new(writer), buffer: Vec::new(), snapshots, last_snapshot: Moment::ZERO }
    }

    /// Changes have been accepted.
    pub fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        for change in changes {
            if let Some(record) = wire::from_change(state, change, at) {
                self.line(&record);
            }
        }
        if self.buffer.len() > BATCH {
            self.flush();
        }
    }

    /// Lines about the run itself.
    pub fn notice(&mut self, lines: &[Line], at: Moment) {
        for line in lines {
            self.line(&wire::notice(&line.plain(), at));
        }
        self.flush();
    }

    /// Time has passed.
    pub fn tick(&mut self, state: &State, now: Moment) {
        if let Some(every) = self.snapshots
            && now.saturating_sub(self.last_snapshot) >= every
        {
            self.last_snapshot = now;
            self.line(&wire::snapshot(state, now));
        }
        self.flush();
    }

    /// The run has ended.
    pub fn end(&mut self, state: &State, evidence: &Evidence, input: InputCounts, exit_code: i32) {
        self.line(&wire::summary(state, evidence, input, exit_code));
        self.flush();
    }

    fn line(&mut self, value: &impl serde::Serialize) {
        // Of our own types none can fail to be written.
        if serde_json::to_writer(&mut self.buffer, value).is_ok() {
            self.buffer.push(b'\n');
        }
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.sink.write(&self.buffer);
            self.buffer.clear();
        }
    }

    /// The sink.
    pub fn sink(&self) -> &Sink<W> {
        &self.sink
    }

    /// Takes the writer back.
    pub fn into_writer(self) -> W {
        self.sink.into_inner()
    }
}
