//! Everything that a hub keeps: hosts, their runs, commands, accounts, an audit log.
//!
//! [`Engine`] has a method for each question and each change. What it keeps lies in a [`Database`]: the embedded one is a file, another
//! one is shared by several hubs. The statements are the same, so the engines do not differ.

mod append;
mod commands;
mod error;
mod hosts;
mod keep;
mod postgres;
mod runs;
mod schema;
mod secrets;
mod session;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

pub use append::Appended;
pub use commands::{Asked, Batch, BatchHost, BatchState, Command, NewBatch, NewCommand, Standing};
pub use error::EngineError;
pub use hosts::{Changes, Greeting, Host, HostId};
pub use keep::{Kept, Pruned};
pub use runs::{HostRun, RunKey, StoredGap};
pub use secrets::{Account, AuditEntry, Hash, Redeemed, Role, Secret, StoredSession, Token};

use append::Appender;
use session::{Database, Session, Work, WorkFuture};

/// Everything that a hub keeps. Clones are the same engine.
#[derive(Clone, Debug)]
pub struct Engine {
    database: Arc<dyn Database>,
    appender: Appender,
}

impl Engine {
    /// Opens the embedded engine, a file, and makes it where there is none. Needs the executor.
    ///
    /// # Errors
    ///
    /// If the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        Ok(Self::new(Arc::new(sqlite::Sqlite::open(path)?)))
    }

    /// Connects to a PostgreSQL database, as `postgres://user@host/name`, which several hubs may share. Its tables are made in a schema of
    /// their own where there are none.
    ///
    /// # Errors
    ///
    /// If the database cannot be used.
    pub async fn connect(address: &str) -> Result<Self, EngineError> {
        Ok(Self::new(Arc::new(postgres::Postgres::connect(address).await?)))
    }

    fn new(database: Arc<dyn Database>) -> Self {
        Self { appender: Appender::start(Arc::clone(&database)), database }
    }

    /// Returns the name of the kind of database: `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        self.database.kind()
    }

    /// Returns a counter that rises after commits that somebody may wait for, of this hub or another one. It may rise late or less
    /// often, so a waiting task looks from time to time in any case.
    pub fn doorbell(&self) -> watch::Receiver<u64> {
        self.database.doorbell()
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn check(&self) -> Result<(), EngineError> {
        self.read((), |session, ()| {
            Box::pin(
                async move { session.query("SELECT count(*) FROM batch WHERE id < 0", &[]).await.map(drop) },
            )
        })
        .await
    }

    async fn read<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        args: A,
        function: Function<A, T>,
    ) -> Result<T, EngineError> {
        let (work, answer) = call(args, function);
        self.database.read(work).await;
        answer.await.unwrap_or_else(|_| Err(no_answer()))
    }

    async fn write<A: Send + Sync + 'static, T: Send + 'static>(
        &self,
        args: A,
        function: Function<A, T>,
    ) -> Result<T, EngineError> {
        write(&*self.database, args, function).await
    }
}

fn no_answer() -> EngineError {
    EngineError::Unavailable("it gave no answer".to_owned())
}

async fn write<A: Send + Sync + 'static, T: Send + 'static>(
    database: &dyn Database,
    args: A,
    function: Function<A, T>,
) -> Result<T, EngineError> {
    let (work, answer) = call(args, function);
    database.write(work).await;
    answer.await.unwrap_or_else(|_| Err(no_answer()))
}

/// A function that works within a transaction. Nothing is kept from one try to the next.
type Function<A, T> = for<'a> fn(&'a mut dyn Session, &'a A) -> WorkFuture<'a, T>;

/// A call of a function, and the place for its answer.
struct Call<A, T> {
    args: A,
    function: Function<A, T>,
    answer: Option<T>,
    to: oneshot::Sender<Result<T, EngineError>>,
}

fn call<A: Send + Sync + 'static, T: Send + 'static>(
    args: A,
    function: Function<A, T>,
) -> (Box<dyn Work>, oneshot::Receiver<Result<T, EngineError>>) {
    let (to, answer) = oneshot::channel();
    (Box::new(Call { args, function, answer: None, to }), answer)
}

#[async_trait]
impl<A: Send + Sync, T: Send> Work for Call<A, T> {
    async fn call(&mut self, session: &mut dyn Session) -> Result<(), EngineError> {
        self.answer = None;
        self.answer = Some((self.function)(session, &self.args).await?);
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), EngineError>) {
        let Self { answer, to, .. } = *self;
        // The one who asked may have gone.
        let _ = to.send(result.and_then(|()| answer.ok_or_else(no_answer)));
    }
}
