//! The table of everything that changes something: paths with methods other than GET, each with the role that it needs.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nixmon_fleet::{Beat, BusyRun, CommandId, Document, HostName, OnDeadline, Piece, RunEnd, RunFile};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{Exit, FORMAT, Facts, RunId, RunOutcome, RunPhase, RunState, Status};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::caller::Caller;
use crate::engine::{
    Asked as Answered, AuditEntry, Command, Host, HostRun, NewBatch, NewCommand, Role, RunKey,
};
use crate::enroll;
use crate::failure::Failure;
use crate::fleet::EXPIRES_MS;
use crate::hosts::{self, BatchAnswer};
use crate::hub::{Hub, Params};
use crate::ingest::recorded;
use crate::routes::Parameter;

type Called = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// The store of the runs that a hub makes from lines that hosts send without an agent.
const POSTED: &str = "posted";
/// Largest time limit of a command, in seconds.
const MAX_TIMEOUT: u64 = 30 * 24 * 60 * 60;
/// Hosts of a batch.
const MAX_BATCH: usize = 10_000;

/// A path and method that changes something. The method is POST.
pub(crate) struct Action {
    pub(crate) path: &'static str,
    /// A name for programs that are generated from the document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) body: Body,
    pub(crate) status: StatusCode,
    pub(crate) answer: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) call: fn(Arc<Hub>, Order) -> Called,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// JSON with this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Fields of a form on a page: `name=value`.
    Form,
    /// Lines of text.
    Text,
    /// None.
    None,
}

impl Body {
    /// Returns the largest number of its bytes.
    pub(crate) fn limit(self) -> usize {
        match self {
            Self::Json(_) => 1 << 20,
            Self::Form => 4 << 10,
            Self::Text => nixmon_fleet::MAX_PIECE,
            Self::None => 0,
        }
    }
}

/// A request, as the functions of this table see it.
pub(crate) struct Order {
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) params: Params,
    pub(crate) caller: Caller,
    pub(crate) body: Bytes,
}

impl Order {
    pub(crate) fn json<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::bad_request(format!("the body cannot be read: {error}")))
    }

    /// Returns a field of a form.
    fn field(&self, name: &str) -> Result<String, Failure> {
        let mut fields = url::form_urlencoded::parse(&self.body);
        let found = fields.find(|(field, _)| field == name).map(|(_, value)| value.into_owned());
        found.ok_or_else(|| Failure::bad_request(format!("the form has no field `{name}`")))
    }

    fn host_name(&self) -> Result<HostName, Failure> {
        hosts::name(self.path.get("host").map_or("", String::as_str))
    }

    async fn host(&self, hub: &Hub) -> Result<Host, Failure> {
        let name = self.host_name()?;
        hub.fleet.engine.host(&name).await?.ok_or_else(|| Failure::not_found("there is no such host"))
    }

    fn number(&self, name: &str) -> Result<u64, Failure> {
        number(self.path.get(name).map_or("", String::as_str))
    }
}

