//! Reading packages: the parts of projects, and derivations.

use std::collections::BTreeMap;

use rusqlite::params;

use super::read::{RunFilter, StoredRun};
use super::{Store, StoreError};
use crate::name::DrvName;
use crate::packages::{PackageFile, PackageKind, PackageRun};
use crate::record::{BuildOutcome, UnitRecord};

/// Builds that are read of one package, the newest.
const PER_PACKAGE: u32 = 60;

impl Store {
    /// Reads the successful builds of a package, of the newest runs, the oldest first: of parts of projects that have this
    /// name, and of derivations that have it without their version.
    ///
    /// A part whose package was not recorded is made up from its files.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub fn package_runs(&self, name: &str, target: Option<&str>) -> Result<Vec<PackageRun>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT run.id FROM run JOIN (
                 SELECT run FROM package WHERE name = ?1 UNION SELECT run FROM unit WHERE package = ?1
                 UNION SELECT run FROM derivation WHERE pname = ?1
             ) AS found ON found.run = run.id
             WHERE ?2 IS NULL OR run.target = ?2 ORDER BY run.started_ms DESC LIMIT ?3",
        )?;
        let ids = query.query_map(params![name, target, PER_PACKAGE], |row| row.get(0))?;
        let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
        let mut runs = Vec::new();
        for id in ids.into_iter().rev() {
            if let Some(run) = self.run(super::RunId(id))? {
                runs.extend(self.packages_of(&run)?.into_iter().filter(|package| package.name == name));
            }
        }
        Ok(runs)
    }

    /// Reads the successful builds of all packages of the newest runs, the oldest first.
    ///
    /// # Errors
    ///
    /// If the database cannot be read.
    pub fn all_package_runs(&self, target: Option<&str>, runs: u32) -> Result<Vec<PackageRun>, StoreError> {
        let mut all = Vec::new();
        for run in self.runs(&RunFilter { target, limit: Some(runs), ..RunFilter::default() })?.iter().rev() {
            all.extend(self.packages_of(run)?);
        }
        Ok(all)
    }

    /// Reads the successful builds of packages in one run.
    fn packages_of(&self, run: &StoredRun) -> Result<Vec<PackageRun>, StoreError> {
        let base = PackageRun {
            target: run.record.target.clone(),
            host: run.record.host.clone().unwrap_or_default(),
            started_ms: run.started_ms,
            ..PackageRun::default()
        };
        let mut parts: BTreeMap<(Option<String>, String), Vec<UnitRecord>> = BTreeMap::new();
        let mut scopes: BTreeMap<String, Vec<PackageFile>> = BTreeMap::new();
        for unit in self.units(run)? {
            if let Some(scope) = &unit.scope {
                scopes.entry(scope.clone()).or_default().extend(file(&unit));
            }
            if let Some(package) = unit.package.clone() {
                parts.entry((unit.scope.clone(), package)).or_default().push(unit);
            }
        }
        let part_jobs = run.record.tool_jobs.or(run.record.max_jobs);
        let mut found = Vec::new();
        for package in self.packages(run)? {
            let units = parts.remove(&(package.scope, package.name.clone())).unwrap_or_default();
            if package.outcome != BuildOutcome::Built {
                continue;
            }
            found.push(PackageRun {
                name: package.name,
                jobs: part_jobs,
                elapsed_ms: package.elapsed_ms,
                n_files: u64::from(package.files),
                n_files_total: package.files_total.map(u64::from),
                compile_ms: package.compile_ms,
                link_ms: package.link_ms,
                files: units.iter().filter_map(file).collect(),
                ..base.clone()
            });
        }
        for ((_, name), units) in parts {
            found.extend(made_up(name, &units, part_jobs, &base));
        }
        for build in self.builds(run)? {
            if build.outcome != BuildOutcome::Built {
                continue;
            }
            let files = scopes.remove(&build.name).unwrap_or_default();
            let sum = |is_link| {
                let of: Vec<u64> =
                    files.iter().filter(|f| f.is_link == is_link).map(|f| f.elapsed_ms).collect();
                (!of.is_empty()).then(|| of.iter().sum())
            };
            found.push(PackageRun {
                name: DrvName::parse(&build.name).pname,
                kind: PackageKind::Derivation,
                host: build.machine.unwrap_or_else(|| base.host.clone()),
                jobs: run.record.max_jobs,
                elapsed_ms: build.elapsed_ms,
                n_files: files.iter().filter(|file| !file.is_link).count() as u64,
                compile_ms: sum(false),
                link_ms: sum(true),
                files,
                ..base.clone()
            });
        }
        Ok(found)
    }
}

/// Makes a package of its files, if all of them are well.
fn made_up(name: String, units: &[UnitRecord], jobs: Option<u32>, base: &PackageRun) -> Option<PackageRun> {
    if units.iter().any(|unit| unit.outcome != BuildOutcome::Built) {
        return None;
    }
    let files: Vec<PackageFile> = units.iter().filter_map(file).collect();
    let begin = files.iter().map(|file| file.start_ms).min()?;
    let end = files.iter().map(|file| file.start_ms.saturating_add(file.elapsed_ms)).max()?;
    let compiled = || files.iter().filter(|file| !file.is_link);
    let links: Vec<u64> = files.iter().filter(|file| file.is_link).map(|file| file.elapsed_ms).collect();
    Some(PackageRun {
        name,
        jobs,
        elapsed_ms: end - begin,
        n_files: compiled().count() as u64,
        compile_ms: Some(compiled().map(|file| file.elapsed_ms).sum()),
        link_ms: (!links.is_empty()).then(|| links.iter().sum()),
        files,
        ..base.clone()
    })
}

/// Returns a unit as a file of a package; tests and installation are none.
fn file(unit: &UnitRecord) -> Option<PackageFile> {
    let is_link = match unit.stage.as_deref() {
        None | Some("compile") => false,
        Some("link") => true,
        Some(_) => return None,
    };
    Some(PackageFile {
        file: unit.file.clone(),
        is_link,
        start_ms: unit.started_ms,
        elapsed_ms: unit.elapsed_ms,
    })
}
