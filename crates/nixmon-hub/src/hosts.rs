//! Answers about hosts, their commands, batches and the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::response::Response;
use nixmon_fleet::{Beat, CommandId, CommandState, HostName, HostState};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{Environment, Facts, Status};
use schemars::JsonSchema;
use serde::Serialize;

use crate::answers::{LogAnswer, RunsAnswer};
use crate::engine::{AuditEntry, BatchState, Command, EngineError, Host, HostId, HostRun, Role};
use crate::events;
use crate::failure::Failure;
use crate::fleet::{Hosts, state_of};
use crate::hub::{Asked, Hub, Params};
use crate::{api, board};

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct HostAnswer {
    /// Its name.
    pub(crate) host: HostName,
    /// Its state, from the clock of the hub.
    pub(crate) state: HostState,
    /// When its last sign of life came, in milliseconds since 1970 by the clock of the hub; null if none has come yet.
    pub(crate) seen_at: Option<u64>,
    /// The last sign of life.
    pub(crate) beat: Beat,
    /// The machine and its versions.
    pub(crate) environment: Environment,
    /// Names of the actions that its configuration allows.
    pub(crate) actions: Vec<String>,
}

/// All hosts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HostsAnswer {
    /// Those with trouble first, then those that work, then others; by name.
    pub(crate) hosts: Vec<HostAnswer>,
}

/// A run of a host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HostRunAnswer {
    /// Its number on the hub.
    pub(crate) run: u64,
    /// When the hub heard of it, in milliseconds since 1970.
    pub(crate) first_seen: u64,
    /// It is over, and the hub has all that comes of it.
    pub(crate) is_complete: bool,
    /// The reason why a part of it is missing; null if nothing is.
    pub(crate) missing: Option<String>,
    /// Its status as its host has told it last; null if it has not.
    pub(crate) status: Option<Status>,
    /// Its working directory; empty if it is unknown.
    pub(crate) directory: String,
}

/// The runs of a host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HostRunsAnswer {
    /// The runs, the newest first.
    pub(crate) runs: Vec<HostRunAnswer>,
}

/// A host on the board.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HostCard {
    /// The host.
    pub(crate) host: HostAnswer,
    /// Its newest run; null if it has none.
    pub(crate) last: Option<HostRunAnswer>,
}

impl HostCard {
    /// Returns whether its newest run has failed.
    pub(crate) fn has_failed(&self) -> bool {
        let status = self.last.as_ref().and_then(|last| last.status.as_ref());
        status.is_some_and(|status| status.has_ended() && !status.has_succeeded())
    }
}

/// The board: the runs of this machine, and the hosts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct BoardAnswer {
    /// The runs of this machine.
    #[serde(flatten)]
    pub(crate) own: RunsAnswer,
    /// Hosts whose newest run has failed first, then those with trouble, then those that work, then others.
    pub(crate) hosts: Vec<HostCard>,
}

/// A host with its newest runs and commands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct HostPageAnswer {
    /// The host.
    pub(crate) host: HostAnswer,
    /// Its runs, the newest first.
    pub(crate) runs: Vec<HostRunAnswer>,
    /// Its commands, the newest first.
    pub(crate) commands: Vec<Command>,
}

/// The commands of a host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CommandsAnswer {
    /// The commands, the newest first.
    pub(crate) commands: Vec<Command>,
}

/// A command on many hosts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct BatchAnswer {
    /// Its number.
    pub(crate) id: i64,
    /// The name of the action.
    pub(crate) action: String,
    /// Its state.
    pub(crate) state: BatchState,
    /// Number of hosts at once.
    pub(crate) at_once: u64,
    /// Number of failures after which no further host begins.
    pub(crate) max_failures: u64,
    /// The account that asked for it.
    pub(crate) asked_by: String,
    /// When, in milliseconds since 1970.
    pub(crate) asked_at: u64,
    /// Its hosts, in order.
    pub(crate) hosts: Vec<BatchHostAnswer>,
}

/// A host of a batch.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct BatchHostAnswer {
    /// The host; null if it was removed.
    pub(crate) host: Option<HostName>,
    /// Its command; null if it has not begun.
    pub(crate) command: Option<CommandId>,
    /// The state of the command.
    pub(crate) state: Option<CommandState>,
}

