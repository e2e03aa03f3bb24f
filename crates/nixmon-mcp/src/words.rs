//! Ids, texts and their limits.

use std::borrow::Cow;

use nixmon_core::text::truncate;
use nixmon_log::escapes::sanitize;
use nixmon_runs::query::Runs;
use nixmon_runs::{RunDir, RunId, RunOutcome, RunState, Status, short_command};
use serde::Serialize;

use crate::program::Estimate;
use crate::refusal::Refusal;

/// Limit of an answer that nothing more was asked of, in bytes.
pub const SHORT: usize = 400;
/// Limit of any answer, in bytes.
pub const LONG: usize = 8 * 1024;
/// Columns of a line in a short answer.
const LINE: usize = 120;

/// Returns the id of a run, as `run-41`.
pub(crate) fn id(run: RunId) -> String {
    format!("run-{run}")
}

/// Returns the reference that look-ups take: a number or a name.
pub(crate) fn reference(id: &str) -> &str {
    let id = id.trim();
    let number = id.strip_prefix("run-").or_else(|| id.strip_prefix("nixmon://run/")).unwrap_or(id);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) { number } else { id }
}

/// Finds a run by its id or name, or the newest one.
pub(crate) fn find(runs: &Runs<'_>, wanted: Option<&str>) -> Result<RunDir, Refusal> {
    Ok(runs.find(wanted.map(reference))?)
}

/// Returns a text of a build in one line of at most [`LINE`] columns, free of control characters.
pub(crate) fn short(text: &str) -> String {
    clean(text, LINE)
}

/// Returns a text in one line of at most `columns`, free of control characters.
pub fn clean(text: &str, columns: usize) -> String {
    let is_one_line = !text.contains(['\n', '\r', '\t']);
    let text = sanitize(text);
    let text =
        if is_one_line { text } else { Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" ")) };
    truncate(&text, columns, "…").into_owned()
}

/// Returns a line of a log of at most `columns`, with its spaces.
pub(crate) fn clean_line(text: &str, columns: usize) -> String {
    truncate(&sanitize(text), columns, "…").into_owned()
}

/// Returns the root cause that was seen first, in one line.
pub(crate) fn cause(status: &Status, columns: usize) -> Option<String> {
    let first = status.first_failure.as_ref()?;
    let name = first.name.as_deref().map(|name| format!("{name} ")).unwrap_or_default();
    Some(clean(&format!("{name}{}", first.message), columns))
}

/// Returns the name of a run, or its command if it has none.
pub(crate) fn name(status: &Status) -> String {
    match &status.name {
        Some(name) => clean(name, 40),
        None => clean(&short_command(&status.command), 40),
    }
}

/// Returns the duration of a run so far, or as a whole, in milliseconds.
pub(crate) fn elapsed_ms(status: &Status, now: u64) -> Option<u64> {
    let end = if status.has_ended() { status.ended_at? } else { now };
    Some(end.saturating_sub(status.started_at?))
}

/// Returns whether a run has ended and not well.
pub(crate) fn has_failed(status: &Status) -> bool {
    status.has_ended() && status.outcome != Some(RunOutcome::Success)
}

/// Returns `queued`, `running`, `lost`, or the outcome.
pub(crate) fn state(status: &Status) -> &'static str {
    match status.state {
        RunState::Queued => "queued",
        RunState::Running => "running",
        RunState::Lost => "lost",
        RunState::Ended => status.outcome.unwrap_or(RunOutcome::Incomplete).as_str(),
    }
}

/// Returns the number of bytes that a value takes as JSON.
pub(crate) fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

/// Returns a reservation about an estimate, if there is one.
pub(crate) fn reservation(estimate: &Estimate) -> Option<&'static str> {
    (estimate.remaining_ms.is_some() && estimate.other_jobs).then_some("from runs with other numbers of jobs")
}

/// Returns the number of derivations and store paths that are there, and that are wanted.
pub(crate) fn progress(status: &Status) -> Option<(f64, f64)> {
    let total = status.wanted + status.to_fetch;
    let done = status.built + status.fetched;
    #[expect(clippy::cast_precision_loss, reason = "a fraction to look at")]
    (total > 0).then(|| (done.min(total) as f64, total as f64))
}

/// Returns the percent of a run's expected time that have passed, of 100.
pub(crate) fn share(status: &Status, now: u64) -> Option<(f64, f64)> {
    let since = now.saturating_sub(status.heartbeat_at);
    let left = status.eta.as_ref()?.remaining_ms.saturating_sub(since);
    let passed = elapsed_ms(status, now)?;
    #[expect(clippy::cast_precision_loss, reason = "a fraction to look at")]
    let percent = passed as f64 * 100.0 / (passed + left).max(1) as f64;
    // Only the end is the whole of it.
    Some((percent.min(99.0), 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_share_of_the_expected_time() {
        let eta = |remaining_ms| {
            let eta = nixmon_core::state::Eta {
                remaining_ms,
                low_ms: 0,
                high_ms: 0,
                coverage: 0.8,
                known: 0,
                unknown: 0,
                finish_at: None,
                other_jobs: false,
            };
            Some(eta.into())
        };
        let status =
            Status { started_at: Some(1_000), heartbeat_at: 11_000, eta: eta(30_000), ..Status::default() };
        assert_eq!(share(&status, 11_000), Some((25.0, 100.0)));
        assert_eq!(share(&status, 21_000), Some((50.0, 100.0)));
        assert_eq!(share(&status, 90_000), Some((99.0, 100.0)));
        assert_eq!(share(&Status { eta: None, ..status }, 11_000), None);
    }

    #[test]
    fn ids_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("run-41", "41"),
            ("41", "41"),
            (" run-41 ", "41"),
            ("nixmon://run/41", "41"),
            ("home", "home"),
            ("run-home", "run-home"),
            ("run-", "run-"),
        ] {
            assert_eq!(reference(text), expected);
        }
    }

    #[test]
    fn texts_are_one_line_without_control_characters() {
        assert_eq!(short("a\n  b\tc"), "a b c");
        assert_eq!(short("\u{1b}]0;evil\u{7}ld: cannot find"), "ld: cannot find");
        assert_eq!(short(&"x".repeat(500)).chars().count(), 120);
    }
}
