//! `nixmon wait`.

use std::time::Instant;

use anyhow::Result;

use super::{describe, print_json, print_lines, symbols};
use crate::cli::{WaitArgs, WaitFor};
use crate::drive;
use crate::exit_status::ExitStatus;
use crate::settings::Settings;
use nixmon_core::text::{Line, Role};
use nixmon_core::wire::{RunLine, SCHEMA};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::NewLine;
use nixmon_runs::{RunOutcome, Status, StatusRecord};

pub(super) fn wait(settings: &Settings, args: &WaitArgs) -> Result<ExitStatus> {
    let begun = Instant::now();
    let runs = drive::runs(settings)?;
    let dir = runs.find(args.run.as_deref())?;
    let mut follow = runs.follow(&dir, args.since)?;
    let mut has_printed = false;
    loop {
        let news = follow.next(&runs, unix_ms())?;
        has_printed |= !news.lines.is_empty();
        let has_changed = !news.lines.is_empty() && args.what == WaitFor::Change;
        for line in &news.lines {
            if !print(settings, args.json, dir.id().0, line)? {
                // The reader has gone.
                return Ok(ExitStatus::Success);
            }
        }
        let timed_out = args.timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
        match news.look_again.filter(|_| !timed_out && !has_changed) {
            Some(after) => {
                let left = args.timeout.map_or(after, |timeout| timeout.saturating_sub(begun.elapsed()));
                std::thread::sleep(left.min(after));
            }
            None => {
                print_end(settings, args, &news.status, has_changed, has_printed)?;
                return Ok(match news.status.has_ended() {
                    true => exit_status(&news.status),
                    false if !has_changed => ExitStatus::TimedOut,
                    false => ExitStatus::Success,
                });
            }
        }
    }
}

/// Prints the last line: the status.
fn print_end(
    settings: &Settings,
    args: &WaitArgs,
    status: &Status,
    has_changed: bool,
    has_printed: bool,
) -> Result<()> {
    let has_ended = status.has_ended();
    if args.json {
        print_json(&StatusRecord::from(status.clone()))?;
    } else if has_ended && !has_printed && args.since.is_none() {
        // The run had ended before, and none of its lines were printed.
        print_lines(settings, &describe::status(status, unix_ms(), &symbols(settings)))?;
    } else {
        let mut line = describe::in_one_line(status, unix_ms());
        // A caller that passes a cursor knows how to continue.
        if !has_ended && !has_changed && args.since.is_none() {
            line.append(describe::next(status));
        }
        print_lines(settings, &[line])?;
    }
    Ok(())
}

/// Prints a line. Returns whether the reader is still there.
fn print(settings: &Settings, json: bool, run: u64, line: &NewLine) -> Result<bool> {
    if json {
        let (cursor, text) = (line.cursor, sanitize(&line.text).into_owned());
        return print_json(&RunLine { r#type: "line".into(), schema: SCHEMA, run, cursor, text });
    }
    super::print(super::written(settings, &Line::new().with(Role::Plain, &*line.text)).as_bytes())
}

/// Returns the exit status of the command. Where it was not seen the run is never a success: 1, or 130 if it was interrupted.
fn exit_status(status: &Status) -> ExitStatus {
    match (status.exit_code, status.outcome) {
        (Some(code), _) => ExitStatus::Command(u8::try_from(code & 0xff).unwrap_or(1)),
        (None, Some(RunOutcome::Interrupted)) => ExitStatus::Interrupted,
        (None, _) => ExitStatus::Failure,
    }
}
