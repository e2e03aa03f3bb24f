//! Reading: what an estimate needs, runs, and what was in them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Row, Transaction, params};

use super::{RunId, Store, StoreError};
use crate::estimate::{CachePast, Past, PastRun, Sample, StageTimes, TargetPast, conformal_factor};
use crate::jobs::{JobsRun, Span};
use crate::name::DrvName;
use crate::record::{
    BuildOutcome, BuildRecord, DownloadRecord, PackageRecord, PhaseRecord, PredictionRecord, Resources,
    RunOutcome, RunRecord, UnitRecord, format_moment,
};
use crate::stats::{Attempt, Foretold, Regression, TrendPoint, regression};

/// A run as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// The number.
    pub id: RunId,
    /// The moment at which it began, in milliseconds of the Unix epoch.
    pub started_ms: i64,
    /// The rest.
    pub record: RunRecord,
}

/// A choice of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter<'a> {
    /// Those of this target.
    pub target: Option<&'a str>,
    /// Those of this host.
    pub host: Option<&'a str>,
    /// Those that began before this moment.
    pub before_ms: Option<i64>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

/// The builds that are read of one package, the newest.
const PER_PACKAGE: i64 = 30;
/// The same where one run holds many of that name.
const PER_CLASS: i64 = 400;

fn unsigned(x: i64) -> u64 {
    x.max(0).unsigned_abs()
}