/// The batches.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct BatchesAnswer {
    /// The newest first.
    pub(crate) batches: Vec<BatchAnswer>,
}

/// The audit log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AuditAnswer {
    /// Its lines, the newest first.
    pub(crate) entries: Vec<AuditEntry>,
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Absent(message) => Self::not_found(message),
            error => Self::unavailable(sanitize(&error.to_string())),
        }
    }
}

/// Reads the name of a host in a path.
///
/// # Errors
///
/// If it is none.
pub(crate) fn name(text: &str) -> Result<HostName, Failure> {
    HostName::new(text).map_err(|_| Failure::not_found("there is no such host"))
}

fn text(text: &mut String) {
    if let std::borrow::Cow::Owned(cleaned) = sanitize(text) {
        *text = cleaned;
    }
}

/// Removes control characters from the texts of a command.
pub(crate) fn clean(mut command: Command) -> Command {
    text(&mut command.action);
    command.message.iter_mut().for_each(text);
    command
}

/// Makes the answer about a host at a time.
pub(crate) fn host_answer(host: &Host, now: u64) -> HostAnswer {
    let mut answer = HostAnswer {
        host: host.name.clone(),
        state: state_of(host, now),
        seen_at: host.seen_at,
        beat: host.beat.clone(),
        environment: host.environment.clone(),
        actions: host.actions.clone(),
    };
    answer.beat.busy.iter_mut().for_each(|busy| text(&mut busy.line));
    answer.beat.generation.iter_mut().for_each(text);
    answer.actions.iter_mut().for_each(text);
    let Environment { nixmon, nix, host, system, jobs, .. } = &mut answer.environment;
    [nixmon, host, system].into_iter().for_each(text);
    nix.iter_mut().chain(jobs).for_each(text);
    answer
}

/// Returns all hosts.
pub(crate) fn all(hub: &Hub) -> HostsAnswer {
    let now = unix_ms();
    let mut hosts: Vec<_> = hub.fleet.hosts().hosts.values().map(|host| host_answer(host, now)).collect();
    hosts.sort_by(|a, b| (a.state, &a.host).cmp(&(b.state, &b.host)));
    HostsAnswer { hosts }
}

/// Returns the board.
///
/// # Errors
///
/// If a parameter is wrong, or the engine fails.
pub(crate) async fn board(hub: &Hub, asked: &Asked) -> Result<BoardAnswer, Failure> {
    let own = crate::api::runs(hub, asked)?;
    let now = unix_ms();
    let hosts = hub.fleet.hosts();
    let mut last: BTreeMap<HostId, HostRunAnswer> = BTreeMap::new();
    if !hosts.hosts.is_empty() {
        let runs = hub.fleet.engine.last_runs().await?;
        last.extend(runs.iter().map(|run| (run.host, run_answer(run))));
    }
    let card = |(id, host): (&HostId, &std::sync::Arc<Host>)| HostCard {
        host: host_answer(host, now),
        last: last.remove(id),
    };
    let mut cards: Vec<HostCard> = hosts.hosts.iter().map(card).collect();
    cards.sort_by(|a, b| {
        (!a.has_failed(), a.host.state, &a.host.host).cmp(&(!b.has_failed(), b.host.state, &b.host.host))
    });
    Ok(BoardAnswer { own, hosts: cards })
}

/// Returns a host with its newest runs and commands.
///
/// # Errors
///
/// If there is none.
pub(crate) async fn page(hub: &Hub, asked: &Asked) -> Result<HostPageAnswer, Failure> {
    let host = found(hub, asked).await?;
    let engine = &hub.fleet.engine;
    let runs = engine.runs(host.id, None, crate::page::hosts::RUNS).await?;
    let commands = engine.commands(host.id, crate::page::hosts::COMMANDS).await?;
    Ok(HostPageAnswer {
        host: host_answer(&host, unix_ms()),
        runs: runs.iter().map(run_answer).collect(),
        commands: commands.into_iter().map(clean).collect(),
    })
}

