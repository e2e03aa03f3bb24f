//! Runs described to a user: a status to lines.

use std::time::Duration;

use nixmon_core::render::{Style, rough, waits_for};
use nixmon_core::text::{Line, Role, Symbols, count, duration, thousands, truncate, width};
use nixmon_log::escapes::{escape, sanitize};
use nixmon_runs::clock::local_clock;
use nixmon_runs::query::LogNote;
use nixmon_runs::{Activity, ReadOn, RootCause, RunId, RunOutcome, RunState, Status, about};

/// Age of a status, in milliseconds, after which its monitor may hang: it writes one every ten seconds.
const OLD_HEARTBEAT: u64 = 20_000;
/// Greatest width of a failure's message.
const MESSAGE: usize = 160;
/// Number of builds of the chain that the end waits for.
const CHAIN: usize = 5;
/// Number of lines about slow builds.
const SLOW: usize = 2;

/// Returns `run 12 (home: make home)`.
pub(super) fn title(status: &Status) -> Line {
    let mut line = Line::new().with(Role::Heading, format!("run {}", status.id));
    let about = about(status.name.as_deref(), &status.command);
    if !about.is_empty() {
        line.push(Role::Plain, format!(" ({about})"));
    }
    line
}

/// Returns the name of a run, or its command if it has none.
pub(super) fn name_or_command(status: &Status) -> String {
    match &status.name {
        Some(name) => sanitize(name).into_owned(),
        None => sanitize(&status.command.join(" ")).into_owned(),
    }
}

/// Returns how long a run took, or has taken so far.
pub(super) fn elapsed(status: &Status, now: u64) -> Option<String> {
    let began = status.started_at?;
    let end = match status.state {
        RunState::Ended => status.ended_at?,
        _ => now,
    };
    Some(millis(end.saturating_sub(began)))
}

fn millis(millis: u64) -> String {
    duration(Duration::from_millis(millis))
}

/// Returns `success`.
pub(super) fn outcome_word(status: &Status) -> Line {
    let outcome = status.outcome.unwrap_or(RunOutcome::Incomplete);
    let role = match outcome {
        RunOutcome::Success => Role::Success,
        RunOutcome::Failure => Role::Failure,
        _ => Role::Warning,
    };
    Line::new().with(role, outcome.as_str().replace('-', " "))
}

/// Returns `success, exit status 0`.
pub(super) fn outcome(status: &Status) -> Line {
    let mut line = outcome_word(status);
    match status.exit_code {
        Some(code) => line.push(Role::Plain, format!(", exit status {code}")),
        None if status.outcome != Some(RunOutcome::NotStarted) => {
            line.push(Role::Plain, ", exit status unknown")
        }
        None => &mut line,
    };
    line
}