fn number(text: &str) -> Result<u64, Failure> {
    let number = text.parse().ok().filter(|n| i64::try_from(*n).is_ok());
    number.ok_or_else(|| Failure::not_found("there is no such number"))
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const RUN: Parameter =
    Parameter { name: "run", kind: "string", about: "The name of the run that the lines belong to." };
const END: Parameter =
    Parameter { name: "end", kind: "integer", about: "The run ends with this exit status, after the lines." };

/// The table.
pub(crate) const ACTIONS: &[Action] = &[
    Action {
        path: enroll::PATH,
        id: "enroll",
        summary: "Exchanges a code that works once for the token of a host.",
        parameters: &[],
        body: Body::Json(schema::<enroll::EnrollBody>),
        status: StatusCode::OK,
        answer: schema::<enroll::EnrollAnswer>,
        call: |hub, order| Box::pin(async move { enroll::enroll(&hub, &order).await }),
    },
    Action {
        path: "/hosts/{host}/command",
        id: "commandForm",
        summary: "Asks a host for an action, from its page; the answer leads back to it.",
        parameters: &[],
        body: Body::Form,
        status: StatusCode::SEE_OTHER,
        answer: nothing,
        call: |hub, order| Box::pin(async move { command_form(&hub, &order).await }),
    },
    Action {
        path: "/hosts/{host}/stop",
        id: "stopForm",
        summary: "Stops a command of a host, from its page; the answer leads back to it.",
        parameters: &[],
        body: Body::Form,
        status: StatusCode::SEE_OTHER,
        answer: nothing,
        call: |hub, order| Box::pin(async move { stop_form(&hub, &order).await }),
    },
    Action {
        path: "/api/v1/hosts/{host}/commands",
        id: "command",
        summary: "Asks a host for one of the actions of its own configuration. 409: it has another one to do.",
        parameters: &[],
        body: Body::Json(schema::<CommandBody>),
        status: StatusCode::ACCEPTED,
        answer: schema::<Command>,
        call: |hub, order| Box::pin(async move { command(&hub, &order).await }),
    },
    Action {
        path: "/api/v1/hosts/{host}/commands/{command}/stop",
        id: "stopCommand",
        summary: "Stops a command.",
        parameters: &[],
        body: Body::None,
        status: StatusCode::OK,
        answer: schema::<Command>,
        call: |hub, order| Box::pin(async move { stop(&hub, &order).await }),
    },
    Action {
        path: "/api/v1/batches",
        id: "newBatch",
        summary: "Asks many hosts for an action, some at once, until there are too many failures.",
        parameters: &[],
        body: Body::Json(schema::<BatchBody>),
        status: StatusCode::ACCEPTED,
        answer: schema::<BatchAnswer>,
        call: |hub, order| Box::pin(async move { batch(&hub, &order).await }),
    },
    Action {
        path: "/api/v1/batches/{batch}/stop",
        id: "stopBatch",
        summary: "Lets no further host of a batch begin.",
        parameters: &[],
        body: Body::None,
        status: StatusCode::OK,
        answer: schema::<BatchAnswer>,
        call: |hub, order| Box::pin(async move { stop_batch(&hub, &order).await }),
    },
    Action {
        path: "/api/v1/hosts/{host}/logs",
        id: "postLogs",
        summary: "Takes lines of a host without an agent, as a run that the hub makes.",
        parameters: &[RUN, END],
        body: Body::Text,
        status: StatusCode::OK,
        answer: schema::<Posted>,
        call: |hub, order| Box::pin(async move { logs(&hub, &order).await }),
    },
    Action {
        path: "/api/v1/hosts/{host}/heartbeat",
        id: "heartbeat",
        summary: "Takes a sign of life of a host without an agent.",
        parameters: &[],
        body: Body::None,
        status: StatusCode::OK,
        answer: schema::<Posted>,
        call: |hub, order| Box::pin(async move { heartbeat(&hub, &order).await }),
    },
];

/// Returns the action at a path.
pub(crate) fn at(path: &str) -> Option<&'static Action> {
    let matches = |action: &&Action| {
        let (rest, template) = match action.path.strip_prefix("/api/v1") {
            Some(template) => (path.strip_prefix("/api/v1").or(path.strip_prefix("/api")), template),
            None => (Some(path), action.path),
        };
        rest.is_some_and(|rest| {
            let (mut parts, mut wanted) = (rest.split('/'), template.split('/'));
            loop {
                match (parts.next(), wanted.next()) {
                    (None, None) => return true,
                    (Some(part), Some(wanted)) if wanted.starts_with('{') || part == wanted => {}
                    _ => return false,
                }
            }
        })
    };
    ACTIONS.iter().find(matches)
}

/// A request for a command.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandBody {
    /// The name of an action of the host's configuration.
    action: String,
    /// Time limit in seconds.
    #[serde(default)]
    timeout_s: Option<u64>,
    /// Reaction to a command that runs into its time limit.
    #[serde(default)]
    on_deadline: OnDeadline,
}

