//! Runs of hosts: their numbers, documents, files and gaps.

use nixmon_fleet::{Document, Gap, KnownDocument, KnownFile, KnownRun, RunEnd, RunFile};
use serde_json::Value as Json;

use super::hosts::{Changes, HostId, horizon};
use super::session::{Row, Session};
use super::{Engine, EngineError};

/// Bytes of a file that are read at once, and at least one piece.
const MAX_READ: u64 = 4 << 20;

/// The key of a run in an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey(pub i64);

/// A run of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostRun {
    /// Its key.
    pub key: RunKey,
    /// Its host.
    pub host: HostId,
    /// Its number on the hub: counts up for a host, and is never given twice.
    pub number: u64,
    /// The store of the host that it is in.
    pub store: String,
    /// Its number in that store.
    pub origin: u64,
    /// When the hub heard of it, in milliseconds since 1970 by the clock of the hub.
    pub first_seen: u64,
    /// It is over, and the hub has all that comes of it.
    pub is_complete: bool,
    /// The reason why a part of it is missing, in words of the host.
    pub missing: Option<String>,
    /// The document `facts`, as the host wrote it.
    pub facts: Option<Json>,
    /// The document `status`, as the host wrote it.
    pub status: Option<Json>,
}

/// A part of a file that its host cannot send any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGap {
    /// The file.
    pub file: RunFile,
    /// Its generation.
    pub generation: u64,
    /// Place of the first byte that is missing.
    pub from: u64,
    /// Place of the first byte after the gap; `None` if nothing more comes.
    pub to: Option<u64>,
    /// The reason, in words of the host.
    pub reason: String,
}

macro_rules! run_columns {
    () => {
        "run.id, run.host, run.number, run.store, run.origin, run.first_seen, run.is_complete, run.missing,
            facts.content, status.content
        FROM run
        LEFT JOIN document AS facts ON facts.run = run.id AND facts.file = 'facts'
        LEFT JOIN document AS status ON status.run = run.id AND status.file = 'status'"
    };
}

impl Engine {
    /// Returns the key of a run of a host, which is given a number on the hub when it is heard of first.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such host.
    pub async fn run_of(
        &self,
        host: HostId,
        store: &str,
        origin: u64,
        now: u64,
    ) -> Result<RunKey, EngineError> {
        self.write((host, store.to_owned(), origin, now), |session, (host, store, origin, now)| {
            Box::pin(run_of(session, *host, store, *origin, *now))
        })
        .await
    }

