//! How a run stands, also one whose monitor has died: then its end is found out from what was kept.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::lines::{CondensedLines, catch_up};
use super::steps::Steps;
use super::{local_clock, unix_ms};
use crate::frontend::Json;
use crate::pipeline::{Pipeline, Step};
use crate::run::progress::Progress;
use crate::run::session::TICK;
use crate::run::{command, options, plain_lines, service_logs, thresholds};
use crate::runs::{Exit, FORMAT, Facts, Life, RunDir, RunState, Status, StoreError};
use crate::settings::Settings;
use crate::state::Moment;
use crate::wire;

/// In a longer pause nothing is replayed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A run as it stands.
#[derive(Debug)]
pub(in crate::run) struct Look {
    /// Its directory.
    pub(in crate::run) dir: RunDir,
    /// What was started; `None` if that is damaged.
    pub(in crate::run) facts: Option<Facts>,
    /// How it stands.
    pub(in crate::run) status: Status,
    /// Who looks after it.
    pub(in crate::run) life: Life,
}

/// Looks at a run. The end of one whose monitor has died is found out and kept, where the store can be written.
pub(in crate::run) fn look(dir: &RunDir, settings: &Settings) -> Result<Look> {
    // First: of another nixmon's run they say whose it is.
    let facts = match dir.facts() {
        Ok(facts) => Some(facts),
        Err(StoreError::Damaged { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let life = dir.life(unix_ms())?;
    let kept = dir.status()?.unwrap_or_else(|| from_facts(dir, facts.as_ref()));
    let (life, mut status) = match life {
        Life::Ended | Life::Monitored => (life, kept),
        Life::Guarded | Life::Unwatched => (life, lost(kept, facts.as_ref(), life, dir.exit()?)),
        Life::Over => recover(dir, facts.as_ref(), kept, settings)?,
    };
    if life.goes_on() {
        catch_up(&mut status, CondensedLines::of(dir).read()?);
    }
    Ok(Look { dir: dir.clone(), facts, status, life })
}

/// What is known of a run whose status is damaged.
fn from_facts(dir: &RunDir, facts: Option<&Facts>) -> Status {
    let status = Status { format: FORMAT, id: dir.id(), ..Status::default() };
    let Some(facts) = facts else { return status };
    Status {
        name: facts.name.clone(),
        command: facts.command.clone(),
        created_at: facts.created_at,
        started_at: facts.process.is_some().then_some(facts.created_at),
        heartbeat_at: facts.created_at,
        after: facts.after,
        expected_ms: facts.expected_ms,
        ..status
    }
}

/// `its monitor died at 10:32`: the last sign of life is what is known.
fn monitor_died(status: &Status) -> String {
    match status.heartbeat_at {
        0 => "its monitor died".to_owned(),
        at => format!("its monitor died at {}", local_clock(at, unix_ms())),
    }
}

fn lost(status: Status, facts: Option<&Facts>, life: Life, exit: Option<Exit>) -> Status {
    let process = facts.and_then(|facts| facts.process.as_ref());
    let command = process
        .map_or_else(|| "the command".to_owned(), |process| format!("the command (pid {})", process.pid));
    let died = monitor_died(&status);
    let incomplete = match life {
        Life::Guarded if exit.is_some() => {
            format!("{died}; {command} has ended, what it has started still prints")
        }
        Life::Guarded => format!("{died}; {command} goes on, its output is kept"),
        _ => format!("{died}; {command} goes on unwatched: what it prints since then is lost"),
    };
    Status { state: RunState::Lost, incomplete: Some(incomplete), ..status }
}

/// Finds out how a run has ended, once.
fn recover(dir: &RunDir, facts: Option<&Facts>, kept: Status, settings: &Settings) -> Result<(Life, Status)> {
    let lock = match dir.lock_recovery() {
        Ok(lock) => Some(lock),
        Err(error) if error.is_unwritable() => None,
        Err(error) => return Err(error.into()),
    };
    if lock.is_some() {
        // Somebody else may have been faster.
        match (dir.life(unix_ms())?, dir.status()?) {
            (Life::Over, _) => {}
            (Life::Ended, Some(status)) => return Ok((Life::Ended, status)),
            (life, status) => return Ok((life, status.unwrap_or(kept))),
        }
    }
    let exit = dir.exit()?;
    let replayed = replay(dir, facts, exit, settings)?;
    let status = final_status(dir, facts, kept, exit, &replayed);
    if lock.is_some() {
        match keep(dir, facts, &status, &replayed) {
            Err(error) if !error.is_unwritable() => return Err(error.into()),
            _ => {}
        }
    }
    Ok((Life::Ended, status))
}

fn keep(dir: &RunDir, facts: Option<&Facts>, status: &Status, replayed: &Replayed) -> Result<(), StoreError> {
    dir.remove_leftovers();
    if let Ok(mut summary) = serde_json::from_slice::<serde_json::Value>(&replayed.summary) {
        if status.exit_code.is_none()
            && let Some(fields) = summary.as_object_mut()
        {
            // The record has the outcome of the status.
            fields.insert("outcome".to_owned(), status.outcome.clone().into());
            let code = fields.get("exit_code").and_then(serde_json::Value::as_i64).unwrap_or(0);
            fields.insert("exit_code".to_owned(), code.max(1).into());
        }
        dir.write_summary(&summary)?;
    }
    let on_disk = std::fs::read(dir.lines()).unwrap_or_default();
    if !replayed.later.is_empty() {
        // Those that somebody may have seen stay as they are.
        dir.write_lines(&[whole_lines(&on_disk), &replayed.later].concat())?;
    }
    if let Some(facts) = facts {
        dir.remove_socket(facts);
    }
    // Last: with it the run has ended for everybody.
    dir.write_status(status)
}

/// What a recording tells.
struct Replayed {
    /// The condensed lines that the monitor has not written.
    later: Vec<u8>,
    /// The summary record.
    summary: Vec<u8>,
    /// What the last state says of a status.
    status: Status,
    at: Moment,
    has_read: bool,
    is_damaged: bool,
    breaks_off: bool,
}

fn replay(dir: &RunDir, facts: Option<&Facts>, exit: Option<Exit>, settings: &Settings) -> Result<Replayed> {
    let logs = options(&settings.output, thresholds(settings)).logs;
    let written = Written::default();
    let json = Rc::new(RefCell::new(Json::new(LastLine::default(), None)));
    let mut pipeline = Pipeline::new(plain_lines(written.clone(), settings), logs);
    pipeline.keep(Rc::clone(&json));
    if let Some(facts) = facts {
        command::expect(&mut pipeline, &facts.command);
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
    pipeline.end(status, at, |state| service_logs::evidence(state, settings, None));
    let summary = json.replace(Json::new(LastLine::default(), None)).into_writer().line;
    Ok(Replayed {
        status: Status { line: pipeline.verdict(), ..command::progress(pipeline.state(), at) },
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

/// Without the beginning of a line at the end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    bytes.get(..end).unwrap_or_default()
}

fn n_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn final_status(
    dir: &RunDir,
    facts: Option<&Facts>,
    kept: Status,
    exit: Option<Exit>,
    replayed: &Replayed,
) -> Status {
    let began = exit.is_some()
        || replayed.has_read
        || facts.map_or_else(|| dir.input().exists(), |facts| facts.process.is_some());
    let died = monitor_died(&kept);
    let mut incomplete = match exit {
        _ if !began && dir.is_stopped() => "it was stopped before it began".to_owned(),
        _ if !began => format!("{died} before the command began"),
        Some(_) if dir.rest().exists() => {
            format!("{died}; its guard kept what came later, but what came just before may be missing")
        }
        Some(_) => format!("{died}; what the command printed later is lost"),
        None => format!("{died}, and nobody saw how it ended"),
    };
    if began && !dir.input().exists() {
        incomplete.push_str("; there is no recording");
    } else if replayed.is_damaged {
        incomplete.push_str("; its recording is damaged");
    } else if began && replayed.breaks_off {
        incomplete.push_str("; its recording breaks off");
    }
    let at = wire::millis(replayed.at);
    let started_at = kept.started_at.or(began.then_some(kept.created_at));
    // Without an exit, the end is somewhere behind the last sign of life.
    let seen = started_at.map_or(0, |started| started.saturating_add(at)).max(kept.heartbeat_at);
    let on_disk = std::fs::read(dir.lines()).unwrap_or_default();
    let end = replayed.status.clone();
    let is_open = exit.is_none() && end.outcome.as_deref() == Some("success");
    let outcome = match end.outcome {
        _ if !began => "not-started".to_owned(),
        // So far nothing had failed; what came then nobody knows.
        Some(_) if is_open => "incomplete".to_owned(),
        outcome => outcome.unwrap_or_else(|| "incomplete".to_owned()),
    };
    Status {
        format: FORMAT,
        id: kept.id,
        name: kept.name,
        command: kept.command,
        state: RunState::Ended,
        created_at: kept.created_at,
        started_at,
        ended_at: Some(exit.map_or(seen, |exit| exit.at)).filter(|at| *at > 0),
        heartbeat_at: unix_ms(),
        after: kept.after,
        cpu_ms: kept.cpu_ms,
        phase: "done".to_owned(),
        overdue: kept.overdue,
        expected_ms: kept.expected_ms,
        line: if began && !is_open { end.line } else { incomplete.clone() },
        outcome: Some(outcome),
        exit_code: exit.map(|exit| exit.status()),
        cursor: n_lines(&on_disk) + n_lines(&replayed.later),
        incomplete: Some(incomplete),
        ..end
    }
}
