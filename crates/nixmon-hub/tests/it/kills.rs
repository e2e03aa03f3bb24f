//! Hubs are killed while agents stream numbered lines: each line is there once, in order.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::SinkExt;
use nixmon_fleet::{AGENT_PATH, Ack, FromAgent, FromHub, HostName, Piece, RunFile};
use nixmon_hub::engine::{Engine, Secret};
use nixmon_hub::serve;
use tokio_stream::StreamExt;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::{self, hello};
use crate::cluster::Cluster;

/// A hub as a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(directory: &Path, address: &str, database: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "kills::hub_process"]).stdout(Stdio::piped());
        command.env("NIXMON_TEST_HUB", directory).env("NIXMON_TEST_ADDRESS", address);
        command.envs(database.map(|database| ("NIXMON_TEST_DATABASE", database)));
        // The port may be in use for a moment after a hub was killed.
        for _ in 0..100 {
            let mut child = command.spawn().unwrap();
            // Among the words of the test runner.
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let address =
                lines.find_map(|line| line.unwrap().split_once("serves at ")?.1.trim().parse().ok());
            if let Some(address) = address {
                std::thread::spawn(move || lines.for_each(drop));
                return Self { child, address };
            }
            child.wait().unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the hub does not start at {address}");
    }

    /// Kills it as `kill -9` does, and starts it again at the same address.
    fn restart(&mut self, directory: &Path, database: Option<&str>) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        *self = Self::start(directory, &self.address.to_string(), database);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Streams a text as an agent does: after each break it goes on at the place that the hub has.
async fn stream(hubs: &[SocketAddr], host: usize, token: &str, text: &str, acks: &AtomicUsize) {
    for turn in host.. {
        if turn > host {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let address = hubs[turn % hubs.len()];
        let name = format!("killed-{host}");
        let session = async {
            let mut request = format!("ws://{address}{AGENT_PATH}").into_client_request().ok()?;
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().ok()?);
            let stream = tokio::net::TcpStream::connect(address).await.ok()?;
            let mut socket = client_async(request, stream).await.ok()?.0;
            let first = FromAgent::Hello(hello(&name, "one", 10));
            socket.send(Message::Text(serde_json::to_string(&first).ok()?.into())).await.ok()?;
            loop {
                let Message::Text(message) = socket.next().await?.ok()? else { continue };
                let size = match serde_json::from_str(&message).ok()? {
                    FromHub::Welcome(welcome) => {
                        welcome.runs.first().and_then(|run| run.files.first()).map_or(0, |file| file.size)
                    }
                    FromHub::Ack(Ack::File { file, .. }) => {
                        acks.fetch_add(1, Ordering::Relaxed);
                        file.size
                    }
                    FromHub::Refused(_) => return None,
                    _ => continue,
                };
                let at = usize::try_from(size).ok()?;
                if at == text.len() {
                    return Some(());
                }
                let end = (at + 300).min(text.len());
                let bytes = text.as_bytes()[at..end].to_vec();
                let piece = Piece { run: 3, file: RunFile::Input, generation: 0, offset: size, bytes };
                socket.send(Message::Binary(piece.encode().into())).await.ok()?;
            }
        };
        // A hub that is killed and not there yet does not answer.
        if let Ok(Some(())) = tokio::time::timeout(Duration::from_secs(60), session).await {
            return;
        }
    }
}

/// Streams from many hosts while each of some hubs is killed in turn.
fn check(database: Option<&str>, n_hubs: usize, hosts: usize, rounds: usize) {
    let directories: Vec<_> = (0..n_hubs).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut hubs: Vec<_> =
        directories.iter().map(|at| Process::start(at.path(), "127.0.0.1:0", database)).collect();
    let addresses: Vec<_> = hubs.iter().map(|hub| hub.address).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engine = runtime.block_on(async {
        match database {
            Some(address) => Engine::connect(address).await.unwrap(),
            None => Engine::open(&directories[0].path().join("hub.db")).unwrap(),
        }
    });
    let acks = Arc::new(AtomicUsize::new(0));
    let mut agents = Vec::new();
    for host in 0..hosts {
        let token = Secret::random().unwrap();
        let id = runtime.block_on(async {
            let id = engine.add_host(&HostName::new(format!("killed-{host}")).unwrap(), 1).await.unwrap();
            engine.add_token(id, token.hash(), 1).await.unwrap();
            id
        });
        // Enough for all rounds.
        let text: String = (0..200 * (rounds + 1)).map(|n| format!("{host} line {n}\n")).collect();
        let (addresses, acks, sent) = (addresses.clone(), Arc::clone(&acks), text.clone());
        let agent = runtime.spawn(async move { stream(&addresses, host, token.text(), &sent, &acks).await });
        agents.push((agent, id, text));
    }
    for round in 0..rounds {
        while acks.load(Ordering::Relaxed) < (round + 1) * hosts * 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let at = round % n_hubs;
        hubs[at].restart(directories[at].path(), database);
    }
    for (agent, id, text) in agents {
        runtime.block_on(async {
            agent.await.unwrap();
            let run = engine.run(id, 3).await.unwrap().unwrap();
            let mut kept = Vec::new();
            loop {
                let at = kept.len() as u64;
                let pieces = engine.pieces(run.key, RunFile::Input, 0, at, 1 << 20).await.unwrap();
                if pieces.is_empty() {
                    break;
                }
                for (place, bytes) in pieces {
                    assert_eq!(place, kept.len() as u64);
                    kept.extend(bytes);
                }
            }
            assert_eq!(String::from_utf8(kept).unwrap(), text);
        });
    }
}

/// Rounds of a long run by hand: `NIXMON_KILLS=40`.
fn rounds() -> usize {
    std::env::var("NIXMON_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[test]
fn a_hub_may_be_killed_while_agents_stream() {
    check(None, 1, 10, rounds());
}

#[test]
fn two_hubs_of_one_database_may_be_killed_in_turn() {
    let Some(cluster) = Cluster::start() else { return };
    check(Some(&cluster.address()), 2, 10, rounds());
}

/// The process that the tests of this file kill: this program once more. By itself it checks that a hub answers once it says so.
#[test]
fn hub_process() {
    let var = |name: &str| std::env::var(name).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(address) = var("NIXMON_TEST_ADDRESS") else {
        let directory = tempfile::tempdir().unwrap();
        let config = client::config(directory.path(), "127.0.0.1:0", None);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let ready = |address| sender.send(address).unwrap();
        return runtime.block_on(async {
            let asked = async {
                let address: SocketAddr = receiver.await.unwrap();
                tokio::task::spawn_blocking(move || health(address)).await.unwrap()
            };
            tokio::select! {
                answer = asked => assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}"),
                served = serve(client::program(&config), config, ready) => served.unwrap(),
            }
        });
    };
    let config =
        client::config(Path::new(&var("NIXMON_TEST_HUB").unwrap()), &address, var("NIXMON_TEST_DATABASE"));
    let ready = |address| println!("serves at {address}");
    runtime.block_on(serve(client::program(&config), config, ready)).unwrap();
}

fn health(address: SocketAddr) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
