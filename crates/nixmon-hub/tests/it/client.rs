//! A hub in this process, and its clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use nixmon_fleet::{AGENT_PATH, FromAgent, FromHub, Hello, HostName, PROTOCOL, Piece, RunFile};
use nixmon_hub::engine::{Engine, Kept, Secret};
use nixmon_hub::{Config, Program, serve};
use nixmon_runs::query::{Replayed, Runs};
use nixmon_runs::{Places, Store, StoreError};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine without runs.
struct Empty {
    directory: std::path::PathBuf,
    places: Places,
}

impl Program for Empty {
    fn runs(&self) -> Result<Runs<'_>, StoreError> {
        Ok(Runs::new(Store::open(&self.directory), |_, _, _| Ok(Replayed::default())))
    }

    fn places(&self) -> &Places {
        &self.places
    }
}

/// Returns a program without runs, in the directory of a hub.
pub(crate) fn program(config: &Config) -> Arc<dyn Program> {
    Arc::new(Empty { directory: config.directory.join("runs"), places: Places::default() })
}

/// Returns how a hub is served at an address of this machine.
pub(crate) fn config(directory: &Path, address: &str, engine: Option<String>) -> Config {
    Config {
        address: address.parse().unwrap(),
        token: None,
        hosts: Vec::new(),
        insecure: false,
        directory: directory.to_owned(),
        engine,
        kept: Kept::default(),
    }
}

/// A hub that is served.
pub(crate) struct Served {
    runtime: Arc<Runtime>,
    engine: Engine,
    pub(crate) address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = config(directory.path(), "127.0.0.1:0", None);
        let (sender, ready) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let served = serve(program(&config), config, move |address| sender.send(address).unwrap()).await;
            panic!("{served:?}");
        });
        let address = ready.recv_timeout(PATIENCE).unwrap();
        // What `nixmon hub host add` does, beside the hub.
        let engine = runtime.block_on(async { Engine::open(&directory.path().join("hub.db")).unwrap() });
        Self { runtime: Arc::new(runtime), engine, address, _directory: directory }
    }

    /// Adds a host, and returns its token.
    pub(crate) fn enrol(&self, name: &str) -> String {
        let token = Secret::random().unwrap();
        self.runtime.block_on(async {
            let host = self.engine.add_host(&HostName::new(name).unwrap(), 1).await.unwrap();
            self.engine.add_token(host, token.hash(), 1).await.unwrap();
        });
        token.text().to_owned()
    }

    pub(crate) fn revoke(&self, name: &str) {
        self.runtime.block_on(async {
            let host = self.engine.host(&HostName::new(name).unwrap()).await.unwrap().unwrap();
            assert_eq!(self.engine.revoke_tokens(host.id, 2).await.unwrap(), 1);
        });
    }

    fn open(&self, method: &str, path: &str, headers: &[&str], body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let further: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let host = match further.contains("Host: ") {
            true => String::new(),
            false => format!("Host: {}\r\n", self.address),
        };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{further}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // One that is refused by its length need not be read.
        let _ = stream.write_all(body.as_bytes());
        BufReader::new(stream)
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut stream = self.open(method, path, headers, body);
        let (status, _) = head(&mut stream);
        let mut body = Vec::new();
        let _ = stream.read_to_end(&mut body);
        Answer { status, body: String::from_utf8(body).unwrap() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, headers: &[&str], body: &str) -> Answer {
        self.send("POST", path, headers, body)
    }

    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Opens a stream of events.
    pub(crate) fn stream(&self, path: &str) -> Events {
        let mut stream = self.open("GET", path, &[], "");
        assert_eq!(head(&mut stream).0, 200);
        Events(stream)
    }
}

fn head(stream: &mut impl BufRead) -> (u16, Vec<String>) {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        headers.push(line.trim_end().to_owned());
    }
    let status = headers.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {headers:?}")), headers)
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A stream of events.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// Returns the data of the next event of a kind, past others; `None` at the end of the stream.
    pub(crate) fn next_of(&mut self, kind: &str) -> Option<Value> {
        let mut is_wanted = false;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", name)) => is_wanted = name == kind,
                Some(("data", data)) if is_wanted => return Some(serde_json::from_str(data).unwrap()),
                _ => {}
            }
        }
    }
}

/// The connection of an agent.
pub(crate) struct Agent {
    runtime: Arc<Runtime>,
    socket: WebSocketStream<tokio::net::TcpStream>,
}

impl Agent {
    fn try_open(served: &Served, token: &str) -> Result<Self, Error> {
        let socket = served.runtime.block_on(async {
            let mut request = format!("ws://{}{AGENT_PATH}", served.address).into_client_request()?;
            if !token.is_empty() {
                request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let stream = tokio::net::TcpStream::connect(served.address).await?;
            Ok::<_, Error>(client_async(request, stream).await?.0)
        })?;
        Ok(Self { runtime: Arc::clone(&served.runtime), socket })
    }

    pub(crate) fn open(served: &Served, token: &str) -> Self {
        Self::try_open(served, token).unwrap()
    }

    /// Returns the status with which a connection is refused.
    pub(crate) fn refused(served: &Served, token: &str) -> u16 {
        match Self::try_open(served, token) {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was let in"),
        }
    }

    pub(crate) fn greet(&mut self, hello: &Hello) -> FromHub {
        self.send(&FromAgent::Hello(hello.clone()));
        self.next()
    }

    pub(crate) fn send(&mut self, message: &FromAgent) {
        self.text(&serde_json::to_string(message).unwrap());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.runtime.block_on(self.socket.send(Message::Text(text.into()))).unwrap();
    }

    pub(crate) fn piece(&mut self, piece: &Piece) {
        self.runtime.block_on(self.socket.send(Message::Binary(piece.encode().into()))).unwrap();
    }

    /// Returns the next message of the hub.
    #[track_caller]
    pub(crate) fn next(&mut self) -> FromHub {
        loop {
            let next = async { tokio::time::timeout(PATIENCE, self.socket.next()).await.unwrap() };
            match self.runtime.block_on(next) {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn hello(host: &str, instance: &str, began_at: u64) -> Hello {
    Hello {
        protocol: PROTOCOL,
        host: HostName::new(host).unwrap(),
        store: "store".to_owned(),
        instance: instance.to_owned(),
        began_at,
        environment: Default::default(),
        actions: vec!["switch".to_owned()],
        runs: vec![3],
        is_single_run: false,
    }
}

pub(crate) fn piece(generation: u64, offset: u64, bytes: &[u8]) -> Piece {
    Piece { run: 3, file: RunFile::Lines, generation, offset, bytes: bytes.to_owned() }
}