async fn found(hub: &Hub, asked: &Asked) -> Result<Host, Failure> {
    let name = name(asked.part("host"))?;
    hub.fleet.engine.host(&name).await?.ok_or_else(|| Failure::not_found("there is no such host"))
}

/// Returns a host.
///
/// # Errors
///
/// If there is none.
pub(crate) async fn one(hub: &Hub, asked: &Asked) -> Result<HostAnswer, Failure> {
    Ok(host_answer(&found(hub, asked).await?, unix_ms()))
}

/// Makes the answer about a run of a host.
pub(crate) fn run_answer(run: &HostRun) -> HostRunAnswer {
    let status = run.status.clone().and_then(|status| serde_json::from_value::<Status>(status).ok());
    let facts = run.facts.clone().and_then(|facts| serde_json::from_value::<Facts>(facts).ok());
    HostRunAnswer {
        run: run.number,
        first_seen: run.first_seen,
        is_complete: run.is_complete,
        missing: run.missing.as_deref().map(|reason| sanitize(reason).into_owned()),
        // On the hub a run has the number of the hub.
        status: status.map(|status| Status { id: nixmon_runs::RunId(run.number), ..board::clean(status) }),
        directory: facts.map(|facts| sanitize(&facts.directory).into_owned()).unwrap_or_default(),
    }
}

/// Returns the runs of a host.
///
/// # Errors
///
/// If there is no such host.
pub(crate) async fn runs(hub: &Hub, asked: &Asked) -> Result<HostRunsAnswer, Failure> {
    let host = found(hub, asked).await?;
    let limit = usize::try_from(asked.params.number("limit", 100, 1..=1000)?).unwrap_or(100);
    let runs = hub.fleet.engine.runs(host.id, None, limit).await?;
    Ok(HostRunsAnswer { runs: runs.iter().map(run_answer).collect() })
}

/// Returns lines of a run of a host, from behind a line on: of the newest run, if none is named.
///
/// # Errors
///
/// If there is no such host or run.
pub(crate) async fn logs(hub: &Hub, asked: &Asked) -> Result<LogAnswer, Failure> {
    let host = found(hub, asked).await?;
    let run = match asked.params.text("run") {
        Some(run) => run.to_owned(),
        None => {
            let newest = hub.fleet.engine.runs(host.id, None, 1).await?.into_iter().next();
            let newest = newest.ok_or_else(|| Failure::not_found("this host has no run yet"))?;
            newest.number.to_string()
        }
    };
    let since = asked.params.number("since", 0, 0..=1 << 40)?;
    let mut params = Params::default();
    params.0.insert("from".to_owned(), (since + 1).to_string());
    if let Some(count) = asked.params.text("count") {
        params.0.insert("count".to_owned(), count.to_owned());
    }
    let path = [("host", host.name.to_string()), ("run", run)];
    let path = path.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let asked = Asked { path, params, caller: asked.caller.clone(), headers: asked.headers.clone() };
    api::log(hub, &asked).await
}

/// Returns the commands of a host.
///
/// # Errors
///
/// If there is no such host.
pub(crate) async fn commands(hub: &Hub, asked: &Asked) -> Result<CommandsAnswer, Failure> {
    let host = found(hub, asked).await?;
    let limit = usize::try_from(asked.params.number("limit", 100, 1..=1000)?).unwrap_or(100);
    let commands = hub.fleet.engine.commands(host.id, limit).await?;
    Ok(CommandsAnswer { commands: commands.into_iter().map(clean).collect() })
}

/// Returns a batch.
///
/// # Errors
///
/// If there is none.
pub(crate) async fn batch_answer(hub: &Hub, id: i64) -> Result<BatchAnswer, Failure> {
    let batch = hub.fleet.engine.batch(id).await?;
    let batch = batch.ok_or_else(|| Failure::not_found("there is no such batch"))?;
    let hosts = hub.fleet.hosts();
    let host = |host: crate::engine::BatchHost| BatchHostAnswer {
        host: hosts.hosts.get(&host.host).map(|host| host.name.clone()),
        command: host.command,
        state: host.state,
    };
    Ok(BatchAnswer {
        id: batch.id,
        action: sanitize(&batch.action).into_owned(),
        state: batch.state,
        at_once: batch.at_once,
        max_failures: batch.max_failures,
        asked_by: batch.asked_by,
        asked_at: batch.asked_at,
        hosts: batch.hosts.into_iter().map(host).collect(),
    })
}

