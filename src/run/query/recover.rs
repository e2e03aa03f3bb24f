//! The replay of a recording whose monitor died before it could report the end.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::steps::Steps;
use crate::frontend;
use crate::run::frontends::Frontend;
use crate::run::recording::Step;
use crate::run::session::TICK;
use crate::run::{Pipeline, command, options, plain_lines};
use crate::runs::query::Replayed as Told;
use crate::runs::{self, Exit, Facts, RunDir, Status};
use crate::settings::Settings;
use crate::state::{Moment, State};

/// In a longer pause nothing is told.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

pub(super) fn replay(
    dir: &RunDir,
    facts: Option<&Facts>,
    exit: Option<Exit>,
    settings: &Settings,
) -> Result<Told> {
    let logs = options(&settings.output, settings.thresholds).logs;
    let written = Written::default();
    let lines = plain_lines(written.clone(), settings);
    let mut lines = Pipeline::new(Frontend::Lines(Box::new(lines)), logs);
    let mut json = Pipeline::new(Frontend::Json(frontend::Json::new(LastLine::default(), None)), logs);
    if let Some(facts) = facts {
        command::expect(&mut lines, facts);
        command::expect(&mut json, facts);
    }
    let mut steps = Steps::of(dir);
    let mut ticked = Moment::ZERO;
    // Of what it has read, the monitor has written the lines, if it has written any.
    let mut n_written = None;
    let has_lines = std::fs::read(dir.lines()).is_ok_and(|lines| !whole_lines(&lines).is_empty());
    while let Some((at, step)) = steps.next()? {
        // The first that the guard wrote is when the monitor was gone.
        let takes_over = n_written.is_none() && steps.is_rest() && !matches!(step, Step::SeveralStreams);
        if takes_over && let Some(due) = lines.next_release() {
            // What waits for a record that says the same was read by the monitor.
            lines.release(due);
        }
        if at.saturating_sub(ticked) > LONGEST_PAUSE {
            ticked = at;
        }
        while ticked.saturating_add(TICK) <= at {
            ticked += TICK;
            lines.release_until(ticked);
            lines.tick(ticked);
            json.release_until(ticked);
            json.tick(ticked);
        }
        if takes_over {
            n_written = Some(written.0.borrow().len());
        }
        lines.step(&step, at);
        json.step(&step, at);
    }
    let at = steps.now();
    let status = exit.map(|exit| exit.status());
    let n_written = n_written.unwrap_or_else(|| written.0.borrow().len());
    lines.end_of_recording(at);
    json.end_of_recording(at);
    if dir.is_stopped() {
        lines.interrupt(at);
        json.interrupt(at);
    }
    let evidence = |state: &State| runs::evidence(state, &settings.places, None);
    lines.end(status, at, evidence);
    json.end(status, at, evidence);
    Ok(Told {
        status: Status { line: json.verdict(), ..command::progress(json.state(), at) },
        at,
        has_read: json.has_read(),
        is_damaged: steps.is_damaged(),
        breaks_off: steps.breaks_off(),
        later: match has_lines {
            // Its report too.
            true if dir.summary()?.is_some() => Vec::new(),
            true => written.0.borrow().get(n_written..).unwrap_or_default().to_vec(),
            false => written.0.take(),
        },
        summary: json.into_writer().unwrap_or_default().line,
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

/// Without the beginning of a line at the end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    bytes.get(..end).unwrap_or_default()
}
