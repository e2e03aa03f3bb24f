//! The inside of builds in JSON: work and packages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::millis;
use super::names::{PackageHealth, PackageStatus, WorkStage};
use crate::state::{Moment, State};

/// Largest number of scopes in a record.
const MAX_WORK: usize = 50;
/// Largest number of packages in a record.
const MAX_PACKAGES: usize = 2000;

/// The work inside one scope: a derivation that is being built, or the command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// Path of the `.drv` file; null for the command itself.
    pub scope: Option<String>,
    /// The tool whose lines tell it, such as `ninja`, `make`, `cmake`, `cargo` or `pytest`. Readers must accept other names.
    pub tool: String,
    /// The stage of the tool's latest line.
    pub stage: WorkStage,
    /// Number of steps that ended: files, crates, modules or tests.
    pub done: u64,
    /// Number of steps there are; null if nothing says so.
    pub total: Option<u64>,
    /// Share of the work's time that has passed, from 0 to 100; null if nothing tells how much there is to do. It never
    /// falls.
    pub percent: Option<f64>,
    /// The percent is an estimate, not the tool's own number.
    pub estimated: bool,
    /// The file or test of the latest line.
    pub current: Option<String>,
    /// The package, target or crate of the latest line.
    pub package: Option<String>,
    /// Number of steps that failed.
    pub failed: u64,
    /// Expected time to its end, in milliseconds; null if too little is known.
    pub eta_ms: Option<u64>,
}

/// A package inside a build: a CMake target, a cargo crate, a directory of make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The state.
    pub status: PackageStatus,
    /// Number of files that are compiled.
    pub done: u64,
    /// Number of files there are; null if the project is not known.
    pub total: Option<u64>,
    /// The file that is being compiled, or that failed.
    pub current_file: Option<String>,
    /// Share of the package's own work that is done, from 0 to 100.
    pub progress_pct: Option<f64>,
    /// Time since its first step began, in milliseconds.
    pub elapsed_ms: Option<u64>,
    /// Expected time to its end once it has begun, in milliseconds.
    pub eta_ms: Option<u64>,
    /// Names of the packages that must be built before, sorted.
    pub depends_on: Vec<String>,
    /// The health.
    pub health: PackageHealth,
}

/// Makes the records of all scopes.
pub fn work(state: &State) -> Vec<Work> {
    let scopes = state.scopes().into_iter().filter_map(|(id, scope)| {
        let unit = scope.unit()?;
        Some(Work {
            scope: id.map(|id| state.derivations().get(id).path.to_string()),
            tool: unit.tool.name().to_owned(),
            stage: unit.stage.into(),
            done: unit.done,
            total: unit.total,
            percent: unit.percent.map(tenth),
            estimated: unit.estimated,
            current: unit.current.clone(),
            package: unit.package.clone(),
            failed: unit.failed,
            eta_ms: scope.eta().map(millis),
        })
    });
    scopes.take(MAX_WORK).collect()
}

/// Makes the records of the packages of the first scope.
pub fn packages(state: &State, now: Moment) -> Vec<Package> {
    let Some(scope) = state.first_scope() else { return Vec::new() };
    let packages = scope.packages(now).into_iter().map(|package| Package {
        name: package.name,
        status: package.status.into(),
        done: package.done,
        total: package.total,
        current_file: package.current_file,
        progress_pct: package.progress_pct.map(tenth),
        elapsed_ms: package.elapsed.map(millis),
        eta_ms: package.eta.map(millis),
        depends_on: package.depends_on,
        health: package.health.into(),
    });
    packages.take(MAX_PACKAGES).collect()
}

/// Returns a percent with one digit after the point.
pub(super) fn tenth(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}