/// Returns a batch by the number in a path.
///
/// # Errors
///
/// If there is none.
pub(crate) async fn batch(hub: &Hub, asked: &Asked) -> Result<BatchAnswer, Failure> {
    let id = asked.part("batch").parse().map_err(|_| Failure::not_found("there is no such batch"))?;
    batch_answer(hub, id).await
}

/// Returns the last batches.
///
/// # Errors
///
/// If the engine fails.
pub(crate) async fn batches(hub: &Hub, asked: &Asked) -> Result<BatchesAnswer, Failure> {
    let limit = usize::try_from(asked.params.number("limit", 20, 1..=100)?).unwrap_or(20);
    let mut batches = Vec::new();
    for id in hub.fleet.engine.batches(limit).await? {
        batches.push(batch_answer(hub, id).await?);
    }
    Ok(BatchesAnswer { batches })
}

/// Returns lines of the audit log.
///
/// # Errors
///
/// If the one who asks may not see it.
pub(crate) async fn audit(hub: &Hub, asked: &Asked) -> Result<AuditAnswer, Failure> {
    asked.caller.needs(Role::Admin)?;
    let limit = usize::try_from(asked.params.number("limit", 100, 1..=1000)?).unwrap_or(100);
    let before = asked.params.number("before", i64::MAX, 1..=i64::MAX)?;
    let mut entries = hub.fleet.engine.audit(Some(before), limit).await?;
    for AuditEntry { who, what, host, result, .. } in &mut entries {
        [who, what, result].into_iter().chain(host).for_each(text);
    }
    Ok(AuditAnswer { entries })
}

/// Streams changes of hosts. A client that comes back gets those that have changed since, and a client of another hub all of them.
pub(crate) fn stream(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let permit = events::stream(hub)?;
    let epoch = hub.started_at;
    let mut since = asked.since().and_then(|id| {
        let (of, version) = id.split_once('.')?;
        (of.parse() == Ok(epoch)).then(|| version.parse::<u64>().ok())?
    });
    let mut hosts = hub.fleet.watch();
    let (events, receiver) = events::channel();
    tokio::spawn(async move {
        let _permit = permit;
        let mut told: BTreeMap<HostName, HostAnswer> = BTreeMap::new();
        let mut is_first = true;
        loop {
            let seen: std::sync::Arc<Hosts> = std::sync::Arc::clone(&hosts.borrow_and_update());
            let now = unix_ms();
            if is_first
                && since.is_none()
                && !events::send(&events, events::event("reset", None, &serde_json::json!({}))).await
            {
                return;
            }
            let mut news = Vec::new();
            for (id, host) in &seen.hosts {
                let answer = host_answer(host, now);
                let is_known = match told.get(&host.name) {
                    Some(known) => *known == answer,
                    // States change with time alone, too.
                    None => {
                        since.is_some_and(|since| seen.changed.get(id).is_some_and(|at| *at <= since))
                            && matches!(answer.state, HostState::Idle | HostState::Busy)
                    }
                };
                if !is_known {
                    news.push(answer.clone());
                }
                told.insert(host.name.clone(), answer);
            }
            let names: std::collections::BTreeSet<&HostName> =
                seen.hosts.values().map(|host| &host.name).collect();
            let removed: Vec<HostName> = told.keys().filter(|name| !names.contains(name)).cloned().collect();
            for name in removed {
                told.remove(&name);
                if !events::send(
                    &events,
                    events::event("removed", None, &serde_json::json!({ "host": name })),
                )
                .await
                {
                    return;
                }
            }
            let n = news.len();
            for (at, answer) in (1..).zip(news) {
                // Only the last one has the version: a client that lost the connection before it gets them again.
                let id = (at == n).then(|| format!("{epoch}.{}", seen.version));
                if !events::send(&events, events::event("host", id, &answer)).await {
                    return;
                }
            }
            since = Some(seen.version);
            is_first = false;
            tokio::select! {
                changed = hosts.changed() => if changed.is_err() { return },
                () = events.closed() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    });
    Ok(events::answer(receiver))
}
