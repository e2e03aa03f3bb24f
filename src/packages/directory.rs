//! The packages of a directory.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nixmon_progress::packages::{Disk, Origin, Project};

use super::past::PastPlace;
use super::record::PackagesRecord;
use super::{NotFound, cargo, derivations, with_critical_path};

/// Directories below a project in which builds are configured, as CMake's manual, CLion and Visual Studio name them.
const BUILD_DIRS: [&str; 2] = ["build", "out"];
/// Beginning of CLion's names of build directories.
const CLION: &str = "cmake-build-";
/// Deepest level below a [`BUILD_DIRS`] at which presets put their build directories: `build/release`, `out/build/x64-debug`.
const PRESET_DEPTH: usize = 2;
/// Directories that are looked into.
const MOST_DIRS: usize = 256;

/// Finds the packages of a place: a directory, or what Nix can build if it is named. `history` is the database with their
/// times.
///
/// # Errors
///
/// If there are none, with what to do about it.
pub(crate) fn find(place: Option<&str>, history: Option<&PastPlace>) -> Result<PackagesRecord, NotFound> {
    let record = match place {
        Some(place) if derivations::is_named(place) && !Path::new(place).is_dir() => {
            derivations::read(place)?
        }
        _ => in_directory(Path::new(place.unwrap_or(".")))?,
    };
    Ok(with_critical_path(super::past::with_times(record, history)))
}

fn in_directory(dir: &Path) -> Result<PackagesRecord, NotFound> {
    let shown = || dir.display().to_string();
    let dir =
        dir.canonicalize().ok().filter(|dir| dir.is_dir()).ok_or_else(|| NotFound::NoDirectory(shown()))?;
    // What was configured says what is built; a list of files only says what may be.
    if let Some(record) = configured(&dir) {
        return Ok(record);
    }
    let mut refusal = None;
    if dir.join("Cargo.toml").is_file() {
        match cargo::read(&dir) {
            Ok(record) => return Ok(record),
            Err(error) => refusal = Some(error),
        }
    }
    let mut below: Vec<(SystemTime, PackagesRecord)> =
        build_dirs(&dir).iter().filter_map(|dir| Some((configured_at(dir)?, configured(dir)?))).collect();
    // The newest is the one that is worked with; of equals the first by name.
    below.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.place.cmp(&b.1.place)));
    let mut below = below.into_iter().map(|(_, record)| record);
    if let Some(record) = below.next() {
        return Ok(PackagesRecord { other_places: below.map(|other| other.place).collect(), ..record });
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    if has_lists(&dir)
        && let Some(project) = Project::from_cmake_lists(&Disk::new(&dir), ".")
    {
        return Ok(PackagesRecord::of_project(dir.display().to_string(), &project));
    }
    // A directory inside a crate.
    if dir.ancestors().skip(1).any(|above| above.join("Cargo.toml").is_file()) {
        return cargo::read(&dir);
    }
    Err(NotFound::Nothing { advice: advice(&dir), place: dir.display().to_string() })
}

/// Reads a build directory that was configured.
fn configured(dir: &Path) -> Option<PackagesRecord> {
    configured_at(dir)?;
    let project = Project::read(&Disk::new(dir))?;
    // A directory with traces of a configure that says nothing of use.
    (project.origin != Origin::CmakeLists)
        .then(|| PackagesRecord::of_project(dir.display().to_string(), &project))
}

/// Returns when a build directory was last configured.
fn configured_at(dir: &Path) -> Option<SystemTime> {
    [".cmake/api/v1/reply", "build.ninja", "CMakeFiles/Makefile2"]
        .iter()
        .filter_map(|file| std::fs::metadata(dir.join(file)).ok()?.modified().ok())
        .max()
}

/// Returns directories below a project that may be build directories.
fn build_dirs(dir: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    let mut level: Vec<PathBuf> = BUILD_DIRS.iter().map(|name| dir.join(name)).collect();
    level.extend(below(dir).into_iter().filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(CLION))
    }));
    for depth in 0..=PRESET_DEPTH {
        level.retain(|path| path.is_dir());
        // Below a build directory are only its own parts.
        let next = level.iter().filter(|path| configured_at(path).is_none()).flat_map(|path| below(path));
        let next: Vec<PathBuf> =
            if depth < PRESET_DEPTH { next.take(MOST_DIRS).collect() } else { Vec::new() };
        dirs.append(&mut level);
        level = next;
    }
    dirs.truncate(MOST_DIRS);
    dirs
}

