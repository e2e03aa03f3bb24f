//! The seam between what an engine keeps and the database that keeps it: statements with values in, rows out.
//!
//! Every statement is written once, in the common part of the two dialects. Parameters are `$1` and so on. Three words stand for what
//! differs: `{CHANGE}` is the number of the writing transaction, `{HORIZON}` the lowest number that a transaction that cannot be seen
//! yet may have, and `{LOCK}` after a `SELECT` locks the rows until the transaction ends.

use std::pin::Pin;

use async_trait::async_trait;

use super::EngineError;

/// A value of a parameter or of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A number.
    Int(Option<i64>),
    /// A text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u64> for Value {
    /// Numbers beyond those of a database become the largest one.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<u64>> for Value {
    fn from(value: Option<u64>) -> Self {
        Self::Int(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.replace('\0', "")))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        value.as_str().into()
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        // A NUL has no place in a text of PostgreSQL.
        Self::Text(value.map(|value| value.replace('\0', "")))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_owned()))
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(value: &[u8; N]) -> Self {
        value.as_slice().into()
    }
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Numbers.
    Int,
    /// Texts.
    Text,
    /// Bytes.
    Bytes,
}

/// A row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    fn damaged(at: usize, wanted: &str) -> EngineError {
        EngineError::Damaged(format!("column {at} of an answer is no {wanted}"))
    }

    /// Returns a number.
    ///
    /// # Errors
    ///
    /// If the column has none.
    pub(crate) fn int(&self, at: usize) -> Result<i64, EngineError> {
        self.opt_int(at)?.ok_or_else(|| Self::damaged(at, "number"))
    }

    /// Returns a number that is not negative.
    ///
    /// # Errors
    ///
    /// If the column has none.
    pub(crate) fn uint(&self, at: usize) -> Result<u64, EngineError> {
        u64::try_from(self.int(at)?).map_err(|_| Self::damaged(at, "number from 0"))
    }

    /// Returns a number that may be absent.
    ///
    /// # Errors
    ///
    /// If the column has something else.
    pub(crate) fn opt_int(&self, at: usize) -> Result<Option<i64>, EngineError> {
        match self.0.get(at) {
            Some(Value::Int(value)) => Ok(*value),
            // A database that does not know the type of a column that is null says so in its own way.
            Some(Value::Text(None) | Value::Bytes(None)) => Ok(None),
            _ => Err(Self::damaged(at, "number")),
        }
    }

    /// Returns a number that is not negative and may be absent.
    ///
    /// # Errors
    ///
    /// If the column has something else.
    pub(crate) fn opt_uint(&self, at: usize) -> Result<Option<u64>, EngineError> {
        let number = self.opt_int(at)?;
        number.map(u64::try_from).transpose().map_err(|_| Self::damaged(at, "number from 0"))
    }

    /// Returns a switch.
    ///
    /// # Errors
    ///
    /// If the column has none.
    pub(crate) fn switch(&self, at: usize) -> Result<bool, EngineError> {
        self.int(at).map(|number| number != 0)
    }

    /// Returns a text.
    ///
    /// # Errors
    ///
    /// If the column has none.
    pub(crate) fn text(&self, at: usize) -> Result<String, EngineError> {
        self.opt_text(at)?.ok_or_else(|| Self::damaged(at, "text"))
    }

    /// Returns a text that may be absent.
    ///
    /// # Errors
    ///
    /// If the column has something else.
    pub(crate) fn opt_text(&self, at: usize) -> Result<Option<String>, EngineError> {
        match self.0.get(at) {
            Some(Value::Text(value)) => Ok(value.clone()),
            Some(Value::Int(None) | Value::Bytes(None)) => Ok(None),
            _ => Err(Self::damaged(at, "text")),
        }
    }

    /// Returns bytes.
    ///
    /// # Errors
    ///
    /// If the column has none.
    pub(crate) fn bytes(&self, at: usize) -> Result<&[u8], EngineError> {
        match self.0.get(at) {
            Some(Value::Bytes(Some(value))) => Ok(value),
            _ => Err(Self::damaged(at, "bytes")),
        }
    }
}

/// A transaction.
#[async_trait]
pub(crate) trait Session: Send {
    /// Carries out a statement. Returns its rows.
    async fn query(&mut self, sql: &'static str, params: &[Value]) -> Result<Vec<Row>, EngineError>;

    /// Carries out a statement that returns no rows. Returns the number of rows that it changed.
    async fn execute(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, EngineError>;

    /// Carries out a statement for each of many tuples at once. It is `… FROM {KEYS} …`, where `{KEYS}` stands for a table `wanted` with
    /// the columns `a`, `b` and so on, of the types `columns`.
    async fn each(
        &mut self,
        sql: &'static str,
        columns: &'static [Column],
        tuples: Vec<Vec<Value>>,
    ) -> Result<Vec<Row>, EngineError>;
}

/// A future of a piece of work.
pub(crate) type WorkFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// Work within a transaction. It may be carried out again, if the first try ends in a way that may help.
#[async_trait]
pub(crate) trait Work: Send {
    /// Does the work, and keeps its answer.
    async fn call(&mut self, session: &mut dyn Session) -> Result<(), EngineError>;

    /// Hands the answer over: the transaction has been committed, or has failed.
    fn finish(self: Box<Self>, result: Result<(), EngineError>);
}

/// A database.
#[async_trait]
pub(crate) trait Database: Send + Sync + std::fmt::Debug {
    /// Carries out work in a transaction that only reads.
    async fn read(&self, work: Box<dyn Work>);

    /// Carries out work in a transaction that is durable once [`Work::finish`] is called without an error.
    async fn write(&self, work: Box<dyn Work>);

    /// Returns a counter that rises after each commit that somebody may wait for, of this hub or another one.
    fn doorbell(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Returns the name of the kind: `sqlite` or `postgres`.
    fn kind(&self) -> &'static str;
}
