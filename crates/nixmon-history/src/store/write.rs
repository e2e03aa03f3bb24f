//! Writing: runs as they begin and end, and what happens in them, in batches.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::read::stored;
use super::{Store, StoreError, StoredRun};
use crate::estimate::concurrency;
use crate::name::{DrvName, drv_parts};
use crate::record::{
    BuildOutcome, BuildRecord, DownloadRecord, PackageRecord, PredictionRecord, Resources, RunOutcome,
    RunRecord, UnitRecord, parse_moment,
};

/// The number of a run in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub i64);

/// Events of a run since the last batch. The field `run` of the records is ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The builds that ended.
    pub builds: Vec<BuildRecord>,
    /// The downloads that ended.
    pub downloads: Vec<DownloadRecord>,
    /// The units inside builds that ended.
    pub units: Vec<UnitRecord>,
    /// The packages inside builds that ended.
    pub packages: Vec<PackageRecord>,
    /// The predictions that were made.
    pub predictions: Vec<PredictionRecord>,
}

impl Batch {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.builds.len()
            + self.downloads.len()
            + self.units.len()
            + self.packages.len()
            + self.predictions.len()
    }

    /// Returns true if nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds the concurrency of the builds that lack one, from the others of the batch, which is to hold a whole run.
    pub fn count_concurrency(&mut self) {
        let mut machines: Vec<Option<String>> = self.builds.iter().map(|b| b.machine.clone()).collect();
        machines.sort();
        machines.dedup();
        for machine in machines {
            let on: Vec<usize> =
                (0..self.builds.len()).filter(|&i| self.builds[i].machine == machine).collect();
            let span = |b: &BuildRecord| (b.started_ms, b.started_ms.saturating_add(b.elapsed_ms));
            let spans: Vec<(u64, u64)> = on.iter().map(|&i| span(&self.builds[i])).collect();
            for (i, found) in on.into_iter().zip(concurrency(&spans)) {
                self.builds[i].concurrency.get_or_insert(found);
            }
        }
    }
}

