//! A fleet in one process: agents that beat every 10 s, of which some build, and a hub as another process. Measures how late
//! beats and lines are where somebody looks, and the memory of the hub.
//!
//! `NIXMON_FLEET_HOSTS` (default 500), `NIXMON_FLEET_BUILDING` (percent, default 2) and `NIXMON_FLEET_SECONDS` (default 60) say how much.
//! Many agents need many open files: `ulimit -n 65536`.

#![expect(clippy::disallowed_methods, reason = "a bench measures time and starts the hub")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "a bench prints what it measures")]

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use nixmon_fleet::{
    AGENT_PATH, Ack, BEAT, Beat, BusyRun, Document, FromAgent, FromHub, Hello, HostName, PACE_UNWATCHED,
    PACE_WATCHED, PROTOCOL, Piece, RunFile,
};
use nixmon_hub::engine::{Engine, Secret};
use nixmon_log::input::Source;
use nixmon_runs::clock::unix_ms;
use nixmon_runs::{Environment, FORMAT, Facts, Recorder, RunId, RunState, Status};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Lines per second of a host that builds.
const LINES: u64 = 50;
/// Hosts of which a run is looked at.
const WATCHED: usize = 3;

/// Delays in milliseconds.
#[derive(Clone, Default)]
struct Delays(Arc<Mutex<Vec<u64>>>);

