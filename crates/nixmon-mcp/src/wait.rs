//! Waiting for a run, and the answers about it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::{Followed, Runs};
use nixmon_runs::{RunDir, Status};

use crate::answers::{StatusAnswer, WaitAnswer};
use crate::program::Program;
use crate::refusal::Refusal;
use crate::tools::MAX_WAIT;
use crate::words::{self, SHORT};

/// An event to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    End,
    Change,
    Phase,
}

/// A wait.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) run: String,
    pub(crate) since: Option<u64>,
    pub(crate) until: Until,
    pub(crate) max_wait: Duration,
    pub(crate) max_bytes: usize,
}

/// Waits, and calls `on_look` after each look.
pub(crate) fn wait(
    program: &dyn Program,
    wait: &Wait,
    is_cancelled: &AtomicBool,
    mut on_look: impl FnMut(&Status),
) -> Result<(WaitAnswer, Status), Refusal> {
    let runs = program.runs()?;
    let dir = words::find(&runs, Some(&wait.run))?;
    let begun = unix_ms();
    let mut follow = runs.follow(&dir, Some(wait.since.unwrap_or(0)))?;
    let mut lines: Vec<String> = Vec::new();
    let mut first_phase = None;
    loop {
        let news = follow.next(&runs, unix_ms())?;
        let Followed { lines: new, status, look_again, .. } = news;
        lines.extend(new.into_iter().map(|line| words::short(&line.text)));
        on_look(&status);
        let phase = *first_phase.get_or_insert(status.phase);
        let has_happened = match wait.until {
            Until::End => false,
            Until::Change => !lines.is_empty(),
            Until::Phase => status.phase != phase,
        };
        let waited = Duration::from_millis(unix_ms().saturating_sub(begun));
        let left = wait.max_wait.saturating_sub(waited);
        match look_again.filter(|_| !has_happened && !left.is_zero() && !is_cancelled.load(Ordering::Relaxed))
        {
            Some(after) => std::thread::sleep(after.min(left)),
            None => {
                let look = runs.look(&dir, unix_ms())?;
                let remaining = program.history().estimate(&look).remaining_ms;
                return Ok((answer(&status, lines, remaining, wait.max_bytes), status));
            }
        }
    }
}

/// Makes the answer about a run, of at most `max_bytes`.
pub(crate) fn answer(
    status: &Status,
    lines: Vec<String>,
    remaining_ms: Option<u64>,
    max_bytes: usize,
) -> WaitAnswer {
    let has_ended = status.has_ended();
    let id = words::id(status.id);
    let wait_s = (!has_ended).then(|| pause(status, remaining_ms));
    let next = if !has_ended {
        Some(format!("build_wait {{\"id\":\"{id}\",\"since\":{}}}", status.cursor))
    } else if words::has_failed(status) {
        Some(format!("why_failed {{\"id\":\"{id}\"}}"))
    } else {
        None
    };
    let mut answer = WaitAnswer {
        id,
        state: status.state,
        outcome: status.outcome,
        exit_code: status.exit_code,
        cause: words::cause(status, 110),
        line: words::short(status.incomplete.as_deref().unwrap_or(&status.line)),
        lines,
        omitted: 0,
        cursor: status.cursor,
        eta_ms: remaining_ms,
        wait_s,
        next,
    };
    // Said once is enough.
    if answer.lines.iter().any(|line| !answer.line.is_empty() && line.ends_with(&answer.line)) {
        answer.line.clear();
    }
    fit(&mut answer, max_bytes);
    answer
}

/// Returns the seconds that may pass before the next call: it waits itself, so that what is left is the time before the end is
/// near, or, where nothing is known, a share of the time that the run has taken.
fn pause(status: &Status, remaining_ms: Option<u64>) -> u64 {
    match remaining_ms {
        Some(ms) => before_end(ms),
        None => {
            let elapsed = words::elapsed_ms(status, status.heartbeat_at).unwrap_or(0);
            (elapsed / 2_000).min(120)
        }
    }
}

/// Returns the seconds after which a call that waits [`MAX_WAIT`] itself still sees the expected end, at most ten minutes.
pub(crate) fn before_end(remaining_ms: u64) -> u64 {
    (remaining_ms / 1000).saturating_sub(MAX_WAIT).min(600)
}

/// Leaves out lines, the oldest first, and cuts texts, until the answer is short enough.
fn fit(answer: &mut WaitAnswer, max_bytes: usize) {
    while words::size(answer) > max_bytes && !answer.lines.is_empty() {
        answer.lines.remove(0);
        answer.omitted += 1;
    }
    for columns in [80, 40, 20] {
        if words::size(answer) <= max_bytes {
            return;
        }
        answer.line = words::clean(&answer.line, columns);
        answer.cause = answer.cause.take().map(|cause| words::clean(&cause, columns));
    }
}

/// Looks at a run.
pub(crate) fn status(
    program: &dyn Program,
    wanted: Option<&str>,
    full: bool,
) -> Result<StatusAnswer, Refusal> {
    let runs = program.runs()?;
    let dir = words::find(&runs, wanted)?;
    status_of(program, &runs, &dir, full)
}