    /// Returns what is kept of some runs of a host, as an agent wants to know it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn known(
        &self,
        host: HostId,
        store: &str,
        origins: &[u64],
    ) -> Result<Vec<KnownRun>, EngineError> {
        self.read((host, store.to_owned(), origins.to_owned()), |session, (host, store, origins)| {
            Box::pin(async move {
                let mut known = Vec::new();
                for origin in origins {
                    let sql =
                        "SELECT id, is_complete FROM run WHERE host = $1 AND store = $2 AND origin = $3";
                    let rows = session.query(sql, &[host.0.into(), store.into(), (*origin).into()]).await?;
                    let Some(row) = rows.first() else { continue };
                    let key = RunKey(row.int(0)?);
                    let files = files(session, key).await?;
                    let sql = "SELECT file, version FROM document WHERE run = $1 ORDER BY file";
                    let documents = session.query(sql, &[key.0.into()]).await?;
                    let documents = documents
                        .iter()
                        .map(|row| Ok(KnownDocument { file: file_of(row, 0)?, version: row.uint(1)? }));
                    let documents = documents.collect::<Result<_, EngineError>>()?;
                    known.push(KnownRun { run: *origin, files, is_complete: row.switch(1)?, documents });
                }
                Ok(known)
            })
        })
        .await
    }

    /// Returns runs that have changed since a look, of all hosts; all of them for the first one. Pieces of their files do not count.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn changed_runs(&self, since: Option<i64>) -> Result<Changes<HostRun>, EngineError> {
        self.read(since.unwrap_or(0), |session, since| {
            Box::pin(async move {
                let next = horizon(session).await?;
                let sql = concat!("SELECT ", run_columns!(), " WHERE run.change >= $1");
                let rows = session.query(sql, &[(*since).into()]).await?;
                Ok(Changes { items: rows.iter().map(run).collect::<Result<_, _>>()?, next })
            })
        })
        .await
    }

    /// Returns the runs of a host, the newest first, from below a number on.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn runs(
        &self,
        host: HostId,
        below: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HostRun>, EngineError> {
        self.read((host, below, limit), |session, (host, below, limit)| {
            Box::pin(async move {
                let sql = concat!(
                    "SELECT ",
                    run_columns!(),
                    " WHERE run.host = $1 AND run.number < $2 ORDER BY run.number DESC LIMIT $3"
                );
                let below = below.unwrap_or(i64::MAX as u64);
                let rows = session.query(sql, &[host.0.into(), below.into(), (*limit as u64).into()]).await?;
                rows.iter().map(run).collect()
            })
        })
        .await
    }

    /// Returns the newest run of each host that has one, in no order.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn last_runs(&self) -> Result<Vec<HostRun>, EngineError> {
        self.read((), |session, ()| {
            Box::pin(async move {
                let sql = concat!(
                    "SELECT ",
                    run_columns!(),
                    " WHERE run.id IN (SELECT max(id) FROM run GROUP BY host)"
                );
                let rows = session.query(sql, &[]).await?;
                rows.iter().map(run).collect()
            })
        })
        .await
    }

    /// Returns a run of a host by its number on the hub.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn run(&self, host: HostId, number: u64) -> Result<Option<HostRun>, EngineError> {
        self.read((host, number), |session, (host, number)| {
            Box::pin(async move {
                let sql = concat!("SELECT ", run_columns!(), " WHERE run.host = $1 AND run.number = $2");
                let rows = session.query(sql, &[host.0.into(), (*number).into()]).await?;
                rows.first().map(run).transpose()
            })
        })
        .await
    }

    /// Keeps a document, if it is newer than that which is kept. Returns the version that is kept then.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such run.
    pub async fn keep_document(&self, run: RunKey, document: &Document) -> Result<u64, EngineError> {
        self.write((run, document.clone()), |session, (run, document)| {
            Box::pin(async move {
                touch(session, *run).await?;
                let content = document.content.to_string();
                let file = document.file.to_string();
                let params = [run.0.into(), (&file).into(), document.version.into(), (&content).into()];
                session
                    .execute(
                        "INSERT INTO document (run, file, version, content) VALUES ($1, $2, $3, $4)
                        ON CONFLICT (run, file) DO UPDATE
                        SET version = excluded.version, content = excluded.content
                        WHERE document.version < excluded.version",
                        &params,
                    )
                    .await?;
                let sql = "SELECT version FROM document WHERE run = $1 AND file = $2";
                let rows = session.query(sql, &[run.0.into(), (&file).into()]).await?;
                rows.first().map_or(Err(EngineError::Absent("there is no such run")), |row| row.uint(0))
            })
        })
        .await
    }

    /// Returns the documents of a run with their versions.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn documents(&self, run: RunKey) -> Result<Vec<(RunFile, u64, Json)>, EngineError> {
        self.read(run, |session, run| {
            Box::pin(async move {
                let sql = "SELECT file, version, content FROM document WHERE run = $1 ORDER BY file";
                let rows = session.query(sql, &[run.0.into()]).await?;
                rows.iter().map(|row| Ok((file_of(row, 0)?, row.uint(1)?, json(&row.text(2)?)?))).collect()
            })
        })
        .await
    }

    /// Returns the growing files of a run.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn files(&self, run: RunKey) -> Result<Vec<KnownFile>, EngineError> {
        self.read(run, |session, run| Box::pin(files(session, *run))).await
    }

    /// Returns the gaps in the files of a run, in order.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn gaps(&self, run: RunKey) -> Result<Vec<StoredGap>, EngineError> {
        self.read(run, |session, run| {
            Box::pin(async move {
                let sql = "SELECT file, generation, first, last, reason FROM gap WHERE run = $1
                    ORDER BY file, generation, first";
                let rows = session.query(sql, &[run.0.into()]).await?;
                rows.iter()
                    .map(|row| {
                        Ok(StoredGap {
                            file: file_of(row, 0)?,
                            generation: row.uint(1)?,
                            from: row.uint(2)?,
                            to: row.opt_uint(3)?,
                            reason: row.text(4)?,
                        })
                    })
                    .collect()
            })
        })
        .await
    }

    /// Returns bytes of a file from a place on, with their place, which is a later one only behind a gap: at most about `limit` bytes,
    /// but at least one piece if there is one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn pieces(
        &self,
        run: RunKey,
        file: RunFile,
        generation: u64,
        from: u64,
        limit: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, EngineError> {
        let limit = limit.min(MAX_READ);
        self.read((run, file, generation, from, limit), |session, (run, file, generation, from, limit)| {
            Box::pin(async move {
                let file = file.to_string();
                let key = [run.0.into(), (&file).into(), (*generation).into(), (*from).into()];
                // The piece that the place is within, if it is not the beginning of one.
                let sql = "SELECT CAST(coalesce(max(place), 0) AS BIGINT) FROM piece
                    WHERE run = $1 AND file = $2 AND generation = $3 AND place <= $4";
                let begin = session.query(sql, &key).await?;
                let mut begin = begin.first().map_or(Ok(0), |row| row.uint(0))?;
                let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
                let mut n_bytes = 0;
                loop {
                    let sql = "SELECT place, bytes FROM piece
                        WHERE run = $1 AND file = $2 AND generation = $3 AND place >= $4
                        ORDER BY place LIMIT 16";
                    let key = [run.0.into(), (&file).into(), (*generation).into(), begin.into()];
                    let rows = session.query(sql, &key).await?;
                    for row in &rows {
                        let (place, bytes) = (row.uint(0)?, row.bytes(1)?);
                        begin = place + 1;
                        let known = usize::try_from(from.saturating_sub(place)).unwrap_or(usize::MAX);
                        let Some(bytes) = bytes.get(known..).filter(|bytes| !bytes.is_empty()) else {
                            continue;
                        };
                        n_bytes += bytes.len() as u64;
                        found.push((place.max(*from), bytes.to_owned()));
                        if n_bytes >= *limit {
                            return Ok(found);
                        }
                    }
                    if rows.len() < 16 {
                        return Ok(found);
                    }
                }
            })
        })
        .await
    }

    /// Keeps that a part of a file will not come. Returns the file, which goes on behind the gap.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such run.
    pub async fn keep_gap(&self, run: RunKey, gap: &Gap) -> Result<KnownFile, EngineError> {
        self.write((run, gap.clone()), |session, (run, gap)| Box::pin(keep_gap(session, *run, gap))).await
    }

    /// Takes the end of a run. Returns the files that the hub has otherwise than its host says; without one the run is complete.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such run.
    pub async fn end_run(&self, run: RunKey, end: &RunEnd) -> Result<Vec<KnownFile>, EngineError> {
        self.write((run, end.clone()), |session, (run, end)| {
            Box::pin(async move {
                let kept = files(session, *run).await?;
                let mut others = Vec::new();
                for file in &end.files {
                    let has = kept.iter().find(|kept| kept.file == file.file);
                    let (generation, size) = has.map_or((0, 0), |has| (has.generation, has.size));
                    if file.size > 0 && (generation, size) != (file.generation, file.size) {
                        others.push(KnownFile { file: file.file, generation, size });
                    }
                }
                if others.is_empty() || end.reason.is_some() {
                    let sql = "UPDATE run SET is_complete = 1, missing = $2, change = {CHANGE} WHERE id = $1";
                    session.execute(sql, &[run.0.into(), end.reason.as_deref().into()]).await?;
                    return Ok(Vec::new());
                }
                Ok(others)
            })
        })
        .await
    }

    /// Says that somebody looks at a run, until a time by the clock of the hub.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such run.
    pub async fn watch(&self, run: RunKey, until: u64) -> Result<(), EngineError> {
        self.write((run, until), |session, (run, until)| {
            Box::pin(async move {
                let sql = "INSERT INTO watched (run, until) SELECT id, $2 FROM run WHERE id = $1
                    ON CONFLICT (run) DO UPDATE SET until = excluded.until
                    WHERE watched.until < excluded.until";
                session.execute(sql, &[run.0.into(), (*until).into()]).await.map(drop)
            })
        })
        .await
    }

    /// Returns the runs that somebody looks at, with their hosts, stores and numbers there, in order.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn watched(&self, now: u64) -> Result<Vec<(HostId, String, u64)>, EngineError> {
        self.read(now, |session, now| {
            Box::pin(async move {
                let sql = "SELECT run.host, run.store, run.origin FROM watched
                    JOIN run ON run.id = watched.run WHERE watched.until > $1
                    ORDER BY run.host, run.origin";
                let rows = session.query(sql, &[(*now).into()]).await?;
                rows.iter().map(|row| Ok((HostId(row.int(0)?), row.text(1)?, row.uint(2)?))).collect()
            })
        })
        .await
    }
}

