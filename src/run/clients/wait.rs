//! `nixmon wait`.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::lines::{CondensedLines, catch_up};
use super::recover::look;
use super::{say, symbols, tell, tell_json, unix_ms};
use crate::cli::{WaitArgs, WaitFor};
use crate::run::ExitStatus;
use crate::runs::{RunOutcome, RunState, Status, StatusRecord};
use crate::settings::Settings;
use crate::text::{Line, Role};
use crate::wire::{RunLine, SCHEMA};

/// How often it is looked whether there is something new.
const POLL: Duration = Duration::from_millis(200);

pub(in crate::run) fn wait(settings: &Settings, args: &WaitArgs) -> Result<ExitStatus> {
    let begun = Instant::now();
    let dir = settings.store()?.find(args.run.as_deref())?;
    let mut lines = CondensedLines::of(&dir);
    // Without a cursor, what is there already is not new.
    let mut cursor = match args.since {
        Some(since) => since,
        None => lines.read()?.len() as u64,
    };
    let mut has_printed = false;
    loop {
        // Looked at first: once it has ended there are no more lines.
        let mut status = look(&dir, settings)?.status;
        let has_ended = status.state == RunState::Ended;
        let mut is_new = false;
        let all = lines.read()?;
        for line in all.iter().skip(usize::try_from(cursor).unwrap_or(usize::MAX)) {
            cursor = cursor.saturating_add(1);
            is_new = true;
            if !print(settings, args.json, dir.id().0, cursor, line) {
                // Nobody reads any more.
                return Ok(ExitStatus::Success);
            }
        }
        has_printed |= is_new;
        let has_changed = is_new && args.what == WaitFor::Change;
        let timed_out = args.timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
        if has_ended || timed_out || has_changed {
            catch_up(&mut status, all);
            // Lines that a full disk has lost count too.
            status.cursor = status.cursor.max(cursor);
            let is_late = has_ended && !has_printed && args.since.is_none();
            if args.json {
                tell_json(&StatusRecord::from(status.clone()));
            } else if is_late {
                // Whoever asks now has seen nothing of how it ended.
                tell(settings, &say::status(&status, unix_ms(), &symbols(settings)));
            } else {
                let mut line = say::how_it_stands(&status, unix_ms());
                // Who gives a cursor knows how to.
                if !has_ended && !has_changed && args.since.is_none() {
                    line.append(say::next(&status));
                }
                tell(settings, &[line]);
            }
            return Ok(match has_ended {
                true => exit_status(&status),
                false if !has_changed => ExitStatus::TimedOut,
                false => ExitStatus::Success,
            });
        }
        let left = args.timeout.map_or(POLL, |timeout| timeout.saturating_sub(begun.elapsed()));
        std::thread::sleep(left.min(POLL));
    }
}

fn print(settings: &Settings, json: bool, run: u64, cursor: u64, text: &str) -> bool {
    if json {
        let text = crate::text::sanitize(text).into_owned();
        return tell_json(&RunLine { r#type: "line".into(), schema: SCHEMA, run, cursor, text });
    }
    use std::io::Write;
    let line = super::written(settings, &Line::new().with(Role::Plain, text));
    std::io::stdout().write_all(line.as_bytes()).is_ok()
}

/// That of the command; where nobody has seen it, what the stream tells.
fn exit_status(status: &Status) -> ExitStatus {
    match (status.exit_code, status.outcome) {
        (Some(code), _) => ExitStatus::Command(u8::try_from(code & 0xff).unwrap_or(1)),
        (None, Some(RunOutcome::Success)) => ExitStatus::Success,
        (None, Some(RunOutcome::Interrupted)) => ExitStatus::Interrupted,
        (None, _) => ExitStatus::Failure,
    }
}
