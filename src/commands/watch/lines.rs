//! Events as lines.

use std::time::Duration;

use nixmon_core::text::{Line, Role, Symbols, bytes, count, duration, truncate};
use nixmon_sensor::model::event::{BuildEvent, Record, Verdict};

/// Columns of a command.
const COMMAND: usize = 100;

/// Words a record.
pub(in crate::commands) fn line(record: &Record, symbols: &Symbols, home: Option<&str>) -> Line {
    match record {
        Record::Started(build) => {
            let line = Line::new().with(Role::Running, format!("{} ", symbols.running));
            let line = named(line, build, symbols).with(Role::Plain, " is running");
            let line = match build.elapsed_ms {
                Some(ms) => line.with(Role::Plain, format!(" for {}", time(ms))),
                None => line,
            };
            closed(line, build, home)
        }
        Record::Completed(build) => completed(build, symbols, home),
        Record::Loss(loss) => {
            let mut parts = Vec::new();
            if loss.overruns > 0 {
                parts.push(format!(
                    "events were lost {}, lists made up for it",
                    count(loss.overruns, "time", "times")
                ));
            }
            if loss.missed > 0 {
                let processes = count(loss.missed, "process", "processes");
                parts.push(format!("{processes} ended before being looked at"));
            }
            let line = Line::new().with(Role::Warning, format!("{} ", symbols.warning));
            line.with(Role::Plain, format!("the machine was too busy: {}", parts.join("; ")))
        }
    }
}

fn completed(build: &BuildEvent, symbols: &Symbols, home: Option<&str>) -> Line {
    let result = build.result.unwrap_or(Verdict::Unknown);
    let (role, symbol) = match result {
        Verdict::Pass => (Role::Success, symbols.success),
        Verdict::Fail | Verdict::Signal => (Role::Failure, symbols.failure),
        Verdict::Unknown => (Role::Warning, "?"),
    };
    let line = named(Line::new().with(role, format!("{symbol} ")), build, symbols);
    // Of several that are told in one, the verb is of all and the rest of the last.
    let (verb, how) = match result {
        Verdict::Pass => ("completed", String::new()),
        Verdict::Fail => match build.exit_status {
            Some(status) => ("failed", format!("exit {status}")),
            None => ("failed", String::new()),
        },
        Verdict::Signal => match build.signal {
            Some(2) => ("was interrupted", String::new()),
            Some(signal) => ("was killed", format!("by {}", signal_name(signal))),
            None => ("was killed", String::new()),
        },
        Verdict::Unknown => ("ended", "result unknown".to_owned()),
    };
    let elapsed = build.elapsed_ms.map(|ms| match result {
        Verdict::Pass => format!("in {}", time(ms)),
        _ => format!("after {}", time(ms)),
    });
    let is_killed = result == Verdict::Signal;
    let mut text = format!(" {verb}");
    if build.count > 1 {
        text.push_str(&format!(" {} times", build.count));
    }
    let is_last = build.count > 1 && (elapsed.is_some() || !how.is_empty());
    text.push_str(match (is_last, how.is_empty() || is_killed) {
        (true, true) => ", the last",
        (true, false) => ", the last with",
        (false, true) => "",
        (false, false) => ",",
    });
    if !how.is_empty() {
        text.push(' ');
        text.push_str(&how);
    }
    if let Some(elapsed) = elapsed {
        let comma = if how.is_empty() || is_killed { " " } else { ", " };
        text.push_str(comma);
        text.push_str(&elapsed);
    }
    let line = line.with(Role::Plain, text);
    closed(line, build, home)
}

/// Adds the command, shortened.
fn named(line: Line, build: &BuildEvent, symbols: &Symbols) -> Line {
    line.with(Role::Emphasis, truncate(&build.command, COMMAND, symbols.ellipsis))
}

/// Adds what is known beside: the directory, the number of processes, memory, and reservations.
fn closed(line: Line, build: &BuildEvent, home: Option<&str>) -> Line {
    let mut parts = Vec::new();
    if let Some(directory) = &build.directory {
        parts.push(short(directory, home));
    }
    if let Some(n) = build.processes {
        parts.push(count(n, "process", "processes"));
    }
    if let Some(peak) = build.peak_bytes {
        parts.push(format!("{} peak", bytes(peak)));
    }
    if build.suspended_ms >= 1000 {
        parts.push(format!("suspended for {}", time(build.suspended_ms)));
    }
    // A marker or a shell says nothing of the beginning, and that is no news.
    if build.started_ms.is_none() && build.pid.is_some() {
        parts.push("since unknown".to_owned());
    }
    if build.lossy {
        parts.push("events lost".to_owned());
    }
    if parts.is_empty() { line } else { line.with(Role::Muted, format!(" ({})", parts.join(", "))) }
}