impl Store {
    pub(crate) fn immediate(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// Notes that a run has begun. A run that is there already is found again, so that it may be called twice.
    pub fn begin_run(&mut self, run: &RunRecord) -> Result<RunId, StoreError> {
        let transaction = self.immediate()?;
        let (id, _) = insert_run(&transaction, run)?;
        transaction.commit()?;
        Ok(id)
    }

    /// Adds to a run what has happened in it.
    pub fn add(&mut self, run: RunId, batch: &Batch) -> Result<(), StoreError> {
        let transaction = self.immediate()?;
        insert_batch(&transaction, run, batch)?;
        transaction.commit()?;
        Ok(())
    }

    /// Notes the end of a run: all columns but those that name it become those of `record`.
    pub fn finish_run(&mut self, run: RunId, record: &RunRecord) -> Result<(), StoreError> {
        let transaction = self.immediate()?;
        update_run(&transaction, run, record)?;
        fill_concurrency(&transaction, run)?;
        transaction.commit()?;
        Ok(())
    }

    /// Completes a run whose end nothing saw, from a record that was made later: adds the builds and downloads that it lacks, and its
    /// end. Columns that the record leaves empty stay as they are. A run that is not there is added, and one whose end is known
    /// stays as it is.
    ///
    /// The times of a later record may differ by some milliseconds, so rows are told apart by derivation or name.
    pub fn complete_run(&mut self, record: &RunRecord, rows: &Batch) -> Result<(), StoreError> {
        let transaction = self.immediate()?;
        let (id, is_new) = insert_run(&transaction, record)?;
        let stored = stored(&transaction, id)?;
        if !is_new && stored.as_ref().is_some_and(|run| run.record.outcome != RunOutcome::Unknown) {
            return Ok(());
        }
        let record = match stored {
            Some(StoredRun { record: before, .. }) => RunRecord {
                max_jobs: record.max_jobs.or(before.max_jobs),
                nix_version: record.nix_version.clone().or(before.nix_version),
                resources: record.resources.clone().or(before.resources),
                ..record.clone()
            },
            None => record.clone(),
        };
        let texts = |sql: &str| -> Result<BTreeSet<String>, StoreError> {
            let mut query = transaction.prepare_cached(sql)?;
            let found = query.query_map([id.0], |row| row.get(0))?;
            Ok(found.collect::<Result<_, _>>()?)
        };
        let drvs = texts("SELECT drv FROM derivation WHERE run = ?1 AND drv IS NOT NULL")?;
        let names = texts("SELECT name FROM download WHERE run = ?1 AND name IS NOT NULL")?;
        let is_known = |drv: &Option<String>| drv.as_deref().is_some_and(|drv| drvs.contains(digest(drv)));
        // The inside of a build is written when the build ends, as a whole; no derivation has an empty name.
        let insides = texts(
            "SELECT ifnull(scope, '') FROM unit WHERE run = ?1 UNION SELECT ifnull(scope, '') FROM package WHERE run = ?1",
        )?;
        let is_new_inside = |scope: &Option<String>| !insides.contains(scope.as_deref().unwrap_or_default());
        let new = Batch {
            builds: rows.builds.iter().filter(|build| !is_known(&build.drv)).cloned().collect(),
            downloads: rows
                .downloads
                .iter()
                .filter(|download| download.name.as_ref().is_none_or(|name| !names.contains(name)))
                .cloned()
                .collect(),
            units: rows.units.iter().filter(|unit| is_new_inside(&unit.scope)).cloned().collect(),
            packages: rows.packages.iter().filter(|package| is_new_inside(&package.scope)).cloned().collect(),
            ..Batch::default()
        };
        insert_batch(&transaction, id, &new)?;
        update_run(&transaction, id, &record)?;
        fill_concurrency(&transaction, id)?;
        transaction.commit()?;
        Ok(())
    }

    /// Adds whole runs in one transaction, and of those that are there already what is new. Returns the numbers of new runs and
    /// of new rows in them.
    pub(crate) fn merge(&mut self, runs: &[(RunRecord, Batch)]) -> Result<(usize, usize), StoreError> {
        let transaction = self.immediate()?;
        let (mut new_runs, mut rows) = (0, 0);
        for (record, batch) in runs {
            let (id, is_new) = insert_run(&transaction, record)?;
            if is_new {
                new_runs += 1;
                rows += insert_batch(&transaction, id, batch)?;
            } else {
                rows += insert_batch(&transaction, id, &missing(&transaction, id, batch)?)?;
            }
        }
        transaction.commit()?;
        Ok((new_runs, rows))
    }
}

/// Returns the rows of a batch that a run does not have yet.
fn missing(connection: &Connection, run: RunId, batch: &Batch) -> Result<Batch, StoreError> {
    let mut new = Batch::default();
    let mut known =
        connection.prepare_cached("SELECT pname, version, started_ms FROM derivation WHERE run = ?1")?;
    let known: std::collections::BTreeSet<(String, String, i64)> =
        known.query_map([run.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<Result<_, _>>()?;
    for build in &batch.builds {
        let name = DrvName::parse(&build.name);
        if !known.contains(&(name.pname, name.version, signed(build.started_ms))) {
            new.builds.push(build.clone());
        }
    }
    let has = |sql: &str, params: &[&dyn rusqlite::ToSql]| -> Result<bool, StoreError> {
        Ok(connection.prepare_cached(sql)?.exists(params)?)
    };
    for d in &batch.downloads {
        let sql = "SELECT 1 FROM download WHERE run = ?1 AND cache = ?2 AND started_ms = ?3 AND name IS ?4 AND bytes = ?5";
        if !has(sql, &[&run.0, &d.cache, &signed(d.started_ms), &d.name, &signed(d.bytes)])? {
            new.downloads.push(d.clone());
        }
    }
    for u in &batch.units {
        let sql = "SELECT 1 FROM unit WHERE run = ?1 AND package IS ?2 AND file = ?3 AND started_ms = ?4 AND scope IS ?5";
        if !has(sql, &[&run.0, &u.package, &u.file, &signed(u.started_ms), &u.scope])? {
            new.units.push(u.clone());
        }
    }
    for p in &batch.packages {
        let sql = "SELECT 1 FROM package WHERE run = ?1 AND name = ?2 AND scope IS ?3 AND started_ms = ?4";
        if !has(sql, &[&run.0, &p.name, &p.scope, &signed(p.started_ms)])? {
            new.packages.push(p.clone());
        }
    }
    new.predictions.clone_from(&batch.predictions);
    Ok(new)
}

fn signed(x: u64) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}

fn insert_run(connection: &Connection, run: &RunRecord) -> Result<(RunId, bool), StoreError> {
    let started = parse_moment(&run.started).unwrap_or(0);
    let host = run.host.as_deref().unwrap_or("");
    let found: Option<i64> = connection
        .prepare_cached("SELECT id FROM run WHERE key = ?1 AND host = ?2 AND started_ms = ?3")?
        .query_row(params![run.id, host, started], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok((RunId(id), false));
    }
    connection
        .prepare_cached("INSERT INTO run (key, host, started_ms, outcome) VALUES (?1, ?2, ?3, 'unknown')")?
        .execute(params![run.id, host, started])?;
    let id = RunId(connection.last_insert_rowid());
    update_run(connection, id, run)?;
    Ok((id, true))
}

fn update_run(connection: &Connection, id: RunId, run: &RunRecord) -> Result<(), StoreError> {
    let resources = run.resources.as_ref();
    connection
        .prepare_cached(
            "UPDATE run SET target = ?2, command = ?3, kind = ?4, system = ?5, nix_version = ?6, max_jobs = ?7, cores = ?8,
             tool_jobs = ?9, elapsed_ms = ?10, outcome = ?11, evaluation_ms = ?12, downloads_ms = ?13, builds_ms = ?14,
             activation_ms = ?15, built = ?16, failed = ?17, downloaded = ?18, downloaded_bytes = ?19, cpu_s = ?20,
             peak_rss_bytes = ?21, resource_source = ?22, resource_complete = ?23, source = ?24 WHERE id = ?1",
        )?
        .execute(params![
            id.0,
            run.target,
            run.command,
            run.kind,
            run.system,
            run.nix_version,
            run.max_jobs,
            run.cores,
            run.tool_jobs,
            run.elapsed_ms.map(signed),
            run.outcome.as_str(),
            run.evaluation_ms.map(signed),
            run.downloads_ms.map(signed),
            run.builds_ms.map(signed),
            run.activation_ms.map(signed),
            run.built,
            run.failed,
            run.downloaded,
            run.downloaded_bytes.map(signed),
            resources.and_then(|r| r.cpu_s),
            resources.and_then(|r| r.peak_rss_bytes).map(signed),
            resources.map(|r| r.source.as_str()),
            resources.map(|r| r.complete),
            run.source,
        ])?;
    Ok(())
}

fn next(connection: &Connection, table: &str, run: RunId) -> Result<i64, StoreError> {
    let sql = format!("SELECT coalesce(max(seq), -1) + 1 FROM {table} WHERE run = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([run.0], |row| row.get(0))?)
}

fn insert_batch(connection: &Connection, run: RunId, batch: &Batch) -> Result<usize, StoreError> {
    if !batch.builds.is_empty() {
        let first = next(connection, "derivation", run)?;
        for (seq, build) in (first..).zip(&batch.builds) {
            insert_build(connection, run, seq, build)?;
        }
        insert_needs(connection, run, first, &batch.builds)?;
    }
    if !batch.downloads.is_empty() {
        let first = next(connection, "download", run)?;
        let mut insert =
            connection.prepare_cached("INSERT INTO download VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for (seq, d) in (first..).zip(&batch.downloads) {
            insert.execute(params![
                run.0,
                seq,
                d.cache,
                d.name,
                signed(d.bytes),
                signed(d.started_ms),
                signed(d.elapsed_ms)
            ])?;
        }
    }
    if !batch.units.is_empty() {
        let first = next(connection, "unit", run)?;
        let mut insert =
            connection.prepare_cached("INSERT INTO unit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        for (seq, u) in (first..).zip(&batch.units) {
            let (started, elapsed) = (signed(u.started_ms), signed(u.elapsed_ms));
            insert.execute(params![
                run.0,
                seq,
                u.scope,
                u.package,
                u.file,
                u.stage,
                started,
                elapsed,
                u.outcome.as_str()
            ])?;
        }
    }
    if !batch.packages.is_empty() {
        let first = next(connection, "package", run)?;
        let mut insert = connection
            .prepare_cached("INSERT INTO package VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
        for (seq, p) in (first..).zip(&batch.packages) {
            insert.execute(params![
                run.0,
                seq,
                p.scope,
                p.name,
                signed(p.started_ms),
                signed(p.elapsed_ms),
                p.files,
                p.files_total,
                p.compile_ms.map(signed),
                p.link_ms.map(signed),
                p.outcome.as_str(),
            ])?;
        }
    }
    let mut predictions = 0;
    for p in &batch.predictions {
        predictions += connection
            .prepare_cached(
                "INSERT OR IGNORE INTO prediction VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                run.0,
                p.percent,
                signed(p.at_ms),
                signed(p.remaining_ms),
                signed(p.low_ms),
                signed(p.high_ms),
                p.coverage,
                p.by_count_ms.map(signed),
                p.by_sum_ms.map(signed),
                p.by_share_ms.map(signed),
                p.by_chain_ms.map(signed),
            ])?;
    }
    Ok(batch.len() - batch.predictions.len() + predictions)
}

/// Notes the dependencies of builds, of which the first has the number `first`. Those that the run has not built are left out.
fn insert_needs(
    connection: &Connection,
    run: RunId,
    first: i64,
    builds: &[BuildRecord],
) -> Result<(), StoreError> {
    if builds.iter().all(|build| build.needs.is_empty()) {
        return Ok(());
    }
    let mut query =
        connection.prepare_cached("SELECT drv, seq FROM derivation WHERE run = ?1 AND drv IS NOT NULL")?;
    let numbers: std::collections::HashMap<String, i64> =
        query.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO dependency VALUES (?1, ?2, ?3)")?;
    for (seq, build) in (first..).zip(builds) {
        for needs in build.needs.iter().filter_map(|drv| numbers.get(digest(drv))) {
            insert.execute(params![run.0, seq, needs])?;
        }
    }
    Ok(())
}

/// Returns the digest of a derivation that is named by its path or its digest.
fn digest(drv: &str) -> &str {
    drv_parts(drv).map_or(drv, |(digest, _)| digest)
}

fn insert_build(
    connection: &Connection,
    run: RunId,
    seq: i64,
    build: &BuildRecord,
) -> Result<(), StoreError> {
    let name = DrvName::parse(&build.name);
    let drv = build.drv.as_deref().map(digest);
    let none = Resources::default();
    let resources = build.resources.as_ref();
    let measured = resources.unwrap_or(&none);
    connection
        .prepare_cached(
            "INSERT INTO derivation (pname, run, seq, version, drv, system, machine, started_ms, elapsed_ms, outcome,
             concurrency, log_bytes, cpu_s, peak_rss_bytes, resource_source, resource_complete)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            name.pname,
            run.0,
            seq,
            name.version,
            drv,
            build.system,
            build.machine,
            signed(build.started_ms),
            signed(build.elapsed_ms),
            build.outcome.as_str(),
            build.concurrency,
            build.log_bytes.map(signed),
            measured.cpu_s,
            measured.peak_rss_bytes.map(signed),
            resources.map(|r| r.source.as_str()),
            resources.map(|r| r.complete),
        ])?;
    for (position, phase) in build.phases.iter().enumerate() {
        connection.prepare_cached("INSERT INTO phase VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
            run.0,
            seq,
            position as i64,
            phase.name,
            signed(phase.started_ms),
            signed(phase.elapsed_ms)
        ])?;
    }
    Ok(())
}

