//! The crates of a cargo workspace, as cargo tells them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nixmon_progress::packages::Project;

use super::NotFound;
use super::record::PackagesRecord;
use crate::limited::{self, Answer};

/// Time that cargo has; without a network it needs a second.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes of metadata that are read: a workspace of a thousand crates has 10 MB.
const MOST: u64 = 64 << 20;

/// Reads the workspace of a directory for `nixmon packages`.
pub(super) fn read(dir: &Path) -> Result<PackagesRecord, NotFound> {
    let place = || dir.display().to_string();
    match project(dir) {
        Ok(project) => Ok(PackagesRecord::of_project(place(), &project)),
        Err(reason) => Err(NotFound::Tool { tool: "cargo metadata", place: place(), reason }),
    }
}

/// Reads the workspace of a directory. Nothing is fetched and `Cargo.lock` is left as it is.
///
/// # Errors
///
/// If cargo does not tell it: the reason.
pub(crate) fn project(dir: &Path) -> Result<Project, String> {
    let host = host();
    let mut full = vec!["--offline", "--locked"];
    // Crates of other platforms are not built here.
    full.extend(host.iter().flat_map(|host| ["--filter-platform", host.as_str()]));
    // Without its dependencies at hand cargo knows the workspace's own crates all the same.
    let answers = [full.as_slice(), &["--offline"], &["--offline", "--no-deps"]];
    let mut reason = String::new();
    for options in answers {
        match metadata(dir, options) {
            Ok(answer) if answer.success => match Project::from_cargo_metadata(&answer.stdout) {
                Some(project) => return Ok(project),
                None => reason = "its metadata has another form".to_owned(),
            },
            Ok(answer) => reason = answer.last_error().unwrap_or_else(|| "it failed".to_owned()),
            Err(error) => return Err(error),
        }
    }
    Err(reason)
}

fn metadata(dir: &Path, options: &[&str]) -> Result<Answer, String> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--format-version", "1", "--color", "never"]).args(options).current_dir(dir);
    limited::answer(&mut command, LIMIT, MOST)
}

/// Returns the platform that rustc builds for.
fn host() -> Option<String> {
    let text = limited::output(Command::new("rustc").arg("-vV"), LIMIT, 1 << 12)?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(|host| host.trim().to_owned())
}