fn resources(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Resources>> {
    let source: Option<String> = row.get(at + 2)?;
    let Some(source) = source else { return Ok(None) };
    Ok(Some(Resources {
        cpu_s: row.get(at)?,
        peak_rss_bytes: row.get::<_, Option<i64>>(at + 1)?.map(unsigned),
        source,
        complete: row.get::<_, Option<bool>>(at + 3)?.unwrap_or(false),
    }))
}

const RUN: &str = "id, key, host, started_ms, target, command, kind, system, nix_version, max_jobs, cores, tool_jobs, elapsed_ms,
    outcome, evaluation_ms, downloads_ms, builds_ms, activation_ms, built, failed, downloaded, downloaded_bytes, cpu_s,
    peak_rss_bytes, resource_source, resource_complete, source";

fn stored_run(row: &Row<'_>) -> rusqlite::Result<StoredRun> {
    let ms =
        |at: usize| -> rusqlite::Result<Option<u64>> { Ok(row.get::<_, Option<i64>>(at)?.map(unsigned)) };
    let started_ms = row.get(3)?;
    let host: String = row.get(2)?;
    Ok(StoredRun {
        id: RunId(row.get(0)?),
        started_ms,
        record: RunRecord {
            id: row.get(1)?,
            host: Some(host).filter(|h| !h.is_empty()),
            started: format_moment(started_ms),
            target: row.get(4)?,
            command: row.get(5)?,
            kind: row.get(6)?,
            system: row.get(7)?,
            nix_version: row.get(8)?,
            max_jobs: row.get(9)?,
            cores: row.get(10)?,
            tool_jobs: row.get(11)?,
            elapsed_ms: ms(12)?,
            outcome: RunOutcome::parse(&row.get::<_, String>(13)?),
            evaluation_ms: ms(14)?,
            downloads_ms: ms(15)?,
            builds_ms: ms(16)?,
            activation_ms: ms(17)?,
            built: row.get(18)?,
            failed: row.get(19)?,
            downloaded: row.get(20)?,
            downloaded_bytes: ms(21)?,
            resources: resources(row, 22)?,
            source: row.get(26)?,
        },
    })
}

/// Reads a run.
pub(super) fn stored(connection: &Connection, id: RunId) -> Result<Option<StoredRun>, StoreError> {
    let mut query = connection.prepare_cached(&format!("SELECT {RUN} FROM run WHERE id = ?1"))?;
    let mut rows = query.query_map([id.0], stored_run)?;
    Ok(rows.next().transpose()?)
}

/// Returns the milliseconds that are in at least one of the spans.
fn busy(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    let (mut total, mut until) = (0, 0);
    for (start, stop) in spans {
        total += stop.saturating_sub(start.max(until));
        until = until.max(stop);
    }
    total
}

impl Store {
    /// Begins to read from one state of the database: many questions then cost one lock, and agree with each other.
    fn reading(&self) -> Result<Transaction<'_>, StoreError> {
        Ok(self.connection.unchecked_transaction()?)
    }

    /// Reads what an estimate of a plan needs: the past builds of the packages named, their runs, and past downloads.
    ///
    /// The names are those of [`Plan::wanted`](crate::estimate::Plan::wanted).
    pub fn past(&self, pnames: &[&str]) -> Result<Past, StoreError> {
        let mut past = Past::default();
        let mut runs: HashMap<i64, u32> = HashMap::new();
        let _reading = self.reading()?;
        let mut query = self.connection.prepare_cached(
            "SELECT run, version, drv, system, machine, started_ms, elapsed_ms, outcome, concurrency FROM derivation
             WHERE pname = ?1 ORDER BY run DESC LIMIT ?2",
        )?;
        for pname in pnames {
            let mut limit = PER_PACKAGE;
            loop {
                let first = past.samples.len();
                let mut rows = query.query(params![pname, limit])?;
                let mut of_run: HashMap<i64, u32> = HashMap::new();
                while let Some(row) = rows.next()? {
                    let run: i64 = row.get(0)?;
                    *of_run.entry(run).or_default() += 1;
                    let outcome = BuildOutcome::parse(row.get_ref(7)?.as_str().unwrap_or(""));
                    if outcome == BuildOutcome::Cancelled {
                        continue;
                    }
                    let next = runs.len() as u32;
                    let start = unsigned(row.get(5)?);
                    past.samples.push(Sample {
                        run: *runs.entry(run).or_insert(next),
                        name: DrvName { pname: (*pname).to_owned(), version: row.get(1)? },
                        drv: row.get(2)?,
                        system: row.get(3)?,
                        machine: row.get(4)?,
                        start_ms: start,
                        stop_ms: start.saturating_add(unsigned(row.get(6)?)),
                        ok: outcome == BuildOutcome::Built,
                        concurrency: row.get(8)?,
                    });
                }
                // One name that many derivations of a run share is a class, of which more is needed.
                let shared = of_run.values().any(|&n| n > 3);
                if limit == PER_PACKAGE && shared && past.samples.len() - first >= PER_PACKAGE as usize {
                    past.samples.truncate(first);
                    limit = PER_CLASS;
                    continue;
                }
                break;
            }
        }
        past.runs = vec![PastRun::default(); runs.len()];
        let mut query =
            self.connection.prepare_cached("SELECT host, started_ms, max_jobs FROM run WHERE id = ?1")?;
        for (id, at) in runs {
            let run = query.query_row([id], |row| {
                let jobs: Option<u32> = row.get(2)?;
                Ok(PastRun { host: row.get(0)?, started_ms: row.get(1)?, jobs: jobs.unwrap_or(1) })
            });
            match run {
                Ok(run) => past.runs[at as usize] = run,
                Err(rusqlite::Error::QueryReturnedNoRows) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut query = self.connection.prepare_cached(
            "SELECT bytes, elapsed_ms, cache, run, started_ms FROM download
             WHERE run >= (SELECT coalesce(max(run), 0) - 50 FROM download) ORDER BY run DESC, seq DESC LIMIT 500",
        )?;
        let mut rows = query.query([])?;
        let mut spans: BTreeMap<(String, i64), Vec<(u64, u64)>> = BTreeMap::new();
        let mut caches: BTreeMap<String, CachePast> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (bytes, ms) = (unsigned(row.get(0)?), unsigned(row.get(1)?));
            past.downloads.push((bytes, ms));
            let (cache, start): (String, u64) = (row.get(2)?, unsigned(row.get(4)?));
            let known = caches.entry(cache.clone()).or_default();
            known.bytes = known.bytes.saturating_add(bytes);
            spans.entry((cache, row.get(3)?)).or_default().push((start, start.saturating_add(ms)));
        }
        past.downloads.reverse();
        for ((cache, _), spans) in spans {
            if let Some(known) = caches.get_mut(&cache) {
                known.busy_ms = known.busy_ms.saturating_add(busy(spans));
            }
        }
        past.caches = caches.into_iter().map(|(cache, past)| CachePast { cache, ..past }).collect();
        past.band_factor = conformal_factor(&self.misses(200)?);
        Ok(past)
    }

    /// Returns for past predictions the distance of the truth from the estimate and that of the end of the band on its side,
    /// both in logarithms, of the newest runs.
    fn misses(&self, limit: u32) -> Result<Vec<(f64, f64)>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT p.remaining_ms, p.low_ms, p.high_ms, r.elapsed_ms - p.at_ms FROM prediction p JOIN run r ON r.id = p.run
             WHERE r.outcome = 'success' AND r.elapsed_ms > p.at_ms ORDER BY p.run DESC, p.percent LIMIT ?1",
        )?;
        let rows = query.query_map([limit], |row| {
            let get = |at| Ok::<f64, rusqlite::Error>(row.get::<_, i64>(at)?.max(1) as f64);
            let (said, low, high, truth) = (get(0)?, get(1)?, get(2)?, get(3)?);
            let end = if truth > said { high } else { low };
            Ok(((truth / said).ln(), (end / said).ln()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the stage times of a target's successful runs on a host, the newest first.
    pub fn target_past(&self, target: &str, host: &str) -> Result<TargetPast, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT evaluation_ms, activation_ms, elapsed_ms, built, coalesce(tool_jobs, max_jobs) FROM run
             WHERE target = ?1 AND host = ?2 AND outcome = 'success' AND elapsed_ms IS NOT NULL ORDER BY started_ms DESC LIMIT 20",
        )?;
        let rows = query.query_map(params![target, host], |row| {
            Ok(StageTimes {
                evaluation_ms: row.get::<_, Option<i64>>(0)?.map(unsigned),
                activation_ms: row.get::<_, Option<i64>>(1)?.map(unsigned),
                total_ms: unsigned(row.get(2)?),
                built: row.get::<_, Option<u32>>(3)?.unwrap_or(0),
                jobs: row.get(4)?,
            })
        })?;
        Ok(TargetPast { runs: rows.collect::<Result<_, _>>()? })
    }

    /// Reads runs, the newest first.
    pub fn runs(&self, filter: &RunFilter<'_>) -> Result<Vec<StoredRun>, StoreError> {
        let mut query = self.connection.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE (?1 IS NULL OR target = ?1) AND (?2 IS NULL OR host = ?2)
             AND (?3 IS NULL OR started_ms < ?3) ORDER BY started_ms DESC, id DESC LIMIT ?4"
        ))?;
        let limit = filter.limit.map_or(-1, i64::from);
        let rows =
            query.query_map(params![filter.target, filter.host, filter.before_ms, limit], stored_run)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads a run.
    pub fn run(&self, id: RunId) -> Result<Option<StoredRun>, StoreError> {
        stored(&self.connection, id)
    }

    /// Returns the number of runs.
    pub fn n_runs(&self) -> Result<u64, StoreError> {
        Ok(unsigned(self.connection.query_row("SELECT count(*) FROM run", [], |row| row.get(0))?))
    }

    /// Reads the builds of a run, in the order in which they ended.
    pub fn builds(&self, run: &StoredRun) -> Result<Vec<BuildRecord>, StoreError> {
        let mut needs: HashMap<i64, Vec<String>> = HashMap::new();
        let mut query = self.connection.prepare_cached(
            "SELECT n.seq, d.drv FROM dependency n JOIN derivation d INDEXED BY derivation_run ON d.run = n.run AND d.seq = n.needs
             WHERE n.run = ?1 AND d.drv IS NOT NULL ORDER BY n.seq, n.needs",
        )?;
        let mut rows = query.query([run.id.0])?;
        while let Some(row) = rows.next()? {
            needs.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
        let mut phases: HashMap<i64, Vec<PhaseRecord>> = HashMap::new();
        let mut query = self.connection.prepare_cached(
            "SELECT seq, name, started_ms, elapsed_ms FROM phase WHERE run = ?1 ORDER BY seq, position",
        )?;
        let mut rows = query.query([run.id.0])?;
        while let Some(row) = rows.next()? {
            phases.entry(row.get(0)?).or_default().push(PhaseRecord {
                name: row.get(1)?,
                started_ms: unsigned(row.get(2)?),
                elapsed_ms: unsigned(row.get(3)?),
            });
        }
        let mut query = self.connection.prepare_cached(
            "SELECT pname, version, drv, system, machine, started_ms, elapsed_ms, outcome, concurrency, log_bytes, seq, cpu_s,
             peak_rss_bytes, resource_source, resource_complete FROM derivation WHERE run = ?1 ORDER BY seq",
        )?;
        let rows = query.query_map([run.id.0], |row| {
            let name = DrvName { pname: row.get(0)?, version: row.get(1)? };
            Ok(BuildRecord {
                run: run.record.id.clone(),
                drv: row.get(2)?,
                name: name.full(),
                system: row.get(3)?,
                machine: row.get(4)?,
                started_ms: unsigned(row.get(5)?),
                elapsed_ms: unsigned(row.get(6)?),
                outcome: BuildOutcome::parse(&row.get::<_, String>(7)?),
                needs: needs.remove(&row.get::<_, i64>(10)?).unwrap_or_default(),
                phases: phases.remove(&row.get::<_, i64>(10)?).unwrap_or_default(),
                log_bytes: row.get::<_, Option<i64>>(9)?.map(unsigned),
                concurrency: row.get(8)?,
                resources: resources(row, 11)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the downloads of a run.
    pub fn downloads(&self, run: &StoredRun) -> Result<Vec<DownloadRecord>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT cache, name, bytes, started_ms, elapsed_ms FROM download WHERE run = ?1 ORDER BY seq",
        )?;
        let rows = query.query_map([run.id.0], |row| {
            Ok(DownloadRecord {
                run: run.record.id.clone(),
                cache: row.get(0)?,
                name: row.get(1)?,
                bytes: unsigned(row.get(2)?),
                started_ms: unsigned(row.get(3)?),
                elapsed_ms: unsigned(row.get(4)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the units of a run.
    pub fn units(&self, run: &StoredRun) -> Result<Vec<UnitRecord>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT scope, package, file, stage, started_ms, elapsed_ms, outcome FROM unit WHERE run = ?1 ORDER BY seq",
        )?;
        let rows = query.query_map([run.id.0], |row| {
            Ok(UnitRecord {
                run: run.record.id.clone(),
                scope: row.get(0)?,
                package: row.get(1)?,
                file: row.get(2)?,
                stage: row.get(3)?,
                started_ms: unsigned(row.get(4)?),
                elapsed_ms: unsigned(row.get(5)?),
                outcome: BuildOutcome::parse(&row.get::<_, String>(6)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the packages of a run.
    pub fn packages(&self, run: &StoredRun) -> Result<Vec<PackageRecord>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT scope, name, started_ms, elapsed_ms, files, files_total, compile_ms, link_ms, outcome FROM package
             WHERE run = ?1 ORDER BY seq",
        )?;
        let rows = query.query_map([run.id.0], |row| {
            Ok(PackageRecord {
                run: run.record.id.clone(),
                scope: row.get(0)?,
                name: row.get(1)?,
                started_ms: unsigned(row.get(2)?),
                elapsed_ms: unsigned(row.get(3)?),
                files: row.get(4)?,
                files_total: row.get(5)?,
                compile_ms: row.get::<_, Option<i64>>(6)?.map(unsigned),
                link_ms: row.get::<_, Option<i64>>(7)?.map(unsigned),
                outcome: BuildOutcome::parse(&row.get::<_, String>(8)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the predictions of a run.
    pub fn predictions(&self, run: &StoredRun) -> Result<Vec<PredictionRecord>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT percent, at_ms, remaining_ms, low_ms, high_ms, coverage, by_count_ms, by_sum_ms, by_share_ms, by_chain_ms
             FROM prediction WHERE run = ?1 ORDER BY percent",
        )?;
        let rows = query.query_map([run.id.0], |row| {
            let ms = |at: usize| -> rusqlite::Result<Option<u64>> {
                Ok(row.get::<_, Option<i64>>(at)?.map(unsigned))
            };
            Ok(PredictionRecord {
                run: run.record.id.clone(),
                percent: row.get(0)?,
                at_ms: unsigned(row.get(1)?),
                remaining_ms: unsigned(row.get(2)?),
                low_ms: unsigned(row.get(3)?),
                high_ms: unsigned(row.get(4)?),
                coverage: row.get(5)?,
                by_count_ms: ms(6)?,
                by_sum_ms: ms(7)?,
                by_share_ms: ms(8)?,
                by_chain_ms: ms(9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads a run as the analysis of jobs and the chain of a run take it: its builds, or its units where it has none.
    pub fn spans(&self, run: &StoredRun) -> Result<Vec<Span>, StoreError> {
        let builds = self.builds(run)?;
        let numbers: HashMap<&str, usize> =
            builds.iter().enumerate().filter_map(|(i, b)| Some((b.drv.as_deref()?, i))).collect();
        let mut spans: Vec<Span> = builds
            .iter()
            .map(|b| Span {
                name: b.name.clone(),
                start_ms: b.started_ms,
                stop_ms: b.started_ms.saturating_add(b.elapsed_ms),
                needs: b.needs.iter().filter_map(|n| numbers.get(n.as_str()).copied()).collect(),
                peak_bytes: b.resources.as_ref().and_then(|r| r.peak_rss_bytes),
            })
            .collect();
        if spans.is_empty() {
            spans.extend(self.units(run)?.into_iter().map(|u| Span {
                name: u.file,
                start_ms: u.started_ms,
                stop_ms: u.started_ms.saturating_add(u.elapsed_ms),
                ..Span::default()
            }));
        }
        Ok(spans)
    }

    /// Reads the successful runs of a target on a host for [`jobs::analyse`](crate::jobs::analyse), the oldest first.
    ///
    /// The number of jobs is `-j` of the tool where the run has one, and else `max-jobs`. Runs that built nothing are left out.
    /// Reads the builds of the newest three runs with each setting only, since that is most of the work.
    pub fn jobs_runs(&self, target: &str, host: &str, limit: u32) -> Result<Vec<JobsRun>, StoreError> {
        let filter =
            RunFilter { target: Some(target), host: Some(host), limit: Some(limit), ..RunFilter::default() };
        let mut runs = Vec::new();
        let mut read: HashMap<(u32, Option<u32>), u32> = HashMap::new();
        for run in self.runs(&filter)? {
            let record = &run.record;
            let (Some(jobs), Some(elapsed_ms)) = (record.tool_jobs.or(record.max_jobs), record.elapsed_ms)
            else {
                continue;
            };
            if record.outcome != RunOutcome::Success || record.built == Some(0) {
                continue;
            }
            let read = read.entry((jobs, record.cores)).or_default();
            *read += 1;
            runs.push(JobsRun {
                jobs,
                cores: record.cores,
                started_ms: run.started_ms,
                elapsed_ms,
                spans: if *read <= 3 { self.spans(&run)? } else { Vec::new() },
                peak_bytes: record.resources.as_ref().and_then(|r| r.peak_rss_bytes),
                cpu_s: record.resources.as_ref().and_then(|r| r.cpu_s),
            });
        }
        runs.reverse();
        Ok(runs)
    }

    /// Reads the predictions of the newest runs that succeeded, with what was true, for
    /// [`stats::accuracy`](crate::stats::accuracy()).
    pub fn foretold(&self, target: Option<&str>, runs: u32) -> Result<Vec<Foretold>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "WITH newest AS (SELECT id, elapsed_ms FROM run WHERE outcome = 'success' AND elapsed_ms IS NOT NULL
             AND (?1 IS NULL OR target = ?1) AND EXISTS (SELECT 1 FROM prediction WHERE prediction.run = run.id)
             ORDER BY started_ms DESC LIMIT ?2)
             SELECT percent, elapsed_ms - at_ms, remaining_ms, low_ms, high_ms, by_count_ms, by_sum_ms, by_share_ms, by_chain_ms
             FROM prediction JOIN newest ON newest.id = prediction.run WHERE elapsed_ms > at_ms ORDER BY run, percent",
        )?;
        let rows = query.query_map(params![target, runs], |row| {
            let ms = |at: usize| -> rusqlite::Result<Option<u64>> {
                Ok(row.get::<_, Option<i64>>(at)?.map(unsigned))
            };
            Ok(Foretold {
                percent: row.get(0)?,
                truth_ms: unsigned(row.get(1)?),
                remaining_ms: unsigned(row.get(2)?),
                low_ms: unsigned(row.get(3)?),
                high_ms: unsigned(row.get(4)?),
                simple_ms: [ms(5)?, ms(6)?, ms(7)?, ms(8)?],
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Reads the attempts at a target, the oldest first, for [`stats::health`](crate::stats::health()).
    pub fn target_attempts(
        &self,
        target: &str,
        limit: u32,
    ) -> Result<Vec<(TrendPoint, Attempt)>, StoreError> {
        let filter = RunFilter { target: Some(target), limit: Some(limit), ..RunFilter::default() };
        let ended = |run: StoredRun| {
            let ok = match run.record.outcome {
                RunOutcome::Success => true,
                RunOutcome::Failure => false,
                RunOutcome::Cancelled | RunOutcome::Unknown => return None,
            };
            let elapsed_ms = run.record.elapsed_ms?;
            let jobs = run.record.tool_jobs.or(run.record.max_jobs);
            let point = TrendPoint { started_ms: run.started_ms, elapsed_ms, jobs, ok };
            Some((point, Attempt { inputs: None, ok, elapsed_ms }))
        };
        let mut attempts: Vec<_> = self.runs(&filter)?.into_iter().filter_map(ended).collect();
        attempts.reverse();
        Ok(attempts)
    }

    /// Reads the newest builds of a package on a host, the oldest first: for trends, health and regressions.
    pub fn package_attempts(
        &self,
        pname: &str,
        host: &str,
        limit: u32,
    ) -> Result<Vec<(TrendPoint, Attempt)>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT r.started_ms + d.started_ms, d.elapsed_ms, r.max_jobs, d.outcome, d.drv FROM derivation d JOIN run r ON r.id = d.run
             WHERE d.pname = ?1 AND coalesce(d.machine, r.host) = ?2 AND d.outcome <> 'cancelled' ORDER BY d.run DESC LIMIT ?3",
        )?;
        let rows = query.query_map(params![pname, host, limit], |row| {
            let elapsed_ms = unsigned(row.get(1)?);
            let ok = BuildOutcome::parse(row.get_ref(3)?.as_str().unwrap_or("")) == BuildOutcome::Built;
            let point = TrendPoint { started_ms: row.get(0)?, elapsed_ms, jobs: row.get(2)?, ok };
            Ok((point, Attempt { inputs: row.get(4)?, ok, elapsed_ms }))
        })?;
        let mut attempts: Vec<(TrendPoint, Attempt)> = rows.collect::<Result<_, _>>()?;
        attempts.sort_by_key(|(point, _)| point.started_ms);
        Ok(attempts)
    }

    /// Returns the most memory that the newest builds of a package on a host were seen to need, in bytes; `None` if none was measured.
    pub fn peak_memory(&self, pname: &str, host: &str) -> Result<Option<u64>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT max(peak_rss_bytes) FROM (SELECT d.peak_rss_bytes FROM derivation d JOIN run r ON r.id = d.run
             WHERE d.pname = ?1 AND coalesce(d.machine, r.host) = ?2 AND d.peak_rss_bytes IS NOT NULL ORDER BY d.run DESC LIMIT ?3)",
        )?;
        let peak: Option<i64> = query.query_row(params![pname, host, PER_PACKAGE], |row| row.get(0))?;
        Ok(peak.map(unsigned))
    }

    /// Returns the regressions that a run shows: packages that now take longer than they did on its host.
    ///
    /// Packages of which one run builds several, as generated files, are left out: their times are those of different things.
    pub fn regressions(&self, run: &StoredRun) -> Result<Vec<(String, Regression)>, StoreError> {
        let host = run.record.host.as_deref().unwrap_or("");
        let _reading = self.reading()?;
        let builds = self.builds(run)?;
        let mut names: Vec<String> = builds
            .iter()
            .filter(|b| b.outcome == BuildOutcome::Built && b.machine.as_deref().is_none_or(|m| m == host))
            .map(|b| DrvName::parse(&b.name).pname)
            .collect();
        names.sort();
        let mut found = Vec::new();
        for group in names.chunk_by(|a, b| a == b).filter(|group| group.len() == 1) {
            let attempts = self.package_attempts(&group[0], host, 30)?;
            let times: Vec<u64> = attempts.iter().filter(|(_, a)| a.ok).map(|(_, a)| a.elapsed_ms).collect();
            found.extend(regression(&times).map(|r| (group[0].clone(), r)));
        }
        found.sort_by_key(|(_, r)| std::cmp::Reverse(r.after_ms - r.before_ms));
        Ok(found)
    }

    /// Reads the builds of the newest runs of a target, or of all, for [`stats::slowest`](crate::stats::slowest).
    pub fn newest_builds(&self, target: Option<&str>, runs: u32) -> Result<Vec<BuildRecord>, StoreError> {
        let filter = RunFilter { target, limit: Some(runs), ..RunFilter::default() };
        let mut builds = Vec::new();
        for run in self.runs(&filter)? {
            builds.extend(self.builds(&run)?);
        }
        Ok(builds)
    }

    /// Reads the names of derivations of which units are known, the one of the oldest run first.
    pub fn unit_scopes(&self) -> Result<Vec<String>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT scope FROM unit WHERE scope IS NOT NULL GROUP BY scope ORDER BY MAX(run)",
        )?;
        Ok(query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Reads the newest successful runs that have units of a scope: a derivation's name, or the command itself.
    pub fn runs_with_units(
        &self,
        target: Option<&str>,
        scope: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredRun>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT id FROM run WHERE (?1 IS NULL OR target = ?1) AND outcome = 'success'
             AND EXISTS (SELECT 1 FROM unit WHERE unit.run = run.id AND unit.scope IS ?2)
             ORDER BY started_ms DESC LIMIT ?3",
        )?;
        let ids: Vec<i64> =
            query.query_map(params![target, scope, limit], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let runs = ids.into_iter().map(|id| self.run(RunId(id)));
        Ok(runs.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Reads the units of the newest runs of a target that had any, by the names of their files: the seconds each file took, so
    /// that the percent of a build can be weighed by them.
    pub fn unit_times(&self, target: &str, runs: u32) -> Result<Vec<UnitRecord>, StoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT id FROM run WHERE target = ?1 AND EXISTS (SELECT 1 FROM unit WHERE unit.run = run.id)
             ORDER BY started_ms DESC LIMIT ?2",
        )?;
        let ids: Vec<i64> =
            query.query_map(params![target, runs], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut units = Vec::new();
        for id in ids {
            if let Some(run) = self.run(RunId(id))? {
                units.extend(self.units(&run)?);
            }
        }
        Ok(units)
    }
}
