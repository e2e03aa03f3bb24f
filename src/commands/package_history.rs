//! `nixmon history packages`.

use std::time::Duration;

use anyhow::Result;

use super::history::open;
use super::list::{COLUMNS, terminal_columns};
use super::{part, print_json, print_lines, symbols};
use crate::cli::PackageHistoryArgs;
use crate::exit_status::{ExitStatus, Failed};
use crate::packages::PackageHistoryRecord;
use crate::settings::Settings;
use nixmon_core::text::{Column, Line, Role, Symbols, count, duration, table};
use nixmon_history::packages::{
    BuildExtent, Gain, GainBasis, PackageHistory, PackageKind, PackageTimes, histories,
};
use nixmon_log::escapes::sanitize;

/// Packages that are listed.
const LISTED: usize = 40;

pub(super) fn print(settings: &Settings, args: &PackageHistoryArgs) -> Result<()> {
    let target = args.target.as_deref();
    let store = open(settings)?;
    let runs = match &args.name {
        Some(name) => store.package_runs(name, target)?,
        None => store.all_package_runs(target, args.runs)?,
    };
    let packages = histories(&runs);
    if let Some(name) = args.name.as_ref().filter(|_| packages.is_empty()) {
        let message = format!(
            "the history has no successful build of a package {}; `nixmon history packages` lists those it has",
            sanitize(name)
        );
        return Err(Failed::error(ExitStatus::NotFound, message));
    }
    if args.json {
        print_json(&PackageHistoryRecord::new(target, packages))?;
        return Ok(());
    }
    let width = terminal_columns().unwrap_or(COLUMNS);
    let symbols = symbols(settings);
    let mut lines = match &args.name {
        Some(_) => packages.iter().flat_map(|package| one(package, width, &symbols)).collect(),
        None => all(&packages, width, &symbols),
    };
    for line in &mut lines {
        line.truncate(width, symbols.ellipsis);
    }
    print_lines(settings, &lines)
}

/// Formats a time that was measured: `950ms`, `2m19s`.
pub(super) fn time(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { duration(Duration::from_millis(ms)) }
}

/// Renders a list of packages, one line each.
fn all(packages: &[PackageHistory], width: usize, symbols: &Symbols) -> Vec<Line> {
    if packages.is_empty() {
        return vec![part(Role::Plain, "no packages")];
    }
    const TABLE: [Column; 6] = [
        Column::cut_to(16),
        Column::NUMBER,
        Column::NUMBER,
        Column::NUMBER,
        Column::cut_to(10),
        Column::cut_to(12),
    ];
    let heads = ["PACKAGE", "TIME", "BUILDS", "FILES", "SLOWEST FILE", "MORE JOBS"];
    let mut cells = vec![heads.map(|text| part(Role::Muted, text)).to_vec()];
    for package in packages.iter().take(LISTED) {
        // The first is of full builds if there are any, with most samples.
        let Some(times) = package.times.first() else { continue };
        let builds: u64 = package.times.iter().map(|times| u64::from(times.samples)).sum();
        let slowest =
            times.bottleneck_files.first().map(|file| format!("{} {}", name(&file.file), time(file.own_ms)));
        cells.push(vec![
            part(Role::Name, &package.name),
            part(Role::Plain, time(times.median_ms)),
            part(Role::Plain, builds.to_string()),
            part(Role::Plain, times.typical_files.map_or_else(String::new, |files| files.to_string())),
            part(Role::Muted, slowest.unwrap_or_default()),
            part(Role::Muted, times.gain.map(|gain| short(&gain)).unwrap_or_default()),
        ]);
    }
    let mut lines = table(cells, &TABLE, width, symbols.ellipsis);
    if packages.len() > LISTED {
        let more = count((packages.len() - LISTED) as u64, "more package", "more packages");
        lines.push(part(Role::Muted, format!("{more}: nixmon history packages --json")));
    }
    lines
}

/// Returns the last part of a path.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn short(gain: &Gain) -> String {
    match (gain.more_jobs_help, gain.to_jobs) {
        (true, Some(to)) => format!("-j{to}: {:.1} times as fast", gain.factor),
        (true, None) => format!("up to {:.1} times as fast", gain.factor),
        (false, _) => "no gain".to_owned(),
    }
}

/// Renders all that is known of one package.
fn one(package: &PackageHistory, width: usize, symbols: &Symbols) -> Vec<Line> {
    let mut lines = Vec::new();
    for times in &package.times {
        let mut head = part(Role::Heading, &package.name);
        if package.kind == PackageKind::Derivation {
            head.push(Role::Muted, " (derivation)");
        }
        head.push(Role::Plain, ": ").push(Role::Emphasis, time(times.median_ms));
        head.push(Role::Plain, setting(times));
        lines.push(head);
        lines.push(part(Role::Plain, format!("  {}", spread(times))));
        lines.extend(shape(times).map(|text| part(Role::Plain, format!("  {text}"))));
        let files = times.bottleneck_files.iter().map(|file| {
            let mut held = part(Role::Plain, "");
            if file.holds_up_ms > 0 {
                held.push(Role::Warning, format!("holds up the rest for {}", time(file.holds_up_ms)));
            }
            vec![
                part(Role::Plain, format!("  {}", time(file.own_ms))),
                part(Role::Muted, format!("{:.0} %", file.share_pct)),
                part(Role::Path, &file.file),
                held,
            ]
        });
        const TABLE: [Column; 4] = [Column::NUMBER, Column::NUMBER, Column::cut_to(20), Column::cut_to(20)];
        lines.extend(table(files.collect(), &TABLE, width, symbols.ellipsis));
        lines.extend(times.gain.map(|gain| part(Role::Plain, format!("  {}", advice(times, &gain)))));
    }
    lines
}

