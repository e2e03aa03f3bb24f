//! The status of a run, also of one whose monitor has died: then its end is found out from what was recorded.

use std::time::Duration;

use super::Replay;
use super::condensed::{CondensedLines, catch_up};
use crate::clock::local_clock;
use crate::{Exit, Facts, Life, QueryError, RunDir, RunOutcome, RunPhase, RunState, Status, StoreError};
use nixmon_core::wire::{self, Outcome, Summary};

/// A run, looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Look {
    /// Its directory.
    pub dir: RunDir,
    /// Its facts; `None` if they are damaged.
    pub facts: Option<Facts>,
    /// Its status.
    pub status: Status,
    /// The process that looks after it.
    pub life: Life,
}

/// Looks at a run.
pub(super) fn look(dir: &RunDir, now: u64, replay: &Replay<'_>) -> Result<Look, QueryError> {
    // The facts come first: those of a run of another version say so.
    let facts = match dir.facts() {
        Ok(facts) => Some(facts),
        Err(StoreError::Damaged { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let life = dir.life(now)?;
    let kept = dir.status()?.unwrap_or_else(|| from_facts(dir, facts.as_ref()));
    let (life, mut status) = match life {
        Life::Ended | Life::Monitored => (life, kept),
        Life::Guarded | Life::Unwatched => (life, lost(dir, kept, facts.as_ref(), life, now)?),
        Life::Over => recover(dir, facts.as_ref(), kept, now, replay)?,
    };
    if life.goes_on() {
        catch_up(&mut status, CondensedLines::of(dir).read()?);
    }
    Ok(Look { dir: dir.clone(), facts, status, life })
}

/// Makes a status of a run whose own is damaged.
fn from_facts(dir: &RunDir, facts: Option<&Facts>) -> Status {
    let status = Status { id: dir.id(), ..Status::default() };
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

/// Returns `its monitor died at 10:32`, the time being that of its last sign of life.
fn monitor_died(status: &Status, now: u64) -> String {
    match status.heartbeat_at {
        0 => "its monitor died".to_owned(),
        at => format!("its monitor died at {}", local_clock(at, now)),
    }
}

fn lost(
    dir: &RunDir,
    status: Status,
    facts: Option<&Facts>,
    life: Life,
    now: u64,
) -> Result<Status, StoreError> {
    let exit = dir.exit()?;
    let process = facts.and_then(|facts| facts.process.as_ref());
    let command = process
        .map_or_else(|| "the command".to_owned(), |process| format!("the command (pid {})", process.pid));
    let died = monitor_died(&status, now);
    let incomplete = match life {
        Life::Guarded if exit.is_some() => {
            format!("{died}; {command} has ended, but processes it started still print")
        }
        Life::Guarded => match dir.guard_note().trouble {
            Some(trouble) => {
                format!("{died}; {command} keeps running, but its output is not recorded: {trouble}")
            }
            None => format!("{died}; {command} keeps running, and its output is recorded"),
        },
        _ => format!("{died}; {command} keeps running unmonitored; its output since then is not recorded"),
    };
    Ok(Status { state: RunState::Lost, activity: None, incomplete: Some(incomplete), ..status })
}

/// Finds out how a run ended, and keeps it, so that the recording is replayed once.
fn recover(
    dir: &RunDir,
    facts: Option<&Facts>,
    kept: Status,
    now: u64,
    replay: &Replay<'_>,
) -> Result<(Life, Status), QueryError> {
    let lock = match dir.lock_recovery() {
        // Without it what is found out is told and not kept.
        Ok(lock) => lock,
        Err(error) if error.is_unwritable() => None,
        Err(error) => return Err(error.into()),
    };
    // Another process may have been faster.
    match (dir.life(now)?, dir.status()?) {
        (Life::Over, _) => {}
        (Life::Ended, Some(status)) => return Ok((Life::Ended, status)),
        (life, status) => return Ok((life, status.unwrap_or(kept))),
    }
    let exit = dir.exit()?;
    let told = replay(dir, facts, exit)?;
    let before = dir.lines_before_report()?;
    let status = final_status(dir, facts, kept.clone(), exit, (&before, &told), now)?;
    if lock.is_some() {
        match keep(dir, facts, (&kept, &status), (&before, &told)) {
            Err(error) if !error.is_unwritable() => return Err(error.into()),
            _ => {}
        }
    }
    Ok((Life::Ended, status))
}

/// Keeps what was found out. `before` are the lines before the report; `first` is the status so far.
fn keep(
    dir: &RunDir,
    facts: Option<&Facts>,
    (first, status): (&Status, &Status),
    (before, told): (&[u8], &Replayed),
) -> Result<(), StoreError> {
    dir.remove_leftovers();
    // This process may be killed as well, and then another one finds the report half written.
    dir.write_status_before_report(first, before.len() as u64)?;
    if let Ok(mut summary) = serde_json::from_slice::<Summary>(&told.summary) {
        if let (None, Some(outcome)) = (status.exit_code, status.outcome) {
            // The record has the same outcome as the status.
            summary.outcome = in_summary(outcome);
            summary.exit_code = summary.exit_code.max(1);
        }
        dir.write_summary(&summary)?;
    }
    if !told.later.is_empty() {
        // Lines that were there before stay as they are: they may have been read.
        dir.write_lines(&[before, &told.later].concat())?;
    }
    if let Some(facts) = facts {
        dir.remove_socket(facts);
    }
    // The status comes last: with it the run has ended for every reader.
    dir.write_status(status)
}

fn in_summary(outcome: RunOutcome) -> Outcome {
    match outcome {
        RunOutcome::Success => Outcome::Success,
        RunOutcome::Failure => Outcome::Failure,
        RunOutcome::Interrupted => Outcome::Interrupted,
        RunOutcome::Incomplete => Outcome::Incomplete,
        RunOutcome::NotStarted => Outcome::Unlisted(outcome.as_str().to_owned()),
    }
}

/// The result of replaying a recording.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// The condensed lines that the monitor did not write any more.
    pub later: Vec<u8>,
    /// The summary record, a line of JSON.
    pub summary: Vec<u8>,
    /// The part of a status that the last state gives.
    pub status: Status,
    /// The time of the last step, since the run began.
    pub at: Duration,
    /// Something was read.
    pub has_read: bool,
    /// A part of the recording could not be read.
    pub is_damaged: bool,
    /// The recording ends in the middle of a line.
    pub breaks_off: bool,
}

fn n_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn final_status(
    dir: &RunDir,
    facts: Option<&Facts>,
    kept: Status,
    exit: Option<Exit>,
    (before, told): (&[u8], &Replayed),
    now: u64,
) -> Result<Status, StoreError> {
    let began = exit.is_some()
        || told.has_read
        || facts.map_or_else(|| dir.input().exists(), |facts| facts.process.is_some());
    let died = monitor_died(&kept, now);
    let mut incomplete = match exit {
        _ if !began && dir.is_stopped() => "it was stopped before it began".to_owned(),
        _ if !began => format!("{died} before the command began"),
        Some(_) if dir.has_rest() => {
            format!("{died}; its guard recorded the rest, but output from just before that may be missing")
        }
        Some(_) => format!("{died}; later output of the command was not recorded"),
        None if dir.has_rest() => {
            format!(
                "{died} and then its guard, which had recorded what came until then; its end was not seen"
            )
        }
        None => format!(
            "{died} and its guard with it, so its end was not seen; what it printed afterwards is lost, and printing may \
             have ended it"
        ),
    };
    if let Some(trouble) = dir.guard_note().trouble {
        incomplete.push_str(&format!("; the guard could not record all output: {trouble}"));
    }
    if began && !dir.input().exists() {
        incomplete.push_str("; there is no recording");
    } else if told.is_damaged {
        incomplete.push_str("; its recording is damaged");
    } else if began && told.breaks_off {
        incomplete.push_str("; its recording breaks off");
    }
    let at = wire::millis(told.at);
    let started_at = kept.started_at.or(began.then_some(kept.created_at));
    // Without an exit, the end is some time after the last sign of life.
    let seen = started_at.map_or(0, |started| started.saturating_add(at)).max(kept.heartbeat_at);
    let end = told.status.clone();
    // A replay without an exit status tells no success; here it is made sure of.
    let is_open = exit.is_none() && matches!(end.outcome, Some(RunOutcome::Success | RunOutcome::Incomplete));
    let outcome = match end.outcome {
        _ if !began => RunOutcome::NotStarted,
        // Nothing had failed so far; what came later is unknown.
        Some(_) if is_open => RunOutcome::Incomplete,
        outcome => outcome.unwrap_or(RunOutcome::Incomplete),
    };
    Ok(Status {
        id: kept.id,
        name: kept.name,
        command: kept.command,
        state: RunState::Ended,
        created_at: kept.created_at,
        started_at,
        ended_at: Some(exit.map_or(seen, |exit| exit.at)).filter(|at| *at > 0),
        heartbeat_at: now,
        after: kept.after,
        cpu_ms: kept.cpu_ms,
        phase: RunPhase::Done,
        overdue: kept.overdue,
        expected_ms: kept.expected_ms,
        line: if began && !is_open { end.line } else { incomplete.clone() },
        outcome: Some(outcome),
        exit_code: exit.map(|exit| exit.status()),
        cursor: n_lines(before) + n_lines(&told.later),
        incomplete: Some(incomplete),
        ..end
    })
}
