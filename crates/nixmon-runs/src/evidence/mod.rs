//! Logs that exist when a run has ended: of failed builds and of the units of an activation.

mod patterns;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use patterns::{ServiceLogs, check_pattern};

use nixmon_core::activation::{Run, RunStage, Scope, Unit, agent_logs, plist_logs};
use nixmon_core::excerpt::excerpt;
use nixmon_core::render;
use nixmon_core::state::State;
use nixmon_core::view::{Evidence, ServiceLog, StepLog};
use nixmon_log::escapes::{sanitize, strip_escapes};

/// Greatest number of units whose logs are looked for; a report has no room for more.
const MAX_UNITS: usize = 16;
/// Bytes read from the end of a log.
const MAX_READ: u64 = 64 << 10;
/// Lines among which telling ones are sought; older ones belong to another failure.
const LAST_LINES: usize = 60;
/// Lines shown of each log.
const SHOWN: usize = 4;
/// Size limit of an agent's plist.
const MAX_PLIST: u64 = 256 << 10;
/// Tolerance for file systems with inexact times, and for a clock that was set.
const TOLERANCE: Duration = Duration::from_secs(2);

/// Places where logs are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Patterns for the logs of services.
    pub service_logs: ServiceLogs,
    /// Nix's log directory.
    pub log_dir: String,
    /// The user's home directory.
    pub home: Option<String>,
    /// Targets of the configuration that switch to what a flake says.
    pub switches: Vec<SwitchTarget>,
    /// The run is one of another machine, whose files are not here: none are looked for. Paths in a recording come from there,
    /// and must not name files of this machine.
    pub is_elsewhere: bool,
}

/// A target that switches to a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchTarget {
    /// The name.
    pub name: String,
    /// The directory in which its command runs; without one it is that of whoever starts it.
    pub directory: Option<PathBuf>,
}

/// Looks for the logs of failed builds and of an activation's units. `begun_at` is the time at which the stream began, if
/// it is read as it comes.
pub fn evidence(state: &State, places: &Places, begun_at: Option<SystemTime>) -> Evidence {
    if places.is_elsewhere {
        return Evidence::default();
    }
    let mut log_files = render::log_files(state, &places.log_dir);
    log_files.retain(|file| Path::new(file).exists());
    let began = state.activation().runs().next().and_then(|run| begun_at?.checked_add(run.began_at));
    let mut service_logs = Vec::new();
    let mut step_logs = Vec::new();
    let mut seen = BTreeSet::new();
    // The logs of other machines are there.
    for run in state.activation().runs().filter(|run| run.node.is_none()) {
        let units = run.units();
        let has_failed = matches!(run.stage, RunStage::Failed | RunStage::RolledBack);
        if has_failed && units.failed.is_empty() {
            let files = files_of_step(run, places, began).into_iter();
            step_logs.extend(files.map(|file| StepLog { run: run.id, file }));
        }
        let failed = units.failed.iter().map(|unit| (unit, true));
        let affected = [&units.restarted, &units.started, &units.reloaded];
        let others = affected.into_iter().flatten().map(|unit| (unit, false));
        for (unit, failed) in failed.chain(others) {
            if seen.len() < MAX_UNITS && seen.insert(unit.clone()) {
                service_logs.extend(unit_logs(run, unit, failed, places, began));
            }
        }
    }
    let switches = switches_to(&state.flake_inputs().lock_files, &places.switches);
    Evidence { log_files, service_logs, step_logs, switches, switch_began: began.and_then(local_time) }
}

/// Returns the existing logs that the configuration names for the failed step of an activation, for its snippets that failed, or
/// for the tool.
fn files_of_step(run: &Run, places: &Places, began: Option<SystemTime>) -> Vec<String> {
    /// Snippets whose logs are looked for.
    const MOST: usize = 4;
    let snippets = run.failed_snippets().iter().map(|snippet| snippet.step.as_str()).take(MOST);
    let names = run.failed_step.as_deref().into_iter().chain(snippets);
    let mut files: Vec<String> = Vec::new();
    for name in names.chain([run.tool.name()]) {
        for file in places.service_logs.files(name, places.home.as_deref()) {
            let Ok(metadata) = std::fs::metadata(&file) else { continue };
            // A log that this switch did not write says nothing about it.
            if metadata.is_file() && !is_older(&metadata, began) && !files.contains(&file) {
                files.push(file);
            }
        }
    }
    files
}