/// Returns ` with -j4 on home (make), incremental`.
fn setting(times: &PackageTimes) -> String {
    let jobs = times.jobs.map(|jobs| format!(" with -j{jobs}")).unwrap_or_default();
    let host = if times.host.is_empty() { String::new() } else { format!(" on {}", times.host) };
    let target = times.target.as_deref().map(|target| format!(" ({target})")).unwrap_or_default();
    let extent = if times.extent == BuildExtent::Incremental { ", incremental" } else { "" };
    format!("{jobs}{host}{target}{extent}")
}

fn spread(times: &PackageTimes) -> String {
    let builds = count(u64::from(times.samples), "build", "builds");
    let range = if times.samples > 1 {
        format!(", {} to {}", time(times.min_ms), time(times.max_ms))
    } else {
        String::new()
    };
    format!("{builds}{range}; confidence {:.0} %", 100.0 * times.confidence)
}

/// Returns what such a build does: `27 files, 1.9 at a time; 92 % compiling, 8 % linking`.
fn shape(times: &PackageTimes) -> Option<String> {
    let files = count(times.typical_files?, "file", "files");
    let at_once = times.parallelism.map(|n| format!(", {n:.1} at a time")).unwrap_or_default();
    let shares = match (times.compile_share_pct, times.link_share_pct) {
        (Some(compile), Some(link)) => format!("; {compile:.0} % compiling, {link:.0} % linking"),
        _ => String::new(),
    };
    Some(format!("{files}{at_once}{shares}"))
}

fn advice(times: &PackageTimes, gain: &Gain) -> String {
    match (gain.basis, gain.to_jobs, gain.more_jobs_help) {
        (GainBasis::Seen, Some(to), true) => format!("-j{to} is {:.1} times as fast", gain.factor),
        (GainBasis::Seen, Some(to), false) => format!("-j{to} brings nothing"),
        (_, _, true) => format!("more jobs could make it up to {:.1} times as fast", gain.factor),
        _ if times.uses(gain.from_jobs) == Some(false) => {
            "more jobs would not help: those it has are not all busy".to_owned()
        }
        _ => "more jobs would not help: its longest file and its links decide".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nixmon_history::packages::{PackageFile, PackageRun};

    fn run(name: &str, jobs: u32, elapsed_ms: u64) -> PackageRun {
        let file = |file: &str, start_ms, elapsed_ms, is_link| PackageFile {
            file: file.to_owned(),
            is_link,
            start_ms,
            elapsed_ms,
        };
        PackageRun {
            name: name.to_owned(),
            target: Some("make".to_owned()),
            host: "home".to_owned(),
            jobs: Some(jobs),
            elapsed_ms,
            n_files: 3,
            compile_ms: Some(11_000),
            link_ms: Some(1000),
            files: vec![
                file("/src/a.c", 0, 500, false),
                file("/src/big.cc", 0, 10_000, false),
                file("/src/c.c", 500, 500, false),
                file("app", 10_000, 1000, true),
            ],
            ..PackageRun::default()
        }
    }

    fn said(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::plain).collect()
    }

    #[test]
    fn a_list_of_packages() {
        let packages =
            histories(&[run("core", 2, 11_000), run("core", 2, 13_000), run("b\u{1b}[1m", 4, 900)]);
        let symbols = Symbols::new(false);
        assert_eq!(
            said(&all(&packages, 100, &symbols)),
            [
                "PACKAGE   TIME  BUILDS  FILES  SLOWEST FILE  MORE JOBS",
                "core       12s       2      3  big.cc 10s    no gain",
                "b        900ms       1      3  big.cc 10s    no gain",
            ]
        );
        assert!(all(&packages, 40, &symbols).iter().all(|line| line.width() <= 40));
        assert_eq!(said(&all(&[], 40, &symbols)), ["no packages"]);
    }

    #[test]
    fn all_of_one_package() {
        let packages = histories(&[run("core", 2, 11_000), run("core", 2, 13_000), run("core", 4, 5000)]);
        assert_eq!(
            said(&one(&packages[0], 100, &Symbols::new(false))),
            [
                "core: 12s with -j2 on home (make)",
                "  2 builds, 11s to 13s; confidence 43 %",
                "  3 files, 1.1 at a time; 92 % compiling, 8 % linking",
                "    10s  91 %  /src/big.cc  holds up the rest for 9s",
                "  500ms   4 %  /src/a.c",
                "  500ms   4 %  /src/c.c",
                "  -j4 is 2.4 times as fast",
                "core: 5s with -j4 on home (make)",
                "  1 build; confidence 33 %",
                "  3 files, 1.1 at a time; 92 % compiling, 8 % linking",
                "    10s  91 %  /src/big.cc  holds up the rest for 9s",
                "  500ms   4 %  /src/a.c",
                "  500ms   4 %  /src/c.c",
                "  more jobs would not help: those it has are not all busy",
            ]
        );
    }
}
