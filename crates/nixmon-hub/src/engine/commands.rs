//! Commands that hosts are asked for, one at a time for each, and batches of them.

use nixmon_fleet::{CommandId, CommandNews, CommandRequest, CommandState, OnDeadline};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hosts::{Changes, HostId, horizon};
use super::secrets::Secret;
use super::session::{Row, Session};
use super::{Engine, EngineError};

/// A request for a command, as a person makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommand {
    /// The name of the action.
    pub action: String,
    /// Time limit in seconds.
    pub timeout_s: Option<u64>,
    /// Reaction to a command that runs into its time limit.
    pub on_deadline: OnDeadline,
    /// The account that asks.
    pub asked_by: String,
    /// When, in milliseconds since 1970.
    pub asked_at: u64,
    /// When it is given up, if no agent has got it.
    pub expires_at: u64,
}

/// A command that was asked for. Times are in milliseconds since 1970 by the clock of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Command {
    /// Its number.
    pub id: CommandId,
    /// The key of its host.
    #[serde(skip)]
    pub host: HostId,
    /// The name of the action.
    pub action: String,
    /// Time limit in seconds.
    pub timeout_s: Option<u64>,
    /// Reaction to a command that runs into its time limit.
    pub on_deadline: OnDeadline,
    /// Its state.
    pub state: CommandState,
    /// Somebody has asked to stop it.
    pub is_stop_asked: bool,
    /// Its run: the number on the hub, once there is one.
    pub run: Option<u64>,
    /// Exit status as a shell reports it, once it is known.
    pub exit_code: Option<i32>,
    /// One line for a person: why it was refused, or how it ended.
    pub message: Option<String>,
    /// The account that asked for it.
    pub asked_by: String,
    /// When.
    pub asked_at: u64,
    /// When it is given up, if no agent has got it by then.
    pub expires_at: u64,
    /// When the agent said that it runs.
    pub started_at: Option<u64>,
    /// When its end was heard of.
    pub ended_at: Option<u64>,
    /// The batch that it is a part of.
    pub batch: Option<i64>,
}

impl Command {
    /// Returns the request as an agent gets it.
    pub fn request(&self) -> CommandRequest {
        CommandRequest {
            id: self.id,
            action: self.action.clone(),
            timeout_s: self.timeout_s,
            on_deadline: self.on_deadline,
        }
    }

    /// Returns whether it keeps its host from another one.
    fn is_in_the_way(&self, now: u64) -> bool {
        let is_ignored = self.on_deadline == OnDeadline::Ignore
            && self.started_at.zip(self.timeout_s).is_some_and(|(at, limit)| now >= at + limit * 1000);
        !self.state.has_ended() && !is_ignored
    }
}

/// The answer to a request for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is kept, and will be carried out once.
    Accepted(Command),
    /// The host has this one to do first.
    Busy(Command),
}

/// The standing of a command at the hub, for its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: CommandState,
    /// The news changed something.
    pub is_new: bool,
}

/// A request for a command on many hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// The hosts, in the order in which they begin.
    pub hosts: Vec<HostId>,
    /// The command for each.
    pub command: NewCommand,
    /// Number of hosts at once.
    pub at_once: u64,
    /// Number of failures after which no further host begins.
    pub max_failures: u64,
}

/// The state of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BatchState {
    /// Hosts are left to begin, or have not ended.
    Running,
    /// All hosts have ended.
    Done,
    /// No further host begins: there were too many failures, or a person stopped it.
    Stopped,
}

impl BatchState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
        }
    }
}

/// A command on many hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub id: i64,
    /// The name of the action.
    pub action: String,
    /// Number of hosts at once.
    pub at_once: u64,
    /// Number of failures after which no further host begins.
    pub max_failures: u64,
    /// The account that asked for it.
    pub asked_by: String,
    /// When, in milliseconds since 1970.
    pub asked_at: u64,
    /// Its state.
    pub state: BatchState,
    /// Its hosts, in order.
    pub hosts: Vec<BatchHost>,
    timeout_s: Option<u64>,
    on_deadline: OnDeadline,
}

/// A host of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHost {
    /// The host.
    pub host: HostId,
    /// Its command, once it has begun.
    pub command: Option<CommandId>,
    /// The state of that.
    pub state: Option<CommandState>,
}

