//! Hosts and their signs of life.

use std::collections::BTreeMap;

use nixmon_fleet::{BEAT, Beat, Hello, HostName, STALE_BEATS};
use nixmon_runs::Environment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::session::{Column, Row, Session};
use super::{Engine, EngineError};

/// The key of a host in an engine. It stays the same as long as the host is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct HostId(pub i64);

/// A host. Times of the hub are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its key.
    pub id: HostId,
    /// Its name.
    pub name: HostName,
    /// The store of runs that its agent has named last; empty if none has come yet.
    pub store: String,
    /// The process of its agent.
    pub instance: String,
    /// When that process began, by the clock of the host.
    pub began_at: u64,
    /// The machine and its versions.
    pub environment: Environment,
    /// Names of the actions that its configuration allows.
    pub actions: Vec<String>,
    /// When the agent came last, by the clock of the hub.
    pub hello_at: Option<u64>,
    /// When the host was added.
    pub created_at: u64,
    /// The last sign of life.
    pub beat: Beat,
    /// When it came, by the clock of the hub.
    pub seen_at: Option<u64>,
}

/// The result of a [`Hello`].
#[derive(Clone, Debug, PartialEq)]
pub enum Greeting {
    /// The host is known by this key.
    Welcome(HostId),
    /// A newer process of the agent has come already.
    Outdated,
}

/// Items that have changed since a look, and the place from which to look the next time.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes<T> {
    /// The items. One that changed at the time of the look may come again the next time.
    pub items: Vec<T>,
    /// The place.
    pub next: i64,
}

macro_rules! host_columns {
    () => {
        "host.id, host.name, host.store, host.instance, host.began_at, host.environment, host.actions,
            host.hello_at, host.created_at, beat.content, beat.seen_at
        FROM host LEFT JOIN beat ON beat.host = host.id"
    };
}

const COLUMNS: &[Column] = &[Column::Int, Column::Text, Column::Int];

impl Engine {
    /// Adds a host that has not come yet; one that is known stays as it is.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn add_host(&self, name: &HostName, now: u64) -> Result<HostId, EngineError> {
        self.write((name.clone(), now), |session, (name, now)| Box::pin(add(session, name, *now))).await
    }

    /// Takes the first message of an agent at `now`. A store that is another than before begins its own count of runs.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such host.
    pub async fn greet(&self, host: HostId, hello: &Hello, now: u64) -> Result<Greeting, EngineError> {
        self.write((host, hello.clone(), now), |session, (host, hello, now)| {
            Box::pin(greet(session, *host, hello, *now))
        })
        .await
    }

    /// Keeps the last signs of life of some hosts, each with its time by the clock of the hub. Those of hosts that have been removed
    /// are left out.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn beats(&self, beats: Vec<(HostId, Beat, u64)>) -> Result<(), EngineError> {
        self.write(beats, |session, beats| {
            Box::pin(async move {
                // Of several of a host the last one counts.
                let last: BTreeMap<_, _> =
                    beats.iter().map(|(host, beat, at)| (host.0, (beat, *at))).collect();
                let rows = last.into_iter().map(|(host, (beat, at))| {
                    let content = serde_json::to_string(beat).unwrap_or_default();
                    vec![host.into(), (&content).into(), at.into()]
                });
                let sql = "INSERT INTO beat (host, content, seen_at, change)
                    SELECT a, b, c, {CHANGE} FROM {KEYS} WHERE a IN (SELECT id FROM host)
                    ON CONFLICT (host) DO UPDATE
                    SET content = excluded.content, seen_at = excluded.seen_at, change = excluded.change";
                session.each(sql, COLUMNS, rows.collect()).await.map(drop)
            })
        })
        .await
    }

    /// Returns the hosts that have changed since a look; all of them for the first one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn hosts(&self, since: Option<i64>) -> Result<Changes<Host>, EngineError> {
        self.read(since.unwrap_or(0), |session, since| {
            Box::pin(async move {
                let next = horizon(session).await?;
                // Two questions, so that each has an index.
                let sql = concat!(
                    "SELECT ",
                    host_columns!(),
                    " WHERE host.change >= $1 UNION SELECT ",
                    host_columns!(),
                    " WHERE beat.change >= $1"
                );
                let rows = session.query(sql, &[(*since).into()]).await?;
                Ok(Changes { items: rows.iter().map(host).collect::<Result<_, _>>()?, next })
            })
        })
        .await
    }

    /// Returns a host by its name.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn host(&self, name: &HostName) -> Result<Option<Host>, EngineError> {
        self.read(name.clone(), |session, name| {
            Box::pin(async move {
                let sql = concat!("SELECT ", host_columns!(), " WHERE host.name = $1");
                let rows = session.query(sql, &[name.as_str().into()]).await?;
                rows.first().map(host).transpose()
            })
        })
        .await
    }

    /// Removes a host with all that is kept of it. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn remove_host(&self, name: &HostName) -> Result<bool, EngineError> {
        self.write(name.clone(), |session, name| {
            Box::pin(async move {
                let n = session.execute("DELETE FROM host WHERE name = $1", &[name.as_str().into()]).await?;
                Ok(n > 0)
            })
        })
        .await
    }

    /// Returns the keys of all hosts: with them a removed one is found.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn host_ids(&self) -> Result<Vec<HostId>, EngineError> {
        self.read((), |session, ()| {
            Box::pin(async move {
                let rows = session.query("SELECT id FROM host ORDER BY id", &[]).await?;
                rows.iter().map(|row| Ok(HostId(row.int(0)?))).collect()
            })
        })
        .await
    }
}

