//! The embedded engine: SQLite with a write-ahead log.
//!
//! One thread writes. It takes all work that waits into one transaction, so that the pieces of many hosts share one wait for the disk.
//! Each work has a savepoint of its own: one that fails leaves the others alone. What was confirmed has to outlive a power failure,
//! since an agent gives it up then; so `synchronous` is `FULL`, where a commit waits until the log is on the disk.
//!
//! Every writing transaction begins as `IMMEDIATE`: a transaction that reads first and writes then would fail at once when another
//! process has written in between, whatever the time-out.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};
use tokio::sync::{Semaphore, watch};

use super::session::{Column, Database, Row, Session, Value, Work};
use super::{EngineError, schema};

/// Longest wait for another process that writes.
const BUSY: Duration = Duration::from_secs(10);
/// Work in one transaction.
const MAX_GROUP: usize = 256;
/// Work that waits for the writer; further work waits before it is handed over.
const QUEUE: usize = 1024;
/// Connections that read at once.
const READERS: usize = 4;
/// Prepared statements of a connection.
const STATEMENTS: usize = 128;

/// A database of SQLite.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    queue: Option<SyncSender<Box<dyn Work>>>,
    writer: Option<std::thread::JoinHandle<()>>,
    readers: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    doorbell: watch::Receiver<u64>,
}

impl Sqlite {
    /// Opens the database at `path`, and makes it where there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, EngineError> {
        let mut connection = connect(path)?;
        let found = version(&connection)?;
        if found > schema::VERSION {
            return Err(EngineError::Newer { found, known: schema::VERSION });
        }
        migrate(&mut connection)?;
        let (queue, work) = mpsc::sync_channel(QUEUE);
        let (bell, doorbell) = watch::channel(0);
        let writer = std::thread::Builder::new()
            .name("hub database".to_owned())
            .spawn(move || write(&mut connection, &work, &bell))
            .map_err(|error| EngineError::Unavailable(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            queue: Some(queue),
            writer: Some(writer),
            readers: Arc::default(),
            permits: Arc::new(Semaphore::new(READERS)),
            doorbell,
        })
    }
}

impl Drop for Sqlite {
    /// Waits until what was handed over has been written.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn connect(path: &Path) -> Result<Connection, EngineError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn version(connection: &Connection) -> Result<i64, EngineError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn migrate(connection: &mut Connection) -> Result<(), EngineError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited.
    let mut version = version(&transaction)?;
    if version == 0 {
        transaction
            .execute_batch("CREATE TABLE counter (n BIGINT NOT NULL); INSERT INTO counter VALUES (0);")?;
    }
    for step in schema::steps(version) {
        let step = step.replace("{ID}", "INTEGER PRIMARY KEY AUTOINCREMENT").replace("{BYTES}", "BLOB");
        transaction.execute_batch(&step)?;
        version += 1;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.commit()?;
    Ok(())
}

#[async_trait]
impl Database for Sqlite {
    async fn read(&self, mut work: Box<dyn Work>) {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let (path, readers) = (self.path.clone(), Arc::clone(&self.readers));
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let lock = || readers.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = lock().pop();
            let result = idle.map_or_else(|| connect(&path), Ok).and_then(|mut connection| {
                connection.execute_batch("BEGIN")?;
                let result = at_once(work.call(&mut Transaction { connection: &mut connection }));
                connection.execute_batch("ROLLBACK")?;
                lock().push(connection);
                result
            });
            work.finish(result);
        });
        // A panic has been reported, and drops the work: its caller is told that there is no answer.
        let _ = reading.await;
    }

    async fn write(&self, work: Box<dyn Work>) {
        let Some(queue) = self.queue.clone() else { return };
        let work = match queue.try_send(work) {
            Ok(()) => return,
            Err(mpsc::TrySendError::Full(work) | mpsc::TrySendError::Disconnected(work)) => work,
        };
        let _ = tokio::task::spawn_blocking(move || {
            if let Err(mpsc::SendError(work)) = queue.send(work) {
                work.finish(Err(EngineError::Unavailable("it was closed".to_owned())));
            }
        })
        .await;
    }

    fn doorbell(&self) -> watch::Receiver<u64> {
        self.doorbell.clone()
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }
}

