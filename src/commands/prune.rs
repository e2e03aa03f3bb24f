//! `nixmon runs prune`.

use anyhow::Result;

use super::{describe, print_lines};
use crate::exit_status::ExitStatus;
use crate::settings::Settings;
use nixmon_core::text::{Line, Role, bytes};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::local_clock;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{Reason, Removed};

/// Number of removed runs that are listed; of more, only the number is printed.
const LINES: usize = 20;

pub(super) fn prune(settings: &Settings, dry_run: bool) -> Result<ExitStatus> {
    let now = unix_ms();
    let removed = settings.store()?.prune(&settings.retention, now, dry_run)?;
    print_lines(settings, &lines(&removed, dry_run, now))?;
    Ok(ExitStatus::Success)
}

pub(super) fn lines(removed: &[Removed], dry_run: bool, now: u64) -> Vec<Line> {
    let verb = if dry_run { "would remove" } else { "removed" };
    if removed.is_empty() {
        return vec![Line::new().with(Role::Plain, "nothing to remove")];
    }
    let mut lines: Vec<Line> = Vec::new();
    if removed.len() <= LINES {
        lines.extend(removed.iter().map(|run| {
            let about = run.name.as_ref().map(|name| sanitize(name).into_owned());
            let about = about.unwrap_or_else(|| nixmon_runs::short_command(&run.command));
            let reason = match run.reason {
                Reason::Age => "too old",
                Reason::Count => "too many",
                Reason::Size => "too large together",
            };
            let text = format!(
                "{verb} run {} ({about}) of {}, {}: {reason}",
                run.id,
                local_clock(run.at, now),
                bytes(run.bytes)
            );
            Line::new().with(Role::Plain, text)
        }));
    }
    if removed.len() > 1 {
        let size = bytes(removed.iter().map(|run| run.bytes).sum());
        lines
            .push(Line::new().with(Role::Plain, format!("{verb} {}, {size}", describe::runs(removed.len()))));
    }
    lines
}
