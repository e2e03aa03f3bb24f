//! `nixmon list`.

use anyhow::Result;

use super::{describe, print_json, print_lines, symbols};
use crate::cli::ListArgs;
use crate::drive;
use crate::exit_status::ExitStatus;
use crate::settings::Settings;
use nixmon_core::text::{Line, Role, Symbols};
use nixmon_core::wire::{SCHEMA, UnreadableRun};
use nixmon_log::escapes::escape;
use nixmon_runs::clock::short_clock;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{RunId, RunState, Status, StatusRecord};

/// Number of runs listed unless all are asked for.
const LATEST: usize = 20;
/// Width of a table that does not go to a terminal.
pub(super) const COLUMNS: usize = 160;
/// Greatest width of a name or a command in it.
const NAME: usize = 60;
/// Minimum width of the name column in a narrow table.
const LEAST_NAME: usize = 16;
/// Minimum width left for the last column in a terminal: how a run failed, or how far it has come.
const LEAST_NEWS: usize = 40;
/// Columns between two cells.
const GAP: usize = 2;

pub(super) fn list(settings: &Settings, args: &ListArgs) -> Result<ExitStatus> {
    let runs = drive::runs(settings)?;
    let (ids, n_older) = runs.list((!args.all).then_some(LATEST))?;
    let mut rows = Vec::new();
    for id in ids {
        let look = runs.listed(id, unix_ms()).look;
        let row = look.map(|look| look.status).map_err(|error| error.to_string());
        if !args.json {
            rows.push((id, row));
        } else if !print_row(id, row)? {
            break;
        }
    }
    if !args.json {
        let mut lines = table(&rows, unix_ms(), terminal_columns(), &symbols(settings));
        if n_older > 0 {
            let more = describe::runs(n_older);
            lines.push(Line::new().with(Role::Muted, format!("{more} more: nixmon list --all")));
        }
        if rows.is_empty() {
            lines.push(Line::new().with(Role::Plain, "no runs"));
        }
        print_lines(settings, &lines)?;
    }
    Ok(ExitStatus::Success)
}

/// Prints a run as JSON. Returns whether the reader is still there.
fn print_row(id: RunId, row: std::result::Result<Status, String>) -> Result<bool> {
    match row {
        Ok(status) => print_json(&StatusRecord::from(status)),
        Err(error) => {
            print_json(&UnreadableRun { r#type: "unreadable-run".into(), schema: SCHEMA, run: id.0, error })
        }
    }
}

/// Returns the width of the terminal, if there is one.
pub(super) fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Makes a table of runs, at most as wide as `columns`.
pub(super) fn table(
    rows: &[(RunId, Result<Status, String>)],
    now: u64,
    columns: Option<usize>,
    symbols: &Symbols,
) -> Vec<Line> {
    let mut cells: Vec<_> =
        rows.iter().map(|(id, row)| (id, row.as_ref().map(|status| cells(status, now, symbols)))).collect();
    let mut widths = [0; 4];
    for cells in cells.iter().filter_map(|(_, row)| row.as_ref().ok()) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.width());
        }
    }
    let [name, others @ ..] = &mut widths;
    let most = match columns {
        None => NAME,
        Some(columns) => columns
            .saturating_sub(others.iter().map(|width| width + GAP).sum::<usize>() + LEAST_NEWS + 2 * GAP)
            .max(LEAST_NAME),
    };
    *name = (*name).min(most);
    for cells in cells.iter_mut().filter_map(|(_, row)| row.as_mut().ok()) {
        if let Some(name) = cells.first_mut() {
            name.truncate(most, "…");
        }
    }
    let id_width = rows.iter().map(|(id, _)| id.to_string().len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (id, row) in cells {
        let mut line = Line::new().with(Role::Heading, format!("{id:>id_width$}", id = id.to_string()));
        match row {
            Ok(cells) => {
                let mut column = id_width;
                for (i, cell) in cells.into_iter().enumerate() {
                    if !cell.is_empty() {
                        line.pad(column + GAP);
                    }
                    column += GAP + widths.get(i).copied().unwrap_or(0);
                    line.append(cell);
                }
            }
            Err(error) => {
                // The row begins with the number.
                let error = error.strip_prefix(&format!("run {id} ")).unwrap_or(error);
                line.push(Role::Plain, "  ").push(Role::Muted, escape(error));
            }
        }
        line.truncate(columns.unwrap_or(COLUMNS), "…");
        lines.push(line);
    }
    lines
}

/// Makes the cells of a row: name or command, time, duration, state or outcome, and the news or the failure.
fn cells(status: &Status, now: u64, symbols: &Symbols) -> [Line; 5] {
    let state = match status.state {
        RunState::Queued => Line::new().with(Role::Muted, "queued"),
        RunState::Running => describe::activity(status),
        RunState::Lost => Line::new().with(Role::Warning, "lost its monitor"),
        RunState::Ended => describe::outcome_word(status),
    };
    [
        Line::new().with(Role::Name, describe::name_or_command(status)),
        Line::new().with(Role::Plain, short_clock(status.started_at.unwrap_or(status.created_at), now)),
        Line::new().with(Role::Plain, describe::elapsed(status, now).unwrap_or_default()),
        state,
        describe::news(status, symbols),
    ]
}