macro_rules! command_columns {
    () => {
        "command.id, command.host, command.action, command.timeout_s, command.on_deadline, command.state,
            command.is_stop_asked, run.number, command.exit_code, command.message, command.asked_by,
            command.asked_at, command.expires_at, command.started_at, command.ended_at, command.batch
        FROM command LEFT JOIN run ON run.id = command.run"
    };
}

impl Engine {
    /// Keeps a request for a command, unless the host has another one to do.
    ///
    /// # Errors
    ///
    /// If the database fails, or there is no such host.
    pub async fn ask(&self, host: HostId, command: NewCommand) -> Result<Asked, EngineError> {
        let request = Secret::random()?.text().to_owned();
        self.write((request, host, command), |session, (request, host, command)| {
            Box::pin(ask(session, request, *host, command, None))
        })
        .await
    }

    /// Returns the commands of a host, the newest first.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn commands(&self, host: HostId, limit: usize) -> Result<Vec<Command>, EngineError> {
        self.read((host, limit as u64), |session, (host, limit)| {
            Box::pin(async move {
                let sql = concat!(
                    "SELECT ",
                    command_columns!(),
                    " WHERE command.host = $1 ORDER BY command.id DESC LIMIT $2"
                );
                let rows = session.query(sql, &[host.0.into(), (*limit).into()]).await?;
                rows.iter().map(command).collect()
            })
        })
        .await
    }

    /// Returns the commands of a host that have not ended, the oldest first: for its agent, which got them from now on. Those that
    /// have expired are not among them.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn send_commands(&self, host: HostId, now: u64) -> Result<Vec<Command>, EngineError> {
        self.write((host, now), |session, (host, now)| {
            Box::pin(async move {
                expire(session, Some(*host), *now).await?;
                let sql = "UPDATE command SET sent_at = $2
                    WHERE host = $1 AND is_open = 1 AND sent_at IS NULL";
                session.execute(sql, &[host.0.into(), (*now).into()]).await?;
                open_commands(session, *host).await
            })
        })
        .await
    }

    /// Gives up the commands that no agent has got in time.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn expire_commands(&self, now: u64) -> Result<u64, EngineError> {
        self.write(now, |session, now| Box::pin(expire(session, None, *now))).await
    }

    /// Returns commands that have changed since a look, of all hosts; none for the first one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn changed_commands(&self, since: Option<i64>) -> Result<Changes<Command>, EngineError> {
        self.read(since, |session, since| {
            Box::pin(async move {
                let next = horizon(session).await?;
                let Some(since) = since else { return Ok(Changes { items: Vec::new(), next }) };
                let sql =
                    concat!("SELECT ", command_columns!(), " WHERE command.change >= $1 ORDER BY command.id");
                let rows = session.query(sql, &[(*since).into()]).await?;
                Ok(Changes { items: rows.iter().map(command).collect::<Result<_, _>>()?, next })
            })
        })
        .await
    }

    /// Returns a command.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn command(&self, id: CommandId) -> Result<Option<Command>, EngineError> {
        self.read(id, |session, id| Box::pin(find(session, *id))).await
    }

    /// Takes news of a command from its agent. Returns its standing; `None` if the host has no such command. The run is one of the
    /// host's own store.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn command_news(
        &self,
        host: HostId,
        store: &str,
        news: &CommandNews,
        now: u64,
    ) -> Result<Option<Standing>, EngineError> {
        self.write((host, store.to_owned(), news.clone(), now), |session, (host, store, news, now)| {
            Box::pin(take_news(session, *host, store, news, *now))
        })
        .await
    }

    /// Asks to stop a command. One that no agent has got ends at once. Returns it as it is then; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn stop_command(&self, id: CommandId, now: u64) -> Result<Option<Command>, EngineError> {
        self.write((id, now), |session, (id, now)| {
            Box::pin(async move {
                let id_value = id.0.into();
                let sql =
                    "UPDATE command SET is_stop_asked = 1, change = {CHANGE} WHERE id = $1 AND is_open = 1";
                session.execute(sql, &[id_value]).await?;
                let sql =
                    "UPDATE command SET state = 'stopped', is_open = 0, ended_at = $2, change = {CHANGE}
                    WHERE id = $1 AND is_open = 1 AND sent_at IS NULL";
                session.execute(sql, &[id.0.into(), (*now).into()]).await?;
                find(session, *id).await
            })
        })
        .await
    }

    /// Keeps a request for a command on many hosts. [`Engine::advance`] begins them.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn ask_batch(&self, batch: NewBatch) -> Result<i64, EngineError> {
        let request = Secret::random()?.text().to_owned();
        self.write((request, batch), |session, (request, batch)| {
            Box::pin(async move {
                const FIND: &str = "SELECT id FROM batch WHERE request = $1";
                if let Some(row) = session.query(FIND, &[request.into()]).await?.first() {
                    return row.int(0);
                }
                let NewBatch { hosts, command, at_once, max_failures } = batch;
                let params = [
                    request.into(),
                    (&command.action).into(),
                    (*at_once).into(),
                    (*max_failures).into(),
                    command.timeout_s.into(),
                    on_deadline_name(command.on_deadline).into(),
                    (&command.asked_by).into(),
                    command.asked_at.into(),
                ];
                let sql = "INSERT INTO batch (request, action, at_once, max_failures, timeout_s, on_deadline,
                        asked_by, asked_at, state, change)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', {CHANGE}) RETURNING id";
                let rows = session.query(sql, &params).await?;
                let id =
                    rows.first().map_or(Err(EngineError::Absent("there is no batch")), |row| row.int(0))?;
                for (place, host) in hosts.iter().enumerate() {
                    let sql = "INSERT INTO batch_host (batch, place, host) VALUES ($1, $2, $3)";
                    session.execute(sql, &[id.into(), (place as u64).into(), host.0.into()]).await?;
                }
                Ok(id)
            })
        })
        .await
    }

    /// Returns a batch.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn batch(&self, id: i64) -> Result<Option<Batch>, EngineError> {
        self.read(id, |session, id| Box::pin(batch(session, *id))).await
    }

    /// Returns the numbers of batches, the newest first.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn batches(&self, limit: usize) -> Result<Vec<i64>, EngineError> {
        self.read(limit as u64, |session, limit| {
            Box::pin(async move {
                let sql = "SELECT id FROM batch ORDER BY id DESC LIMIT $1";
                session.query(sql, &[(*limit).into()]).await?.iter().map(|row| row.int(0)).collect()
            })
        })
        .await
    }

    /// Lets no further host of a batch begin. Returns whether that changed something.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn stop_batch(&self, id: i64) -> Result<bool, EngineError> {
        self.write(id, |session, id| {
            Box::pin(async move {
                let sql = "UPDATE batch SET state = 'stopped', change = {CHANGE}
                    WHERE id = $1 AND state = 'running'";
                Ok(session.execute(sql, &[(*id).into()]).await? > 0)
            })
        })
        .await
    }

    /// Lets further hosts of batches begin, as far as their limits allow; each command expires `expires_ms` later. Any hub may do this at
    /// any time. Returns the number of hosts that begin.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn advance(&self, now: u64, expires_ms: u64) -> Result<u64, EngineError> {
        let running = self
            .read((), |session, ()| {
                Box::pin(async move {
                    let sql = "SELECT id FROM batch WHERE state = 'running' ORDER BY id";
                    let rows = session.query(sql, &[]).await?;
                    rows.iter().map(|row| row.int(0)).collect::<Result<Vec<i64>, _>>()
                })
            })
            .await?;
        let mut n_begun = 0;
        for id in running {
            n_begun += self
                .write((id, now, expires_ms), |session, (id, now, expires_ms)| {
                    Box::pin(advance(session, *id, *now, *expires_ms))
                })
                .await?;
        }
        Ok(n_begun)
    }
}