/// Looks at a run that was found.
pub(crate) fn status_of(
    program: &dyn Program,
    runs: &Runs<'_>,
    dir: &RunDir,
    full: bool,
) -> Result<StatusAnswer, Refusal> {
    let now = unix_ms();
    let look = runs.look(dir, now)?;
    let status = &look.status;
    let estimate = program.history().estimate(&look);
    let mut answer = StatusAnswer {
        id: words::id(status.id),
        name: status.name.as_deref().map(|name| words::clean(name, 40)),
        state: status.state,
        outcome: status.outcome,
        exit_code: status.exit_code,
        phase: status.phase,
        activity: status.activity.filter(|_| !status.has_ended()),
        elapsed_ms: words::elapsed_ms(status, now),
        eta_ms: estimate.remaining_ms,
        eta_low_ms: estimate.range_ms.map(|(low, _)| low),
        eta_high_ms: estimate.range_ms.map(|(_, high)| high),
        eta_note: words::reservation(&estimate),
        line: words::clean(&status.line, 90),
        cause: words::cause(status, 80),
        wanted: status.wanted,
        running: status.running,
        built: status.built,
        failed: status.failed,
        incomplete: status.incomplete.as_deref().map(|text| words::clean(text, 60)),
        cursor: status.cursor,
        status: None,
    };
    for columns in [60, 40, 20] {
        if words::size(&answer) <= SHORT {
            break;
        }
        let cut = |text: Option<String>| text.map(|text| words::clean(&text, columns));
        answer.line = words::clean(&answer.line, columns);
        answer.cause = cut(answer.cause);
        answer.incomplete = cut(answer.incomplete);
    }
    if full {
        // Dozens of packages have a tool of their own.
        let status = Status { packages: Vec::new(), derivations: Vec::new(), ..status.clone() };
        answer.status = serde_json::to_value(status).ok().map(cleaned);
    }
    Ok(answer)
}

/// Removes control characters from all texts.
fn cleaned(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(words::clean(&text, 300)),
        Value::Array(items) => Value::Array(items.into_iter().take(50).map(cleaned).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, cleaned(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use nixmon_runs::{RootCause, RunId, RunOutcome, RunState};

    use super::*;

    fn long() -> Status {
        Status {
            id: RunId(123_456),
            name: Some("n".repeat(64)),
            line: "é".repeat(500),
            first_failure: Some(RootCause {
                name: Some("d".repeat(200)),
                message: "\u{1b}[31mm".repeat(200),
            }),
            cursor: 99_999,
            ..Status::default()
        }
    }

    #[test]
    fn answers_are_short_whatever_a_build_prints() {
        let lines: Vec<String> =
            (0..60).map(|n| words::short(&format!("[{n}s] \"line\" {}", "x".repeat(300)))).collect();
        let ended = Status {
            state: RunState::Ended,
            outcome: Some(RunOutcome::Failure),
            exit_code: Some(130),
            incomplete: Some("its monitor died at 10:32, and its end was not seen; ".repeat(3)),
            ..long()
        };
        for status in [long(), ended] {
            let made = answer(&status, lines.clone(), Some(1_234_567), SHORT);
            let size = words::size(&made);
            assert!(size <= SHORT, "{size} bytes: {made:?}");
            assert_eq!(made.omitted + made.lines.len(), 60);
            let made = answer(&status, lines.clone(), None, 2_000);
            assert!(words::size(&made) <= 2_000 && made.lines.len() > 3, "{made:?}");
        }
    }

    #[test]
    fn the_next_call_is_said() {
        let running = Status { id: RunId(3), cursor: 7, ..Status::default() };
        let made = answer(&running, Vec::new(), None, SHORT);
        assert_eq!(made.next.as_deref(), Some("build_wait {\"id\":\"run-3\",\"since\":7}"));
        assert_eq!(made.wait_s, Some(0));
        let pause = |elapsed_s: u64, remaining_ms| {
            let status = Status {
                started_at: Some(5_000),
                heartbeat_at: 5_000 + elapsed_s * 1_000,
                ..running.clone()
            };
            answer(&status, Vec::new(), remaining_ms, SHORT).wait_s
        };
        assert_eq!([50, 125, 4_000].map(|elapsed| pause(elapsed, None)), [Some(25), Some(62), Some(120)]);
        assert_eq!(
            [12_000, 300_000, 9_000_000].map(|ms| pause(50, Some(ms))),
            [Some(0), Some(250), Some(600)]
        );
        let failed = Status { state: RunState::Ended, outcome: Some(RunOutcome::Failure), ..running.clone() };
        assert_eq!(
            answer(&failed, Vec::new(), None, SHORT).next.as_deref(),
            Some("why_failed {\"id\":\"run-3\"}")
        );
        let good = Status { outcome: Some(RunOutcome::Success), ..failed };
        let made = answer(&good, vec!["[3s] OK".to_owned()], None, SHORT);
        assert_eq!((made.next, made.wait_s), (None, None));
    }
}
