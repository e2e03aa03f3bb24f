//! The packages inside a build as a table.

use nixmon_progress::{Health, Package, Status};

use super::Style;
use super::inside::end_of_path;
use crate::text::{Column, Line, Role, duration, table, thousands};

/// Parts of a path that are shown of the file of the moment: its directory tells files of one name apart.
const PARTS: usize = 2;
/// Width from which on times have room beside the file of the moment.
const WIDE: usize = 80;
/// Rows of a table in the live view: more jobs are rare, and its reader looks at the first ones.
const MOST_MOVING: usize = 8;
const COLUMNS: [Column; 6] =
    [Column::cut_to(14), Column::FIXED, Column::NUMBER, Column::NUMBER, Column::NUMBER, Column::cut_to(8)];

/// Returns the packages that move: first those that failed, then those that are linked or compiled, the longest first.
pub fn moving(packages: &[Package]) -> Vec<&Package> {
    let mut moving: Vec<&Package> = packages
        .iter()
        .filter(|package| matches!(package.status, Status::Failed | Status::Linking | Status::Compiling))
        .collect();
    moving.sort_by(|a, b| {
        let is_failed = |package: &Package| package.status == Status::Failed;
        is_failed(b)
            .cmp(&is_failed(a))
            .then_with(|| b.elapsed.cmp(&a.elapsed))
            .then_with(|| a.name.cmp(&b.name))
    });
    moving
}

/// Returns all packages: those that move, then those that come next, then the others that wait, then those that are built.
pub fn by_activity(packages: &[Package]) -> Vec<&Package> {
    let is_built =
        |name: &String| packages.iter().all(|other| other.name != *name || other.status == Status::Built);
    let rank = |package: &&Package| match (package.status, package.health) {
        (Status::Queued, Health::Blocked) => 2,
        (Status::Queued, _) => u8::from(!package.depends_on.iter().all(is_built)),
        _ => 3,
    };
    let mut all = moving(packages);
    let mut others: Vec<&Package> =
        packages.iter().filter(|package| matches!(package.status, Status::Queued | Status::Built)).collect();
    others.sort_by_cached_key(|package| (rank(package), package.name.as_str()));
    all.extend(others);
    all
}

/// Lays out packages as rows at most `columns` wide.
pub fn packages(packages: &[&Package], columns: usize, style: &Style) -> Vec<Line> {
    let rows = packages.iter().map(|package| cells(package, columns >= WIDE, style)).collect();
    table(rows, &COLUMNS, columns, style.symbols.ellipsis)
}

/// Lays out the packages of a command that move, in as many rows as there are, of a project that has several.
pub(super) fn of_command(all: &[Package], rows: usize, columns: usize, style: &Style) -> Vec<Line> {
    // The line below says the same of a single one.
    if all.len() < 2 {
        return Vec::new();
    }
    let moving = moving(all);
    let n_shown = match rows.min(MOST_MOVING) {
        room if moving.len() <= room => moving.len(),
        room => room.saturating_sub(1),
    };
    let mut lines = packages(moving.get(..n_shown).unwrap_or_default(), columns, style);
    let n_more = moving.len() - n_shown;
    if n_more > 0 && rows > 0 {
        lines.push(Line::new().with(Role::Muted, format!("  and {n_more} more")));
    }
    lines
}