/// Returns whether a file was last written before a time.
fn is_older(metadata: &std::fs::Metadata, than: Option<SystemTime>) -> bool {
    than.zip(metadata.modified().ok()).is_some_and(|(than, modified)| {
        modified.checked_add(TOLERANCE).is_some_and(|modified| modified < than)
    })
}

/// Returns the names of the targets that run in a directory of these lock files.
fn switches_to(lock_files: &[String], targets: &[SwitchTarget]) -> Vec<String> {
    let here = |path: &Path| std::fs::canonicalize(path).ok();
    let flakes: BTreeSet<PathBuf> =
        lock_files.iter().filter_map(|file| here(Path::new(file).parent()?)).collect();
    let runs_there = |target: &&SwitchTarget| {
        let directory = target.directory.as_deref().unwrap_or(Path::new("."));
        here(directory).is_some_and(|directory| flakes.contains(&directory))
    };
    targets.iter().filter(runs_there).map(|target| target.name.clone()).collect()
}

fn unit_logs(
    run: &Run,
    unit: &Unit,
    failed: bool,
    places: &Places,
    began: Option<SystemTime>,
) -> Vec<ServiceLog> {
    let own_home = places.home.as_deref();
    let home = match &unit.scope {
        // `~` of another user is not ours.
        Scope::User(Some(user)) => own_home.filter(|home| home.rsplit('/').next() == Some(user)),
        _ => own_home,
    };
    let configured = places.service_logs.files(&unit.name, home).into_iter().map(|file| (file, true));
    let named = agent_files(run, unit, own_home).into_iter().map(|file| (file, false));
    let mut logs: Vec<ServiceLog> = Vec::new();
    for (file, configured) in configured.chain(named) {
        let Ok(metadata) = std::fs::metadata(&file) else { continue };
        // An unreadable file is no help, and a pipe or a device has no end.
        if !metadata.is_file() || logs.iter().any(|log| log.file == file) {
            continue;
        }
        let is_old = is_older(&metadata, began);
        // One log says why; what was written before the switch does not.
        let wanted = failed && !is_old && logs.iter().all(|log| log.lines.is_empty());
        let lines = if wanted { last_lines(&file).unwrap_or_default() } else { Vec::new() };
        logs.push(ServiceLog { unit: unit.clone(), file, configured, lines });
    }
    logs
}

/// Returns the log files of an agent or a daemon of launchd: from its plist, else as is known of it.
fn agent_files(run: &Run, unit: &Unit, own_home: Option<&str>) -> Vec<String> {
    let Scope::Launchd { domain } = &unit.scope else { return Vec::new() };
    let label = &unit.name;
    let home = run.home.as_deref().or(own_home);
    if label.contains('/') {
        return Vec::new();
    }
    let system = ["/Library/LaunchDaemons", "/Library/LaunchAgents"].map(str::to_owned);
    let user = home.map(|home| format!("{home}/Library/LaunchAgents"));
    let dirs = if domain == "system" { None } else { user }.into_iter().chain(system);
    let plist = dirs.map(|dir| format!("{dir}/{label}.plist")).find_map(|path| {
        let mut text = String::new();
        File::open(path).ok()?.take(MAX_PLIST).read_to_string(&mut text).ok()?;
        Some(plist_logs(&text))
    });
    let mut files = plist.unwrap_or_default();
    files.extend(home.into_iter().flat_map(|home| agent_logs(label, home)));
    files
}

/// Reads the last telling lines of a log.
fn last_lines(file: &str) -> std::io::Result<Vec<String>> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(MAX_READ);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(MAX_READ).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may have lost its beginning.
    let whole = if begin > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    let lines: Vec<String> = whole.lines().map(clean).filter(|line| !line.is_empty()).collect();
    let last: Vec<&str> =
        lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).map(String::as_str).collect();
    Ok(excerpt(&last, SHOWN).into_iter().map(|line| line.line.to_owned()).collect())
}

fn clean(line: &str) -> String {
    sanitize(nixmon_log::escapes::last_carriage(&strip_escapes(line))).trim_end().to_owned()
}

/// `2026-08-20 10:12:03`, in the time zone of this machine.
fn local_time(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?.to_zoned(jiff::tz::TimeZone::system());
    Some(time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
