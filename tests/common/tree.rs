//! The files of this repository.

#![expect(clippy::disallowed_methods, reason = "tests of the repository read its files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of Cargo.toml.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The regular files of the repository, relative to [`root`] and sorted, without what Git and Cargo keep in it.
///
/// Walks instead of asking Git: the source may be an export, and a file not yet added is meant, too.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(root(), &mut files);
    files.sort();
    files
}

/// Reads a file of the repository, `None` where it is not UTF-8.
pub(crate) fn text(file: &Path) -> Option<String> {
    let bytes = fs::read(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    String::from_utf8(bytes).ok()
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        // In a linked work tree `.git` is a file.
        if kind.is_dir() {
            if belongs(&path) {
                walk(&path, files);
            }
        } else if kind.is_file() && entry.file_name() != ".git" {
            files.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
}

/// Hidden directories are of tools (Git, direnv, editors), except those that hold our own settings.
fn belongs(dir: &Path) -> bool {
    let name = dir.file_name().unwrap().to_str().unwrap_or_default();
    // Cargo marks its target directory with this file, whatever its name.
    // Something else may have made the directory before Cargo could mark it.
    let is_cache = dir.join("CACHEDIR.TAG").exists() || dir == root().join("target");
    !is_cache && (!name.starts_with('.') || [".ci", ".config", ".github"].contains(&name))
}