/// A request for a batch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    /// Names of the hosts, in the order in which they begin.
    hosts: Vec<HostName>,
    /// The name of an action that the configuration of each host has.
    action: String,
    /// Number of hosts at once; 1 if it is absent.
    #[serde(default)]
    at_once: Option<u64>,
    /// Number of failures after which no further host begins; 0 if it is absent: the first failure ends the batch.
    #[serde(default)]
    max_failures: u64,
    /// Time limit of each host in seconds.
    #[serde(default)]
    timeout_s: Option<u64>,
    /// Reaction to a command that runs into its time limit.
    #[serde(default)]
    on_deadline: OnDeadline,
}

/// The answer to a host without an agent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Posted {
    /// The number of the run on the hub; null for a sign of life.
    run: Option<u64>,
    /// Number of bytes of the lines that were taken, which are kept for good now.
    taken: u64,
}

fn new_command(
    caller: &Caller,
    action: &str,
    timeout_s: Option<u64>,
    on_deadline: OnDeadline,
) -> Result<NewCommand, Failure> {
    if timeout_s.is_some_and(|limit| limit == 0 || limit > MAX_TIMEOUT) {
        return Err(Failure::bad_request(format!("`timeout_s` is a number from 1 to {MAX_TIMEOUT}")));
    }
    let now = unix_ms();
    Ok(NewCommand {
        action: action.to_owned(),
        timeout_s,
        on_deadline,
        asked_by: caller.name(),
        asked_at: now,
        expires_at: now + EXPIRES_MS,
    })
}

fn has_action(host: &Host, action: &str) -> Result<(), Failure> {
    if host.actions.iter().any(|has| has == action) {
        return Ok(());
    }
    Err(Failure::bad_request(format!(
        "the configuration of {} has no action `{}`",
        host.name,
        sanitize(action)
    )))
}

async fn audit(
    hub: &Hub,
    caller: &Caller,
    what: String,
    host: Option<&HostName>,
    result: &str,
) -> Result<(), Failure> {
    let entry = AuditEntry {
        id: 0,
        at: unix_ms(),
        who: caller.name(),
        what: sanitize(&what).into_owned(),
        host: host.map(HostName::to_string),
        result: result.to_owned(),
    };
    Ok(hub.fleet.engine.add_audit(entry).await?)
}

fn nothing(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!(true)
}

fn back_to(host: &HostName) -> Response {
    axum::response::Redirect::to(&format!("/hosts/{host}")).into_response()
}

async fn command_form(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    let body =
        CommandBody { action: order.field("action")?, timeout_s: None, on_deadline: OnDeadline::default() };
    ask(hub, order, body).await?;
    Ok(back_to(&order.host_name()?))
}

async fn stop_form(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    let number = order.field("command")?;
    stop_command(hub, order, &number).await?;
    Ok(back_to(&order.host_name()?))
}

async fn command(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    ask(hub, order, order.json()?).await
}

async fn ask(hub: &Hub, order: &Order, body: CommandBody) -> Result<Response, Failure> {
    order.caller.needs(Role::Operate)?;
    let host = order.host(hub).await?;
    has_action(&host, &body.action)?;
    let new = new_command(&order.caller, &body.action, body.timeout_s, body.on_deadline)?;
    let what = format!("command {}", body.action);
    match hub.fleet.engine.ask(host.id, new).await? {
        Answered::Accepted(command) => {
            audit(hub, &order.caller, what, Some(&host.name), &format!("accepted as {}", command.id)).await?;
            Ok((StatusCode::ACCEPTED, axum::Json(hosts::clean(command))).into_response())
        }
        Answered::Busy(first) => {
            audit(hub, &order.caller, what, Some(&host.name), &format!("refused: {} is not over", first.id))
                .await?;
            let run = first.run.map(|run| format!(", run {run}")).unwrap_or_default();
            Err(Failure::new(
                StatusCode::CONFLICT,
                format!(
                    "{} has command {} to do first: {}{run}, {}",
                    host.name,
                    first.id,
                    sanitize(&first.action),
                    first.state.as_str()
                ),
            ))
        }
    }
}

async fn stop(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    stop_command(hub, order, order.path.get("command").map_or("", String::as_str)).await
}