/// Formats milliseconds, below ten seconds with a tenth.
fn time(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => duration(Duration::from_millis(ms)),
    }
}

/// Returns a directory with `~` for the home directory.
fn short(directory: &str, home: Option<&str>) -> String {
    let home = home.map(|home| home.trim_end_matches('/')).filter(|home| !home.is_empty());
    match home.and_then(|home| directory.strip_prefix(home)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
        _ => directory.to_owned(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        3 => "SIGQUIT",
        6 => "SIGABRT",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

/// Returns the minute of the day of a time in milliseconds since 1970, in the machine's time zone.
pub(super) fn minute_of_day(unix_ms: u64) -> Option<u16> {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    let zoned = time.to_zoned(jiff::tz::TimeZone::system());
    u16::try_from(i32::from(zoned.hour()) * 60 + i32::from(zoned.minute())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(fields: Value, expected: &str) {
        let mut event = json!({
            "type": "build.completed", "id": "1", "program": "make", "command": "make -j8", "label": "make",
            "directory": "/h/src", "pid": 7, "result": "pass", "started_ms": 1, "ended_ms": 2,
            "elapsed_ms": 92_000, "backend": "connector",
        });
        for (key, value) in fields.as_object().unwrap() {
            event[key] = value.clone();
        }
        let record: Record = serde_json::from_value(event).unwrap();
        assert_eq!(line(&record, &Symbols::unicode(), Some("/h")).plain(), expected);
    }

    #[test]
    fn results() {
        let memory = 4_400_000_000_u64;
        check(
            json!({"processes": 212, "peak_bytes": memory}),
            "✓ make -j8 completed in 1m32s (~/src, 212 processes, 4.1 GiB peak)",
        );
        check(
            json!({"result": "fail", "exit_status": 2, "elapsed_ms": 4100}),
            "✗ make -j8 failed, exit 2, after 4.1s (~/src)",
        );
        check(json!({"result": "signal", "signal": 2}), "✗ make -j8 was interrupted after 1m32s (~/src)");
        check(
            json!({"result": "signal", "signal": 9}),
            "✗ make -j8 was killed by SIGKILL after 1m32s (~/src)",
        );
        check(json!({"result": "unknown"}), "? make -j8 ended, result unknown, after 1m32s (~/src)");
        check(
            json!({"started_ms": null, "elapsed_ms": null, "directory": "/home2"}),
            "✓ make -j8 completed (/home2, since unknown)",
        );
        check(json!({"count": 14}), "✓ make -j8 completed 14 times, the last in 1m32s (~/src)");
        check(
            json!({"count": 3, "result": "fail", "exit_status": 2}),
            "✗ make -j8 failed 3 times, the last with exit 2, after 1m32s (~/src)",
        );
        check(
            json!({"count": 3, "result": "signal", "signal": 9}),
            "✗ make -j8 was killed 3 times, the last by SIGKILL after 1m32s (~/src)",
        );
        check(
            json!({"count": 3, "result": "fail", "elapsed_ms": null, "pid": null}),
            "✗ make -j8 failed 3 times (~/src)",
        );
        check(
            json!({"count": 3, "result": "unknown", "elapsed_ms": null, "pid": null}),
            "? make -j8 ended 3 times, the last with result unknown (~/src)",
        );
        check(
            json!({"lossy": true, "suspended_ms": 60_000, "directory": null}),
            "✓ make -j8 completed in 1m32s (suspended for 1m00s, events lost)",
        );
        check(
            json!({"type": "build.started", "result": null, "ended_ms": null, "elapsed_ms": 10_200}),
            "▶ make -j8 is running for 10s (~/src)",
        );
        check(
            json!({"command": "x".repeat(300), "directory": null}),
            &format!("✓ {}… completed in 1m32s", "x".repeat(99)),
        );
    }

    #[test]
    fn losses() {
        let loss = json!({"type": "sensor.loss", "at_ms": 1, "overruns": 2, "missed": 1});
        let record: Record = serde_json::from_value(loss).unwrap();
        let line = line(&record, &Symbols::ascii(), None).plain();
        assert_eq!(
            line,
            "! the machine was too busy: events were lost 2 times, lists made up for it; 1 process ended before being looked at"
        );
    }
}
