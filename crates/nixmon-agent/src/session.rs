//! One connection to a hub, from the greeting to its end.

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nixmon_fleet::{AGENT_PATH, BEAT, Beat, FromAgent, FromHub, Load, PROTOCOL, Welcome};
use nixmon_log::escapes::sanitize;
use nixmon_runs::clock::unix_ms;
use tokio::sync::{mpsc as channel, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::Config;
use crate::connect::{Stream, Tls};
use crate::load::{self, Counters};
use crate::worker::{Event, Outbound, Standing};

/// Time between two pings.
const PING: Duration = Duration::from_secs(10);
/// Time without a sign of the hub after which the connection counts as dead, although nothing has said so.
const SILENCE: Duration = Duration::from_secs(30);
/// Time for each step of the greeting.
const GREETING: Duration = Duration::from_secs(30);
/// Largest message of a hub, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// The end of a connection.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Trying again may help.
    Broken(String),
    /// It does not.
    Refused(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Broken(reason) | Self::Refused(reason)) = self;
        f.write_str(reason)
    }
}

fn broken(reason: impl fmt::Display) -> Ended {
    Ended::Broken(one_line(&reason.to_string()))
}

/// Makes a line of foreign text.
fn one_line(text: &str) -> String {
    sanitize(text).lines().next().unwrap_or_default().chars().take(300).collect()
}

/// The beats of an agent: they count over connections, and measure the machine on a thread of their own.
pub(crate) struct Beats {
    standing: Standing,
    seq: u64,
    load: watch::Receiver<Load>,
}

impl Beats {
    pub(crate) fn new(standing: Standing) -> Self {
        let (sender, load) = watch::channel(Load::default());
        // A file system that does not answer holds the thread up, and no beat.
        let _ = std::thread::Builder::new().name("load".to_owned()).spawn(move || measure(&sender));
        Self { standing, seq: 0, load }
    }

    fn next(&mut self) -> Beat {
        self.seq += 1;
        Beat { seq: self.seq, at: unix_ms(), load: self.load.borrow().clone(), ..self.standing.get() }
    }
}

fn measure(sender: &watch::Sender<Load>) {
    let mut before: (Counters, std::time::Instant) = (load::read(), moment());
    while !sender.is_closed() {
        std::thread::sleep(if before.0 == Counters::default() { BEAT } else { BEAT / 2 });
        let (now, at) = (load::read(), moment());
        sender.send_replace(now.since(&before.0, at - before.1));
        before = (now, at);
    }
}

#[expect(clippy::disallowed_methods, reason = "rates are by real time")]
fn moment() -> std::time::Instant {
    std::time::Instant::now()
}

/// Connects to the hub, and speaks with it until the connection ends.
pub(crate) async fn session(
    config: &Config,
    tls: &Tls,
    events: &mpsc::Sender<Event>,
    beats: &mut Beats,
    connected: impl FnOnce(),
) -> Ended {
    match greet(config, tls, events).await {
        Ok((stream, welcome)) => {
            connected();
            let (sender, outgoing) = channel::unbounded_channel();
            if events.send(Event::Welcome(welcome, sender)).is_err() {
                return broken("the thread that reads the runs has ended");
            }
            converse(stream, events, outgoing, beats).await
        }
        Err(ended) => ended,
    }
}

type Socket = WebSocketStream<Stream>;