/// Returns the place from which the next look at changes has to begin.
pub(super) async fn horizon(session: &mut dyn Session) -> Result<i64, EngineError> {
    let rows = session.query("SELECT {HORIZON}", &[]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

pub(super) async fn add(session: &mut dyn Session, name: &HostName, now: u64) -> Result<HostId, EngineError> {
    session
        .execute(
            "INSERT INTO host (name, store, base, instance, began_at, environment, actions, created_at, change)
            VALUES ($1, '', 0, '', 0, '{}', '[]', $2, {CHANGE}) ON CONFLICT (name) DO NOTHING",
            &[name.as_str().into(), now.into()],
        )
        .await?;
    let rows = session.query("SELECT id FROM host WHERE name = $1", &[name.as_str().into()]).await?;
    match rows.first() {
        Some(row) => Ok(HostId(row.int(0)?)),
        None => Err(EngineError::Absent("there is no such host")),
    }
}

async fn greet(
    session: &mut dyn Session,
    host: HostId,
    hello: &Hello,
    now: u64,
) -> Result<Greeting, EngineError> {
    let rows = session
        .query("SELECT store, instance, began_at, base FROM host WHERE id = $1 {LOCK}", &[host.0.into()])
        .await?;
    let seen = session.query("SELECT seen_at FROM beat WHERE host = $1", &[host.0.into()]).await?;
    let seen = seen.first().map_or(Ok(0), |row| row.uint(0))?;
    let Some(row) = rows.first() else { return Err(EngineError::Absent("there is no such host")) };
    let (store, instance, began_at) = (row.text(0)?, row.text(1)?, row.uint(2)?);
    // The clock of a host may have been set back, so a process that was seen long ago does not count.
    let is_recent = now.saturating_sub(seen) < (BEAT * STALE_BEATS).as_millis() as u64;
    if instance != hello.instance && hello.began_at < began_at && is_recent {
        return Ok(Greeting::Outdated);
    }
    let base = if store == hello.store {
        row.int(3)?
    } else {
        let sql = "SELECT CAST(coalesce(max(number), 0) AS BIGINT) FROM run WHERE host = $1";
        let rows = session.query(sql, &[host.0.into()]).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))?
    };
    let environment = serde_json::to_string(&hello.environment).unwrap_or_default();
    let actions = serde_json::to_string(&hello.actions).unwrap_or_default();
    let params = [
        host.0.into(),
        (&hello.store).into(),
        base.into(),
        (&hello.instance).into(),
        hello.began_at.into(),
        (&environment).into(),
        (&actions).into(),
        now.into(),
    ];
    session
        .execute(
            "UPDATE host SET store = $2, base = $3, instance = $4, began_at = $5, environment = $6,
                actions = $7, hello_at = $8, change = {CHANGE} WHERE id = $1",
            &params,
        )
        .await?;
    Ok(Greeting::Welcome(host))
}

fn host(row: &Row) -> Result<Host, EngineError> {
    let damaged = |name: &str| EngineError::Damaged(format!("the {name} of a host cannot be read"));
    let beat = row.opt_text(9)?;
    Ok(Host {
        id: HostId(row.int(0)?),
        name: HostName::new(row.text(1)?).map_err(|_| damaged("name"))?,
        store: row.text(2)?,
        instance: row.text(3)?,
        began_at: row.uint(4)?,
        environment: serde_json::from_str(&row.text(5)?).map_err(|_| damaged("environment"))?,
        actions: serde_json::from_str(&row.text(6)?).map_err(|_| damaged("list of actions"))?,
        hello_at: row.opt_uint(7)?,
        created_at: row.uint(8)?,
        beat: match beat {
            Some(beat) => serde_json::from_str(&beat).map_err(|_| damaged("last beat"))?,
            None => Beat::default(),
        },
        seen_at: row.opt_uint(10)?,
    })
}
