//! The replay of a recording whose monitor died before it could report the end.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use super::Replayed;
use crate::{Exit, Facts, Places, QueryError, Reading, RunDir, Status, StdoutUse, Steps, evidence, progress};
use nixmon_core::frontend::{Json, Lines, LinesOptions};
use nixmon_core::pipeline::{Pipeline, Step};
use nixmon_core::state::Moment;

/// In a longer pause nothing is replayed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The time between two ticks of a replay, as in the monitor.
const TICK: Duration = Duration::from_millis(250);

/// A function that is called with the number of bytes that were read so far.
pub type OnRead = Box<dyn FnMut(u64)>;

/// Everything that a replay needs to know which the run itself does not tell.
pub struct Recovery<'a> {
    /// The way to write condensed lines.
    pub lines: LinesOptions,
    /// Places of logs.
    pub places: &'a Places,
    /// Called before a replay; the function that it returns is called with the number of bytes of the recording that were
    /// read so far, to show progress.
    pub on_replay: &'a dyn Fn(&RunDir) -> OnRead,
}

impl std::fmt::Debug for Recovery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovery").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Recovery<'_> {
    /// Replays the recording of a run whose monitor has died.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn replay(
        &self,
        dir: &RunDir,
        facts: Option<&Facts>,
        exit: Option<Exit>,
    ) -> Result<Replayed, QueryError> {
        self.replay_with(dir, facts, exit, |_| ())
    }

    /// The same; `prepare` may add sinks to the pipeline of the replay.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn replay_with(
        &self,
        dir: &RunDir,
        facts: Option<&Facts>,
        exit: Option<Exit>,
        prepare: impl FnOnce(&mut Pipeline),
    ) -> Result<Replayed, QueryError> {
        let written = Written::default();
        let json = Rc::new(RefCell::new(Json::new(LastLine::default(), None)));
        let mut pipeline =
            Pipeline::new(Lines::new(written.clone(), self.lines.clone()).kept(), self.lines.logs);
        pipeline.keep(Rc::clone(&json));
        prepare(&mut pipeline);
        if let Some(facts) = facts {
            expect(&mut pipeline, facts);
        }
        let mut steps = Steps::of(dir);
        tracing::debug!(run = %dir.id(), ?exit, "the monitor has died: its run is replayed");
        let mut on_step = (self.on_replay)(dir);
        let mut ticked = Moment::ZERO;
        // The monitor has written the lines for all that it read, if it has written any.
        let mut n_written = None;
        let n_lines = memchr::memchr_iter(b'\n', &dir.lines_before_report()?).count();
        let has_lines = n_lines > 0;
        while let Some((at, step)) =
            steps.next_step().map_err(|error| QueryError::Unreadable { id: dir.id(), error })?
        {
            // The first that the guard wrote is when the monitor was gone.
            let takes_over = n_written.is_none() && steps.is_rest() && !matches!(step, Step::SeveralStreams);
            if takes_over && let Some(due) = pipeline.next_release() {
                // Text that waits for its record was read by the monitor.
                pipeline.release(due);
            }
            if at.saturating_sub(ticked) > LONGEST_PAUSE {
                ticked = at;
            }
            while ticked.saturating_add(TICK) <= at {
                ticked += TICK;
                pipeline.release_until(ticked);
                pipeline.tick(ticked);
            }
            if takes_over {
                n_written = Some(end_of_lines(&written.0.borrow(), n_lines));
            }
            pipeline.step(&step, at);
            on_step(steps.n_read());
        }
        let at = steps.now();
        let status = exit.map(|exit| exit.status());
        let n_written = n_written.unwrap_or_else(|| end_of_lines(&written.0.borrow(), n_lines));
        pipeline.end_of_recording(at);
        if dir.is_stopped() {
            pipeline.interrupt(at);
        }
        if status.is_none() {
            pipeline.end_is_unseen();
        }
        pipeline.end(status, at, |state| evidence(state, self.places, None));
        let summary = json.replace(Json::new(LastLine::default(), None)).into_writer().line;
        Ok(Replayed {
            status: Status { line: pipeline.verdict(), ..progress(pipeline.state(), at) },
            at,
            has_read: pipeline.has_read(),
            is_damaged: steps.is_damaged(),
            breaks_off: steps.breaks_off(),
            later: match has_lines {
                // Its report too, and nothing says where that begins.
                true if dir.summary()?.is_some() && dir.report_at()?.is_none() => Vec::new(),
                true => written.0.borrow().get(n_written..).unwrap_or_default().to_vec(),
                false => written.0.take(),
            },
            summary,
        })
    }
}

/// Tells a pipeline how to read the recording of a run.
pub fn expect(pipeline: &mut Pipeline, facts: &Facts) {
    let Reading { stdout, any_program } = facts.reading.unwrap_or_default();
    match stdout {
        StdoutUse::Passed => pipeline.pass_stdout(true),
        StdoutUse::Results => pipeline.stdout_is_result(true),
        StdoutUse::Text => pipeline.stdout_is_result(false),
    }
    if any_program {
        pipeline.expect_any_command();
    }
}

/// Keeps all, to be looked at meanwhile.
#[derive(Clone, Debug, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps the last line only.
#[derive(Debug, Default)]
struct LastLine {
    line: Vec<u8>,
    is_whole: bool,
}

impl Write for LastLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if std::mem::take(&mut self.is_whole) {
                self.line.clear();
            }
            self.line.extend_from_slice(piece);
            self.is_whole = piece.ends_with(b"\n");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the end of the first lines, at most so many. The monitor may have read, and kept, more than it has told; but it may
/// also have told that time passes, so that it has written more lines.
fn end_of_lines(bytes: &[u8], n_lines: usize) -> usize {
    n_lines
        .checked_sub(1)
        .and_then(|n| memchr::memchr_iter(b'\n', bytes).nth(n))
        .map_or(bytes.len(), |end| end + 1)
}