async fn touch(session: &mut dyn Session, run: RunKey) -> Result<(), EngineError> {
    let n = session.execute("UPDATE run SET change = {CHANGE} WHERE id = $1", &[run.0.into()]).await?;
    if n == 0 { Err(EngineError::Absent("there is no such run")) } else { Ok(()) }
}

pub(super) async fn run_of(
    session: &mut dyn Session,
    host: HostId,
    store: &str,
    origin: u64,
    now: u64,
) -> Result<RunKey, EngineError> {
    const FIND: &str = "SELECT id FROM run WHERE host = $1 AND store = $2 AND origin = $3";
    let key = [host.0.into(), store.into(), origin.into()];
    if let Some(row) = session.query(FIND, &key).await?.first() {
        return Ok(RunKey(row.int(0)?));
    }
    // Locked, so that one number is given at a time.
    let rows = session.query("SELECT store, base FROM host WHERE id = $1 {LOCK}", &[host.0.into()]).await?;
    let Some(row) = rows.first() else { return Err(EngineError::Absent("there is no such host")) };
    let base = if row.text(0)? == store { Some(row.uint(1)?) } else { None };
    if let Some(row) = session.query(FIND, &key).await?.first() {
        return Ok(RunKey(row.int(0)?));
    }
    let taken = "SELECT number FROM run WHERE host = $1 AND number = $2";
    let number =
        base.and_then(|base| base.checked_add(origin)).filter(|number| i64::try_from(*number).is_ok());
    let number = match number {
        Some(number) if session.query(taken, &[host.0.into(), number.into()]).await?.is_empty() => number,
        // The number belongs to a run of another store.
        _ => {
            let sql = "SELECT CAST(coalesce(max(number), 0) + 1 AS BIGINT) FROM run WHERE host = $1";
            let rows = session.query(sql, &[host.0.into()]).await?;
            rows.first().map_or(Ok(1), |row| row.uint(0))?
        }
    };
    let rows = session
        .query(
            "INSERT INTO run (host, number, store, origin, first_seen, is_complete, change)
            VALUES ($1, $2, $3, $4, $5, 0, {CHANGE}) RETURNING id",
            &[host.0.into(), number.into(), store.into(), origin.into(), now.into()],
        )
        .await?;
    rows.first().map_or(Err(EngineError::Absent("there is no such host")), |row| Ok(RunKey(row.int(0)?)))
}

