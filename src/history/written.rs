//! Times of files as build tools wrote them down, which are better than those of the lines: ninja prints ends only, and make
//! begins only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nixmon_core::wire::millis;
use nixmon_history::record::{PackageRecord, UnitRecord};
use nixmon_progress::packages::{Disk, Project, Read};
use nixmon_progress::{FileTime, cargo_timings, ninja_log};

/// The report of `cargo build --timings`, below the directory of a workspace.
const CARGO_TIMINGS: &str = "target/cargo-timings/cargo-timing.html";
/// Time by which the clock of a file system may be behind.
const SLACK: Duration = Duration::from_secs(2);

/// The directories in which the tools of a command write, and when it began.
#[derive(Clone, Debug)]
pub(super) struct Written {
    directories: Vec<PathBuf>,
    begun: SystemTime,
}

impl Written {
    pub(super) fn new(directories: Vec<PathBuf>, begun: SystemTime) -> Self {
        Self { directories, begun }
    }

    /// Puts the times that the command's tools wrote down in the place of those that lines told. What they do not name stays.
    pub(super) fn refine(&self, units: &mut [UnitRecord], packages: &mut [PackageRecord]) {
        for directory in &self.directories {
            let n_found = self.ninja(directory, units) + self.cargo(directory, units);
            if n_found > 0 {
                sum_up(units, packages);
                return;
            }
        }
    }

    /// Returns a file that was written since the command began.
    fn text(&self, directory: &Path, name: &str) -> Option<String> {
        let written = std::fs::metadata(directory.join(name)).ok()?.modified().ok()?;
        if written + SLACK < self.begun {
            return None;
        }
        Disk::new(directory).text(name)
    }

    /// Reads `.ninja_log`. Returns the number of units whose time it told.
    fn ninja(&self, directory: &Path, units: &mut [UnitRecord]) -> usize {
        let Some(times) = self.text(directory, ".ninja_log").as_deref().and_then(ninja_log) else { return 0 };
        let times: HashMap<&str, &FileTime> = times.iter().map(|time| (time.name.as_str(), time)).collect();
        let Some(project) = Project::read(&Disk::new(directory)) else { return 0 };
        // What a unit is called, and the output that ninja calls it.
        let mut outputs: HashMap<(&str, &str), &str> = HashMap::new();
        for target in &project.targets {
            for source in &target.sources {
                if let Some(object) = &source.object {
                    outputs.insert((&target.name, &source.path), object);
                }
            }
        }
        let mut n_found = 0;
        for unit in units {
            let package = unit.package.as_deref().unwrap_or_default();
            let output = outputs.get(&(package, unit.file.as_str())).copied().unwrap_or(&unit.file);
            if let Some(time) = times.get(output) {
                set(unit, time.started, time.elapsed);
                n_found += 1;
            }
        }
        n_found
    }

    /// Reads the report of `cargo build --timings`. Returns the number of crates whose time it told.
    fn cargo(&self, directory: &Path, units: &mut [UnitRecord]) -> usize {
        // It is below the directory of the workspace, which has the lock file.
        let workspace = directory.ancestors().find(|above| above.join("Cargo.lock").is_file());
        let text = workspace.and_then(|workspace| self.text(workspace, CARGO_TIMINGS));
        let Some(times) = text.as_deref().and_then(cargo_timings) else { return 0 };
        // A crate has several units: its build script, its library, its program.
        let mut crates: HashMap<&str, (Duration, Duration)> = HashMap::new();
        for time in &times {
            let name = time.name.split(' ').next().unwrap_or(&time.name);
            let end = time.started + time.elapsed;
            let span = crates.entry(name).or_insert((time.started, end));
            *span = (span.0.min(time.started), span.1.max(end));
        }
        let mut n_found = 0;
        for unit in units {
            if let Some((begin, end)) = unit.package.as_deref().and_then(|package| crates.get(package)) {
                set(unit, *begin, end.saturating_sub(*begin));
                n_found += 1;
            }
        }
        n_found
    }
}

fn set(unit: &mut UnitRecord, started: Duration, elapsed: Duration) {
    unit.started_ms = millis(started);
    unit.elapsed_ms = millis(elapsed);
}

