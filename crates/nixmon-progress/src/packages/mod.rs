//! Packages of a project: its targets, crates or directories, their sources and what they depend on.
//!
//! Read from what the build system wrote: CMake's file API, else `build.ninja`, else CMake's Makefiles, else the
//! `CMakeLists.txt` files; of a cargo workspace from `cargo metadata`.

mod cargo_metadata;
mod cmake_api;
mod cmake_lists;
#[cfg(feature = "fs")]
mod disk;
mod graph;
mod makefiles;
mod ninja_file;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cargo_metadata::{cargo_lock_packages, unit_graph_len};
#[cfg(feature = "fs")]
pub use disk::Disk;
pub use graph::{CriticalPath, Link, critical_path, longest_chain};

use crate::weights::{self, Language};

/// Gives the contents of files, so that this crate opens none itself.
pub trait Read {
    /// Returns a file's text. The path is absolute, or relative to the build directory.
    fn text(&self, path: &str) -> Option<String>;
    /// Returns the names in a directory, in any order.
    fn list(&self, dir: &str) -> Vec<String>;
    /// Returns a file's length in bytes.
    fn size(&self, path: &str) -> Option<u64>;
}

/// The file or files from which a project was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// `.cmake/api/v1/reply`.
    CmakeFileApi,
    /// `build.ninja`.
    NinjaFile,
    /// `CMakeFiles/Makefile2` and the files below it.
    Makefiles,
    /// `CMakeLists.txt` files. Conditions are not evaluated.
    CmakeLists,
    /// The output of `cargo metadata`.
    CargoMetadata,
}

/// The kind of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A program.
    Executable,
    /// An archive.
    StaticLibrary,
    /// A shared library or a plugin.
    SharedLibrary,
    /// Objects that are not linked by themselves.
    ObjectLibrary,
    /// A crate.
    Crate,
    /// A target that compiles nothing.
    Utility,
}

/// A source of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The path: absolute where the build system gives it so or the source directory is known.
    pub path: String,
    /// The object that the tool names, relative to the build directory, where that is known.
    pub object: Option<String>,
    /// The language.
    pub language: Language,
    /// The source's length, where it could be read.
    pub bytes: Option<u64>,
}

/// A target of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The target's name.
    pub name: String,
    /// The kind.
    pub kind: TargetKind,
    /// The file that it makes, without directories.
    pub output: Option<String>,
    /// Names of the targets that must be built before, sorted.
    pub depends_on: Vec<String>,
    /// Sources that are compiled.
    pub sources: Vec<Source>,
    /// True if it is linked with link-time optimization, which puts much of the compiler's work into the link.
    pub lto: bool,
    /// True if a build without arguments makes it, where that is known.
    pub is_default: Option<bool>,
    /// The place among the targets as the build system knows them, where that is known: ninja starts them in this order.
    #[serde(skip)]
    pub position: Option<(usize, usize)>,
}

/// A project's targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Project {
    /// The source of this knowledge.
    pub origin: Origin,
    /// Targets, sorted by name.
    pub targets: Vec<Target>,
    /// Names of the targets that programs need, and of the programs, sorted.
    #[serde(skip)]
    needed: Vec<String>,
}

impl Project {
    /// Reads the project of a build directory from the best of its files.
    pub fn read(dir: &dyn Read) -> Option<Self> {
        cmake_api::read(dir)
            .or_else(|| ninja_file::read(dir))
            .or_else(|| makefiles::read(dir))
            .or_else(|| cmake_lists::read(dir, "."))
    }

    /// Reads only `CMakeLists.txt` files below a directory.
    pub fn from_cmake_lists(dir: &dyn Read, root: &str) -> Option<Self> {
        cmake_lists::read(dir, root)
    }

    /// Reads the output of `cargo metadata --format-version 1`.
    pub fn from_cargo_metadata(json: &str) -> Option<Self> {
        cargo_metadata::read(json)
    }

    /// Finds a target.
    pub fn target(&self, name: &str) -> Option<&Target> {
        let at = self.targets.binary_search_by(|target| target.name.as_str().cmp(name)).ok()?;
        self.targets.get(at)
    }

    /// Returns whether a build without arguments is expected to make the target.
    ///
    /// If the build system does not say, a library that no program needs is taken to be left out of a project that
    /// has programs: `add_subdirectory(… EXCLUDE_FROM_ALL)` leaves such.
    pub fn is_expected(&self, target: &Target) -> bool {
        if target.kind == TargetKind::Utility || target.sources.is_empty() {
            return false;
        }
        if let Some(is_default) = target.is_default {
            return is_default;
        }
        self.needed.is_empty() || self.needed.binary_search(&target.name).is_ok()
    }

    /// Returns the time that a target's sources and link are expected to take one after the other, told from their languages
    /// and lengths. It is of a common machine: good for comparing targets, bad for a clock.
    pub fn expected_time(&self, target: &Target) -> Duration {
        let sources: f64 =
            target.sources.iter().map(|source| weights::source_cost(source.language, source.bytes)).sum();
        let link = weights::link_cost(self, target).map_or(0.0, |(_, cost)| cost);
        weights::duration(if target.sources.is_empty() { 0.0 } else { sources + link })
    }

    pub(crate) fn new(origin: Origin, mut targets: Vec<Target>) -> Option<Self> {
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        // Two versions of a crate have one name, and each line of a build could mean either.
        targets.dedup_by(|again, first| {
            let is_same = again.name == first.name;
            if is_same {
                first.depends_on.append(&mut again.depends_on);
            }
            is_same
        });
        for target in &mut targets {
            target.depends_on.sort();
            target.depends_on.dedup();
            let name = &target.name;
            target.depends_on.retain(|on| on != name);
        }
        let needed = needed_by_programs(&targets);
        (!targets.is_empty()).then_some(Self { origin, targets, needed })
    }
}

/// Returns the programs and crates among targets and all that they need, sorted by name.
fn needed_by_programs(targets: &[Target]) -> Vec<String> {
    let is_program = |target: &&Target| matches!(target.kind, TargetKind::Executable | TargetKind::Crate);
    let mut stack: Vec<&Target> = targets.iter().filter(is_program).collect();
    let mut needed = BTreeSet::new();
    while let Some(target) = stack.pop() {
        if needed.insert(target.name.clone()) {
            let at = |name: &String| targets.binary_search_by(|other| other.name.cmp(name)).ok();
            stack.extend(target.depends_on.iter().filter_map(at).filter_map(|at| targets.get(at)));
        }
    }
    needed.into_iter().collect()
}

/// Joins a path to a directory; an absolute path stays.
fn join(dir: &str, path: &str) -> String {
    if path == "." {
        return dir.to_owned();
    }
    if path.starts_with('/') || dir.is_empty() || dir == "." {
        return path.to_owned();
    }
    format!("{}/{path}", dir.trim_end_matches('/'))
}

/// Returns the path from one directory to a file, both absolute, with `..` where it leads up.
fn relative(from: &str, to: &str) -> String {
    let from: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    let parts: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
    let n_common = from.iter().zip(&parts).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - n_common);
    up.chain(parts.iter().skip(n_common).copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