async fn stop_command(hub: &Hub, order: &Order, number: &str) -> Result<Response, Failure> {
    order.caller.needs(Role::Operate)?;
    let host = order.host(hub).await?;
    let id = CommandId(self::number(number)?);
    let engine = &hub.fleet.engine;
    let is_of_host = engine.command(id).await?.is_some_and(|command| command.host == host.id);
    let stopped = if is_of_host { engine.stop_command(id, unix_ms()).await? } else { None };
    let Some(command) = stopped else { return Err(Failure::not_found("this host has no such command")) };
    let what = format!("stop of command {id}");
    audit(hub, &order.caller, what, Some(&host.name), command.state.as_str()).await?;
    Ok(axum::Json(hosts::clean(command)).into_response())
}

async fn batch(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    order.caller.needs(Role::Operate)?;
    let body: BatchBody = order.json()?;
    if body.hosts.is_empty() || body.hosts.len() > MAX_BATCH {
        return Err(Failure::bad_request(format!("a batch has from 1 to {MAX_BATCH} hosts")));
    }
    let at_once = body.at_once.unwrap_or(1);
    if at_once == 0 || at_once > MAX_BATCH as u64 {
        return Err(Failure::bad_request(format!("`at_once` is a number from 1 to {MAX_BATCH}")));
    }
    let mut ids = Vec::with_capacity(body.hosts.len());
    for name in &body.hosts {
        let host = hub.fleet.engine.host(name).await?;
        let host = host.ok_or_else(|| Failure::not_found(format!("there is no host {name}")))?;
        has_action(&host, &body.action)?;
        if ids.contains(&host.id) {
            return Err(Failure::bad_request(format!("{name} is there twice")));
        }
        ids.push(host.id);
    }
    let command = new_command(&order.caller, &body.action, body.timeout_s, body.on_deadline)?;
    let new = NewBatch { hosts: ids, command, at_once, max_failures: body.max_failures };
    let id = hub.fleet.engine.ask_batch(new).await?;
    let what = format!("batch {} on {} hosts", body.action, body.hosts.len());
    audit(hub, &order.caller, what, None, &format!("accepted as {id}")).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(hosts::batch_answer(hub, id).await?)).into_response())
}

async fn stop_batch(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    order.caller.needs(Role::Operate)?;
    let id = i64::try_from(order.number("batch")?).unwrap_or(i64::MAX);
    let is_new = hub.fleet.engine.stop_batch(id).await?;
    let answer = hosts::batch_answer(hub, id).await?;
    if is_new {
        audit(hub, &order.caller, format!("stop of batch {id}"), None, "stopped").await?;
    }
    Ok(axum::Json(answer).into_response())
}

/// Returns the host that reports about itself; an admin may add one in this way.
async fn reporting(hub: &Hub, order: &Order) -> Result<Host, Failure> {
    let name = order.host_name()?;
    order.caller.reports(&name)?;
    if matches!(order.caller, Caller::Person { .. }) {
        hub.fleet.engine.add_host(&name, unix_ms()).await?;
    }
    order.host(hub).await
}

async fn heartbeat(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    let host = reporting(hub, order).await?;
    beat(hub, &host).await;
    Ok(axum::Json(Posted { run: None, taken: 0 }).into_response())
}

async fn beat(hub: &Hub, host: &Host) {
    let open = hub.fleet.engine.runs(host.id, None, 1).await.ok().and_then(|runs| runs.into_iter().next());
    let open = open.filter(|run| run.store == POSTED && !run.is_complete);
    let busy = open.map(|run| BusyRun { run: run.number, phase: RunPhase::Unknown, ..BusyRun::default() });
    let running = u32::from(busy.is_some());
    let beat = Beat { seq: host.beat.seq + 1, at: unix_ms(), busy, running, ..Beat::default() };
    hub.fleet.beat(host.id, beat).await;
}

