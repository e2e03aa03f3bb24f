//! `nixmon history`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::package_history::{self, time};
use super::{print_json, print_lines};
use crate::cli::{HistoryCommand, PastArgs};
use crate::drive::{self, complain, history_file, silent_pipeline};
use crate::exit_status::{ExitStatus, Failed};
use crate::history::{self as past, Row, Shared};
use crate::settings::Settings;
use nixmon_core::text::{Line, Role, bytes, count, thousands};
use nixmon_history::export::ExportError;
use nixmon_history::import::{Imported, import, known_files};
use nixmon_history::record::{Line as Record, PackageRecord, SCHEMA, UnitRecord};
use nixmon_history::stats::{self, Change};
use nixmon_history::store::{Notice, RunFilter, Store, StoreError, StoredRun};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::{local_clock, unix_ms};
use nixmon_runs::query::expect;
use nixmon_runs::{RunDir, Steps, evidence};

/// Packages that are listed.
const LISTED: usize = 20;
/// Points of a trend.
const POINTS: u32 = 40;
/// Percent per run below which a time has no trend worth a line.
const LEAST_SLOPE: f64 = 1.0;

pub(super) fn history(settings: &Settings, command: &HistoryCommand) -> Result<ExitStatus> {
    match command {
        HistoryCommand::Import { files } => import_all(settings, files)?,
        HistoryCommand::Export { target } => {
            let filter = RunFilter { target: target.as_deref(), ..RunFilter::default() };
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            match nixmon_history::export::export(&open(settings)?, &filter, &mut out) {
                Ok(_) => out.flush().or_else(gone).context("cannot write the export")?,
                Err(ExportError::Write(error)) => gone(error).context("cannot write the export")?,
                Err(error) => return Err(error.into()),
            }
        }
        HistoryCommand::Prune { .. } => {
            let mut store = open_to_write(settings)?;
            let pruned = store.prune(&history_file(settings).retention, past::now_ms())?;
            let text = match pruned.runs {
                0 => "nothing to remove".to_owned(),
                n => format!(
                    "removed {} with {}, {}",
                    count(n, "run", "runs"),
                    count(pruned.builds, "build", "builds"),
                    bytes(pruned.bytes)
                ),
            };
            print_lines(settings, &[plain(text)])?;
        }
        HistoryCommand::Accuracy(args) => accuracy(settings, args)?,
        HistoryCommand::Slowest(args) => slowest(settings, args)?,
        HistoryCommand::Diff { before, after, json } => diff(settings, before, after, *json)?,
        HistoryCommand::Trends { target, json } => trends(settings, target, *json)?,
        HistoryCommand::Packages(args) => package_history::print(settings, args)?,
        HistoryCommand::CriticalPath { run, json } => critical_path(settings, run.as_deref(), *json)?,
    }
    Ok(ExitStatus::Success)
}

/// Forgives that a reader has gone.
fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

fn plain(text: impl Into<String>) -> Line {
    Line::new().with(Role::Plain, text.into())
}

/// Returns the name of this machine.
pub(super) fn own_host() -> String {
    past::machine().host
}

fn place(settings: &Settings) -> Result<std::path::PathBuf> {
    let missing = || Failed::error(ExitStatus::System, "there is no home directory, so no history");
    settings.history_path().ok_or_else(missing)
}

/// Opens the history for reading.
pub(super) fn open(settings: &Settings) -> Result<Store> {
    Store::open_read_only(&place(settings)?).map_err(|error| match error {
        StoreError::Missing => Failed::error(
            ExitStatus::NotFound,
            "there is no history yet; runs fill it, and `nixmon history import` reads what other programs know",
        ),
        error => error.into(),
    })
}

fn open_to_write(settings: &Settings) -> Result<Store> {
    history_file(settings).check_owner()?;
    let (store, notice) = Store::open(&place(settings)?, past::now_ms())?;
    if let Some(notice @ Notice::MovedAside { .. }) = notice {
        complain(&anyhow::anyhow!(notice.to_string()));
    }
    Ok(store)
}

