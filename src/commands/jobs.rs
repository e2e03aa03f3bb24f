//! `nixmon jobs`.

use std::time::Duration;

use anyhow::Result;

use super::history::{open, own_host};
use super::{print_json, print_lines};
use crate::cli::JobsArgs;
use crate::exit_status::{ExitStatus, Failed};
use crate::settings::Settings;
use nixmon_core::render::rough;
use nixmon_core::text::{Line, Role, bytes, count};
use nixmon_history::jobs::{Basis, JobsReport, MachineSize, Scaling, analyse};
use nixmon_history::store::{Store, StoreError};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::{local_clock, unix_ms};
use nixmon_runs::proc::Proc;

/// The newest runs that are looked at.
const RUNS: u32 = 50;

pub(super) fn jobs(settings: &Settings, args: &JobsArgs) -> Result<ExitStatus> {
    let Some(report) = report(&open(settings)?, &args.target)? else {
        let message = format!(
            "the history has no successful run of {} on this machine with a known number of jobs",
            sanitize(&args.target)
        );
        return Err(Failed::error(ExitStatus::NotFound, message));
    };
    if args.json {
        print_json(&report)?;
    } else {
        print_lines(settings, &lines(&args.target, &report))?;
    }
    Ok(ExitStatus::Success)
}

/// Returns the best number of jobs for a target on this machine; `None` if no run of it tells.
pub(super) fn report(store: &Store, target: &str) -> Result<Option<JobsReport>, StoreError> {
    let runs = store.jobs_runs(target, &own_host(), RUNS)?;
    let Some(mut report) = analyse(target, &runs, machine_size()) else { return Ok(None) };
    report.eta = Some(at_time_of_day(report.eta_ms));
    Ok(Some(report))
}

/// Returns the size of this machine.
pub(super) fn machine_size() -> MachineSize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    MachineSize {
        cpus: u32::try_from(cpus).unwrap_or(1),
        memory_bytes: Proc::default().memory().map(|m| m.total),
    }
}

/// Returns `2m 15s@14:30`: so many milliseconds, and the time of day when they will have passed.
pub(super) fn at_time_of_day(ms: u64) -> String {
    let ends = unix_ms().saturating_add(ms);
    format!("{}@{}", in_words(ms), local_clock(ends, ends))
}

/// Returns `2m 15s`.
fn in_words(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

fn lines(target: &str, report: &JobsReport) -> Vec<Line> {
    let mut lines = vec![Line::new().with(Role::Heading, sanitize(target)).with(
        Role::Plain,
        format!(": best with {}", count(u64::from(report.optimal_job_count), "job", "jobs")),
    )];
    for row in &report.rows {
        let time = rough(Duration::from_millis(row.elapsed_ms));
        let basis = match row.basis {
            Basis::Seen => count(u64::from(row.runs), "run", "runs"),
            Basis::Graph | Basis::Timeline => "foreseen".to_owned(),
        };
        let mut text = format!("{:>4} {time:>8}  {basis:<9}", format!("-j{}", row.jobs));
        if let Some(cores) = row.cores {
            text.push_str(&format!("  {}", count(u64::from(cores), "core", "cores")));
        }
        if let Some(efficiency) = row.parallel_efficiency {
            text.push_str(&format!("  {efficiency:.0}% busy"));
        }
        if let Some(peak) = row.peak_bytes {
            text.push_str(&format!("  {} at most", bytes(peak)));
        }
        let role = if row.jobs == report.optimal_job_count { Role::Emphasis } else { Role::Plain };
        lines.push(Line::new().with(role, text.trim_end()));
    }
    let scaling = report.scaling.map(|scaling| match scaling {
        Scaling::Linear => "more jobs help nearly in full",
        Scaling::Sublinear => "more jobs help, but not in full",
        Scaling::Diminishing => "more jobs hardly help",
    });
    lines.extend(scaling.map(|text| Line::new().with(Role::Muted, text)));
    lines.extend(report.recommendations.iter().map(|text| Line::new().with(Role::Plain, sanitize(text))));
    lines
}
