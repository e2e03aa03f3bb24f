//! `nixmon packages`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;

use super::list::{COLUMNS, terminal_columns};
use super::{part, print_json, print_lines, symbols};
use crate::cli::PackagesArgs;
use crate::drive::history_file;
use crate::exit_status::{ExitStatus, Failed};
use crate::history::Context;
use crate::packages::{Basis, NotFound, PackageKind, PackageRow, PackagesRecord, PastPlace, find};
use crate::settings::Settings;
use nixmon_core::render::rough;
use nixmon_core::text::{Column, Line, Role, Symbols, bytes, count, table};

/// Packages that are listed unless all are asked for.
const LISTED: usize = 40;
/// Packages of the longest chain that are named: the first and the last of them.
const CHAIN: usize = 8;
const TABLE: [Column; 5] =
    [Column::cut_to(16), Column::NUMBER, Column::FIXED, Column::NUMBER, Column::cut_to(12)];

pub(super) fn packages(settings: &Settings, args: &PackagesArgs) -> Result<ExitStatus> {
    let history = Context::here(&history_file(settings))
        .map(|context| PastPlace { path: context.path, host: context.host });
    let record = find(args.place.as_deref(), history.as_ref()).map_err(|error| {
        let status = match error {
            NotFound::NoDirectory(_) | NotFound::Nothing { .. } => ExitStatus::NotFound,
            NotFound::Tool { .. } => ExitStatus::Failure,
        };
        Failed::error(status, error.to_string())
    })?;
    if args.json {
        print_json(&record)?;
    } else {
        let width = terminal_columns().unwrap_or(COLUMNS);
        let here = std::env::current_dir().ok();
        let here = here.as_deref().and_then(|here| here.to_str());
        print_lines(settings, &lines(&record, args, here, width, &symbols(settings)))?;
    }
    Ok(ExitStatus::Success)
}

/// Renders packages, at most `width` columns wide. Paths below `here` are shown from there.
fn lines(
    record: &PackagesRecord,
    args: &PackagesArgs,
    here: Option<&str>,
    width: usize,
    symbols: &Symbols,
) -> Vec<Line> {
    let path: BTreeSet<&str> = record.critical_path.packages.iter().map(String::as_str).collect();
    let rows = shown(record, &path, args.all);
    let mut lines = head(record, here, symbols);
    let mut cells =
        vec![["PACKAGE", "FILES", "", "TIME", "NEEDS"].map(|text| part(Role::Muted, text)).to_vec()];
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let all: BTreeMap<&str, &PackageRow> =
        record.packages.iter().map(|row| (row.name.as_str(), row)).collect();
    cells.extend(rows.iter().map(|row| self::cells(row, &path, &names, &all)));
    let mut table = table(cells, &TABLE, width, symbols.ellipsis).into_iter();
    lines.extend(table.next());
    for (row, line) in rows.iter().zip(table) {
        lines.push(line);
        if args.sources {
            lines.extend(sources(row, &record.place));
        }
    }
    lines.extend(left_out(record, rows.len()));
    for line in &mut lines {
        line.truncate(width, symbols.ellipsis);
    }
    lines
}

/// Returns a line on what the table lacks.
fn left_out(record: &PackagesRecord, n_shown: usize) -> Option<Line> {
    let n_all = record.packages.len();
    let n_work = record.packages.iter().filter(|row| is_work(row)).count();
    // A table of all has more than the packages that are built.
    let (n_work, n_others) =
        if n_shown > n_work { (0, n_all - n_shown) } else { (n_work - n_shown, n_all - n_work) };
    let mut parts = Vec::new();
    if n_work > 0 {
        parts.push(count(n_work as u64, "more package", "more packages"));
    }
    if n_others > 0 {
        let is_cargo = record.packages.iter().any(|row| !row.is_own);
        let (one, many) = if is_cargo { ("crate", "crates") } else { ("target", "targets") };
        let why = if is_cargo { "from elsewhere" } else { "that a plain build leaves out" };
        parts.push(format!("{} {why}", count(n_others as u64, one, many)));
    }
    (!parts.is_empty())
        .then(|| part(Role::Muted, format!("not listed: {} (nixmon packages --all)", parts.join(", "))))
}