fn import_all(settings: &Settings, files: &[std::path::PathBuf]) -> Result<()> {
    let mut store = open_to_write(settings)?;
    let host = own_host();
    let mut lines = Vec::new();
    for file in files {
        lines.push(import_file(&mut store, file, &host)?);
    }
    if files.is_empty() {
        let known = settings.state_home.as_deref().map(known_files).into_iter().flatten();
        for file in known.filter(|file| file.exists()) {
            lines.push(import_file(&mut store, &file, &host)?);
        }
        lines.extend(import_runs(settings, &mut store, &host)?);
    }
    if lines.is_empty() {
        lines.push(plain("found neither build reports nor recorded runs"));
    }
    print_lines(settings, &lines)?;
    Ok(())
}

fn import_file(store: &mut Store, file: &Path, host: &str) -> Result<Line> {
    let shown = file.display();
    let failed = || format!("cannot import {shown}");
    let opened = File::open(file)
        .map_err(|error| Failed::error(ExitStatus::NotFound, format!("cannot read {shown}: {error}")))?;
    let done = import(store, BufReader::new(opened), host).with_context(failed)?;
    tell_skipped(file, &done);
    Ok(plain(format!("{shown}: {}", imported(&done))))
}

fn imported(done: &Imported) -> String {
    match (done.runs, done.rows) {
        (0, 0) => "nothing new".to_owned(),
        (runs, rows) => {
            format!("{}, {}", count(runs as u64, "new run", "new runs"), count(rows as u64, "row", "rows"))
        }
    }
}

fn tell_skipped(file: &Path, done: &Imported) {
    let shown = file.display();
    if let Some((line, reason)) = &done.first_unreadable {
        let lines = count(done.unreadable as u64, "line is", "lines are");
        complain(&anyhow::anyhow!("{shown}: {lines} unreadable, the first of them line {line}: {reason}"));
    }
    if done.unknown > 0 {
        let lines = count(done.unknown as u64, "line is", "lines are");
        complain(&anyhow::anyhow!("{shown}: {lines} of a kind that this nixmon does not know"));
    }
}

/// Imports the runs whose recordings are kept.
fn import_runs(settings: &Settings, store: &mut Store, host: &str) -> Result<Option<Line>> {
    let Ok(runs) = drive::runs(settings) else { return Ok(None) };
    let (ids, _) = runs.list(None)?;
    let mut sum = Imported::default();
    let (mut seen, mut unreadable) = (0, 0);
    // The times of a replay may differ by a millisecond from those of the run, so a known run is not read again.
    let known = store.runs(&RunFilter::default())?;
    let known: std::collections::BTreeSet<(String, i64)> =
        known.into_iter().map(|run| (run.record.id, run.started_ms)).collect();
    for id in ids {
        let Ok(dir) = runs.find(Some(&id.to_string())) else { continue };
        let created = dir.facts().map(|facts| i64::try_from(facts.created_at).unwrap_or(0));
        if created.is_ok_and(|at| known.contains(&(id.to_string(), at))) {
            seen += 1;
            continue;
        }
        match lines_of(settings, &dir) {
            Ok(Some(lines)) => {
                let done = import(store, &lines[..], host)?;
                sum.runs += done.runs;
                sum.rows += done.rows;
                seen += 1;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, run = %id, "not imported");
                unreadable += 1;
            }
        }
    }
    if unreadable > 0 {
        let runs = count(unreadable, "recorded run", "recorded runs");
        complain(&anyhow::anyhow!("{runs} could not be read"));
    }
    let runs = count(seen, "recorded run", "recorded runs");
    Ok((seen > 0).then(|| plain(format!("{runs}: {}", imported(&sum)))))
}

