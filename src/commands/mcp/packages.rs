//! The packages of runs, and their past.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::commands::history::own_host;
use crate::commands::jobs::at_time_of_day;
use crate::history::Context;
use crate::settings::Settings;
use nixmon_core::wire::{Package, PackageHealth, PackageStatus};
use nixmon_history::packages::{BuildExtent, PackageHistory, PackageTimes, histories};
use nixmon_history::store::Store;
use nixmon_mcp::{
    BuildProgress, LONG, PackageHistoryAnswer, PackageStatusAnswer, PackageTimes as Told, Packages, SHORT,
    clean,
};
use nixmon_progress::packages::{Link, longest_chain};
use nixmon_runs::query::Look;
use nixmon_runs::{RunState, Status};

/// The newest runs whose packages are looked at.
const RUNS: u32 = 50;
/// Columns of a name.
const NAME: usize = 60;

/// The past of packages, as far as the history knows it.
#[derive(Debug)]
pub(super) struct PackagesPast {
    settings: Settings,
}

impl PackagesPast {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone() }
    }

    fn store(&self) -> Option<Store> {
        let path = self.settings.history_path()?;
        Store::open_read_only(&path).inspect_err(|error| tracing::debug!(%error, "no history")).ok()
    }

    /// Returns the past of the packages of a target.
    fn past(&self, target: Option<&str>) -> BTreeMap<String, PackageHistory> {
        let runs =
            self.store().and_then(|store| store.all_package_runs(target, RUNS).ok()).unwrap_or_default();
        histories(&runs).into_iter().map(|history| (history.name.clone(), history)).collect()
    }
}

impl Packages for PackagesPast {
    fn status(&self, look: &Look, is_full: bool) -> Option<PackageStatusAnswer> {
        let status = &look.status;
        let packages = super::super::package_status::rows(status);
        if packages.is_empty() {
            return None;
        }
        let subject = look.facts.as_ref().map(|facts| Context::default().of_run(facts));
        let target = subject.as_ref().and_then(|context| context.subject.target.clone());
        let jobs = subject.as_ref().and_then(|context| context.subject.tool_jobs.or(context.max_jobs));
        let past = self.past(target.as_deref());
        let is_running = status.state == RunState::Running;
        let (path, beside) = if is_running { ways(status, packages, &past) } else { Default::default() };
        let eta = status.eta.as_ref().filter(|_| is_running);
        let answer = PackageStatusAnswer {
            session_id: format!("run-{}", status.id),
            active_packages: Some(names(
                packages.iter().filter(|package| is_active(package)).map(|p| &*p.name),
            )),
            build_progress: Some(BuildProgress {
                overall_eta: eta.map(|eta| at_time_of_day(eta.remaining_ms)),
                critical_path: path,
                parallel_opportunities: beside,
                packages: rows(packages, is_full),
                omitted: 0,
            }),
            build_history_key: target.as_deref().map(|target| key(target, jobs)),
            note: None,
        };
        Some(fitted(answer, if is_full { LONG } else { SHORT }))
    }

    fn history(&self, package: &str, jobs: Option<u64>) -> Option<PackageHistoryAnswer> {
        let runs = self.store()?.package_runs(package, None).ok()?;
        let jobs = jobs.and_then(|jobs| u32::try_from(jobs).ok());
        let host = own_host();
        let known = histories(&runs);
        // A part of a project and a derivation may have one name.
        let best = known.iter().filter_map(|history| history.best(&host, jobs));
        let times = best.max_by_key(|times| (times.extent == BuildExtent::Full, times.samples))?;
        let mut notes = Vec::new();
        if jobs.is_some() && times.jobs != jobs {
            notes.push(match times.jobs {
                Some(jobs) => format!("no build with that many jobs is known; these had {jobs}"),
                None => "the number of jobs of these builds is not known".to_owned(),
            });
        }
        if times.extent == BuildExtent::Incremental {
            notes.push("only builds of a few of its files are known".to_owned());
        }
        Some(PackageHistoryAnswer {
            package_name: clean(package, 80),
            package_history: Some(told(times)),
            build_history_key: times.target.as_deref().map(|target| key(target, times.jobs)),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        })
    }
}

/// Returns the name of a history, as `home_j4`.
fn key(target: &str, jobs: Option<u32>) -> String {
    let target = clean(target, NAME);
    match jobs {
        Some(jobs) => format!("{target}_j{jobs}"),
        None => target,
    }
}

fn names<'p>(names: impl Iterator<Item = &'p str>) -> Vec<String> {
    names.map(|name| clean(name, NAME)).collect()
}

fn told(times: &PackageTimes) -> Told {
    let seconds = |ms: u64| (ms as f64 / 100.0).round() / 10.0;
    let file = |file: &nixmon_history::packages::Bottleneck| {
        let held = match file.holds_up_ms {
            0..1000 => String::new(),
            ms => format!(", holds up the rest for {} s", seconds(ms)),
        };
        format!("{} ({} s{held})", clean(&file.file, NAME), seconds(file.own_ms))
    };
    Told {
        avg_duration: Some(seconds(times.mean_ms)),
        confidence: Some(times.confidence),
        sample_count: u64::from(times.samples),
        typical_files: times.typical_files,
        bottleneck_files: times.bottleneck_files.iter().take(3).map(file).collect(),
    }
}

