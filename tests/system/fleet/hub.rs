//! A hub after the contract of `nixmon-fleet`, in memory, that breaks connections and loses acknowledgements as a test wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use nixmon_fleet::{
    Ack, Beat, CommandId, CommandNews, CommandRequest, CommandState, FromAgent, FromHub, Gap, Hello,
    KnownDocument, KnownFile, KnownRun, OnDeadline, PROTOCOL, Piece, RunEnd, RunFile, Welcome,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The content of the hub.
#[derive(Default)]
pub(super) struct Content {
    pub(super) files: BTreeMap<(u64, RunFile), (u64, Vec<u8>)>,
    pub(super) documents: BTreeMap<(u64, RunFile), (u64, serde_json::Value)>,
    pub(super) ends: BTreeMap<u64, RunEnd>,
    pub(super) gaps: Vec<Gap>,
    pub(super) beats: Vec<(Instant, Beat)>,
    pub(super) hellos: Vec<Hello>,
    /// All news, in the order in which they came.
    pub(super) news: Vec<CommandNews>,
    pub(super) commands: BTreeMap<CommandId, (CommandRequest, CommandState)>,
    /// The connection is cut after so many bytes of pieces, again and again.
    pub(super) cut_every: Option<usize>,
    /// Every request is sent twice.
    pub(super) asks_twice: bool,
    stops: Vec<CommandId>,
    taken: usize,
    n_cuts: usize,
    pub(super) n_connections: usize,
}

/// A hub that serves until the test ends.
#[derive(Clone)]
pub(super) struct FakeHub {
    pub(super) address: SocketAddr,
    shared: Arc<(Mutex<Content>, Condvar)>,
}

pub(super) const TOKEN: &str = "a-token-of-this-host";

impl FakeHub {
    pub(super) fn start() -> Self {
        let shared: Arc<(Mutex<Content>, Condvar)> = Arc::default();
        let (sender, address) = std::sync::mpsc::channel();
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&of_thread)));
                }
            });
        });
        Self { address: address.recv().unwrap(), shared }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.shared.0.lock().unwrap()
    }

    /// Waits until something is true.
    #[track_caller]
    pub(super) fn wait<T>(&self, what: &str, find: impl Fn(&Content) -> Option<T>) -> T {
        let begun = Instant::now();
        let mut content = self.content();
        loop {
            if let Some(found) = find(&content) {
                return found;
            }
            let left = PATIENCE.checked_sub(begun.elapsed());
            let left = left.unwrap_or_else(|| {
                panic!("never: {what}; {:?} {:?}", content.news, content.ends);
            });
            content = self.shared.1.wait_timeout(content, left).unwrap().0;
        }
    }

    /// Asks for a command.
    pub(super) fn ask(&self, id: u64, action: &str, timeout_s: Option<u64>, on_deadline: OnDeadline) {
        let id = CommandId(id);
        let request = CommandRequest { id, action: action.to_owned(), timeout_s, on_deadline };
        self.content().commands.insert(id, (request, CommandState::Pending));
    }

    pub(super) fn stop(&self, id: u64) {
        self.content().stops.push(CommandId(id));
    }

    /// Waits until a command has a state, and returns the news of it.
    #[track_caller]
    pub(super) fn wait_for_state(&self, id: u64, state: CommandState) -> CommandNews {
        self.wait(&format!("command {id} is {state:?}"), |content| {
            content.news.iter().find(|news| news.id.0 == id && news.state == state).cloned()
        })
    }
}

type Shared = Arc<(Mutex<Content>, Condvar)>;

async fn serve(stream: TcpStream, shared: Shared) {
    #[expect(clippy::result_large_err, reason = "the type of the library")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if request.uri().path() == nixmon_fleet::AGENT_PATH && token == Some(&format!("Bearer {TOKEN}")) {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::UNAUTHORIZED;
        Err(refusal)
    };
    let Ok(mut socket) = accept_hdr_async(stream, check).await else { return };
    shared.0.lock().unwrap().n_connections += 1;
    let mut sent = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            _ = tick.tick() => {
                let due = shared.0.lock().unwrap().due(&mut sent);
                for message in due {
                    if socket.feed(json(&message)).await.is_err() {
                        return;
                    }
                }
                if socket.flush().await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else { return };
        let answers = {
            let mut content = shared.0.lock().unwrap();
            let answers = content.take(message);
            shared.1.notify_all();
            answers
        };
        // Cut: without a farewell, and what is on the way is lost.
        let Some(answers) = answers else { return };
        for answer in answers {
            if socket.send(json(&answer)).await.is_err() {
                return;
            }
        }
    }
}

fn json(message: &FromHub) -> Message {
    Message::Text(serde_json::to_string(message).unwrap().into())
}

