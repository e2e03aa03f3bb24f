//! The engine for several hubs: PostgreSQL, as one primary, with replicas, or managed.
//!
//! Every piece of work is idempotent, so one whose end is unknown, since the connection broke off, is carried out again: on another
//! connection, and after a failover at another server. Nothing waits for a notification: each hub looks from time to time in any case,
//! and `NOTIFY` only rings a doorbell, from a connection of its own, since a notification within a writing transaction would make all
//! commits wait for one another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Statement};

use super::session::{Column, Database, Row, Session, Value, Work};
use super::{EngineError, schema};

/// Connections of a hub, besides that of the doorbell.
const CONNECTIONS: usize = 8;
/// Time for all tries of one piece of work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for one try, after which its connection is given up.
const TRY: Duration = Duration::from_secs(20);
/// Pauses between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Time between two rings of the doorbell.
const RING: Duration = Duration::from_millis(250);
/// Statements that a connection remembers.
const MAX_STATEMENTS: usize = 256;
/// Settings of each connection.
const SETTINGS: &str =
    "SET search_path TO nixmon_hub; SET statement_timeout TO '20s'; SET lock_timeout TO '10s';
    SET idle_in_transaction_session_timeout TO '30s'";
/// The key of the lock that is held while tables are made.
const MIGRATION: i64 = 0x6e69_786d_6f6e;

/// A database of PostgreSQL.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: Arc<Pool>,
    rung: Arc<Notify>,
    doorbell: watch::Receiver<u64>,
    bell: watch::Sender<u64>,
    ringer: tokio::task::JoinHandle<()>,
}

struct Pool {
    config: Config,
    permits: Semaphore,
    idle: Mutex<Vec<Connected>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address has a password.
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// A connection with the statements that it knows.
struct Connected {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl From<tokio_postgres::Error> for EngineError {
    fn from(error: tokio_postgres::Error) -> Self {
        // The text of an error is short; its source has the words of the server.
        let text = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let Some(code) = error.code() else { return Self::Unavailable(text) };
        let again = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
            // Another hub has added or removed the same at this moment.
            SqlState::UNIQUE_VIOLATION,
            SqlState::FOREIGN_KEY_VIOLATION,
            // The server has become a replica.
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        if *code == SqlState::DISK_FULL {
            return Self::Full;
        }
        // Connections, resources and operators: 08, 53, 57.
        let is_outside = ["08", "53", "57"].iter().any(|class| code.code().starts_with(class));
        if is_outside || again.contains(code) { Self::Unavailable(text) } else { Self::Other(text) }
    }
}

impl Postgres {
    /// Connects to the database at an address, as `postgres://user@host/name`, and makes its tables where there are none.
    pub(crate) async fn connect(address: &str) -> Result<Self, EngineError> {
        let mut config: Config = address
            .parse()
            .map_err(|error: tokio_postgres::Error| EngineError::Address(error.to_string()))?;
        if config.get_ssl_mode() == tokio_postgres::config::SslMode::Require {
            return Err(EngineError::Address("this nixmon has no TLS for PostgreSQL".to_owned()));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(3));
        }
        config.tcp_user_timeout(Duration::from_secs(15)).keepalives_idle(Duration::from_secs(15));
        if config.get_application_name().is_none() {
            config.application_name("nixmon hub");
        }
        let pool = Arc::new(Pool { config, permits: Semaphore::new(CONNECTIONS), idle: Mutex::default() });
        migrate(&pool).await?;
        let (bell, doorbell) = watch::channel(0);
        let rung = Arc::new(Notify::new());
        let ringer = tokio::spawn(ring(Arc::clone(&pool), Arc::clone(&rung), bell.clone()));
        Ok(Self { pool, rung, doorbell, bell, ringer })
    }