/// Returns a recorded run as lines of an export; `None` if it goes on, or nothing was built or fetched in it.
fn lines_of(settings: &Settings, dir: &RunDir) -> Result<Option<Vec<u8>>> {
    let Some(exit) = dir.exit()? else { return Ok(None) };
    let facts = dir.facts()?;
    let context = past::Context::default().of_run(&facts);
    let stages = Shared::default();
    let rows: Rc<RefCell<Vec<Row>>> = Rc::default();
    let (mut pipeline, _) = silent_pipeline();
    expect(&mut pipeline, &facts);
    let taken = Rc::clone(&rows);
    pipeline.report_work();
    let take = move |row| taken.borrow_mut().push(row);
    pipeline.keep(past::recorded(&context.system, Rc::clone(&stages), past::Measures::default(), take));
    let mut steps = Steps::of(dir);
    let mut last = Duration::ZERO;
    while let Some((at, step)) = steps.next_step()? {
        last = at;
        pipeline.step(&step, at);
    }
    pipeline.end_of_recording(last);
    pipeline.end(Some(exit.status()), last, |state| evidence(state, &settings.places, None));
    let rows = rows.take();
    if rows.is_empty() && context.subject.tool_jobs.is_none() {
        return Ok(None);
    }
    let begun = past::begun(&context, facts.id.to_string(), facts.created_at, facts.environment.nix.clone());
    let run = past::ended(begun, &stages.borrow(), past::outcome(pipeline.state()), last);
    let id = run.id.clone();
    let mut lines = Vec::new();
    let mut say = |line: &Record| -> Result<()> {
        serde_json::to_writer(&mut lines, line)?;
        lines.push(b'\n');
        Ok(())
    };
    say(&Record::Header { schema: SCHEMA })?;
    say(&Record::Run(run))?;
    for row in rows {
        match row {
            Row::Build(mut build) => {
                build.run.clone_from(&id);
                say(&Record::Build(*build))?;
            }
            Row::Download(mut download) => {
                download.run.clone_from(&id);
                say(&Record::Download(*download))?;
            }
            Row::Work(units, packages) => {
                for unit in units {
                    say(&Record::Unit(UnitRecord { run: id.clone(), ..unit }))?;
                }
                for package in packages {
                    say(&Record::Package(PackageRecord { run: id.clone(), ..package }))?;
                }
            }
        }
    }
    Ok(Some(lines))
}

fn accuracy(settings: &Settings, args: &PastArgs) -> Result<()> {
    let foretold = open(settings)?.foretold(args.target.as_deref(), args.runs)?;
    let rows = stats::accuracy(&foretold);
    if args.json {
        print_json(&json!({"type": "accuracy", "rows": rows}))?;
        return Ok(());
    }
    if rows.is_empty() {
        print_lines(settings, &[plain("no run that succeeded has a prediction yet")])?;
        return Ok(());
    }
    let head = "  at  runs  error  bias  held  width  count  sum share chain";
    let mut lines = vec![Line::new().with(Role::Heading, head)];
    for row in rows {
        let [count, sum, share, chain] =
            row.simple_errors.map(|error| error.map_or("-".to_owned(), |e| format!("{e:.0}%")));
        let error = format!("{:.0}%", row.median_error);
        let bias = format!("{:+.0}%", row.bias);
        let (held, width) = (format!("{:.0}%", row.band_held), format!("{:.0}%", row.band_width));
        lines.push(plain(format!(
            "{:>3}%{:>6}{error:>7}{bias:>6}{held:>6}{width:>7}{count:>7}{sum:>5}{share:>6}{chain:>6}",
            row.percent, row.runs,
        )));
    }
    let legend = [
        "error, bias, width: of the time that was left (medians)",
        "held: runs that ended within the band; it is meant for 80%",
        "count to chain: errors of simpler estimates",
    ];
    lines.extend(legend.map(|text| Line::new().with(Role::Muted, text)));
    print_lines(settings, &lines)?;
    Ok(())
}