/// Returns whether a package is built, and is part of the project itself.
fn is_work(row: &PackageRow) -> bool {
    let does_something = row.kind == PackageKind::Derivation || !row.sources.is_empty();
    row.is_own && row.is_built && does_something
}

/// Renders the lines above the table.
fn head(record: &PackagesRecord, here: Option<&str>, symbols: &Symbols) -> Vec<Line> {
    let own = || record.packages.iter().filter(|row| row.is_own && row.is_built);
    let n_files: usize = own().map(|row| row.sources.len()).sum();
    let own = || own().filter(|row| is_work(row));
    let (one, many) = match record.packages.first().map(|row| row.kind) {
        Some(PackageKind::Derivation) => ("derivation", "derivations"),
        _ => ("package", "packages"),
    };
    let mut first = Line::new().with(Role::Heading, count(own().count() as u64, one, many));
    if n_files > 0 {
        first.push(Role::Plain, format!(" of {}", count(n_files as u64, "file", "files")));
    }
    let n_others = record.packages.iter().filter(|row| !row.is_own && row.is_built).count();
    if n_others > 0 {
        first
            .push(Role::Plain, format!(", and {} from elsewhere", count(n_others as u64, "crate", "crates")));
    }
    first.push(Role::Plain, " in ").push(Role::Path, from_here(&record.place, here));
    first.push(Role::Muted, format!(" (from {})", record.origin.in_words()));
    let mut lines = vec![first];
    if !record.other_places.is_empty() {
        let others: Vec<&str> = record.other_places.iter().map(|place| from_here(place, here)).collect();
        lines.push(part(Role::Muted, format!("also configured, earlier: {}", others.join(", "))));
    }
    let chain = &record.critical_path.packages;
    if chain.len() > 1 {
        let mut line = part(Role::Plain, "longest chain");
        if let Some(ms) = record.critical_path.expected_ms {
            let is_seen = |name: &String| {
                let row = record.packages.iter().find(|row| row.name == *name);
                row.is_some_and(|row| row.expected_from == Some(Basis::History))
            };
            line.push(Role::Plain, format!(", {}", time(ms, chain.iter().all(is_seen))));
        }
        line.push(Role::Plain, ": ");
        let names: Vec<&str> = chain.iter().map(String::as_str).collect();
        let arrow = format!(" {} ", symbols.arrow);
        let text = if names.len() <= CHAIN {
            names.join(&arrow)
        } else {
            let (first, last) = (&names[..CHAIN / 2], &names[names.len() - CHAIN / 2..]);
            let between = format!("{} {} more", symbols.ellipsis, names.len() - CHAIN);
            [first, &[between.as_str()], last].concat().join(&arrow)
        };
        line.push(Role::Name, text);
        lines.push(line);
    }
    lines
}

/// Returns a path from this directory on.
fn from_here<'p>(path: &'p str, here: Option<&str>) -> &'p str {
    let Some(rest) = here.and_then(|here| path.strip_prefix(here)) else { return path };
    match rest.strip_prefix('/') {
        Some(inside) => inside,
        None if rest.is_empty() => "this directory",
        None => path,
    }
}

/// Returns a time in words, with `~` before one that no build has shown.
fn time(ms: u64, is_seen: bool) -> String {
    if ms < 1000 {
        return "<1s".to_owned();
    }
    let sign = if is_seen { "" } else { "~" };
    format!("{sign}{}", rough(Duration::from_millis(ms)))
}

/// Chooses the packages to show, in the order in which they are built.
fn shown<'r>(record: &'r PackagesRecord, path: &BTreeSet<&str>, all: bool) -> Vec<&'r PackageRow> {
    let mut order = in_order(&record.packages);
    if all {
        return order;
    }
    order.retain(|row| is_work(row));
    if order.len() > LISTED {
        let mut needs: BTreeMap<&str, usize> = BTreeMap::new();
        for name in record.packages.iter().flat_map(|row| &row.depends_on) {
            *needs.entry(name).or_default() += 1;
        }
        let mut ranked = order.clone();
        // What decides how long a build takes, and then what most others wait for.
        ranked.sort_by_key(|row| {
            let name = row.name.as_str();
            (!path.contains(name), std::cmp::Reverse((row.expected_ms, needs.get(name).copied())))
        });
        let kept: BTreeSet<&str> = ranked.iter().take(LISTED).map(|row| row.name.as_str()).collect();
        order.retain(|row| kept.contains(row.name.as_str()));
    }
    order
}