async fn logs(hub: &Hub, order: &Order) -> Result<Response, Failure> {
    let host = reporting(hub, order).await?;
    let name = order.params.text("run").unwrap_or("posted");
    if name.len() > 200 {
        return Err(Failure::bad_request("the name of a run has at most 200 bytes"));
    }
    let end = match order.params.text("end") {
        None => None,
        Some(_) => Some(i32::try_from(order.params.number("end", 0, 0..=255)?).unwrap_or(255)),
    };
    // One request of a host at a time, so that its lines stay in order.
    let _turn = hub.turns.lock().await;
    let engine = &hub.fleet.engine;
    let now = unix_ms();
    let posted = engine.runs(host.id, None, 1000).await?.into_iter().filter(|run| run.store == POSTED);
    let posted: Vec<HostRun> = posted.collect();
    let named = |run: &&HostRun| run.facts.as_ref().and_then(|facts| facts["name"].as_str()) == Some(name);
    let open = posted.iter().find(|run| !run.is_complete && named(run));
    let (key, number, began) = match open {
        Some(run) => (run.key, run.number, run.first_seen),
        None => {
            let origin = posted.iter().map(|run| run.origin).max().unwrap_or(0) + 1;
            let key = engine.run_of(host.id, POSTED, origin, now).await?;
            let run = engine.runs(host.id, None, 1000).await?.into_iter().find(|run| run.key == key);
            let number = run.map_or(origin, |run| run.number);
            let facts = Facts {
                format: FORMAT,
                id: RunId(number),
                name: Some(name.to_owned()),
                created_at: now,
                environment: nixmon_runs::Environment { host: host.name.to_string(), ..Default::default() },
                ..Facts::default()
            };
            document(hub, key, RunFile::Facts, 1, &json!(facts)).await?;
            (key, number, now)
        }
    };
    let size =
        engine.files(key).await?.iter().find(|file| file.file == RunFile::Input).map_or(0, |file| file.size);
    let taken = order.body.len() as u64;
    if taken > 0 {
        let at = Duration::from_millis(now.saturating_sub(began));
        let bytes = recorded(&order.body, at)?;
        let piece = Piece { run: number, file: RunFile::Input, generation: 0, offset: size, bytes };
        let wanted = piece.end();
        let kept = engine.append(key, piece).await?;
        if kept.size != wanted {
            return Err(Failure::unavailable("another request has added lines at the same time"));
        }
    }
    let mut status = Status {
        id: RunId(number),
        name: Some(name.to_owned()),
        state: RunState::Running,
        created_at: began,
        started_at: Some(began),
        heartbeat_at: now,
        ..Status::default()
    };
    if let Some(code) = end {
        status.state = RunState::Ended;
        status.phase = RunPhase::Done;
        status.ended_at = Some(now);
        status.exit_code = Some(code);
        status.outcome = Some(if code == 0 { RunOutcome::Success } else { RunOutcome::Failure });
        document(hub, key, RunFile::Exit, now, &json!(Exit { code: Some(code), signal: None, at: now }))
            .await?;
    }
    document(hub, key, RunFile::Status, now, &json!(status)).await?;
    if end.is_some() {
        engine.end_run(key, &RunEnd { run: number, files: Vec::new(), reason: None }).await?;
    }
    beat(hub, &host).await;
    Ok(axum::Json(Posted { run: Some(number), taken }).into_response())
}

async fn document(
    hub: &Hub,
    key: RunKey,
    file: RunFile,
    version: u64,
    content: &serde_json::Value,
) -> Result<(), Failure> {
    let mut content = content.clone();
    if let Some(content) = content.as_object_mut() {
        // As in a store of runs.
        content.insert("format".to_owned(), json!(FORMAT));
    }
    let document = Document { run: 1, file, version, content };
    hub.fleet.engine.keep_document(key, &document).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_actions() {
        for (path, expected) in [
            ("/api/v1/hosts/a/commands", Some("command")),
            ("/api/hosts/a/commands", Some("command")),
            ("/api/v1/hosts/a/commands/7/stop", Some("stopCommand")),
            ("/api/hosts/a/logs", Some("postLogs")),
            ("/api/v1/hosts", None),
            ("/api/v1/hosts/a/commands/7", None),
            ("/", None),
            ("/api/v1/runs/1", None),
        ] {
            assert_eq!(at(path).map(|action| action.id), expected, "{path}");
        }
    }
}