/// Describes a run, in two to six lines.
pub(super) fn status(status: &Status, now: u64, symbols: &Symbols) -> Vec<Line> {
    let mut first = title(status);
    match status.state {
        RunState::Queued => {
            let since = millis(now.saturating_sub(status.created_at));
            let after = status.after.map(|run| format!(" behind run {run}")).unwrap_or_default();
            first.push(Role::Plain, format!(" queued{after} for {since}"));
        }
        RunState::Running | RunState::Lost => {
            let since = elapsed(status, now).unwrap_or_else(|| "a moment".to_owned());
            first.push(Role::Plain, " has been running for ").push(Role::Emphasis, since);
            if let Some(expected) = status.expected_ms {
                first.push(
                    Role::Plain,
                    format!(" (usually takes {})", rough(Duration::from_millis(expected))),
                );
            }
            if status.state == RunState::Running {
                first.push(Role::Plain, ", ").append(activity(status));
            }
        }
        RunState::Ended => {
            first.push(Role::Plain, " ended: ").append(outcome(status));
            if let Some(elapsed) = elapsed(status, now) {
                first.push(Role::Plain, format!(", after {elapsed}"));
            }
            if let Some(at) = status.ended_at {
                first.push(Role::Plain, format!(", at {}", local_clock(at, now)));
            }
        }
    }
    if status.overdue && status.state != RunState::Ended {
        first.push(Role::Warning, ", longer than its timeout");
    }
    let age = now.saturating_sub(status.heartbeat_at);
    if matches!(status.state, RunState::Running | RunState::Queued) && age > OLD_HEARTBEAT {
        first.push(Role::Warning, format!(", no sign of life for {}", millis(age)));
    }
    first.push(Role::Muted, format!(", cursor {}", status.cursor));
    let mut lines = vec![first];
    let indented = |role, text: &str| Line::new().with(Role::Plain, "  ").with(role, text);
    if !status.line.is_empty() && Some(&status.line) != status.incomplete.as_ref() {
        lines.push(indented(Role::Plain, &status.line));
    }
    if status.state == RunState::Running {
        let style = Style { symbols: *symbols, ..Style::default() };
        let names: Vec<String> = status.waits_for.iter().map(|name| sanitize(name).into_owned()).collect();
        lines.extend(waits_for(&names, CHAIN, &style).map(|text| indented(Role::Muted, &text)));
    }
    if status.state != RunState::Ended {
        lines.extend(status.slow.iter().take(SLOW).map(|slow| indented(Role::Warning, slow)));
        if status.slow.len() > SLOW {
            let more = thousands((status.slow.len() - SLOW) as u64);
            lines.push(indented(Role::Muted, &format!("and {more} more")));
        }
    }
    // The first failure is where to begin once the run has ended; before, the last one is news.
    let first = status.first_failure.as_ref().filter(|_| status.state == RunState::Ended);
    if let Some(RootCause { name, message }) = first.or(status.last_failure.as_ref()) {
        let mut line = indented(Role::Failure, &format!("{} ", symbols.failure));
        line.append(failed(name.as_deref(), message, MESSAGE, symbols));
        lines.push(line);
    }
    if status.state == RunState::Ended {
        lines.extend(read_on(status).map(|text| indented(Role::Muted, &text)));
    }
    if let Some(incomplete) = &status.incomplete {
        lines.push(indented(Role::Warning, incomplete));
    }
    lines
}

/// Returns `lib-1.0 failed, exit 2: no rule to make it`, with the message cut to `columns`.
fn failed(name: Option<&str>, message: &str, columns: usize, symbols: &Symbols) -> Line {
    let mut line = Line::new();
    if let Some(name) = name {
        line.push(Role::Name, name).push(Role::Plain, " ");
    }
    line.push(Role::Plain, truncate(&sanitize(message), columns, symbols.ellipsis));
    line
}

/// Returns where to read more than a status says.
fn read_on(status: &Status) -> Option<String> {
    let first = status.first_failure.as_ref();
    let is_cut = || first.is_some_and(|first| width(&sanitize(&first.message)) > MESSAGE);
    let place = status.read_on.or_else(|| is_cut().then_some(ReadOn::End))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '?' | '=');
    let name = first.and_then(|first| first.name.as_deref()).filter(|name| name.chars().all(is_plain));
    Some(match name.filter(|_| place == ReadOn::Derivation) {
        Some(name) => format!("read on: nixmon log {} --derivation {name}", status.id),
        None => format!("read on: nixmon log {} --lines -50:", status.id),
    })
}

/// Returns `busy` or `quiet for 3m04s`.
pub(super) fn activity(status: &Status) -> Line {
    let silent = millis(status.silent_ms);
    match status.activity.unwrap_or_default() {
        Activity::Busy => Line::new().with(Role::Running, "busy"),
        Activity::Quiet => Line::new().with(Role::Running, format!("quiet for {silent}")),
        Activity::Stuck => Line::new().with(Role::Warning, format!("stuck, silent for {silent}")),
    }
}

