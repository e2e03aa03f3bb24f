//! The replay of a recording whose monitor died before it could report the end.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::steps::Steps;
use crate::frontend::Json;
use crate::pipeline::{Pipeline, Step};
use crate::drive::progress::Progress;
use crate::drive::session::TICK;
use crate::drive::{options, plain_lines};
use crate::monitor;
use crate::runs::query::Replayed as Told;
use crate::runs::{self, Exit, Facts, RunDir, Status};
use crate::settings::Settings;
use crate::state::Moment;

/// In a longer pause nothing is replayed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

pub(super) fn replay(dir: &RunDir, facts: Option<&Facts>, exit: Option<Exit>, settings: &Settings) -> Result<Told> {
    let logs = options(&settings.output, settings.thresholds).logs;
    let written = Written::default();
    let json = Rc::new(RefCell::new(Json::new(LastLine::default(), None)));
    let mut pipeline = Pipeline::new(plain_lines(written.clone(), settings), logs);
    pipeline.keep(Rc::clone(&json));
    if let Some(facts) = facts {
        monitor::expect(&mut pipeline, facts);
    }
    let mut steps = Steps::of(dir);
    tracing::debug!(run = %dir.id(), ?exit, "the monitor has died: its run is replayed");
    let mut progress = Progress::new(format!("Recovering run {}", dir.id()), None, settings.output.ascii);
    let mut ticked = Moment::ZERO;
    // Of what it has read, the monitor has written the lines, if it has written any.
    let mut n_written = None;
    let has_lines = std::fs::read(dir.lines()).is_ok_and(|lines| !whole_lines(&lines).is_empty());
    while let Some((at, step)) = steps.next()? {
        // The first that the guard wrote is when the monitor was gone.
        let takes_over = n_written.is_none() && steps.is_rest() && !matches!(step, Step::SeveralStreams);
        if takes_over && let Some(due) = pipeline.next_release() {
            // What waits for a record that says the same was read by the monitor.
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
            n_written = Some(written.0.borrow().len());
        }
        pipeline.step(&step, at);
        progress.advance(1);
    }
    let at = steps.now();
    let status = exit.map(|exit| exit.status());
    let n_written = n_written.unwrap_or_else(|| written.0.borrow().len());
    pipeline.end_of_recording(at);
    if dir.is_stopped() {
        pipeline.interrupt(at);
    }
    pipeline.end(status, at, |state| runs::evidence(state, &settings.places, None));
    let summary = json.replace(Json::new(LastLine::default(), None)).into_writer().line;
    Ok(Told {
        status: Status { line: pipeline.verdict(), ..monitor::progress(pipeline.state(), at) },
        at,
        has_read: pipeline.has_read(),
        is_damaged: steps.is_damaged(),
        breaks_off: steps.breaks_off(),
        later: match has_lines {
            // Its report too.
            true if dir.summary()?.is_some() => Vec::new(),
            true => written.0.borrow().get(n_written..).unwrap_or_default().to_vec(),
            false => written.0.take(),
        },
        summary,
    })
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

/// Cuts off an unfinished line at the end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    bytes.get(..end).unwrap_or_default()
}
