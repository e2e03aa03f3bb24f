//! Removal of what is too old or too much.

use super::hosts::HostId;
use super::{Engine, EngineError};

/// Limits on what is kept of each host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Largest age of a run in milliseconds, from when the hub heard of it.
    pub max_age_ms: Option<u64>,
    /// Largest sum of the bytes of the growing files of its runs.
    pub max_bytes: Option<u64>,
}

/// The extent of what was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Number of runs.
    pub runs: u64,
    /// Bytes of their growing files.
    pub bytes: u64,
}

impl Engine {
    /// Removes runs of a host that are beyond the limits, the oldest first. Those that are in progress, and the newest one, stay.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn prune(&self, host: HostId, kept: Kept, now: u64) -> Result<Pruned, EngineError> {
        self.write((host, kept, now), |session, (host, kept, now)| {
            Box::pin(async move {
                let sql = "SELECT run.id, run.first_seen, run.is_complete,
                        CAST(coalesce(sum(file.size), 0) AS BIGINT)
                    FROM run LEFT JOIN file ON file.run = run.id
                    WHERE run.host = $1 GROUP BY run.id, run.number, run.first_seen, run.is_complete
                    ORDER BY run.number DESC";
                let rows = session.query(sql, &[host.0.into()]).await?;
                let mut sum = 0;
                let mut pruned = Pruned::default();
                for (at, row) in rows.iter().enumerate() {
                    let (id, first_seen, is_complete, size) =
                        (row.int(0)?, row.uint(1)?, row.switch(2)?, row.uint(3)?);
                    let is_old = kept.max_age_ms.is_some_and(|age| now.saturating_sub(first_seen) > age);
                    let is_much = kept.max_bytes.is_some_and(|most| sum + size > most);
                    if at > 0 && is_complete && (is_old || is_much) {
                        session.execute("DELETE FROM run WHERE id = $1", &[id.into()]).await?;
                        pruned.runs += 1;
                        pruned.bytes += size;
                    } else {
                        sum += size;
                    }
                }
                Ok(pruned)
            })
        })
        .await
    }

    /// Removes sessions, codes and signs of interest whose time is over.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn sweep(&self, now: u64) -> Result<(), EngineError> {
        self.write(now, |session, now| {
            Box::pin(async move {
                for sql in [
                    "DELETE FROM session WHERE expires_at <= $1",
                    "DELETE FROM code WHERE expires_at <= $1",
                    "DELETE FROM watched WHERE until <= $1",
                ] {
                    session.execute(sql, &[(*now).into()]).await?;
                }
                Ok(())
            })
        })
        .await
    }
}