fn slowest(settings: &Settings, args: &PastArgs) -> Result<()> {
    let builds = open(settings)?.newest_builds(args.target.as_deref(), args.runs)?;
    let slow = stats::slowest(&builds, LISTED);
    if args.json {
        print_json(&json!({"type": "slowest", "packages": slow}))?;
        return Ok(());
    }
    let mut lines: Vec<Line> = slow
        .iter()
        .map(|slow| {
            let each = if slow.builds > 1 {
                format!(", {} builds of {} each", thousands(u64::from(slow.builds)), time(slow.median_ms))
            } else {
                String::new()
            };
            Line::new()
                .with(Role::Plain, format!("{:>8}  ", time(slow.total_ms)))
                .with(Role::Name, sanitize(&slow.pname))
                .with(Role::Muted, each)
        })
        .collect();
    if lines.is_empty() {
        lines.push(plain("no builds"));
    }
    print_lines(settings, &lines)?;
    Ok(())
}

/// Finds a run by its number or its target; the newest one counts.
fn find(store: &Store, name: Option<&str>) -> Result<StoredRun> {
    let newest = |filter: &RunFilter<'_>| store.runs(&RunFilter { limit: Some(1), ..filter.clone() });
    let all = RunFilter::default();
    let Some(name) = name else {
        return newest(&all)?
            .pop()
            .ok_or_else(|| Failed::error(ExitStatus::NotFound, "the history has no run yet"));
    };
    if let Some(run) = newest(&RunFilter { target: Some(name), ..all.clone() })?.pop() {
        return Ok(run);
    }
    let run = store.runs(&all)?.into_iter().find(|run| run.record.id == name);
    run.ok_or_else(|| {
        Failed::error(ExitStatus::NotFound, format!("the history has no run {}", sanitize(name)))
    })
}

fn title(run: &StoredRun) -> String {
    let about = run.record.target.as_deref().unwrap_or("no target");
    let at = local_clock(u64::try_from(run.started_ms).unwrap_or(0), unix_ms());
    format!("run {} ({}) of {at}", sanitize(&run.record.id), sanitize(about))
}

fn diff(settings: &Settings, before: &str, after: &str, as_json: bool) -> Result<()> {
    let store = open(settings)?;
    let (before, after) = (find(&store, Some(before))?, find(&store, Some(after))?);
    let differences = stats::compare(&store.builds(&before)?, &store.builds(&after)?);
    if as_json {
        print_json(&json!({
            "type": "diff",
            "before": before.record,
            "after": after.record,
            "differences": differences,
        }))?;
        return Ok(());
    }
    let mut first = format!("{} and {}", title(&before), title(&after));
    if let (Some(was), Some(is)) = (before.record.elapsed_ms, after.record.elapsed_ms) {
        first.push_str(&format!(": {} and {}", time(was), time(is)));
    }
    let mut lines = vec![Line::new().with(Role::Heading, first)];
    for difference in differences.iter().take(LISTED) {
        let delta = difference.delta_ms();
        let sign = if delta < 0 { '-' } else { '+' };
        let why = match difference.change {
            Change::Removed => "built only the first time",
            Change::Added => "built only the second time",
            Change::Again => "the same derivation",
            Change::Inputs => "other inputs",
            Change::Version => "another version",
        };
        lines.push(
            Line::new()
                .with(Role::Plain, format!("{:>9}  ", format!("{sign}{}", time(delta.unsigned_abs()))))
                .with(Role::Name, sanitize(&difference.name))
                .with(Role::Muted, format!("  {why}")),
        );
    }
    if differences.len() > LISTED {
        let more = thousands((differences.len() - LISTED) as u64);
        lines.push(Line::new().with(Role::Muted, format!("and {more} more")));
    }
    print_lines(settings, &lines)?;
    Ok(())
}

