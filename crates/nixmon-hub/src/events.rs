//! Streams: server-sent events with an offset as `id`, and plain text for `curl -N`.
//!
//! A client that comes back with `Last-Event-ID` misses nothing and gets nothing twice: lines are numbered by their place in
//! the run's files, which outlive the hub, and the board by versions, of which a client of an earlier process gets all runs anew.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use nixmon_core::text::{count, duration};
use nixmon_core::wire::{RunLine, SCHEMA};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::NewLine;
use nixmon_runs::{RunState, Status, StatusRecord};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;

use crate::api;
use crate::board::{self, Board, Entry};
use crate::failure::Failure;
use crate::hub::{Asked, Hub};

/// Events that wait for a slow client; then the stream waits with it.
const PENDING: usize = 16;
/// Time after which a silent stream says that it is alive.
const ALIVE: Duration = Duration::from_secs(15);
/// Lines of a log in one event.
const LOG_LINES: u64 = 500;
/// Time between two events of a log, so that a flood comes in few of them.
const LOG_PACE: Duration = Duration::from_millis(200);

pub(crate) type Events = Sender<Result<Event, Infallible>>;

/// Makes the way of events to a client.
pub(crate) fn channel() -> (Events, mpsc::Receiver<Result<Event, Infallible>>) {
    mpsc::channel(PENDING)
}

/// Takes one of the places for streams.
///
/// # Errors
///
/// If none is left.
pub(crate) fn stream(hub: &Hub) -> Result<tokio::sync::OwnedSemaphorePermit, Failure> {
    hub.limits.stream().ok_or_else(|| Failure::too_many("too many streams are open", 5))
}

/// Makes an answer of events.
pub(crate) fn answer(receiver: mpsc::Receiver<Result<Event, Infallible>>) -> Response {
    let keep_alive = KeepAlive::new().interval(ALIVE);
    let mut response = Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive).into_response();
    // A proxy that collects an answer first would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Makes an event. JSON has no line break, so that its text cannot end it.
pub(crate) fn event(kind: &str, id: Option<String>, data: &impl serde::Serialize) -> Option<Event> {
    let event = Event::default().event(kind).json_data(data).ok()?;
    Some(match id {
        Some(id) => event.id(id),
        None => event,
    })
}

/// Sends an event. Returns whether the client is still there.
pub(crate) async fn send(events: &Events, event: Option<Event>) -> bool {
    match event {
        Some(event) => events.send(Ok(event)).await.is_ok(),
        None => true,
    }
}

/// Streams changes of the board.
pub(crate) fn board(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let permit = stream(hub)?;
    let epoch = hub.poller.epoch;
    let mut since = asked.since().and_then(|id| {
        let (of, version) = id.split_once('.')?;
        (of.parse() == Ok(epoch)).then(|| version.parse::<u64>().ok())?
    });
    let mut boards = hub.poller.watch();
    let (events, receiver) = mpsc::channel(PENDING);
    tokio::spawn(async move {
        let _permit = permit;
        loop {
            let board = std::sync::Arc::clone(&boards.borrow_and_update());
            if !news(&events, &board, since, epoch).await {
                return;
            }
            since = Some(board.version);
            tokio::select! {
                changed = boards.changed() => if changed.is_err() { return },
                () = events.closed() => return,
            }
        }
    });
    Ok(answer(receiver))
}