async fn files(session: &mut dyn Session, run: RunKey) -> Result<Vec<KnownFile>, EngineError> {
    let sql = "SELECT file, generation, size FROM file WHERE run = $1 ORDER BY file";
    let rows = session.query(sql, &[run.0.into()]).await?;
    rows.iter()
        .map(|row| Ok(KnownFile { file: file_of(row, 0)?, generation: row.uint(1)?, size: row.uint(2)? }))
        .collect()
}

async fn keep_gap(session: &mut dyn Session, run: RunKey, gap: &Gap) -> Result<KnownFile, EngineError> {
    let file = gap.file.to_string();
    touch(session, run).await?;
    session
        .execute(
            "INSERT INTO file (run, file, generation, size) VALUES ($1, $2, 0, 0)
            ON CONFLICT (run, file) DO NOTHING",
            &[run.0.into(), (&file).into()],
        )
        .await?;
    let sql = "SELECT generation, size FROM file WHERE run = $1 AND file = $2 {LOCK}";
    let rows = session.query(sql, &[run.0.into(), (&file).into()]).await?;
    let Some(row) = rows.first() else { return Err(EngineError::Absent("there is no such run")) };
    let (mut generation, mut size) = (row.uint(0)?, row.uint(1)?);
    let known = |generation, size| Ok(KnownFile { file: gap.file, generation, size });
    if gap.generation < generation {
        return known(generation, size);
    }
    if gap.generation > generation {
        for sql in [
            "DELETE FROM piece WHERE run = $1 AND file = $2 AND generation < $3",
            "DELETE FROM gap WHERE run = $1 AND file = $2 AND generation < $3",
        ] {
            session.execute(sql, &[run.0.into(), (&file).into(), gap.generation.into()]).await?;
        }
        (generation, size) = (gap.generation, 0);
    }
    let to = gap.to.filter(|to| i64::try_from(*to).is_ok());
    // A gap in front of the end has been filled, and one beyond it hides bytes that were never told of.
    if to.is_some_and(|to| to <= size) || gap.from > size {
        return known(generation, size);
    }
    session
        .execute(
            "INSERT INTO gap (run, file, generation, first, last, reason) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (run, file, generation, first)
            DO UPDATE SET last = excluded.last, reason = excluded.reason",
            &[run.0.into(), (&file).into(), generation.into(), size.into(), to.into(), (&gap.reason).into()],
        )
        .await?;
    let size = to.unwrap_or(size);
    session
        .execute(
            "UPDATE file SET generation = $3, size = $4 WHERE run = $1 AND file = $2",
            &[run.0.into(), (&file).into(), generation.into(), size.into()],
        )
        .await?;
    known(generation, size)
}

fn json(text: &str) -> Result<Json, EngineError> {
    serde_json::from_str(text)
        .map_err(|error| EngineError::Damaged(format!("a document of a run cannot be read: {error}")))
}

fn file_of(row: &Row, at: usize) -> Result<RunFile, EngineError> {
    let name = row.text(at)?;
    name.parse().map_err(|_| EngineError::Damaged(format!("no file of a run is called `{name}`")))
}

fn run(row: &Row) -> Result<HostRun, EngineError> {
    let document = |at| row.opt_text(at)?.map(|text| json(&text)).transpose();
    Ok(HostRun {
        key: RunKey(row.int(0)?),
        host: HostId(row.int(1)?),
        number: row.uint(2)?,
        store: row.text(3)?,
        origin: row.uint(4)?,
        first_seen: row.uint(5)?,
        is_complete: row.switch(6)?,
        missing: row.opt_text(7)?,
        facts: document(8)?,
        status: document(9)?,
    })
}