async fn ask(
    session: &mut dyn Session,
    request: &str,
    host: HostId,
    new: &NewCommand,
    batch: Option<i64>,
) -> Result<Asked, EngineError> {
    // Locked, so that of two requests one is first.
    let rows = session.query("SELECT id FROM host WHERE id = $1 {LOCK}", &[host.0.into()]).await?;
    if rows.is_empty() {
        return Err(EngineError::Absent("there is no such host"));
    }
    let sql = concat!("SELECT ", command_columns!(), " WHERE command.request = $1");
    if let Some(row) = session.query(sql, &[request.into()]).await?.first() {
        return Ok(Asked::Accepted(command(row)?));
    }
    expire(session, Some(host), new.asked_at).await?;
    let open = open_commands(session, host).await?;
    if let Some(first) = open.into_iter().find(|open| open.is_in_the_way(new.asked_at)) {
        return Ok(Asked::Busy(first));
    }
    let params = [
        request.into(),
        host.0.into(),
        (&new.action).into(),
        new.timeout_s.into(),
        on_deadline_name(new.on_deadline).into(),
        (&new.asked_by).into(),
        new.asked_at.into(),
        new.expires_at.into(),
        batch.into(),
    ];
    let rows = session
        .query(
            "INSERT INTO command (request, host, action, timeout_s, on_deadline, state, is_open, is_stop_asked,
                asked_by, asked_at, expires_at, batch, change)
            VALUES ($1, $2, $3, $4, $5, 'pending', 1, 0, $6, $7, $8, $9, {CHANGE}) RETURNING id",
            &params,
        )
        .await?;
    let id = rows.first().map_or(Ok(0), |row| row.uint(0))?;
    let asked = find(session, CommandId(id)).await?;
    asked.map(Asked::Accepted).ok_or(EngineError::Absent("there is no such command"))
}

