//! The tables, and how older ones become them.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// The version of the tables that this crate knows.
pub(crate) const VERSION: i64 = 1;

/// The texts that lead from each version to the next.
const MIGRATIONS: [&str; VERSION as usize] = [include_str!("v1.sql")];

/// Brings the tables up to date, and refuses those of a newer nixmon.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION });
    }
    if found == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let found = version(&transaction)?;
    for text in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(text)?;
    }
    if found < VERSION {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

pub(crate) fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
