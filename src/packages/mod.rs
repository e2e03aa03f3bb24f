//! The packages of a project: CMake targets, crates, or the derivations of a Nix graph.
//!
//! [`find()`] reads what a build system wrote down, [`PastPlace`] is a history of how long packages took, and
//! [`place()`] asks CMake to write it down before a configure that nixmon runs.

#![expect(clippy::disallowed_methods, reason = "a project is files, and cargo and Nix are asked for theirs")]

mod cargo;
mod derivations;
mod directory;
mod past;
mod query;
mod record;

use nixmon_progress::packages::{Link, longest_chain};

pub(crate) use cargo::project as cargo_project;
pub(crate) use directory::find;
pub(crate) use past::PastPlace;
pub(crate) use query::place;
pub use record::schema;
pub(crate) use record::{
    Basis, CriticalPath, PackageHistoryRecord, PackageKind, PackageRow, PackageStatusRecord, PackagesRecord,
};

/// Why no packages were found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFound {
    /// There is no such directory.
    #[error("{0} is no directory")]
    NoDirectory(String),
    /// Nothing in the directory says which packages there are.
    #[error("no packages found in {place}: {advice}")]
    Nothing {
        /// The directory.
        place: String,
        /// The next step.
        advice: String,
    },
    /// A tool that knows the packages could not be asked.
    #[error("{tool} does not tell the packages of {place}: {reason}")]
    Tool {
        /// The tool.
        tool: &'static str,
        /// The directory or installable.
        place: String,
        /// The reason.
        reason: String,
    },
}

/// Fills in the longest chain of packages that are built.
fn with_critical_path(mut record: PackagesRecord) -> PackagesRecord {
    let time = |row: &PackageRow| {
        // Packages of unknown times count alike: then the longest chain is the one with most of them.
        row.is_built.then(|| std::time::Duration::from_millis(row.expected_ms.unwrap_or(1)))
    };
    let links: Vec<Link<'_>> = record
        .packages
        .iter()
        .map(|row| Link { name: &row.name, depends_on: &row.depends_on, time: time(row) })
        .collect();
    let chain = longest_chain(&links);
    let known =
        |name: &String| record.packages.iter().find(|row| row.name == *name).and_then(|row| row.expected_ms);
    let times: Option<Vec<u64>> = chain.packages.iter().map(known).collect();
    record.critical_path =
        CriticalPath { expected_ms: times.map(|times| times.iter().sum()), packages: chain.packages };
    record
}