async fn greet(config: &Config, tls: &Tls, events: &mpsc::Sender<Event>) -> Result<(Socket, Welcome), Ended> {
    let hub = &config.hub;
    let stream = tls.connect(hub).await.map_err(broken)?;
    let mut request =
        format!("ws://{}{}", hub.authority(), hub.path(AGENT_PATH)).into_client_request().map_err(broken)?;
    let mut token = HeaderValue::from_str(&format!("Bearer {}", config.token))
        .map_err(|_| Ended::Refused("the token has characters that no token has".to_owned()))?;
    token.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, token);
    let limits =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let handshake = timeout(GREETING, client_async_with_config(request, stream, Some(limits))).await;
    let (mut socket, _) =
        handshake.map_err(|_| broken("the hub does not answer"))?.map_err(|error| match error {
            WsError::Http(response) => refused(response.status().as_u16()),
            error => broken(error),
        })?;
    let (reply, hello) = oneshot::channel();
    events.send(Event::Hello(reply)).map_err(broken)?;
    let hello = hello.await.map_err(broken)?.map_err(broken)?;
    let hello = text(&FromAgent::Hello(*hello)).ok_or_else(|| broken("the greeting cannot be written"))?;
    let welcome = async {
        socket.send(hello).await.map_err(broken)?;
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text).map_err(broken)? {
                    FromHub::Welcome(welcome) if welcome.protocol == PROTOCOL => return Ok(welcome),
                    FromHub::Welcome(welcome) => {
                        let hub = welcome.protocol;
                        return Err(Ended::Refused(format!(
                            "it speaks version {hub} of the protocol, and this agent {PROTOCOL}"
                        )));
                    }
                    FromHub::Refused(refusal) => return Err(refusal_of(&refusal)),
                    _ => return Err(broken("the hub speaks before the welcome")),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_)) | None => return Err(broken("the hub has closed the connection")),
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    };
    let welcome = timeout(GREETING, welcome).await.map_err(|_| broken("the hub does not answer"))??;
    Ok((socket, welcome))
}

fn refusal_of(refusal: &nixmon_fleet::Refusal) -> Ended {
    let message = one_line(&refusal.message);
    if refusal.is_final { Ended::Refused(message) } else { Ended::Broken(message) }
}

fn refused(status: u16) -> Ended {
    match status {
        401 | 403 => Ended::Refused(format!("it does not take the token (status {status})")),
        404 => Ended::Broken("there is no hub for agents at this address (status 404)".to_owned()),
        status => Ended::Broken(format!("the hub answers with status {status}")),
    }
}

fn text(message: &FromAgent) -> Option<Message> {
    serde_json::to_string(message).ok().map(|json| Message::Text(json.into()))
}

/// Speaks with the hub. Beats, pings and what is read do not wait for what the worker does, nor for one another.
async fn converse(
    socket: Socket,
    events: &mpsc::Sender<Event>,
    mut outgoing: channel::UnboundedReceiver<Outbound>,
    beats: &mut Beats,
) -> Ended {
    let (mut sink, mut stream) = socket.split();
    let (heard, mut last_heard) = watch::channel(Instant::now());
    let write = async {
        let mut beat = interval(BEAT);
        let mut ping = interval_at(Instant::now() + PING, PING);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                _ = beat.tick() => text(&FromAgent::Beat(beats.next())),
                _ = ping.tick() => Some(Message::Ping(Vec::new().into())),
                message = outgoing.recv() => match message {
                    Some(Outbound::Text(json)) => Some(Message::Text(json.into())),
                    Some(Outbound::Binary(bytes)) => Some(Message::Binary(bytes.into())),
                    None => return broken("the thread that reads the runs has ended"),
                },
            };
            let Some(message) = message else { continue };
            if let Err(error) = sink.send(message).await {
                return broken(error);
            }
        }
    };
    let read = async {
        loop {
            let message = match stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return broken(error),
                None => return broken("the hub has closed the connection"),
            };
            heard.send_replace(Instant::now());
            match message {
                Message::Text(text) => match serde_json::from_str(&text) {
                    Ok(FromHub::Refused(refusal)) => return refusal_of(&refusal),
                    Ok(message) => {
                        if events.send(Event::Hub(message)).is_err() {
                            return broken("the thread that reads the runs has ended");
                        }
                    }
                    // A later hub may say more.
                    Err(error) => tracing::warn!(%error, "a message of the hub cannot be read"),
                },
                Message::Close(_) => return broken("the hub has closed the connection"),
                _ => {}
            }
        }
    };
    let silence = async {
        loop {
            let last = *last_heard.borrow_and_update();
            if last.elapsed() >= SILENCE {
                return broken("the hub has been silent for 30s");
            }
            tokio::time::sleep_until(last + SILENCE).await;
        }
    };
    tokio::select! {
        ended = write => ended,
        ended = read => ended,
        ended = silence => ended,
    }
}
