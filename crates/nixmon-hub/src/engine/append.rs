//! Growing files: pieces are taken only where a file ends, many of many hosts in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use nixmon_fleet::{KnownFile, Piece, RunFile};
use tokio::sync::{mpsc, oneshot};

use super::runs::RunKey;
use super::session::{Column, Database, Session, Value};
use super::{Engine, EngineError, no_answer, write};

/// Pieces of one transaction.
const MAX_PIECES: usize = 1024;
/// Bytes of one transaction, after which no further piece is taken into it.
const MAX_BYTES: usize = 16 << 20;
/// Pieces that wait; further ones wait before they are handed over.
const QUEUE: usize = 256;

/// The result of a piece.
pub type Appended = Result<KnownFile, EngineError>;

type Asked = (RunKey, Piece, oneshot::Sender<Appended>);

/// Collects the pieces of all connections: while one transaction waits for the disk, the pieces for the next one come together.
#[derive(Clone, Debug)]
pub(super) struct Appender(mpsc::Sender<Asked>);

impl Appender {
    pub(super) fn start(database: Arc<dyn Database>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Asked>(QUEUE);
        tokio::spawn(async move {
            while let Some(first) = receiver.recv().await {
                let mut n_bytes = first.1.bytes.len();
                let mut asked = vec![first];
                while asked.len() < MAX_PIECES
                    && n_bytes < MAX_BYTES
                    && let Ok(next) = receiver.try_recv()
                {
                    n_bytes += next.1.bytes.len();
                    asked.push(next);
                }
                let (pieces, answers): (Vec<_>, Vec<_>) =
                    asked.into_iter().map(|(run, piece, answer)| ((run, piece), answer)).unzip();
                let work: super::Function<Vec<(RunKey, Piece)>, Vec<Appended>> =
                    |session, pieces| Box::pin(append(session, pieces));
                let results = match write(&*database, pieces, work).await {
                    Ok(results) => results,
                    Err(error) => vec![Err(error); answers.len()],
                };
                for (answer, result) in answers.into_iter().zip(results) {
                    // The connection may have gone.
                    let _ = answer.send(result);
                }
            }
        });
        Self(sender)
    }
}

impl Engine {
    /// Appends a piece to its file, if the file ends there; what the file has already is left out. Returns the file as it is kept for
    /// good then, whose end need not be that of the piece.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such run.
    pub async fn append(&self, run: RunKey, piece: Piece) -> Appended {
        let (sender, answer) = oneshot::channel();
        self.appender.0.send((run, piece, sender)).await.map_err(|_| no_answer())?;
        answer.await.unwrap_or_else(|_| Err(no_answer()))
    }
}

/// A file in the course of a transaction.
struct Open {
    generation: u64,
    size: u64,
    is_changed: bool,
}

const KEYS: &[Column] = &[Column::Int, Column::Text];
const FILES: &[Column] = &[Column::Int, Column::Text, Column::Int, Column::Int];
const PIECES: &[Column] = &[Column::Int, Column::Text, Column::Int, Column::Int, Column::Bytes];

async fn append(session: &mut dyn Session, pieces: &[(RunKey, Piece)]) -> Result<Vec<Appended>, EngineError> {
    let mut files: BTreeMap<(i64, RunFile), Open> = BTreeMap::new();
    let wanted: BTreeMap<(i64, String), RunFile> =
        pieces.iter().map(|(run, piece)| ((run.0, piece.file.to_string()), piece.file)).collect();
    // In order, so that two hubs that lock rows do not wait for one another.
    let keys = || wanted.keys().map(|(run, file)| vec![(*run).into(), file.into()]).collect();
    session
        .each(
            "INSERT INTO file (run, file, generation, size)
            SELECT a, b, 0, 0 FROM {KEYS} WHERE a IN (SELECT id FROM run)
            ON CONFLICT (run, file) DO NOTHING",
            KEYS,
            keys(),
        )
        .await?;
    let rows = session
        .each(
            "SELECT file.run, file.file, file.generation, file.size
            FROM {KEYS} JOIN file ON file.run = wanted.a AND file.file = wanted.b
            ORDER BY file.run, file.file {LOCK_FILE}",
            KEYS,
            keys(),
        )
        .await?;
    for row in &rows {
        let Some(file) = wanted.get(&(row.int(0)?, row.text(1)?)) else { continue };
        let open = Open { generation: row.uint(2)?, size: row.uint(3)?, is_changed: false };
        files.insert((row.int(0)?, *file), open);
    }
    let mut results = Vec::with_capacity(pieces.len());
    let mut added: Vec<Vec<Value>> = Vec::new();
    for (run, piece) in pieces {
        let Some(file) = files.get_mut(&(run.0, piece.file)) else {
            results.push(Err(EngineError::Absent("there is no such run")));
            continue;
        };
        if piece.generation > file.generation && piece.offset == 0 {
            *file = Open { generation: piece.generation, size: 0, is_changed: true };
        }
        if piece.generation > file.generation {
            // Its beginning has to come first; until then the older one stays.
            results.push(Ok(KnownFile { file: piece.file, generation: piece.generation, size: 0 }));
            continue;
        }
        let is_next =
            piece.generation == file.generation && piece.offset <= file.size && file.size < piece.end();
        if is_next {
            let known = usize::try_from(file.size - piece.offset).unwrap_or(usize::MAX);
            let bytes = piece.bytes.get(known..).unwrap_or_default();
            let name = piece.file.to_string();
            added.push(vec![
                run.0.into(),
                (&name).into(),
                file.generation.into(),
                file.size.into(),
                bytes.into(),
            ]);
            *file = Open { size: piece.end(), is_changed: true, ..*file };
        }
        results.push(Ok(KnownFile { file: piece.file, generation: file.generation, size: file.size }));
    }
    let changed: Vec<Vec<Value>> = files
        .iter()
        .filter(|(_, file)| file.is_changed)
        .map(|((run, name), file)| {
            vec![(*run).into(), (&name.to_string()).into(), file.generation.into(), file.size.into()]
        })
        .collect();
    if changed.is_empty() {
        return Ok(results);
    }
    session
        .each(
            "INSERT INTO piece (run, file, generation, place, bytes) SELECT a, b, c, d, e FROM {KEYS}
            WHERE a > 0 ON CONFLICT (run, file, generation, place) DO NOTHING",
            PIECES,
            added,
        )
        .await?;
    session
        .each(
            "INSERT INTO file (run, file, generation, size) SELECT a, b, c, d FROM {KEYS} WHERE a > 0
            ON CONFLICT (run, file) DO UPDATE SET generation = excluded.generation, size = excluded.size",
            FILES,
            changed.clone(),
        )
        .await?;
    // Older generations of the files.
    for sql in [
        "DELETE FROM piece WHERE EXISTS (SELECT 1 FROM {KEYS}
            WHERE a = piece.run AND b = piece.file AND piece.generation < c AND d >= 0)",
        "DELETE FROM gap WHERE EXISTS (SELECT 1 FROM {KEYS}
            WHERE a = gap.run AND b = gap.file AND gap.generation < c AND d >= 0)",
    ] {
        let newer = changed.iter().filter(|row| row.get(2) != Some(&Value::from(0_i64)));
        let newer: Vec<Vec<Value>> = newer.cloned().collect();
        if !newer.is_empty() {
            session.each(sql, FILES, newer).await?;
        }
    }
    Ok(results)
}
