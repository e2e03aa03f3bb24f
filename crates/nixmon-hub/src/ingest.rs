//! Connections of agents: what they send is kept, then acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use nixmon_fleet::{
    Ack, FromAgent, FromHub, Hello, HostName, MAX_PIECE, MAX_TEXT, OFFLINE_BEATS, PROTOCOL, Piece, Refusal,
    Welcome,
};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;

use crate::caller::Caller;
use crate::engine::{EngineError, Greeting, HostId, RunKey};
use crate::failure::Failure;
use crate::fleet::Fleet;

/// Time in which the first message has to come.
const HELLO: Duration = Duration::from_secs(10);
/// Time without a message after which an agent counts as gone: it beats every ten seconds.
const SILENT: Duration = Duration::from_secs(35);
/// Time for a message to an agent.
const SEND: Duration = Duration::from_secs(20);
/// Messages that may come at once, and in a second.
const RATE: (f64, f64) = (4000.0, 200.0);
/// Runs of a first message.
const MAX_RUNS: usize = 10_000;
/// Actions of a host, and bytes of the name of one.
const MAX_ACTIONS: (usize, usize) = (200, 200);

/// Takes the connection of an agent.
pub(crate) fn upgrade(
    fleet: &Arc<Fleet>,
    caller: Caller,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Failure> {
    let Caller::Host { id, name } = caller else {
        return Err(Failure::new(
            axum::http::StatusCode::UNAUTHORIZED,
            "an agent needs the token of its host",
        ));
    };
    let Ok(permit) = Arc::clone(&fleet.room).try_acquire_owned() else {
        return Err(Failure::too_many("too many agents are connected to this hub", 5));
    };
    let fleet = Arc::clone(fleet);
    let largest = MAX_PIECE + (8 << 10);
    Ok(upgrade.max_message_size(largest.max(MAX_TEXT)).max_frame_size(largest.max(MAX_TEXT)).on_upgrade(
        move |socket| async move {
            let _permit = permit;
            let mut agent = Agent { fleet, host: id, name, socket };
            if let Err(end) = agent.serve().await {
                agent.end(end).await;
            }
        },
    ))
}

/// The reason why a connection ends.
#[derive(Debug)]
enum End {
    /// The agent has gone.
    Gone,
    /// The hub closes it.
    Refused(Refusal),
}

impl From<EngineError> for End {
    fn from(error: EngineError) -> Self {
        tracing::warn!(%error, "a message of an agent cannot be kept");
        // The agent keeps what was not acknowledged, and comes again.
        refused(error.to_string(), false)
    }
}

fn refused(message: impl Into<String>, is_final: bool) -> End {
    End::Refused(Refusal { message: message.into(), is_final })
}

struct Agent {
    fleet: Arc<Fleet>,
    host: HostId,
    name: HostName,
    socket: WebSocket,
}

impl Agent {
    async fn serve(&mut self) -> Result<(), End> {
        let first = tokio::time::timeout(HELLO, self.next()).await.map_err(|_| End::Gone)??;
        let Received::Text(FromAgent::Hello(hello)) = first else {
            return Err(refused("the first message of an agent is `hello`", true));
        };
        self.check(&hello)?;
        let now = unix_ms();
        let engine = self.fleet.engine.clone();
        let is_new = self.fleet.hosts().hosts.get(&self.host).is_none_or(|host| host.hello_at.is_none());
        if (!hello.is_single_run || is_new)
            && engine.greet(self.host, &hello, now).await? == Greeting::Outdated
        {
            return Err(refused("a newer process of the agent of this host is connected", false));
        }
        // Before the commands are looked up, so that one that comes in between is sent.
        let (number, mut pending) =
            self.fleet.connect(self.host, &hello.instance, &hello.store, hello.is_single_run);
        let result = self.go_on(&hello, &mut pending).await;
        self.fleet.disconnect(self.host, number);
        result
    }

    fn check(&self, hello: &Hello) -> Result<(), End> {
        if hello.protocol != PROTOCOL {
            return Err(refused(
                format!("this hub speaks version {PROTOCOL}, and the agent {}", hello.protocol),
                true,
            ));
        }
        if hello.host != self.name {
            return Err(refused(format!("this token is that of {}", self.name), true));
        }
        let is_large = hello.runs.len() > MAX_RUNS
            || hello.actions.len() > MAX_ACTIONS.0
            || hello.actions.iter().any(|action| action.len() > MAX_ACTIONS.1)
            || hello.store.len() > 200
            || hello.instance.len() > 200;
        if is_large { Err(refused("the first message is too large", true)) } else { Ok(()) }
    }

    async fn go_on(
        &mut self,
        hello: &Hello,
        pending: &mut tokio::sync::mpsc::Receiver<FromHub>,
    ) -> Result<(), End> {
        let engine = self.fleet.engine.clone();
        let runs = engine.known(self.host, &hello.store, &hello.runs).await?;
        let commands = match hello.is_single_run {
            true => Vec::new(),
            false => engine.send_commands(self.host, unix_ms()).await?,
        };
        let welcome = Welcome {
            protocol: PROTOCOL,
            runs,
            commands: commands.iter().map(crate::engine::Command::request).collect(),
            hub: self.fleet.identity.clone(),
        };
        self.send(&FromHub::Welcome(welcome)).await?;
        for command in commands.iter().filter(|command| command.is_stop_asked) {
            self.send(&FromHub::Stop { id: command.id }).await?;
        }
        let mut reader = Reader { runs: BTreeMap::new(), own_beat: None, hello };
        let mut rate = (RATE.0, now());
        loop {
            let received = tokio::select! {
                message = pending.recv() => match message {
                    Some(FromHub::Refused(refusal)) => return Err(End::Refused(refusal)),
                    Some(message) => {
                        self.send(&message).await?;
                        continue;
                    }
                    // It was too slow, or was replaced.
                    None => return Err(End::Gone),
                },
                received = tokio::time::timeout(SILENT, self.next()) => received.map_err(|_| End::Gone)??,
            };
            let at = now();
            let tokens = (rate.0 + at.saturating_duration_since(rate.1).as_secs_f64() * RATE.1).min(RATE.0);
            if tokens < 1.0 {
                return Err(refused("too many messages", false));
            }
            rate = (tokens - 1.0, at);
            if let Some(ack) = reader.take(&self.fleet, self.host, received).await? {
                self.send(&FromHub::Ack(ack)).await?;
            }
        }
    }

    async fn next(&mut self) -> Result<Received, End> {
        loop {
            match self.socket.recv().await {
                Some(Ok(Message::Text(text))) if text.len() > MAX_TEXT => {
                    return Err(refused(format!("a text message has at most {MAX_TEXT} bytes"), true));
                }
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text)
                        .map_err(|error| refused(format!("a message cannot be read: {error}"), true))?;
                    return Ok(Received::Text(message));
                }
                Some(Ok(Message::Binary(bytes))) => {
                    let piece = Piece::decode(&bytes).map_err(|error| refused(error.to_string(), true))?;
                    return Ok(Received::Piece(piece));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Gone),
            }
        }
    }

    async fn send(&mut self, message: &FromHub) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|_| End::Gone)?;
        let sent = tokio::time::timeout(SEND, self.socket.send(Message::Text(text.into()))).await;
        sent.map_err(|_| End::Gone)?.map_err(|_| End::Gone)
    }

    async fn end(&mut self, end: End) {
        let End::Refused(refusal) = end else { return };
        let message = sanitize(&refusal.message).into_owned();
        tracing::info!(host = %self.name, message, "the connection of an agent is closed");
        let _ = self.send(&FromHub::Refused(Refusal { message, ..refusal })).await;
        let frame = CloseFrame { code: close_code::POLICY, reason: "refused".into() };
        let _ = tokio::time::timeout(SEND, self.socket.send(Message::Close(Some(frame)))).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "rates are limited by the clock")]