/// Returns packages such that each comes after those that it needs; of equals by name. Cycles are cut.
fn in_order(rows: &[PackageRow]) -> Vec<&PackageRow> {
    let index: BTreeMap<&str, usize> =
        rows.iter().enumerate().map(|(at, row)| (row.name.as_str(), at)).collect();
    let mut order = Vec::with_capacity(rows.len());
    let mut seen = vec![false; rows.len()];
    for start in 0..rows.len() {
        let mut stack = vec![(start, false)];
        while let Some((at, is_left)) = stack.pop() {
            let Some(row) = rows.get(at) else { continue };
            if is_left {
                order.push(row);
            } else if !std::mem::replace(&mut seen[at], true) {
                stack.push((at, true));
                let needed = row.depends_on.iter().rev().filter_map(|name| index.get(name.as_str()).copied());
                stack.extend(needed.filter(|on| !seen[*on]).map(|on| (on, false)));
            }
        }
    }
    order
}

fn cells(
    row: &PackageRow,
    path: &BTreeSet<&str>,
    shown: &BTreeSet<&str>,
    all: &BTreeMap<&str, &PackageRow>,
) -> Vec<Line> {
    let is_on_path = path.contains(row.name.as_str());
    let name = part(if is_on_path { Role::Emphasis } else { Role::Name }, &row.name);
    let files = match row.sources.len() {
        0 => Line::new(),
        n => part(Role::Plain, n.to_string()),
    };
    let languages: Vec<String> = row.languages.iter().map(|count| in_words(&count.language)).collect();
    let languages = part(Role::Muted, languages.join("/"));
    let time = row
        .expected_ms
        .map_or_else(Line::new, |ms| part(Role::Plain, time(ms, row.expected_from == Some(Basis::History))));
    let direct = direct_needs(row, all);
    let named: Vec<&str> = direct.iter().copied().filter(|name| shown.contains(name)).collect();
    let is_built =
        |name: &&&str| all.get(**name).is_some_and(|row| row.kind != PackageKind::Utility && row.is_built);
    let n_others = direct.iter().filter(is_built).count().saturating_sub(named.len());
    let mut needs = named.join(", ");
    if n_others > 0 {
        let sign = if needs.is_empty() { "" } else { ", " };
        needs.push_str(&format!("{sign}+{n_others}"));
    }
    let mut needs = part(Role::Plain, needs);
    if !row.is_built {
        needs.push(
            Role::Muted,
            if needs.is_empty() { "not built by default" } else { ", not built by default" },
        );
    }
    vec![name, files, languages, time, needs]
}

/// Returns the packages that one needs and that no other of them needs: the rest follows from these.
fn direct_needs<'r>(row: &'r PackageRow, all: &BTreeMap<&str, &'r PackageRow>) -> Vec<&'r str> {
    let mut indirect: BTreeSet<&str> = BTreeSet::new();
    let own: BTreeSet<&str> = row.depends_on.iter().map(String::as_str).collect();
    for first in &own {
        // In a cycle each follows from the other; one that is known to follow leads no further.
        if indirect.contains(first) {
            continue;
        }
        let mut stack: Vec<&str> = vec![first];
        let mut seen = BTreeSet::from([*first]);
        while let Some(name) = stack.pop() {
            for next in all.get(name).into_iter().flat_map(|row| &row.depends_on) {
                if seen.insert(next) {
                    indirect.insert(next);
                    stack.push(next);
                }
            }
        }
    }
    own.into_iter().filter(|name| !indirect.contains(name)).collect()
}