impl Delays {
    fn add(&self, ms: u64) {
        self.0.lock().unwrap().push(ms);
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    fn text(&self) -> String {
        let mut all = self.0.lock().unwrap().clone();
        all.sort_unstable();
        let at = |share: f64| all.get(((all.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(0);
        format!("n {} p50 {} ms p99 {} ms max {} ms", all.len(), at(0.5), at(0.99), at(1.0))
    }
}

#[derive(Clone, Default)]
struct Measured {
    /// From the timer of a beat to the moment at which it is sent.
    sent: Delays,
    /// From a beat to those who look at the board.
    beats: Delays,
    /// From a line to those who look at its run.
    lines: Delays,
    failures: Arc<Mutex<Vec<String>>>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    let hosts = usize::try_from(number("NIXMON_FLEET_HOSTS", 500)).unwrap();
    let seconds = number("NIXMON_FLEET_SECONDS", 60);
    let building = hosts * usize::try_from(number("NIXMON_FLEET_BUILDING", 2)).unwrap() / 100;
    let home = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begun = Instant::now();
    let tokens = runtime.block_on(tokens(home.path(), hosts));
    println!("{hosts} hosts with tokens after {:.1}s", begun.elapsed().as_secs_f64());
    let hub = Hub::start(home.path());
    let address = hub.address;
    runtime.block_on(async {
        let measured = Measured::default();
        let begun = Instant::now();
        let (ready, mut is_ready) = tokio::sync::mpsc::channel(hosts.max(1));
        for (index, token) in tokens.into_iter().enumerate() {
            let file = (index < building).then(|| home.path().join(format!("input-{index}.zst")));
            let agent = Agent { index, token, address, file, measured: measured.clone() };
            tokio::spawn(agent.run(ready.clone()));
            // As after a restart of the hub, spread by the pauses of agents.
            if index % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
        for _ in 0..hosts {
            if tokio::time::timeout(Duration::from_secs(120), is_ready.recv()).await.is_err() {
                println!("not all agents are connected; {:?}", measured.failures.lock().unwrap().first());
                break;
            }
        }
        println!("connected after {:.1}s, hub {} MiB", begun.elapsed().as_secs_f64(), hub.rss_mib());
        tokio::spawn(look_at_board(address, measured.beats.clone()));
        for index in 0..WATCHED.min(building) {
            tokio::spawn(look_at_run(address, index, measured.lines.clone()));
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        for delays in [&measured.sent, &measured.beats, &measured.lines] {
            delays.clear();
        }
        let begun = Instant::now();
        while begun.elapsed().as_secs() < seconds {
            tokio::time::sleep(Duration::from_secs(10)).await;
            println!(
                "{:>4}s hub {} MiB, load {}",
                begun.elapsed().as_secs(),
                hub.rss_mib(),
                std::fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap()
            );
        }
        println!("beats late when sent:  {}", measured.sent.text());
        println!("beats late when shown: {}", measured.beats.text());
        println!("lines late when shown: {}", measured.lines.text());
        let failures = measured.failures.lock().unwrap();
        println!(
            "{} connections broke{}",
            failures.len(),
            failures.first().map_or(String::new(), |first| format!(", the first: {first}"))
        );
    });
}

fn name(index: usize) -> HostName {
    HostName::new(format!("host-{index:05}")).unwrap()
}

/// Makes the hosts in the embedded engine before the hub starts.
async fn tokens(home: &Path, hosts: usize) -> Vec<String> {
    let directory = home.join("state/nixmon/hub");
    std::fs::create_dir_all(&directory).unwrap();
    let engine = Engine::open(&directory.join("hub.db")).unwrap();
    let mut tokens = Vec::new();
    for index in 0..hosts {
        let secret = Secret::random().unwrap();
        let host = engine.add_host(&name(index), unix_ms()).await.unwrap();
        engine.add_token(host, secret.hash(), unix_ms()).await.unwrap();
        tokens.push(secret.text().to_owned());
    }
    tokens
}

struct Hub {
    process: Child,
    address: SocketAddr,
}

impl Hub {
    fn start(home: &Path) -> Self {
        let program = std::env::var_os("NIXMON_FLEET_PROGRAM")
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_nixmon")), PathBuf::from);
        let mut process = Command::new(program)
            .args(["hub", "--listen", "127.0.0.1:0"])
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{line}")).1;
        let address = address.trim_end_matches('/').parse().unwrap();
        std::thread::spawn(move || stderr.lines().for_each(drop));
        Self { process, address }
    }

    fn rss_mib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Connects from one of many addresses, since a hub limits what one asks for.
async fn connect(address: SocketAddr, index: usize) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    let [high, low] = u16::try_from(index % 60_000).unwrap().to_be_bytes();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 7, high, low.max(1)), 0)))?;
    socket.connect(address).await
}

struct Agent {
    index: usize,
    token: String,
    address: SocketAddr,
    /// The recording of its run, if it builds.
    file: Option<PathBuf>,
    measured: Measured,
}

impl Agent {
    async fn run(self, ready: tokio::sync::mpsc::Sender<()>) {
        let failures = Arc::clone(&self.measured.failures);
        let mut pause = Duration::from_millis(500);
        // What it has recorded goes on with a new connection only where it is new, so one that builds is not connected again.
        loop {
            let ended = self.connection(&ready).await;
            failures.lock().unwrap().push(ended);
            if self.file.is_some() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    async fn connection(&self, ready: &tokio::sync::mpsc::Sender<()>) -> String {
        match self.converse(ready).await {
            Ok(()) => "the hub has closed it".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    async fn converse(
        &self,
        ready: &tokio::sync::mpsc::Sender<()>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let stream = connect(self.address, self.index).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{}{AGENT_PATH}", self.address).into_client_request()?;
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        let hello = Hello {
            protocol: PROTOCOL,
            host: name(self.index),
            store: format!("store-{}", self.index),
            instance: format!("instance-{}", unix_ms()),
            began_at: unix_ms(),
            environment: Environment::default(),
            actions: vec!["switch".to_owned()],
            runs: Vec::new(),
            is_single_run: false,
        };
        socket.send(text(&FromAgent::Hello(hello))).await?;
        let mut build = self.file.as_deref().map(Build::new);
        if let Some(build) = &build {
            for document in build.documents() {
                socket.send(text(&FromAgent::Document(document))).await?;
            }
        }
        let first = BEAT.mul_f64(self.index as f64 * 0.618 % 1.0);
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + first, BEAT);
        let mut lines = tokio::time::interval(Duration::from_millis(100));
        let pace = if self.index < WATCHED { PACE_WATCHED } else { PACE_UNWATCHED };
        let mut pieces = tokio::time::interval(pace);
        let mut is_welcome = false;
        let mut seq = 0;
        loop {
            tokio::select! {
                at = beat.tick() => {
                    seq += 1;
                    let busy = build.as_ref().map(|_| BusyRun { run: 1, line: "building".to_owned(), ..BusyRun::default() });
                    let beat = Beat { seq, at: unix_ms(), running: u32::from(busy.is_some()), busy, ..Beat::default() };
                    socket.send(text(&FromAgent::Beat(beat))).await?;
                    self.measured.sent.add(u64::try_from(at.elapsed().as_millis())?);
                }
                _ = lines.tick(), if build.is_some() => {
                    build.iter_mut().for_each(|build| build.print(LINES / 10));
                }
                _ = pieces.tick(), if build.is_some() => {
                    if let Some(piece) = build.as_mut().and_then(Build::piece) {
                        socket.send(Message::Binary(piece.encode().into())).await?;
                    }
                }
                message = socket.next() => match message {
                    None => return Ok(()),
                    Some(message) => {
                        let Message::Text(text) = message? else { continue };
                        match serde_json::from_str(&text)? {
                            FromHub::Welcome(_) if !is_welcome => {
                                is_welcome = true;
                                let _ = ready.send(()).await;
                            }
                            FromHub::Refused(refusal) => return Err(refusal.message.into()),
                            FromHub::Ack(Ack::File { file, .. }) => {
                                if let Some(build) = &mut build {
                                    build.acked = build.acked.max(file.size);
                                }
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}

fn text(message: &FromAgent) -> Message {
    Message::Text(serde_json::to_string(message).unwrap().into())
}

/// A run that prints, recorded as the monitor does.
struct Build {
    recorder: Recorder,
    path: PathBuf,
    begun: Instant,
    n_lines: u64,
    sent: u64,
    acked: u64,
}

impl Build {
    fn new(path: &Path) -> Self {
        let recorder = Recorder::create_of_command(path).unwrap();
        Self { recorder, path: path.to_owned(), begun: Instant::now(), n_lines: 0, sent: 0, acked: 0 }
    }

    fn documents(&self) -> Vec<Document> {
        let facts = Facts {
            format: FORMAT,
            id: RunId(1),
            command: vec!["make".to_owned()],
            created_at: unix_ms(),
            ..Facts::default()
        };
        let status = Status {
            id: RunId(1),
            state: RunState::Running,
            created_at: unix_ms(),
            started_at: Some(unix_ms()),
            ..Status::default()
        };
        let mut status = serde_json::to_value(status).unwrap();
        status["format"] = FORMAT.into();
        let document = |file, content| Document { run: 1, file, version: 1, content };
        vec![
            document(RunFile::Facts, serde_json::to_value(facts).unwrap()),
            document(RunFile::Status, status),
        ]
    }

    fn print(&mut self, n: u64) {
        let mut lines = String::new();
        for _ in 0..n {
            self.n_lines += 1;
            lines.push_str(&format!(
                "line {} of a compiler that says what it does at={}ms\n",
                self.n_lines,
                unix_ms()
            ));
        }
        self.recorder.bytes_from(Source::Main, lines.as_bytes(), self.begun.elapsed());
    }

    fn piece(&mut self) -> Option<Piece> {
        self.recorder.flush();
        let mut file = std::fs::File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.sent)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let offset = self.sent;
        self.sent += bytes.len() as u64;
        (!bytes.is_empty()).then_some(Piece { run: 1, file: RunFile::Input, generation: 1, offset, bytes })
    }
}

/// Reads a stream of events, and calls `take` for each line of data.
async fn events(address: SocketAddr, path: &str, index: usize, mut take: impl FnMut(&str)) {
    loop {
        let Ok(mut stream) = connect(address, 50_000 + index).await else { continue };
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
        if stream.write_all(head.as_bytes()).await.is_ok() {
            let mut lines = tokio::io::BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(data) = line.strip_prefix("data:") {
                    take(data);
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn look_at_board(address: SocketAddr, delays: Delays) {
    let mut is_first = true;
    events(address, "/api/v1/events/hosts", 0, |data| {
        let now = unix_ms();
        let Ok(value) = serde_json::from_str::<serde_json::Value>(data) else { return };
        // The first event has what was there before.
        if !std::mem::take(&mut is_first)
            && let Some(at) = value
                .pointer("/host/beat/at")
                .or(value.pointer("/beat/at"))
                .and_then(serde_json::Value::as_u64)
            && at > 0
        {
            delays.add(now.saturating_sub(at));
        }
    })
    .await;
}

async fn look_at_run(address: SocketAddr, index: usize, delays: Delays) {
    let path = format!("/api/v1/hosts/{}/runs/1/log/events", name(index).as_str());
    let begun = unix_ms();
    events(address, &path, 1 + index, |data| {
        let now = unix_ms();
        for (at, _) in data.match_indices("at=") {
            let digits: String = data[at + 3..].chars().take_while(char::is_ascii_digit).collect();
            // Lines from before the look are late by no fault of the hub.
            if let Some(printed) = digits.parse::<u64>().ok().filter(|printed| *printed > begun) {
                delays.add(now.saturating_sub(printed));
            }
        }
    })
    .await;
}