async fn find(session: &mut dyn Session, id: CommandId) -> Result<Option<Command>, EngineError> {
    let sql = concat!("SELECT ", command_columns!(), " WHERE command.id = $1");
    session.query(sql, &[id.0.into()]).await?.first().map(command).transpose()
}

async fn open_commands(session: &mut dyn Session, host: HostId) -> Result<Vec<Command>, EngineError> {
    let sql = concat!(
        "SELECT ",
        command_columns!(),
        " WHERE command.host = $1 AND command.is_open = 1 ORDER BY command.id"
    );
    session.query(sql, &[host.0.into()]).await?.iter().map(command).collect()
}

/// Gives up commands that no agent has got in time. One that was sent may be carried out, so its agent has the word.
async fn expire(session: &mut dyn Session, host: Option<HostId>, now: u64) -> Result<u64, EngineError> {
    let sql = "UPDATE command SET state = 'failed', is_open = 0, ended_at = $1, change = {CHANGE},
            message = 'it has expired: the host did not come for it in time'
        WHERE is_open = 1 AND state = 'pending' AND sent_at IS NULL AND expires_at <= $1
            AND ($2 < 0 OR host = $2)";
    session.execute(sql, &[now.into(), host.map_or(-1, |host| host.0).into()]).await
}

async fn take_news(
    session: &mut dyn Session,
    host: HostId,
    store: &str,
    news: &CommandNews,
    now: u64,
) -> Result<Option<Standing>, EngineError> {
    let sql = "SELECT state FROM command WHERE id = $1 AND host = $2 {LOCK}";
    let rows = session.query(sql, &[news.id.0.into(), host.0.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let before = state(row, 0)?;
    if let Some(origin) = news.run {
        let run = super::runs::run_of(session, host, store, origin, now).await?;
        let sql = "UPDATE command SET run = $2, change = {CHANGE} WHERE id = $1 AND run IS NULL";
        session.execute(sql, &[news.id.0.into(), run.0.into()]).await?;
    }
    if !before.may_become(news.state) {
        return Ok(Some(Standing { state: before, is_new: false }));
    }
    let started = (news.state >= CommandState::Executing).then_some(now);
    let ended = news.state.has_ended().then_some(now);
    session
        .execute(
            "UPDATE command SET state = $2, is_open = $3, exit_code = coalesce($4, exit_code),
                message = coalesce($5, message), started_at = coalesce(started_at, $6), ended_at = $7,
                sent_at = coalesce(sent_at, $8), change = {CHANGE} WHERE id = $1",
            &[
                news.id.0.into(),
                news.state.as_str().into(),
                (!news.state.has_ended()).into(),
                news.exit_code.map(i64::from).into(),
                news.message.as_deref().into(),
                started.into(),
                ended.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(Some(Standing { state: news.state, is_new: true }))
}

async fn batch(session: &mut dyn Session, id: i64) -> Result<Option<Batch>, EngineError> {
    let sql = "SELECT action, at_once, max_failures, asked_by, asked_at, state, timeout_s, on_deadline
        FROM batch WHERE id = $1";
    let rows = session.query(sql, &[id.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let sql = "SELECT batch_host.host, batch_host.command, command.state
        FROM batch_host LEFT JOIN command ON command.id = batch_host.command
        WHERE batch_host.batch = $1 ORDER BY batch_host.place";
    let hosts = session.query(sql, &[id.into()]).await?;
    let hosts = hosts.iter().map(|row| {
        Ok(BatchHost {
            host: HostId(row.int(0)?),
            command: row.opt_uint(1)?.map(CommandId),
            state: row.opt_text(2)?.as_deref().and_then(CommandState::parse),
        })
    });
    Ok(Some(Batch {
        id,
        action: row.text(0)?,
        at_once: row.uint(1)?,
        max_failures: row.uint(2)?,
        asked_by: row.text(3)?,
        asked_at: row.uint(4)?,
        state: match row.text(5)?.as_str() {
            "running" => BatchState::Running,
            "done" => BatchState::Done,
            _ => BatchState::Stopped,
        },
        timeout_s: row.opt_uint(6)?,
        on_deadline: on_deadline(row, 7)?,
        hosts: hosts.collect::<Result<_, EngineError>>()?,
    }))
}

async fn advance(session: &mut dyn Session, id: i64, now: u64, expires_ms: u64) -> Result<u64, EngineError> {
    // Locked, so that one hub at a time lets hosts begin.
    session.query("SELECT id FROM batch WHERE id = $1 {LOCK}", &[id.into()]).await?;
    let Some(batch) = batch(session, id).await?.filter(|batch| batch.state == BatchState::Running) else {
        return Ok(0);
    };
    let states = || batch.hosts.iter().filter_map(|host| host.state);
    let failed =
        states().filter(|state| state.has_ended() && *state != CommandState::Succeeded).count() as u64;
    let mut running = states().filter(|state| !state.has_ended()).count() as u64;
    let mut n_begun = 0;
    let mut waiting = batch.hosts.iter().filter(|host| host.command.is_none()).count();
    let is_over = failed > batch.max_failures;
    if !is_over {
        for (place, host) in batch.hosts.iter().enumerate().filter(|(_, host)| host.command.is_none()) {
            if running >= batch.at_once {
                break;
            }
            let new = NewCommand {
                action: batch.action.clone(),
                timeout_s: batch.timeout_s,
                on_deadline: batch.on_deadline,
                asked_by: batch.asked_by.clone(),
                asked_at: now,
                expires_at: now.saturating_add(expires_ms),
            };
            // A host that has another command to do keeps its place, and is tried again.
            let request = format!("batch {id} place {place}");
            if let Asked::Accepted(command) = ask(session, &request, host.host, &new, Some(id)).await? {
                let sql = "UPDATE batch_host SET command = $3 WHERE batch = $1 AND place = $2";
                let params = [id.into(), (place as u64).into(), command.id.0.into()];
                session.execute(sql, &params).await?;
                running += 1;
                n_begun += 1;
                waiting -= 1;
            }
        }
    }
    let state = match (is_over, waiting, running) {
        (true, 1.., _) => BatchState::Stopped,
        (_, 0, 0) => BatchState::Done,
        _ => return Ok(n_begun),
    };
    let sql = "UPDATE batch SET state = $2, change = {CHANGE} WHERE id = $1";
    session.execute(sql, &[id.into(), state.as_str().into()]).await?;
    Ok(n_begun)
}

fn on_deadline_name(on_deadline: OnDeadline) -> &'static str {
    match on_deadline {
        OnDeadline::Wait => "wait",
        OnDeadline::Stop => "stop",
        OnDeadline::Ignore => "ignore",
    }
}

fn on_deadline(row: &Row, at: usize) -> Result<OnDeadline, EngineError> {
    match row.text(at)?.as_str() {
        "wait" => Ok(OnDeadline::Wait),
        "stop" => Ok(OnDeadline::Stop),
        "ignore" => Ok(OnDeadline::Ignore),
        _ => Err(EngineError::Damaged("the time limit of a command cannot be read".to_owned())),
    }
}

fn state(row: &Row, at: usize) -> Result<CommandState, EngineError> {
    CommandState::parse(&row.text(at)?)
        .ok_or_else(|| EngineError::Damaged("the state of a command cannot be read".to_owned()))
}

fn command(row: &Row) -> Result<Command, EngineError> {
    Ok(Command {
        id: CommandId(row.uint(0)?),
        host: HostId(row.int(1)?),
        action: row.text(2)?,
        timeout_s: row.opt_uint(3)?,
        on_deadline: on_deadline(row, 4)?,
        state: state(row, 5)?,
        is_stop_asked: row.switch(6)?,
        run: row.opt_uint(7)?,
        exit_code: row.opt_int(8)?.and_then(|code| i32::try_from(code).ok()),
        message: row.opt_text(9)?,
        asked_by: row.text(10)?,
        asked_at: row.uint(11)?,
        expires_at: row.uint(12)?,
        started_at: row.opt_uint(13)?,
        ended_at: row.opt_uint(14)?,
        batch: row.opt_int(15)?,
    })
}