/// Finds the concurrency of a run's builds that lack one, now that all of them are known.
fn fill_concurrency(connection: &Connection, run: RunId) -> Result<(), StoreError> {
    let mut query = connection.prepare_cached(
        "SELECT pname, seq, started_ms, elapsed_ms, machine FROM derivation WHERE run = ?1 ORDER BY seq",
    )?;
    let mut batch = Batch::default();
    let mut keys: Vec<(String, i64)> = Vec::new();
    let mut rows = query.query([run.0])?;
    while let Some(row) = rows.next()? {
        keys.push((row.get(0)?, row.get(1)?));
        batch.builds.push(BuildRecord {
            started_ms: row.get::<_, i64>(2)?.max(0) as u64,
            elapsed_ms: row.get::<_, i64>(3)?.max(0) as u64,
            machine: row.get(4)?,
            outcome: BuildOutcome::Built,
            ..BuildRecord::default()
        });
    }
    batch.count_concurrency();
    let mut update = connection.prepare_cached(
        "UPDATE derivation SET concurrency = ?4 WHERE pname = ?1 AND run = ?2 AND seq = ?3 AND concurrency IS NULL",
    )?;
    for ((pname, seq), build) in keys.iter().zip(&batch.builds) {
        update.execute(params![pname, run.0, seq, build.concurrency])?;
    }
    Ok(())
}