    async fn run(&self, mut work: Box<dyn Work>, begin: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        let result = loop {
            let tried = tokio::time::timeout(TRY, self.pool.attempt(&mut *work, begin)).await;
            let result = tried.unwrap_or_else(|_| Err(EngineError::Unavailable("it is too slow".to_owned())));
            match result {
                Err(EngineError::Unavailable(error)) if Instant::now() + pause < deadline => {
                    tracing::debug!(error, "work is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                result => break result,
            }
        };
        work.finish(result);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.ringer.abort();
    }
}

impl Pool {
    async fn open(
        &self,
    ) -> Result<
        (Client, tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>),
        EngineError,
    > {
        Ok(self.config.connect(NoTls).await?)
    }

    async fn get(&self) -> Result<Connected, EngineError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(connected) if !connected.client.is_closed() => return Ok(connected),
                Some(_) => {}
                None => break,
            }
        }
        let (client, connection) = self.open().await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database has ended");
            }
        });
        client.batch_execute(SETTINGS).await?;
        Ok(Connected { client, statements: HashMap::new() })
    }

    /// Tries work once. A connection that fails is not used again.
    async fn attempt(&self, work: &mut dyn Work, begin: &str) -> Result<(), EngineError> {
        let _permit =
            self.permits.acquire().await.map_err(|_| EngineError::Unavailable("it is closed".to_owned()))?;
        let mut connected = self.get().await?;
        connected.client.batch_execute(begin).await?;
        let result = work.call(&mut connected).await;
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        connected.client.batch_execute(end).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connected);
        result
    }
}

/// Makes the tables, one hub at a time.
async fn migrate(pool: &Pool) -> Result<(), EngineError> {
    let mut connected = pool.get().await?;
    let transaction = connected.client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION]).await?;
    transaction
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS nixmon_hub;
            CREATE TABLE IF NOT EXISTS nixmon_hub.version (version BIGINT NOT NULL)",
        )
        .await?;
    let found = transaction.query_opt("SELECT max(version) FROM version", &[]).await?;
    let found = found.and_then(|row| row.get::<_, Option<i64>>(0)).unwrap_or(0);
    if found > schema::VERSION {
        return Err(EngineError::Newer { found, known: schema::VERSION });
    }
    for step in schema::steps(found) {
        let step = step
            .replace("{ID}", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
            .replace("{BYTES}", "BYTEA");
        transaction.batch_execute(&step).await?;
    }
    if found < schema::VERSION {
        transaction.execute("INSERT INTO version (version) VALUES ($1)", &[&schema::VERSION]).await?;
    }
    transaction.commit().await?;
    pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connected);
    Ok(())
}

/// Rings the doorbell of all hubs after commits of this one, and listens for it.
async fn ring(pool: Arc<Pool>, rung: Arc<Notify>, bell: watch::Sender<u64>) {
    loop {
        if let Ok((client, mut connection)) = pool.open().await {
            let heard = bell.clone();
            let listening = tokio::spawn(async move {
                while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                    if let AsyncMessage::Notification(_) = message {
                        heard.send_modify(|n| *n += 1);
                    }
                }
            });
            let mut is_open = client.batch_execute("LISTEN nixmon_hub").await.is_ok();
            while is_open {
                rung.notified().await;
                is_open = client.batch_execute("NOTIFY nixmon_hub").await.is_ok();
                tokio::time::sleep(RING).await;
            }
            listening.abort();
        }
        // Until it is there again each hub looks once a second.
        tokio::time::sleep(PAUSES.1).await;
    }
}