fn trends(settings: &Settings, target: &str, as_json: bool) -> Result<()> {
    let store = open(settings)?;
    let mut attempts = store.target_attempts(target, POINTS)?;
    if attempts.is_empty() {
        attempts = store.package_attempts(target, &own_host(), POINTS)?;
    }
    let (points, attempts): (Vec<_>, Vec<_>) = attempts.into_iter().unzip();
    let Some(health) = stats::health(&attempts) else {
        let message = format!("the history has neither a target nor a package {}", sanitize(target));
        return Err(Failed::error(ExitStatus::NotFound, message));
    };
    let slope = stats::trend(&points);
    if as_json {
        print_json(&json!({
            "type": "trends", "target": target, "points": points, "percent_per_run": slope, "health": health,
        }))?;
        return Ok(());
    }
    let times: Vec<u64> = points.iter().filter(|point| point.ok).map(|point| point.elapsed_ms).collect();
    let mut lines = vec![Line::new().with(Role::Heading, sanitize(target))];
    if let (Some(least), Some(most), Some(last)) = (times.iter().min(), times.iter().max(), times.last()) {
        let spark = stats::sparkline(&times);
        let range = if least == most {
            time(*last)
        } else {
            format!("{} to {}, last {}", time(*least), time(*most), time(*last))
        };
        lines.push(plain(format!("{spark}  {range}")));
    }
    let mut jobs: Vec<u32> = points.iter().filter_map(|point| point.jobs).collect();
    jobs.sort_unstable();
    jobs.dedup();
    if jobs.len() > 1 {
        lines.push(Line::new().with(Role::Muted, "with different numbers of jobs"));
    }
    if let Some(slope) = slope.filter(|slope| slope.abs() >= LEAST_SLOPE) {
        let word = if slope > 0.0 { "longer" } else { "less" };
        lines.push(plain(format!("takes {:.1}% {word} with each run", slope.abs())));
    }
    let good = (health.success / 100.0 * f64::from(health.attempts)).round() as u64;
    lines.push(plain(format!(
        "{} of {} succeeded",
        thousands(good),
        count(u64::from(health.attempts), "attempt", "attempts")
    )));
    if let Some(flaky) = health.flakiness.filter(|flaky| *flaky > 0.0) {
        lines.push(plain(format!("{flaky:.0}% of the repeated ones ended differently with the same inputs")));
    }
    print_lines(settings, &lines)?;
    Ok(())
}

fn critical_path(settings: &Settings, run: Option<&str>, as_json: bool) -> Result<()> {
    let store = open(settings)?;
    let run = find(&store, run)?;
    let spans = store.spans(&run)?;
    let chain = stats::chain(&spans);
    if as_json {
        let links: Vec<_> = chain
            .iter()
            .map(|link| {
                let span = &spans[link.span];
                json!({
                    "name": span.name,
                    "started_ms": span.start_ms,
                    "elapsed_ms": span.stop_ms.saturating_sub(span.start_ms),
                    "waited_ms": link.waited_ms,
                })
            })
            .collect();
        print_json(&json!({"type": "critical-path", "run": run.record, "chain": links}))?;
        return Ok(());
    }
    let mut lines = vec![Line::new().with(Role::Heading, title(&run))];
    for link in &chain {
        let span = &spans[link.span];
        let mut line = plain(format!("{:>8}  ", time(span.stop_ms.saturating_sub(span.start_ms))));
        line.push(Role::Name, sanitize(&span.name));
        if link.waited_ms >= 1000 {
            line.push(Role::Muted, format!("  after waiting for {}", time(link.waited_ms)));
        }
        lines.push(line);
    }
    if chain.is_empty() {
        lines.push(plain("no builds"));
    } else if chain.len() > 1 && spans.iter().all(|span| span.needs.is_empty()) {
        let text = "what needed what is not known: each is the last to end before the next began";
        lines.push(Line::new().with(Role::Muted, text));
    }
    print_lines(settings, &lines)?;
    Ok(())
}