fn now() -> Instant {
    Instant::now()
}

/// A message of an agent.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Received {
    Text(FromAgent),
    Piece(Piece),
}

/// Takes the messages of one connection.
struct Reader<'a> {
    runs: BTreeMap<u64, RunKey>,
    /// When the last beat of a single run was kept.
    own_beat: Option<u64>,
    hello: &'a Hello,
}

impl Reader<'_> {
    async fn run(&mut self, fleet: &Fleet, host: HostId, run: u64) -> Result<RunKey, End> {
        if let Some(key) = self.runs.get(&run) {
            return Ok(*key);
        }
        if run == 0 || i64::try_from(run).is_err() {
            return Err(refused("runs count from 1", true));
        }
        let key = fleet.engine.run_of(host, &self.hello.store, run, unix_ms()).await?;
        self.runs.insert(run, key);
        Ok(key)
    }

    /// Keeps a message. Returns its acknowledgement.
    async fn take(&mut self, fleet: &Fleet, host: HostId, received: Received) -> Result<Option<Ack>, End> {
        match received {
            Received::Piece(piece) => {
                let run = piece.run;
                let key = self.run(fleet, host, run).await?;
                // A run that its host has ended gets nothing more, and one that was removed is gone.
                let file = fleet.engine.append(key, piece).await?;
                Ok(Some(Ack::File { run, file }))
            }
            Received::Text(FromAgent::Document(document)) => {
                if document.file.grows() {
                    return Err(refused(format!("`{}` is sent in pieces", document.file), true));
                }
                let (run, file) = (document.run, document.file);
                let key = self.run(fleet, host, run).await?;
                let version = fleet.engine.keep_document(key, &document).await?;
                Ok(Some(Ack::Document { run, file, version }))
            }
            Received::Text(FromAgent::Gap(gap)) => {
                if !gap.file.grows() {
                    return Err(refused(format!("`{}` has no gaps", gap.file), true));
                }
                let key = self.run(fleet, host, gap.run).await?;
                fleet.engine.keep_gap(key, &gap).await?;
                // The next piece says whether it is behind the gap.
                Ok(None)
            }
            Received::Text(FromAgent::End(end)) => {
                let key = self.run(fleet, host, end.run).await?;
                let missing = fleet.engine.end_run(key, &end).await?.into_iter().next();
                Ok(Some(match missing {
                    Some(file) => Ack::File { run: end.run, file },
                    None => Ack::End { run: end.run },
                }))
            }
            Received::Text(FromAgent::Beat(beat)) => {
                if self.beats(fleet, host) {
                    fleet.beat(host, beat).await;
                }
                Ok(None)
            }
            Received::Text(FromAgent::Command(news)) => {
                if self.hello.is_single_run {
                    return Err(refused("this process takes no commands", true));
                }
                let store = &self.hello.store;
                let standing = fleet.engine.command_news(host, store, &news, unix_ms()).await?;
                let Some(standing) = standing else {
                    // Acknowledged, so that it is not repeated for ever: the command was removed with an older host.
                    return Ok(Some(Ack::Command { id: news.id, state: news.state }));
                };
                if standing.is_new && standing.state.has_ended() {
                    audit(fleet, host, &news).await?;
                }
                Ok(Some(Ack::Command { id: news.id, state: standing.state }))
            }
            Received::Text(FromAgent::Hello(_)) => Err(refused("a second `hello`", true)),
        }
    }

    /// Returns whether a sign of life counts: that of a single run does only while its host has no agent.
    fn beats(&mut self, fleet: &Fleet, host: HostId) -> bool {
        if !self.hello.is_single_run {
            return true;
        }
        let now = unix_ms();
        let seen_at = fleet.hosts().hosts.get(&host).and_then(|host| host.seen_at);
        let gone = u64::try_from((nixmon_fleet::BEAT * OFFLINE_BEATS).as_millis()).unwrap_or(u64::MAX);
        let is_own = self.own_beat.zip(seen_at).is_some_and(|(own, seen)| seen <= own + 1000);
        let counts = is_own || seen_at.is_none_or(|seen| now.saturating_sub(seen) >= gone);
        if counts {
            self.own_beat = Some(now);
        }
        counts
    }
}

async fn audit(fleet: &Fleet, host: HostId, news: &nixmon_fleet::CommandNews) -> Result<(), End> {
    let name = fleet.hosts().hosts.get(&host).map(|host| host.name.to_string()).unwrap_or_default();
    let exit = news.exit_code.map(|code| format!(", exit status {code}")).unwrap_or_default();
    let entry = crate::engine::AuditEntry {
        id: 0,
        at: unix_ms(),
        who: format!("host {name}"),
        what: format!("end of command {}", news.id),
        host: Some(name),
        result: format!("{}{exit}", news.state.as_str()),
    };
    Ok(fleet.engine.add_audit(entry).await?)
}

/// Lines that a host without an agent has sent, as a recording of their own: one may be behind another.
pub(crate) fn recorded(lines: &Bytes, at: Duration) -> std::io::Result<Vec<u8>> {
    let text = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut recorder = nixmon_runs::Recorder::to(Box::new(Shared(Arc::clone(&text))));
    recorder.bytes(lines, at);
    if !lines.is_empty() && !lines.ends_with(b"\n") {
        recorder.bytes(b"\n", at);
    }
    recorder.finish();
    let text = std::mem::take(&mut *text.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    zstd::encode_all(text.as_slice(), 3)
}

struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
