//! `nixmon status --packages`.

use std::time::Duration;

use anyhow::Result;

use super::list::{COLUMNS, terminal_columns};
use super::{describe, print_json, print_lines, symbols};
use crate::packages::PackageStatusRecord;
use crate::settings::Settings;
use nixmon_core::render::{self, Style};
use nixmon_core::text::{Line, Role, count};
use nixmon_core::wire::{Package, PackageHealth, PackageStatus};
use nixmon_progress as progress;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{RunOutcome, RunState, Status};

/// Packages that are listed.
const LISTED: usize = 40;

/// Returns the packages of a run: those inside its command, or of a Nix build its derivations.
pub(super) fn rows(status: &Status) -> &[Package] {
    if are_derivations(status) { &status.derivations } else { &status.packages }
}

/// Returns whether the packages of a run are derivations.
fn are_derivations(status: &Status) -> bool {
    !status.derivations.is_empty()
}

pub(super) fn print(settings: &Settings, status: &Status, as_json: bool) -> Result<()> {
    let packages = rows(status);
    if as_json {
        print_json(&PackageStatusRecord::new(status, are_derivations(status), packages))?;
        return Ok(());
    }
    let symbols = symbols(settings);
    let style = Style { symbols, ascii: settings.output.ascii, thresholds: settings.thresholds };
    let width = terminal_columns().unwrap_or(COLUMNS);
    let mut lines = describe::status(status, unix_ms(), &symbols);
    // What it hangs on is not asked for.
    lines.truncate(2);
    lines.extend(table(status, width, &style));
    for line in &mut lines {
        line.truncate(width, symbols.ellipsis);
    }
    print_lines(settings, &lines)
}

fn table(status: &Status, width: usize, style: &Style) -> Vec<Line> {
    let packages = rows(status);
    if packages.is_empty() {
        return vec![Line::new().with(Role::Muted, "no packages were seen in this run")];
    }
    // Of a good build that has ended nothing is to come.
    let is_over = status.state == RunState::Ended && status.outcome == Some(RunOutcome::Success);
    let shown = packages.iter().filter(|package| !is_over || package.status != PackageStatus::Queued);
    let known: Vec<progress::Package> = shown.map(of_wire).collect();
    if known.is_empty() {
        return vec![Line::new().with(Role::Muted, "no package was built in this run")];
    }
    let order = render::by_activity(&known);
    let mut lines = render::packages(order.get(..LISTED).unwrap_or(&order), width, style);
    let wanted = if are_derivations(status) { status.wanted } else { order.len() };
    let n_left_out = wanted.max(order.len()).saturating_sub(LISTED.min(order.len()));
    if n_left_out > 0 {
        lines.push(Line::new().with(Role::Muted, count(n_left_out as u64, "more package", "more packages")));
    }
    lines
}

/// Returns a package of a record as the state knows it.
pub(super) fn of_wire(package: &Package) -> progress::Package {
    progress::Package {
        name: package.name.clone(),
        status: match package.status {
            PackageStatus::Compiling => progress::Status::Compiling,
            PackageStatus::Linking => progress::Status::Linking,
            PackageStatus::Built => progress::Status::Built,
            PackageStatus::Failed => progress::Status::Failed,
            PackageStatus::Queued | PackageStatus::Unlisted(_) => progress::Status::Queued,
        },
        current_file: package.current_file.clone(),
        done: package.done,
        total: package.total,
        progress_pct: package.progress_pct,
        elapsed: package.elapsed_ms.map(Duration::from_millis),
        eta: package.eta_ms.map(Duration::from_millis),
        depends_on: package.depends_on.clone(),
        health: match package.health {
            PackageHealth::Slow => progress::Health::Slow,
            PackageHealth::Blocked => progress::Health::Blocked,
            PackageHealth::Failed => progress::Health::Failed,
            PackageHealth::Ok | PackageHealth::Unlisted(_) => progress::Health::Ok,
        },
    }
}