/// Returns the directories in a directory, sorted.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    // The type of an entry costs no look at the file, and links may lead anywhere.
    let mut dirs: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    dirs.sort();
    dirs
}

/// Returns whether a directory or one in it has a `CMakeLists.txt`: `src/packages/*/CMakeLists.txt` need not have one above.
fn has_lists(dir: &Path) -> bool {
    let has = |dir: &Path| dir.join("CMakeLists.txt").is_file();
    has(dir) || below(dir).iter().take(MOST_DIRS).any(|dir| has(dir))
}

fn advice(dir: &Path) -> String {
    let has = |name: &str| dir.join(name).is_file();
    if has("CMakeLists.txt") {
        return "its CMakeLists.txt names no target; configure it with `cmake -B build` and ask again"
            .to_owned();
    }
    if has("flake.nix") {
        return "for a Nix graph name an installable: `nixmon packages .#default`".to_owned();
    }
    if has("meson.build") {
        return "configure it with `meson setup build` and ask again".to_owned();
    }
    let looked =
        "there is no CMake or ninja build in it or its build/, out/ and cmake-build-*, and no Cargo.toml";
    format!("{looked}; name a build directory, or what Nix can build: `nixmon packages .#hello`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes files, finds the packages of a directory among them, and says place, origin and names.
    fn check(files: &[(&str, &str)], dir: &str, expected: Result<&str, &str>) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        let begin = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        for (at, (name, text)) in files.iter().enumerate() {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            // Later files are newer, whatever the clock of the file system.
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(begin + std::time::Duration::from_secs(at as u64)).unwrap();
        }
        std::fs::create_dir_all(root.join(dir)).unwrap();
        let said = match in_directory(&root.join(dir)) {
            Ok(record) => {
                let names: Vec<&str> = record.packages.iter().map(|row| row.name.as_str()).collect();
                let inside = |place: &str| place.replacen(root.to_str().unwrap(), "", 1);
                let others: Vec<String> = record.other_places.iter().map(|place| inside(place)).collect();
                Ok(format!("{} {:?} {names:?} {others:?}", inside(&record.place), record.origin))
            }
            Err(error) => Err(error.to_string()),
        };
        match (&said, expected) {
            (Ok(said), Ok(expected)) => assert_eq!(said, expected),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
            _ => panic!("{said:?}, not {expected:?}"),
        }
    }

    const NINJA: &str = "build CMakeFiles/a.dir/a.c.o: C_COMPILER__a /src/a.c\nbuild liba.a: C_STATIC_LIBRARY_LINKER__a CMakeFiles/a.dir/a.c.o\n";
    const LISTS: &str = "add_executable(prog main.c)\n";

    #[test]
    fn build_directories_are_found() {
        let ok = |place: &str| format!("{place} NinjaFile [\"a\"] []");
        check(&[("build.ninja", NINJA)], "", Ok(&ok("")));
        for place in ["/build", "/out", "/cmake-build-debug", "/build/release", "/out/build/x64-debug"] {
            let file = format!("{}/build.ninja", &place[1..]);
            check(&[("CMakeLists.txt", LISTS), (&file, NINJA)], "", Ok(&ok(place)));
        }
        // Not a build directory of this project.
        check(
            &[("CMakeLists.txt", LISTS), ("vendor/x/build.ninja", NINJA)],
            "",
            Ok(" CmakeLists [\"prog\"] []"),
        );
        // Of several the newest one.
        check(
            &[
                ("build/build.ninja", NINJA),
                ("cmake-build-debug/build.ninja", NINJA),
                ("out/build.ninja", NINJA),
            ],
            "",
            Ok("/out NinjaFile [\"a\"] [\"/cmake-build-debug\", \"/build\"]"),
        );
        // Traces that say nothing: the lists do.
        check(&[("CMakeLists.txt", LISTS), ("build/build.ninja", "")], "", Ok(" CmakeLists [\"prog\"] []"));
    }

    #[test]
    fn lists_may_be_one_level_below() {
        check(&[("a/CMakeLists.txt", LISTS), ("b/x", "")], "", Ok(" CmakeLists [\"prog\"] []"));
        check(&[("a/b/CMakeLists.txt", LISTS)], "", Err("no packages found in"));
    }

    #[test]
    fn nothing_found_says_what_to_do() {
        check(&[], "", Err("name a build directory"));
        check(&[("flake.nix", "{}")], "", Err("nixmon packages .#default"));
        check(&[("meson.build", "")], "", Err("meson setup build"));
        check(&[("CMakeLists.txt", "project(x)\n")], "", Err("cmake -B build"));
        let error = in_directory(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/at/all is no directory");
    }
}