/// Adds up the times of packages anew.
fn sum_up(units: &[UnitRecord], packages: &mut [PackageRecord]) {
    for package in packages {
        let of = || units.iter().filter(|unit| unit.package.as_deref() == Some(package.name.as_str()));
        let Some(begin) = of().map(|unit| unit.started_ms).min() else { continue };
        let end = of().map(|unit| unit.started_ms.saturating_add(unit.elapsed_ms)).max().unwrap_or(begin);
        let sum = |is_link: bool| -> Option<u64> {
            let of = of().filter(|unit| (unit.stage.as_deref() == Some("link")) == is_link);
            let sum: u64 = of.map(|unit| unit.elapsed_ms).sum();
            (sum > 0).then_some(sum)
        };
        (package.started_ms, package.elapsed_ms) = (begin, end - begin);
        (package.compile_ms, package.link_ms) = (sum(false), sum(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINJA: &str = "build CMakeFiles/a.dir/a.c.o: C_COMPILER__a /src/a.c\n\
        build CMakeFiles/a.dir/b.c.o: C_COMPILER__a /src/b.c\n\
        build liba.a: C_STATIC_LIBRARY_LINKER__a CMakeFiles/a.dir/a.c.o CMakeFiles/a.dir/b.c.o\n";
    const LOG: &str = "# ninja log v5\n5\t105\t1\tCMakeFiles/a.dir/a.c.o\tff\n10\t410\t1\tCMakeFiles/a.dir/b.c.o\tee\n410\t430\t1\tliba.a\tdd\n";

    fn unit(package: &str, file: &str, stage: &str) -> UnitRecord {
        UnitRecord {
            package: Some(package.to_owned()),
            file: file.to_owned(),
            stage: Some(stage.to_owned()),
            started_ms: 1000,
            elapsed_ms: 7,
            ..UnitRecord::default()
        }
    }

    /// Refines units among files that were written `age` before the command began.
    fn check(
        files: &[(&str, &str)],
        age: Duration,
        units: &[UnitRecord],
        expected: &[(u64, u64)],
    ) -> Vec<PackageRecord> {
        let temp = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = temp.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let begun = SystemTime::now() + age;
        let mut units = units.to_vec();
        let mut packages = vec![PackageRecord {
            name: units[0].package.clone().unwrap(),
            elapsed_ms: 9,
            files: 2,
            ..PackageRecord::default()
        }];
        let missing = temp.path().join("nowhere");
        Written::new(vec![missing, temp.path().to_owned()], begun).refine(&mut units, &mut packages);
        let times: Vec<(u64, u64)> = units.iter().map(|unit| (unit.started_ms, unit.elapsed_ms)).collect();
        assert_eq!(times, expected);
        packages
    }

    #[test]
    fn ninja_knows_the_times_of_its_files() {
        let files = [("build.ninja", NINJA), (".ninja_log", LOG)];
        let units = [
            unit("a", "/src/a.c", "compile"),
            unit("a", "/src/b.c", "compile"),
            unit("a", "liba.a", "link"),
            unit("other", "/src/a.c", "compile"),
        ];
        let packages = check(&files, Duration::ZERO, &units, &[(5, 100), (10, 400), (410, 20), (1000, 7)]);
        let package = &packages[0];
        assert_eq!((package.started_ms, package.elapsed_ms), (5, 425));
        assert_eq!((package.compile_ms, package.link_ms, package.files), (Some(500), Some(20), 2));
        // Of an earlier build.
        let packages = check(&files, Duration::from_secs(60), &units[..2], &[(1000, 7), (1000, 7)]);
        assert_eq!(packages[0].elapsed_ms, 9);
        check(&files[..1], Duration::ZERO, &units[..1], &[(1000, 7)]);
        check(&[files[0], (".ninja_log", "garbage")], Duration::ZERO, &units[..1], &[(1000, 7)]);
    }

    #[test]
    fn cargo_knows_the_times_of_its_crates() {
        let report = r#"<script>const UNIT_DATA = [{"name":"itoa","target":"","start":0.5,"duration":1.25},
            {"name":"itoa","target":" build script","start":0.1,"duration":0.2},{"name":"x","target":"","start":9,"duration":1}];"#;
        let files = [("target/cargo-timings/cargo-timing.html", report), ("Cargo.lock", "")];
        let units = [unit("itoa", "itoa", "compile"), unit("y", "y", "compile")];
        check(&files[..1], Duration::ZERO, &units, &[(1000, 7), (1000, 7)]);
        let packages = check(&files, Duration::ZERO, &units, &[(100, 1650), (1000, 7)]);
        assert_eq!((packages[0].elapsed_ms, packages[0].compile_ms), (1650, Some(1650)));
    }
}