fn is_active(package: &Package) -> bool {
    matches!(package.status, PackageStatus::Compiling | PackageStatus::Linking)
}

/// Returns the packages on the longest way to the end, and those that are ready or in progress beside it.
fn ways(
    status: &Status,
    packages: &[Package],
    past: &BTreeMap<String, PackageHistory>,
) -> (Vec<String>, Vec<String>) {
    // Of derivations the estimate knows the whole graph.
    if !status.waits_for.is_empty() && !status.derivations.is_empty() {
        let all = |list: &[String]| names(list.iter().map(String::as_str));
        return (all(&status.waits_for), all(&status.parallel_opportunities));
    }
    let host = own_host();
    let usual_ms = |package: &Package| {
        let times = past.get(&package.name)?.best(&host, None)?;
        (times.extent == BuildExtent::Full).then_some(times.median_ms)
    };
    // Packages without a past are measured by their files, at the pace of those with one.
    let (ms, files) = packages.iter().fold((0, 0), |(ms, files), package| match usual_ms(package) {
        Some(usual) => (ms + usual, files + package.total.unwrap_or(1)),
        None => (ms, files),
    });
    let per_file = ms.checked_div(files).map_or(1000, |ms| ms.max(1));
    let is_open = |package: &Package| package.status != PackageStatus::Built;
    let left = |package: &Package| {
        let usual = usual_ms(package).unwrap_or_else(|| per_file * package.total.unwrap_or(1).max(1));
        let share = 1.0 - package.progress_pct.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0;
        Duration::from_millis((usual as f64 * share) as u64)
    };
    let links: Vec<Link<'_>> = packages
        .iter()
        .map(|package| Link {
            name: &package.name,
            depends_on: &package.depends_on,
            time: is_open(package).then(|| left(package)),
        })
        .collect();
    let path = longest_chain(&links).packages;
    let on_path: BTreeSet<&str> = path.iter().map(String::as_str).collect();
    let open: BTreeSet<&str> = packages.iter().filter(|p| is_open(p)).map(|p| p.name.as_str()).collect();
    let is_ready = |package: &&Package| {
        is_open(package)
            && !matches!(package.status, PackageStatus::Failed)
            && package.health != PackageHealth::Blocked
            && (is_active(package) || package.depends_on.iter().all(|on| !open.contains(on.as_str())))
    };
    let beside = packages.iter().filter(is_ready).map(|package| package.name.as_str());
    (names(path.iter().map(String::as_str)), names(beside.filter(|name| !on_path.contains(name))))
}

/// Makes rows of packages: those that failed, those in progress, and on demand all others.
fn rows(packages: &[Package], is_full: bool) -> Vec<Value> {
    let known: Vec<nixmon_progress::Package> =
        packages.iter().map(super::super::package_status::of_wire).collect();
    let order = nixmon_core::render::by_activity(&known);
    let of_name: BTreeMap<&str, &Package> = packages.iter().map(|p| (p.name.as_str(), p)).collect();
    let rows = order.iter().filter_map(|package| of_name.get(package.name.as_str()));
    let moves = |package: &&&Package| is_active(package) || package.status == PackageStatus::Failed;
    rows.filter(|package| is_full || moves(package)).map(|package| row(package, is_full)).collect()
}

/// Makes a row without the fields that say nothing.
fn row(package: &Package, is_full: bool) -> Value {
    let mut row = Map::new();
    let mut say = |name: &str, value: Option<Value>| {
        row.extend(value.map(|value| (name.to_owned(), value)));
    };
    let text = |text: &str| Value::from(clean(text, NAME));
    say("name", Some(text(&package.name)));
    say("status", serde_json::to_value(&package.status).ok());
    say("current_file", package.current_file.as_deref().map(text));
    say("done", Some(package.done.into()));
    say("total", package.total.map(Value::from));
    say("progress_pct", package.progress_pct.map(Value::from));
    say("elapsed_ms", package.elapsed_ms.filter(|_| is_full).map(Value::from));
    say("eta_ms", package.eta_ms.map(Value::from));
    let needs: Vec<String> = package.depends_on.iter().map(|name| clean(name, NAME)).collect();
    say("depends_on", (is_full && !needs.is_empty()).then(|| json!(needs)));
    let is_odd = package.health != PackageHealth::Ok;
    say("health", serde_json::to_value(&package.health).ok().filter(|_| is_full || is_odd));
    Value::Object(row)
}

/// Cuts an answer to a number of bytes: first rows at their end, then names.
fn fitted(mut answer: PackageStatusAnswer, limit: usize) -> PackageStatusAnswer {
    let len = |answer: &PackageStatusAnswer| serde_json::to_string(answer).map_or(0, |text| text.len());
    while len(&answer) > limit {
        let Some(progress) = &mut answer.build_progress else { break };
        let active = answer.active_packages.get_or_insert_default();
        let n_rows = progress.packages.len();
        let lists = [&mut progress.parallel_opportunities, active, &mut progress.critical_path];
        let longest = lists.into_iter().max_by_key(|list| list.len());
        match longest {
            // One row is worth more than the tenth name.
            Some(list) if list.len() > 4 || n_rows <= 1 && list.len() > 1 => drop(list.pop()),
            _ if n_rows > 0 => {
                progress.packages.pop();
                progress.omitted += 1;
            }
            Some(list) if !list.is_empty() => drop(list.pop()),
            _ => break,
        }
    }
    answer
}