/// Carries out work until no more can come.
fn write(connection: &mut Connection, queue: &Receiver<Box<dyn Work>>, bell: &watch::Sender<u64>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(MAX_GROUP - 1));
        let mut results = Vec::with_capacity(group.len());
        let committed = (|| {
            connection.execute_batch("BEGIN IMMEDIATE; UPDATE counter SET n = n + 1")?;
            for work in &mut group {
                connection.execute_batch("SAVEPOINT work")?;
                let result = at_once(work.call(&mut Transaction { connection }));
                if result.is_err() {
                    connection.execute_batch("ROLLBACK TO work")?;
                }
                connection.execute_batch("RELEASE work")?;
                results.push(result);
            }
            Ok(connection.execute_batch("COMMIT")?)
        })();
        if committed.is_err() && !connection.is_autocommit() {
            // Some failures, as a full disk, have rolled it back already.
            let _ = connection.execute_batch("ROLLBACK");
        }
        match committed {
            Ok(()) => {
                bell.send_modify(|n| *n += 1);
                for (work, result) in group.into_iter().zip(results) {
                    work.finish(result);
                }
            }
            Err(error) => {
                let error: EngineError = error;
                tracing::warn!(%error, "the hub's database cannot be written");
                for work in group {
                    work.finish(Err(error.clone()));
                }
            }
        }
    }
}

/// Returns the result of a future that never waits, since its statements are carried out at once.
fn at_once<T>(future: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(EngineError::Other("work waited for something else".to_owned())),
    }
}

struct Transaction<'a> {
    connection: &'a mut Connection,
}

impl Transaction<'_> {
    fn statement(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>, EngineError> {
        let sql = sql
            .replace('$', "?")
            .replace("{CHANGE}", "(SELECT n FROM counter)")
            .replace("{HORIZON}", "(SELECT n + 1 FROM counter)")
            .replace("{LOCK}", "")
            .replace("{LOCK_FILE}", "");
        Ok(self.connection.prepare_cached(&sql)?)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(Some(value)) => ValueRef::Integer(*value),
            Self::Text(Some(value)) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(Some(value)) => ValueRef::Blob(value),
            Self::Int(None) | Self::Text(None) | Self::Bytes(None) => ValueRef::Null,
        }))
    }
}

fn rows(statement: &mut Statement<'_>, params: &[Value]) -> Result<Vec<Row>, EngineError> {
    let n_columns = statement.column_count();
    let mut found = statement.query(rusqlite::params_from_iter(params))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let columns = (0..n_columns).map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => Value::Int(None),
                ValueRef::Integer(value) => Value::Int(Some(value)),
                ValueRef::Text(value) => Value::Text(Some(String::from_utf8_lossy(value).into_owned())),
                ValueRef::Blob(value) => Value::Bytes(Some(value.to_owned())),
                ValueRef::Real(_) => {
                    return Err(EngineError::Damaged(format!("column {at} of an answer is a fraction")));
                }
            })
        });
        rows.push(Row(columns.collect::<Result<_, EngineError>>()?));
    }
    Ok(rows)
}

// No statement is held while something else is waited for, so a transaction may go from thread to thread.
#[async_trait]
impl Session for Transaction<'_> {
    async fn query(&mut self, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, EngineError> {
        rows(&mut *self.statement(sql)?, params)
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, EngineError> {
        Ok(self.statement(sql)?.execute(rusqlite::params_from_iter(params))? as u64)
    }

    async fn each(
        &mut self,
        sql: &'static str,
        columns: &'static [Column],
        tuples: Vec<Vec<Value>>,
    ) -> Result<Vec<Row>, EngineError> {
        let places: Vec<String> =
            (0_u8..).zip(columns).map(|(n, _)| format!("?{} AS {}", n + 1, char::from(b'a' + n))).collect();
        let sql = sql.replace("{KEYS}", &format!("(SELECT {}) AS wanted", places.join(",")));
        let mut statement = self.statement(&sql)?;
        let mut found = Vec::new();
        for tuple in &tuples {
            found.extend(rows(&mut statement, tuple)?);
        }
        Ok(found)
    }
}