/// Returns `run 12 is in progress, cursor 17: Building…` or `run 12 ended: success, exit status 0, after 4m10s, cursor 23`.
pub(super) fn in_one_line(status: &Status, now: u64) -> Line {
    let mut line = Line::new().with(Role::Heading, format!("run {}", status.id));
    let behind = match status.state {
        RunState::Ended => {
            line.push(Role::Plain, " ended: ").append(outcome(status));
            if let Some(elapsed) = elapsed(status, now) {
                line.push(Role::Plain, format!(", after {elapsed}"));
            }
            let never_began = status.outcome == Some(RunOutcome::NotStarted);
            status.incomplete.as_deref().or(never_began.then_some(status.line.as_str())).unwrap_or_default()
        }
        RunState::Queued => {
            line.push(Role::Plain, " is queued");
            ""
        }
        RunState::Running => {
            line.push(Role::Plain, " is in progress");
            if status.activity == Some(Activity::Stuck) {
                line.push(Role::Plain, ", ").append(activity(status));
            }
            status.line.as_str()
        }
        RunState::Lost => {
            line.push(Role::Plain, " is in progress");
            status.incomplete.as_deref().unwrap_or_default()
        }
    };
    line.push(Role::Muted, format!(", cursor {}", status.cursor));
    if !behind.is_empty() {
        line.push(Role::Plain, format!(": {behind}"));
    }
    line
}

/// Returns the command to continue with after a timeout: for what hangs if something does, else for what is new.
pub(super) fn next(status: &Status) -> Line {
    let hangs = status.activity == Some(Activity::Stuck) || status.overdue || !status.slow.is_empty();
    let command = match hangs && status.state == RunState::Running {
        true => format!("nixmon status {}", status.id),
        false => format!("nixmon wait {} --since {}", status.id, status.cursor),
    };
    Line::new().with(Role::Muted, format!("; continue with {command}"))
}

/// Returns the failure of a run, if there is one, and how far it has come: `lib-1.0 failed, exit 2: no rule · 3 built`.
pub(super) fn news(status: &Status, symbols: &Symbols) -> Line {
    let failure = match status.state {
        RunState::Ended => status.first_failure.as_ref(),
        _ => status.last_failure.as_ref(),
    };
    let Some(RootCause { name, message }) = failure else { return counts(status, status.failed) };
    let mut line = failed(name.as_deref(), message, MESSAGE, symbols);
    // A single failure is named already.
    let counts = counts(status, if status.failed > 1 { status.failed } else { 0 });
    if !counts.is_empty() {
        line.push(Role::Muted, format!(" {} ", symbols.bullet)).append(counts);
    }
    line
}

/// Returns `1 failed, 3 built, 12 fetched`.
fn counts(status: &Status, failed: usize) -> Line {
    let parts = [
        (failed, "failed", Role::Failure),
        (status.built, "built", Role::Plain),
        (status.fetched, "fetched", Role::Plain),
    ];
    let mut line = Line::new();
    for (n, what, role) in parts.into_iter().filter(|(n, ..)| *n > 0) {
        if !line.is_empty() {
            line.push(Role::Plain, ", ");
        }
        line.push(role, format!("{} {what}", thousands(n as u64)));
    }
    line
}

/// Returns `1 run`.
pub(super) fn runs(n: usize) -> String {
    count(n as u64, "run", "runs")
}

/// Returns a remark about a run's log.
pub(super) fn note(run: RunId, note: &LogNote) -> String {
    match note {
        LogNote::NotBegun(name) => format!("run {run} has not begun to build {}", sanitize(name)),
        LogNote::NoLog(name) => {
            format!("the recording has no log of {}, and Nix has kept none here", sanitize(name))
        }
        LogNote::PrintedNothing(name) => format!("{} printed nothing", sanitize(name)),
        LogNote::FromNix { name, file } => format!(
            "the recording has no log of {}; this is what Nix has kept: {}",
            sanitize(name),
            escape(&file.to_string_lossy())
        ),
        LogNote::Damaged => format!("the recording of run {run} is damaged; the rest of it is lost"),
        LogNote::BreaksOff => format!("the recording of run {run} breaks off"),
        LogNote::Lost(bytes) => {
            format!("{bytes} bytes are missing in the recording of run {run}: they could not be written")
        }
        LogNote::NotRecorded(reason) => {
            format!("run {run} could not be recorded to its end: {}", sanitize(reason))
        }
    }
}
