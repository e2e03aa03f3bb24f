//! Retention: old runs leave, and the file shrinks.

use rusqlite::params;

use super::{Store, StoreError};

/// The bounds of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that are older than so many milliseconds leave.
    pub max_age_ms: Option<i64>,
    /// While the file is larger than so many bytes the oldest runs leave.
    pub max_bytes: Option<u64>,
}

/// The result of pruning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The runs that left.
    pub runs: u64,
    /// The builds that left with them.
    pub builds: u64,
    /// The bytes that the file lost.
    pub bytes: u64,
}

const TABLES: [&str; 8] =
    ["derivation", "dependency", "phase", "download", "unit", "package", "prediction", "run"];

impl Store {
    /// Removes the runs beyond the bounds, the oldest first, and gives the room back to the disk.
    pub fn prune(&mut self, retention: &Retention, now_ms: i64) -> Result<Pruned, StoreError> {
        let before = self.size();
        let mut pruned = Pruned::default();
        if let Some(age) = retention.max_age_ms {
            self.remove_before(now_ms.saturating_sub(age), &mut pruned)?;
        }
        if let Some(max) = retention.max_bytes {
            loop {
                let used = self.used_bytes()?;
                let runs = self.n_runs()?;
                if used <= max || runs == 0 {
                    break;
                }
                // As many of the oldest as hold the bytes that are too many, were all runs of one size.
                let share = (used - max) as f64 / used as f64;
                let n = ((runs as f64 * share).ceil() as u64).clamp(1, runs);
                let cut: i64 = self.connection.query_row(
                    "SELECT started_ms FROM run ORDER BY started_ms LIMIT 1 OFFSET ?1",
                    [i64::try_from(n - 1).unwrap_or(i64::MAX)],
                    |row| row.get(0),
                )?;
                self.remove_before(cut.saturating_add(1), &mut pruned)?;
            }
        }
        if pruned.runs > 0 {
            self.connection.execute_batch("VACUUM")?;
            self.connection.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
        }
        pruned.bytes = before.saturating_sub(self.size());
        Ok(pruned)
    }

    fn remove_before(&mut self, cut_ms: i64, pruned: &mut Pruned) -> Result<(), StoreError> {
        let transaction = self.immediate()?;
        for table in TABLES {
            let sql = match table {
                "run" => "DELETE FROM run WHERE started_ms < ?1".to_owned(),
                // The key begins with the package, so the rows are found by the other index.
                "derivation" => {
                    "DELETE FROM derivation WHERE (pname, run, seq) IN (SELECT pname, d.run, d.seq FROM run r
                    JOIN derivation d INDEXED BY derivation_run ON d.run = r.id WHERE r.started_ms < ?1)"
                        .to_owned()
                }
                table => {
                    format!("DELETE FROM {table} WHERE run IN (SELECT id FROM run WHERE started_ms < ?1)")
                }
            };
            let n = transaction.execute(&sql, params![cut_ms])? as u64;
            match table {
                "run" => pruned.runs += n,
                "derivation" => pruned.builds += n,
                _ => {}
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Returns the bytes of the pages that hold something.
    fn used_bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name: &str| -> Result<u64, StoreError> {
            Ok(self
                .connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))?
                .max(0)
                .unsigned_abs())
        };
        Ok((pragma("page_count")?.saturating_sub(pragma("freelist_count")?)) * pragma("page_size")?)
    }
}
