//! `nixmon list`.

use anyhow::Result;

use super::recover::look;
use super::{say, short_clock, symbols, tell, tell_json, unix_ms};
use crate::cli::ListArgs;
use crate::run::ExitStatus;
use crate::runs::{RunId, RunState, Status, StatusRecord};
use crate::settings::Settings;
use crate::text::{Line, Role, Symbols};
use crate::wire::{SCHEMA, UnreadableRun};

/// So many of the latest are listed unless all are asked for.
const LATEST: usize = 20;
/// Columns of a table that no terminal shows.
const COLUMNS: usize = 160;
/// Most columns of a name or a command there.
const NAME: usize = 60;
/// Of a narrower table these get so many at least.
const LEAST_NAME: usize = 16;
/// What ends the rows of a terminal gets so many, where it has them: how a run failed, or how far it has come.
const LEAST_NEWS: usize = 40;
/// Least columns between two cells.
const GAP: usize = 2;

pub(in crate::run) fn list(settings: &Settings, args: &ListArgs) -> Result<ExitStatus> {
    let store = settings.store()?;
    let ids = store.ids()?;
    let n = if args.all { ids.len() } else { LATEST.min(ids.len()) };
    let mut rows = Vec::new();
    for id in ids.iter().rev().take(n) {
        let looked = store.run(*id).map_err(Into::into).and_then(|dir| look(&dir, settings));
        let row = looked.map(|look| look.status).map_err(|error| error.to_string());
        if args.json {
            let is_read = match &row {
                Ok(status) => tell_json(&StatusRecord::from(status.clone())),
                Err(error) => {
                    let error = error.clone();
                    tell_json(&UnreadableRun {
                        r#type: "unreadable-run".into(),
                        schema: SCHEMA,
                        run: id.0,
                        error,
                    })
                }
            };
            if !is_read {
                break;
            }
        } else {
            rows.push((*id, row));
        }
    }
    if !args.json {
        let mut lines = table(&rows, unix_ms(), terminal_columns(), &symbols(settings));
        if ids.len() > n {
            let more = say::runs(ids.len() - n);
            lines.push(Line::new().with(Role::Muted, format!("{more} more: nixmon list --all")));
        }
        if ids.is_empty() {
            lines.push(Line::new().with(Role::Plain, "no runs"));
        }
        tell(settings, &lines);
    }
    Ok(ExitStatus::Success)
}

/// How wide the terminal is, if there is one.
fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The latest first, in so many columns.
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
                // The number is said already.
                let error = error.strip_prefix(&format!("run {id} ")).unwrap_or(error);
                line.push(Role::Plain, "  ").push(Role::Muted, error);
            }
        }
        line.truncate(columns.unwrap_or(COLUMNS), "…");
        lines.push(line);
    }
    lines
}

/// Name or command, when, how long, how it ended or what it does, and how far it has come or why it failed.
fn cells(status: &Status, now: u64, symbols: &Symbols) -> [Line; 5] {
    let state = match status.state {
        RunState::Queued => Line::new().with(Role::Muted, "queued"),
        RunState::Running => say::activity(status),
        RunState::Lost => Line::new().with(Role::Warning, "lost its monitor"),
        RunState::Ended => say::outcome_word(status),
    };
    [
        Line::new().with(Role::Name, say::name_or_command(status)),
        Line::new().with(Role::Plain, short_clock(status.started_at.unwrap_or(status.created_at), now)),
        Line::new().with(Role::Plain, say::elapsed(status, now).unwrap_or_default()),
        state,
        say::news(status, symbols),
    ]
}