impl Content {
    /// Returns requests that were not sent on this connection.
    fn due(&mut self, sent: &mut Vec<CommandId>) -> Vec<FromHub> {
        let mut due = Vec::new();
        if self.hellos.is_empty() {
            return due;
        }
        for (id, (request, state)) in &self.commands {
            if *state == CommandState::Pending && !sent.contains(id) {
                sent.push(*id);
                due.extend(vec![FromHub::Command(request.clone()); if self.asks_twice { 2 } else { 1 }]);
            }
        }
        due.extend(self.stops.drain(..).map(|id| FromHub::Stop { id }));
        due
    }

    fn take(&mut self, message: Message) -> Option<Vec<FromHub>> {
        let answers = match message {
            Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                FromAgent::Hello(hello) => vec![self.hello(hello)],
                FromAgent::Beat(beat) => {
                    self.beats.push((Instant::now(), beat));
                    Vec::new()
                }
                FromAgent::Document(document) => {
                    let key = (document.run, document.file);
                    let kept = self.documents.entry(key).or_insert((0, serde_json::Value::Null));
                    if document.version > kept.0 {
                        *kept = (document.version, document.content);
                    }
                    let ack = Ack::Document { run: key.0, file: key.1, version: kept.0 };
                    vec![FromHub::Ack(ack)]
                }
                FromAgent::Gap(gap) => {
                    self.gaps.push(gap);
                    Vec::new()
                }
                FromAgent::End(end) => vec![self.end(end)],
                FromAgent::Command(news) => {
                    let known = self.commands.get_mut(&news.id).map(|(_, state)| {
                        *state = if state.may_become(news.state) { news.state } else { *state };
                        *state
                    });
                    let ack = Ack::Command { id: news.id, state: known.unwrap_or(news.state) };
                    self.news.push(news);
                    vec![FromHub::Ack(ack)]
                }
            },
            Message::Binary(bytes) => {
                let piece = Piece::decode(&bytes).unwrap();
                self.taken += piece.bytes.len();
                let is_cut = self.cut_every.is_some_and(|every| self.taken >= every);
                if is_cut {
                    self.taken = 0;
                    self.n_cuts += 1;
                }
                // Either the piece is lost, or its acknowledgement.
                let answer = (!is_cut || self.n_cuts.is_multiple_of(2)).then(|| self.piece(piece));
                if is_cut {
                    return None;
                }
                answer.into_iter().collect()
            }
            Message::Close(_) => return None,
            _ => Vec::new(),
        };
        Some(answers)
    }

    fn piece(&mut self, piece: Piece) -> FromHub {
        let Piece { run, file, generation, offset, bytes } = piece;
        assert!(!self.ends.contains_key(&run), "bytes behind the end of run {run}");
        let kept = self.files.entry((run, file)).or_insert((generation, Vec::new()));
        if generation > kept.0 {
            *kept = (generation, Vec::new());
        }
        if generation == kept.0 && offset == kept.1.len() as u64 {
            kept.1.extend(bytes);
        }
        FromHub::Ack(Ack::File {
            run,
            file: KnownFile { file, generation: kept.0, size: kept.1.len() as u64 },
        })
    }

    fn end(&mut self, end: RunEnd) -> FromHub {
        let run = end.run;
        for KnownFile { file, generation, size } in &end.files {
            let kept = self.files.get(&(run, *file)).map_or((0, 0), |kept| (kept.0, kept.1.len() as u64));
            if end.reason.is_none() && kept != (*generation, *size) {
                let file = KnownFile { file: *file, generation: kept.0, size: kept.1 };
                return FromHub::Ack(Ack::File { run, file });
            }
        }
        self.ends.insert(run, end);
        FromHub::Ack(Ack::End { run })
    }

    fn hello(&mut self, hello: Hello) -> FromHub {
        let known = |run: &u64| {
            let of_run = |(of, _): &&(u64, RunFile)| of == run;
            let files = self.files.keys().filter(of_run).map(|key| {
                let (generation, bytes) = &self.files[key];
                KnownFile { file: key.1, generation: *generation, size: bytes.len() as u64 }
            });
            let documents = self.documents.keys().filter(of_run);
            let documents: Vec<_> =
                documents.map(|key| KnownDocument { file: key.1, version: self.documents[key].0 }).collect();
            let is_complete = self.ends.contains_key(run);
            let known = KnownRun { run: *run, files: files.collect(), is_complete, documents };
            (is_complete || !known.files.is_empty() || !known.documents.is_empty()).then_some(known)
        };
        let runs = hello.runs.iter().filter_map(known).collect();
        let open = self.commands.values().filter(|(_, state)| !state.has_ended());
        let commands = open.map(|(request, _)| request.clone()).collect();
        self.hellos.push(hello);
        FromHub::Welcome(Welcome { protocol: PROTOCOL, runs, commands, hub: "hub".to_owned() })
    }
}