/// Sends what has changed since a version; everything, if there is none.
async fn news(events: &Events, board: &Board, since: Option<u64>, epoch: u64) -> bool {
    let id = || format!("{epoch}.{}", board.version);
    let removed: Vec<u64> = match since {
        // The ends of runs that were removed long ago are not remembered.
        Some(since) => board.removed.iter().filter(|(_, at)| *at > since).map(|(run, _)| *run).collect(),
        None => {
            let runs: Vec<u64> = board.entries.iter().map(|entry| entry.run).collect();
            if !send(events, event("reset", None, &serde_json::json!({ "runs": runs }))).await {
                return false;
            }
            Vec::new()
        }
    };
    let changed: Vec<&Entry> = board
        .entries
        .iter()
        .filter(|entry| since.is_none_or(|since| board.changed.get(&entry.run).is_none_or(|at| *at > since)))
        .map(|entry| &**entry)
        .collect();
    let n = changed.len() + removed.len();
    // Only the last event has the version: a client that lost the connection before it gets them all again.
    let with = |at: usize| (at + 1 == n).then(id);
    for (at, run) in removed.iter().enumerate() {
        if !send(events, event("removed", with(at), &serde_json::json!({ "run": run }))).await {
            return false;
        }
    }
    for (at, entry) in (removed.len()..).zip(changed) {
        if !send(events, event("run", with(at), entry)).await {
            return false;
        }
    }
    true
}

/// Something that is new about a run.
enum News {
    Line(NewLine),
    Status(Box<Status>),
    End(Box<Status>),
    Failure(Failure),
}

/// Follows the condensed lines and the status of a run, on a thread of its own, until it has ended or nobody listens.
async fn follow(hub: &Hub, asked: &Asked) -> Result<(u64, mpsc::Receiver<News>), Failure> {
    let permit = stream(hub)?;
    let cursor = match asked.since() {
        None => 0,
        Some(since) => {
            since.parse().map_err(|_| Failure::bad_request("`since` is the cursor of a line, a number"))?
        }
    };
    let source = hub.source(asked).await?;
    let (dir, _) = source.look(asked.part("run")).await?;
    let id = dir.id().0;
    let program = std::sync::Arc::clone(&source.program);
    let hold = source.hold(&dir);
    let (news, receiver) = mpsc::channel(PENDING);
    tokio::task::spawn_blocking(move || {
        let (_permit, _hold) = (permit, hold);
        let result = (|| {
            let runs = program.runs()?;
            let mut follow = runs.follow(&dir, Some(cursor))?;
            let mut told: Option<Status> = None;
            loop {
                let followed = follow.next(&runs, unix_ms())?;
                let mut send = |new| news.blocking_send(new).is_ok();
                let mut is_heard = followed.lines.into_iter().map(News::Line).all(&mut send);
                let status = board::clean(followed.status);
                // The sign of life alone is no news.
                let is_same = |told: &Status| {
                    let beat = |status: &Status| Status { heartbeat_at: 0, ..status.clone() };
                    beat(told) == beat(&status)
                };
                let Some(look_again) = followed.look_again else {
                    send(News::End(Box::new(status)));
                    return Ok(());
                };
                if !told.as_ref().is_some_and(is_same) {
                    is_heard &= send(News::Status(Box::new(status.clone())));
                    told = Some(status);
                }
                if !is_heard || news.is_closed() {
                    return Ok(());
                }
                std::thread::sleep(look_again);
            }
        })();
        if let Err(error) = result {
            let error: nixmon_runs::QueryError = error;
            let _ = news.blocking_send(News::Failure(error.into()));
        }
    });
    Ok((id, receiver))
}