/// Returns a language as people write it.
fn in_words(language: &str) -> String {
    let mut chars = language.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

fn sources(row: &PackageRow, place: &str) -> Vec<Line> {
    let line = |path: &str, size: Option<u64>| {
        let mut line = part(Role::Path, format!("    {}", from_here(path, Some(place))));
        if let Some(size) = size {
            line.push(Role::Muted, format!("  {}", bytes(size)));
        }
        line
    };
    let files = row.sources.iter().map(|source| line(&source.path, source.bytes));
    row.derivation.iter().map(|path| line(path, None)).chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::CriticalPath;
    use nixmon_core::text::Symbols;

    fn row(name: &str, needs: &[&str], n_files: usize, ms: u64) -> PackageRow {
        let mut row = PackageRow::for_tests(name, needs, n_files);
        row.expected_ms = Some(ms).filter(|ms| *ms > 0);
        row.expected_from = row.expected_ms.map(|_| Basis::Sources);
        row
    }

    fn check(rows: Vec<PackageRow>, chain: &[&str], args: &[&str], width: usize, expected: &[&str]) {
        let mut record = PackagesRecord::for_tests("/home/demo/app/build", rows);
        record.critical_path = CriticalPath {
            packages: chain.iter().map(|name| (*name).to_owned()).collect(),
            expected_ms: Some(90_000),
        };
        let args = PackagesArgs {
            place: None,
            sources: args.contains(&"sources"),
            all: args.contains(&"all"),
            json: false,
        };
        let symbols = Symbols::new(false);
        let lines = lines(&record, &args, Some("/home/demo/app"), width, &symbols);
        let said: Vec<String> = lines.iter().map(Line::plain).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn packages_are_listed_in_the_order_of_the_build() {
        let rows = vec![
            row("app", &["base", "gen", "mid"], 1, 2000),
            row("base", &[], 3, 400),
            row("gen", &[], 0, 0),
            row("mid", &["base"], 12, 61_000),
        ];
        check(
            rows.clone(),
            &["base", "mid", "app"],
            &[],
            80,
            &[
                "3 packages of 16 files in build (from CMake's file API)",
                "longest chain, ~1m30s: base → mid → app",
                "PACKAGE  FILES       TIME  NEEDS",
                "base         3  C     <1s",
                "mid         12  C  ~1m01s  base",
                "app          1  C     ~2s  mid",
                "not listed: 1 target that a plain build leaves out (nixmon packages --all)",
            ],
        );
        let rows = rows.into_iter().filter(|row| row.name != "mid").collect();
        check(
            rows,
            &["base", "mid", "app"],
            &["sources"],
            30,
            &[
                "2 packages of 4 files in buil…",
                "longest chain, ~1m30s: base →…",
                "PACKAGE  FILES     TIME  NEEDS",
                "base         3  C   <1s",
                "    0.c  7 B",
                "    1.c  7 B",
                "    2.c  7 B",
                "app          1  C   ~2s  base",
                "    0.c  7 B",
                "not listed: 1 target that a p…",
            ],
        );
    }

    #[test]
    fn of_many_packages_those_that_decide_are_listed() {
        let mut rows: Vec<PackageRow> = (0..60).map(|n| row(&format!("p{n:02}"), &[], 1, 10 * n)).collect();
        rows.push(row("root", &["p00"], 1, 1));
        let mut record = PackagesRecord::for_tests("/b", rows);
        record.critical_path =
            CriticalPath { packages: vec!["p00".to_owned(), "root".to_owned()], expected_ms: None };
        let path: BTreeSet<&str> = ["p00", "root"].into();
        let names: Vec<&str> = shown(&record, &path, false).iter().map(|row| row.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[1], names[39]), (LISTED, "p00", "p22", "root"));
        assert_eq!(shown(&record, &path, true).len(), 61);
        assert_eq!(
            left_out(&record, LISTED).unwrap().plain(),
            "not listed: 21 more packages (nixmon packages --all)"
        );
        assert_eq!(left_out(&record, 61), None);
    }

    #[test]
    fn needs_that_follow_from_others_are_left_out() {
        let rows = [
            row("a", &["b", "c", "d"], 1, 0),
            row("b", &["c"], 1, 0),
            row("c", &[], 1, 0),
            row("d", &["e"], 1, 0),
            row("e", &["d"], 1, 0),
            row("f", &["d", "e"], 1, 0),
        ];
        let all: BTreeMap<&str, &PackageRow> = rows.iter().map(|row| (row.name.as_str(), row)).collect();
        assert_eq!(direct_needs(&rows[0], &all), ["b", "d"]);
        // A cycle is entered at one place.
        assert_eq!(direct_needs(&rows[5], &all), ["d"]);
        assert_eq!(in_order(&rows).iter().map(|row| row.name.as_str()).collect::<String>(), "cbedaf");
    }
}