#[async_trait]
impl Database for Postgres {
    async fn read(&self, work: Box<dyn Work>) {
        self.run(work, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    }

    async fn write(&self, work: Box<dyn Work>) {
        self.run(work, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await;
        self.bell.send_modify(|n| *n += 1);
        self.rung.notify_one();
    }

    fn doorbell(&self) -> watch::Receiver<u64> {
        self.doorbell.clone()
    }

    fn kind(&self) -> &'static str {
        "postgres"
    }
}

fn kind_of(value: &Value) -> Type {
    match value {
        Value::Int(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Bytes(_) => Type::BYTEA,
    }
}

fn param(value: &Value) -> &(dyn ToSql + Sync) {
    match value {
        Value::Int(value) => value,
        Value::Text(value) => value,
        Value::Bytes(value) => value,
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, EngineError> {
    let columns = row.columns().iter().enumerate().map(|(at, column)| {
        let value = match *column.type_() {
            Type::INT8 => Value::Int(row.try_get(at)?),
            Type::INT4 => Value::Int(row.try_get::<_, Option<i32>>(at)?.map(i64::from)),
            Type::BYTEA => Value::Bytes(row.try_get(at)?),
            _ => Value::Text(row.try_get(at)?),
        };
        Ok(value)
    });
    Ok(Row(columns.collect::<Result<_, EngineError>>()?))
}

impl Connected {
    async fn statement(&mut self, sql: &str, types: &[Type]) -> Result<Statement, EngineError> {
        let sql = sql
            .replace("{CHANGE}", "pg_current_xact_id()::text::bigint")
            .replace("{HORIZON}", "pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            .replace("{LOCK}", "FOR UPDATE")
            .replace("{LOCK_FILE}", "FOR UPDATE OF file");
        if let Some(statement) = self.statements.get(&sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare_typed(&sql, types).await?;
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

#[async_trait]
impl Session for Connected {
    async fn query(&mut self, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, EngineError> {
        let types: Vec<Type> = params.iter().map(kind_of).collect();
        let statement = self.statement(sql, &types).await?;
        let params: Vec<_> = params.iter().map(param).collect();
        self.client.query(&statement, &params).await?.iter().map(row).collect()
    }

    async fn execute(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, EngineError> {
        let types: Vec<Type> = params.iter().map(kind_of).collect();
        let statement = self.statement(sql, &types).await?;
        let params: Vec<_> = params.iter().map(param).collect();
        Ok(self.client.execute(&statement, &params).await?)
    }

    async fn each(
        &mut self,
        sql: &'static str,
        columns: &'static [Column],
        tuples: Vec<Vec<Value>>,
    ) -> Result<Vec<Row>, EngineError> {
        let mut arrays: Vec<Array> = columns.iter().map(|column| Array::new(*column)).collect();
        for tuple in tuples {
            for (array, value) in arrays.iter_mut().zip(tuple) {
                array.push(value);
            }
        }
        let places: Vec<String> = (1..)
            .zip(columns)
            .map(|(n, column)| {
                format!(
                    "${n}::{}[]",
                    match column {
                        Column::Int => "int8",
                        Column::Text => "text",
                        Column::Bytes => "bytea",
                    }
                )
            })
            .collect();
        let names: Vec<String> =
            (0_u8..).zip(columns).map(|(n, _)| char::from(b'a' + n).to_string()).collect();
        let keys = format!("unnest({}) AS wanted ({})", places.join(","), names.join(","));
        let statement = self.statement(&sql.replace("{KEYS}", &keys), &[]).await?;
        let params: Vec<_> = arrays.iter().map(Array::param).collect();
        self.client.query(&statement, &params).await?.iter().map(row).collect()
    }
}

/// The values of a column of many tuples.
enum Array {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn new(column: Column) -> Self {
        match column {
            Column::Int => Self::Int(Vec::new()),
            Column::Text => Self::Text(Vec::new()),
            Column::Bytes => Self::Bytes(Vec::new()),
        }
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Int(values), Value::Int(value)) => values.push(value),
            (Self::Text(values), Value::Text(value)) => values.push(value),
            (Self::Bytes(values), Value::Bytes(value)) => values.push(value),
            // A value of another type than its column.
            (Self::Int(values), _) => values.push(None),
            (Self::Text(values), _) => values.push(None),
            (Self::Bytes(values), _) => values.push(None),
        }
    }

    fn param(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Int(values) => values,
            Self::Text(values) => values,
            Self::Bytes(values) => values,
        }
    }
}
