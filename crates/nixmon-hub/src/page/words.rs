//! Words, signs and addresses that pages share.

use std::time::Duration;

use nixmon_core::text::duration;
use nixmon_runs::clock::{local_clock, unix_ms};
use nixmon_runs::{Activity, RunOutcome, RunState, Status};

/// A class of a style sheet, a sign and a word for a condition. The sign and the word tell what the colour tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
}

const fn mark(class: &'static str, sign: &'static str, word: &'static str) -> Mark {
    Mark { class, sign, word }
}

/// Returns the mark of a run.
pub(super) fn of_run(status: &Status) -> Mark {
    match status.state {
        RunState::Queued => mark("waiting", "◷", "queued"),
        RunState::Lost => mark("warning", "!", "lost its monitor"),
        RunState::Running if status.failed > 0 || status.first_failure.is_some() => {
            mark("failed", "✗", "failing")
        }
        RunState::Running => match status.activity {
            Some(Activity::Stuck) => mark("warning", "!", "stuck"),
            Some(Activity::Quiet) => mark("running", "▶", "quiet"),
            _ => mark("running", "▶", "running"),
        },
        RunState::Ended if status.has_succeeded() => mark("done", "✓", "succeeded"),
        RunState::Ended => match status.outcome {
            Some(RunOutcome::Failure) => mark("failed", "✗", "failed"),
            Some(RunOutcome::Interrupted) => mark("cancelled", "■", "interrupted"),
            Some(RunOutcome::NotStarted) => mark("cancelled", "■", "not started"),
            // Its end was not seen, or its exit status was not.
            _ => mark("warning", "!", "end not seen"),
        },
    }
}

/// Returns the mark of a build. `is_over` says that the run has ended, so that nothing is planned any more.
pub(super) fn of_build(state: &str, is_over: bool) -> Mark {
    match state {
        "planned" | "waiting" if is_over => mark("cancelled", "·", "not started"),
        "building" => mark("running", "▶", "building"),
        "built" => mark("done", "✓", "built"),
        "failed" => mark("failed", "✗", "failed"),
        "waiting" => mark("waiting", "◷", "waiting"),
        "cancelled" => mark("cancelled", "■", "cancelled"),
        "skipped" => mark("cancelled", "■", "skipped"),
        "ended" => mark("waiting", "?", "ended, result not known"),
        _ => mark("waiting", "·", "planned"),
    }
}

/// Returns the name of a run, or its command.
pub(super) fn name(status: &Status) -> String {
    let name = status.name.clone().unwrap_or_else(|| status.command.join(" "));
    if name.is_empty() { format!("run {}", status.id) } else { name }
}

/// Returns how long a run took, or has taken so far.
pub(super) fn elapsed(status: &Status) -> Option<String> {
    let began = status.started_at?;
    let end = if status.has_ended() { status.ended_at? } else { unix_ms() };
    Some(millis(end.saturating_sub(began)))
}

pub(super) fn millis(millis: u64) -> String {
    duration(Duration::from_millis(millis))
}

/// Returns when a run ended, or was asked for.
pub(super) fn clock(status: &Status) -> String {
    local_clock(status.ended_at.unwrap_or(status.created_at), unix_ms())
}

/// Returns the remaining time of a run: `about 3m (2m to 5m)`.
pub(super) fn eta(status: &Status) -> Option<String> {
    let eta = status.eta.as_ref().filter(|_| !status.has_ended())?;
    let rough = |ms| nixmon_core::render::rough(Duration::from_millis(ms));
    Some(format!("about {} left ({} to {})", rough(eta.remaining_ms), rough(eta.low_ms), rough(eta.high_ms)))
}

/// Encodes a text for a part of a URL (RFC 3986, 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded() {
        assert_eq!(encode("a-b.service"), "a-b.service");
        assert_eq!(encode("user@1000.service/../?é"), "user%401000.service%2F..%2F%3F%C3%A9");
    }

    #[test]
    fn a_success_that_was_not_seen_is_none() {
        let status = Status {
            state: RunState::Ended,
            outcome: Some(RunOutcome::Success),
            exit_code: None,
            ..Status::default()
        };
        assert_eq!(of_run(&status).word, "end not seen");
        assert_eq!(of_run(&Status { exit_code: Some(0), ..status }).word, "succeeded");
    }
}