fn cells(package: &Package, is_wide: bool, style: &Style) -> Vec<Line> {
    let symbols = &style.symbols;
    let (symbol, role, status) = match (package.status, package.health) {
        (Status::Failed, _) => (symbols.failure, Role::Failure, "failed"),
        (Status::Built, _) => (symbols.success, Role::Success, "built"),
        (Status::Linking, _) => (symbols.running, Role::Running, "linking"),
        (Status::Compiling, Health::Slow) => (symbols.warning, Role::Warning, "slow"),
        (Status::Compiling, _) => (symbols.running, Role::Running, "compiling"),
        (Status::Queued, Health::Blocked) => (symbols.skipped, Role::Muted, "blocked"),
        (Status::Queued, _) => (symbols.waiting, Role::Muted, "queued"),
    };
    let name = Line::new().with(role, symbol).with(Role::Plain, " ").with(Role::Name, &package.name);
    let part = |role, text: Option<String>| Line::new().with(role, text.unwrap_or_default());
    let files = match (package.done, package.total) {
        (0, None) => None,
        (done, None) => Some(thousands(done)),
        (done, Some(total)) => Some(format!("{}/{}", thousands(done), thousands(total))),
    };
    // 100 % is the end.
    let is_built = package.status == Status::Built;
    let most = if is_built { 100.0 } else { 99.0 };
    let has_begun = package.status != Status::Queued || package.done > 0;
    let percent = package
        .progress_pct
        .filter(|_| has_begun)
        .map(|percent| format!("{:.0} %", percent.clamp(0.0, most).floor()));
    let elapsed = package.elapsed.filter(|_| is_wide).map(|elapsed| {
        let eta = package.eta.filter(|eta| eta.as_secs() > 0);
        match eta {
            Some(eta) => format!("{}, ~{} left", duration(elapsed), super::rough(eta)),
            None => duration(elapsed),
        }
    });
    vec![
        name,
        part(role, Some(status.to_owned())),
        part(Role::Plain, files),
        part(Role::Plain, percent.filter(|_| !is_built)),
        part(Role::Muted, elapsed),
        part(Role::Path, package.current_file.as_deref().map(|file| end_of_path(file, PARTS).to_owned())),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn package(name: &str, status: Status, done: u64, seconds: u64) -> Package {
        Package {
            name: name.to_owned(),
            status,
            current_file: matches!(status, Status::Compiling | Status::Failed)
                .then(|| format!("/home/demo/src/vm/{name}.cc")),
            done,
            total: Some(27),
            progress_pct: Some(100.0 * done as f64 / 27.0),
            elapsed: (seconds > 0).then(|| Duration::from_secs(seconds)),
            eta: (status == Status::Compiling).then(|| Duration::from_secs(90)),
            depends_on: Vec::new(),
            health: if status == Status::Failed { Health::Failed } else { Health::Ok },
        }
    }

    fn all() -> Vec<Package> {
        vec![
            Package { depends_on: vec!["core".to_owned()], ..package("app", Status::Queued, 0, 0) },
            package("base", Status::Built, 27, 4),
            package("core", Status::Compiling, 12, 63),
            package("driver", Status::Compiling, 26, 70),
            Package { health: Health::Slow, ..package("efun", Status::Compiling, 1, 2) },
            package("fmt", Status::Failed, 3, 1),
            Package { health: Health::Blocked, ..package("game", Status::Queued, 0, 0) },
            Package { depends_on: vec!["base".to_owned()], ..package("hash", Status::Queued, 0, 0) },
            package("ipc", Status::Linking, 27, 8),
        ]
    }

    fn check(packages_of: fn(&[Package]) -> Vec<&Package>, columns: usize, expected: &[&str]) {
        let all = all();
        let lines = packages(&packages_of(&all), columns, &Style::default());
        let said: Vec<String> = lines.iter().map(Line::plain).collect();
        assert_eq!(said, expected);
        assert!(lines.iter().all(|line| line.width() <= columns));
    }

    #[test]
    fn what_moves_is_shown() {
        check(
            moving,
            100,
            &[
                "✗ fmt     failed      3/27  11 %                  1s  vm/fmt.cc",
                "▶ driver  compiling  26/27  96 %  1m10s, ~1m30s left  vm/driver.cc",
                "▶ core    compiling  12/27  44 %  1m03s, ~1m30s left  vm/core.cc",
                "▶ ipc     linking    27/27  99 %                  8s",
                "⚠ efun    slow        1/27   3 %     2s, ~1m30s left  vm/efun.cc",
            ],
        );
        check(
            moving,
            38,
            &[
                "✗ fmt     failed      3/27  11 %  vm/…",
                "▶ driver  compiling  26/27  96 %  vm/…",
                "▶ core    compiling  12/27  44 %  vm/…",
                "▶ ipc     linking    27/27  99 %",
                "⚠ efun    slow        1/27   3 %  vm/…",
            ],
        );
    }

    #[test]
    fn rows_are_bounded() {
        let said = |packages: &[Package], rows| -> Vec<String> {
            of_command(packages, rows, 40, &Style::default()).iter().map(Line::plain).collect()
        };
        let all = all();
        assert_eq!(said(&all, 20).len(), 5);
        assert_eq!(said(&all, 5).len(), 5);
        let few = said(&all, 3);
        assert!(few[0].contains("fmt") && few[1].contains("driver") && few[2] == "  and 3 more", "{few:?}");
        assert_eq!(said(&all, 1), ["  and 5 more"]);
        assert_eq!(said(&all, 0), [""; 0]);
        let many: Vec<Package> =
            (0..30).map(|n| package(&format!("p{n}"), Status::Compiling, 1, 1)).collect();
        assert_eq!(said(&many, 40).last().unwrap(), "  and 23 more");
        assert_eq!(said(&many, 40).len(), MOST_MOVING);
        assert_eq!(said(&many[..1], 40), [""; 0]);
    }

    #[test]
    fn the_rest_comes_in_the_order_in_which_it_can_begin() {
        let all = all();
        let names: Vec<&str> = by_activity(&all).iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["fmt", "driver", "core", "ipc", "efun", "hash", "app", "game", "base"]);
    }
}