/// Streams the condensed lines and the status of a run.
pub(crate) async fn run(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let (id, mut news) = follow(hub, asked).await?;
    let (events, receiver) = mpsc::channel(PENDING);
    tokio::spawn(async move {
        while let Some(new) = news.recv().await {
            let event = match new {
                News::Line(NewLine { cursor, text }) => {
                    let text = sanitize(&text).into_owned();
                    let line = RunLine { r#type: "line".into(), schema: SCHEMA, run: id, cursor, text };
                    event("line", Some(cursor.to_string()), &line)
                }
                News::Status(status) => event("status", None, &StatusRecord::from(*status)),
                News::End(status) => event("end", None, &StatusRecord::from(*status)),
                News::Failure(failure) => {
                    event("failure", None, &serde_json::json!({ "message": failure.message }))
                }
            };
            if !send(&events, event).await {
                return;
            }
        }
    });
    Ok(answer(receiver))
}

/// Streams the condensed lines of a run as text, until it has ended.
pub(crate) async fn wait_for_run(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let (id, mut news) = follow(hub, asked).await?;
    let (lines, receiver) = mpsc::channel::<Result<String, Infallible>>(PENDING);
    tokio::spawn(async move {
        while let Some(new) = news.recv().await {
            let line = match new {
                News::Line(line) => format!("{}\n", sanitize(&line.text)),
                News::Status(_) => continue,
                News::End(status) => format!("run {id} ended: {}\n", outcome(&status)),
                News::Failure(failure) => format!("run {id} cannot be followed: {}\n", failure.message),
            };
            if lines.send(Ok(line)).await.is_err() {
                return;
            }
        }
    });
    Ok(plain(receiver))
}

fn plain(receiver: mpsc::Receiver<Result<String, Infallible>>) -> Response {
    let mut response = api::text(Body::from_stream(ReceiverStream::new(receiver)));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Streams a line of text for each change of a run, until the client goes.
pub(crate) fn wait(hub: &Hub) -> Result<Response, Failure> {
    let permit = stream(hub)?;
    let mut boards = hub.poller.watch();
    let (lines, receiver) = mpsc::channel::<Result<String, Infallible>>(PENDING);
    tokio::spawn(async move {
        let _permit = permit;
        let mut told: std::collections::BTreeMap<u64, String> = Default::default();
        let mut is_first = true;
        loop {
            let board = std::sync::Arc::clone(&boards.borrow_and_update());
            for entry in board.entries.iter().rev() {
                let line = in_one_line(entry);
                if told.get(&entry.run) == Some(&line) {
                    continue;
                }
                told.insert(entry.run, line.clone());
                // Runs that ended before are no news.
                let is_over = entry.status.as_ref().is_none_or(Status::has_ended);
                if !(is_first && is_over) && lines.send(Ok(line + "\n")).await.is_err() {
                    return;
                }
            }
            told.retain(|run, _| board.changed.contains_key(run));
            is_first = false;
            let alive = tokio::time::sleep(ALIVE);
            tokio::select! {
                changed = boards.changed() => if changed.is_err() { return },
                () = lines.closed() => return,
                () = alive => {}
            }
        }
    });
    Ok(plain(receiver))
}

/// Describes a run in one line: `run 12 (home) building 3/10, 1 failed`.
pub(crate) fn in_one_line(entry: &Entry) -> String {
    let Some(status) = &entry.status else {
        return format!("run {}: {}", entry.run, entry.error.as_deref().unwrap_or("cannot be read"));
    };
    let about = nixmon_runs::about(status.name.as_deref(), &status.command);
    let about = if about.is_empty() { String::new() } else { format!(" ({about})") };
    format!("run {}{about} {}", entry.run, condition(status))
}

/// Describes the condition of a run: `building 3/10, 1 failed`.
pub(crate) fn condition(status: &Status) -> String {
    let mut text = match status.state {
        RunState::Queued => "is queued".to_owned(),
        RunState::Ended => return format!("ended: {}", outcome(status)),
        RunState::Lost => "lost its monitor".to_owned(),
        RunState::Running => match phase_name(status) {
            "building" if status.wanted > 0 => format!("building {}/{}", status.built, status.wanted),
            "" => "has begun".to_owned(),
            phase => phase.to_owned(),
        },
    };
    if status.failed > 0 {
        text.push_str(&format!(", {} failed", status.failed));
    }
    text
}

/// Returns the name of the phase of a run.
pub(crate) fn phase_name(status: &Status) -> &'static str {
    use nixmon_runs::RunPhase;
    match status.phase {
        RunPhase::Unknown => "",
        RunPhase::Evaluating => "evaluating",
        RunPhase::Fetching => "fetching",
        RunPhase::Building => "building",
        RunPhase::Activating => "activating",
        RunPhase::Done => "done",
    }
}

/// Describes the end of a run: `failure, exit status 1, after 2m05s`.
pub(crate) fn outcome(status: &Status) -> String {
    let word = status.outcome.map_or("incomplete", |outcome| outcome.as_str()).replace('-', " ");
    let code = match status.exit_code {
        Some(code) => format!(", exit status {code}"),
        None => String::new(),
    };
    let elapsed = status
        .started_at
        .zip(status.ended_at)
        .map(|(from, to)| format!(", after {}", duration(Duration::from_millis(to.saturating_sub(from)))));
    let failed = match status.failed as u64 {
        0 => String::new(),
        n => format!(", {} failed", count(n, "build", "builds")),
    };
    format!("{word}{code}{failed}{}", elapsed.unwrap_or_default())
}

/// Streams the lines of a log: several in an event, whose id is the number of the last one.
pub(crate) async fn log(hub: &Hub, asked: &Asked) -> Result<Response, Failure> {
    let mut done: u64 = match asked.since() {
        None => 0,
        Some(since) => since.parse().map_err(|_| Failure::bad_request("`since` is the number of a line"))?,
    };
    let has_text = asked.params.switch("text", true)?;
    let permit = stream(hub)?;
    let of = api::log_of(hub, asked).await?;
    let (events, receiver) = mpsc::channel(PENDING);
    tokio::spawn(async move {
        let _permit = permit;
        let mut progress = of.log.watch();
        loop {
            let seen = progress.borrow_and_update().clone();
            let total = of.log.n_lines(of.view);
            let mut told = done;
            while has_text && done < total {
                let part = api::LogPart {
                    host: of.host.clone(),
                    run: of.run,
                    log: of.log.clone(),
                    view: of.view,
                    derivation: of.derivation.clone(),
                    play: of.play.clone(),
                    hold: of.hold.clone(),
                };
                let from = i64::try_from(done + 1).unwrap_or(i64::MAX);
                let Ok(mut answer) = api::lines(part, from, LOG_LINES.min(total - done)).await else {
                    return;
                };
                let Some(last) = answer.lines.last().map(|line| line.n) else { break };
                // More is known of the end than of this part.
                answer.is_complete = false;
                answer.next = Some(last + 1);
                done = last;
                if !send(&events, event("lines", Some(done.to_string()), &answer)).await {
                    return;
                }
            }
            if !has_text && total > told {
                done = total;
                told = total;
                let extent = serde_json::json!({ "total": total });
                if !send(&events, event("extent", Some(told.to_string()), &extent)).await {
                    return;
                }
            }
            if seen.is_complete {
                let end = serde_json::json!({ "total": of.log.n_lines(of.view), "error": seen.error });
                send(&events, event("end", None, &end)).await;
                return;
            }
            let paced = async {
                tokio::time::sleep(LOG_PACE).await;
                progress.changed().await
            };
            tokio::select! {
                changed = paced => if changed.is_err() { return },
                () = events.closed() => return,
            }
        }
    });
    Ok(answer(receiver))
}

#[cfg(test)]
mod tests {
    use nixmon_runs::{RunId, RunOutcome, RunPhase};

    use super::*;
    use crate::board::Group;

    fn check(status: Status, expected: &str) {
        let entry = Entry {
            run: 7,
            group: Group::Ended,
            status: Some(status),
            directory: String::new(),
            error: None,
        };
        assert_eq!(in_one_line(&entry), expected);
    }

    #[test]
    fn runs_in_one_line() {
        let status = Status { id: RunId(7), name: Some("home".to_owned()), ..Status::default() };
        check(status.clone(), "run 7 (home) has begun");
        let building =
            Status { phase: RunPhase::Building, built: 3, wanted: 10, failed: 1, ..status.clone() };
        check(building.clone(), "run 7 (home) building 3/10, 1 failed");
        let ended = Status {
            state: RunState::Ended,
            outcome: Some(RunOutcome::Failure),
            exit_code: Some(1),
            started_at: Some(1_000),
            ended_at: Some(126_000),
            ..building
        };
        check(ended, "run 7 (home) ended: failure, exit status 1, 1 build failed, after 2m05s");
        check(Status { state: RunState::Queued, ..status }, "run 7 (home) is queued");
    }
}
