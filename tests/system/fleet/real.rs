//! An agent with the hub of this program, both as processes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nixmon_fleet::{HostName, RunFile};
use nixmon_hub::engine::{Engine, HostId, Secret};
use serde_json::Value;

use super::{Agent, Host, PRINTS};
use crate::common::ran::Ran;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub, which is killed at the end.
struct Hub {
    process: Child,
    url: String,
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn engine(host: &Host) -> Engine {
    let directory = host.path().join("state/nixmon/hub");
    std::fs::create_dir_all(&directory).unwrap();
    Engine::open(&directory.join("hub.db")).unwrap()
}

/// Makes the host and its token at the hub, whose home is that of the host as well.
fn enroll(host: &Host) -> HostId {
    block_on(async {
        let (engine, secret) = (engine(host), Secret::random().unwrap());
        let id = engine.add_host(&HostName::new("web-1").unwrap(), 1).await.unwrap();
        engine.add_token(id, secret.hash(), 1).await.unwrap();
        std::fs::write(host.path().join("token"), secret.text()).unwrap();
        id
    })
}

fn start_hub(host: &Host, address: &str) -> Hub {
    let begun = Instant::now();
    loop {
        let mut process = host.nixmon(&["hub", "--listen", address]).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        if let Some((_, url)) = line.trim().trim_end_matches('/').rsplit_once("http://") {
            let url = format!("http://{url}");
            // What it says later is read, so that it never waits for a reader.
            std::thread::spawn(move || stderr.lines().for_each(drop));
            return Hub { process, url };
        }
        // The address of the hub before may still be taken.
        let _ = process.wait();
        assert!(begun.elapsed() < PATIENCE, "{line}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn start_agent(host: &Host, hub: &Hub) -> Agent {
    let args =
        ["agent", "--hub", &hub.url, "--host", "web-1", "--token-file", "token", "--config", "config.toml"];
    let mut command = host.nixmon(&args);
    command.stderr(std::fs::File::create(host.path().join("agent.log")).unwrap());
    Agent(command.spawn().unwrap())
}

/// Asks the hub with curl, and returns the answer.
fn ask(host: &Host, hub: &Hub, args: &[&str], path: &str) -> Value {
    let url = format!("{}/api/v1{path}", hub.url);
    let mut command = crate::common::home::at_home(std::process::Command::new("curl"), host.path(), &["-sS"]);
    let ran = Ran::of(command.args(args).arg(url).output().unwrap());
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[track_caller]
fn wait<T>(host: &Host, what: &str, find: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        let log = || std::fs::read_to_string(host.path().join("agent.log")).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "never: {what}; the agent says {}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn hub_has_the_bytes_of_the_host_after_kills_of_both() {
    if crate::common::require::require("curl").is_none() {
        return;
    }
    let host = Host::new("[agent.actions]\nswitch = [\"sh\", \"-c\", \"echo switching; sleep 1\"]\n");
    let id = enroll(&host);
    let hub = start_hub(&host, "127.0.0.1:0");
    let address = hub.url.trim_start_matches("http://").to_owned();
    let mut agent = start_agent(&host, &hub);
    let mut run = host.nixmon(&["run", "--name", "printing", "--", "/bin/sh", "-c", PRINTS]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    drop(hub);
    let hub = start_hub(&host, &address);
    std::thread::sleep(Duration::from_millis(1500));
    agent.kill();
    let _agent = start_agent(&host, &hub);
    assert!(run.wait().unwrap().success());
    wait(&host, "the run is complete", || {
        let runs = ask(&host, &hub, &[], "/hosts/web-1/runs");
        (runs["runs"][0]["is_complete"] == true).then_some(())
    });
    let asked = ask(&host, &hub, &["--json", r#"{"action":"switch"}"#], "/hosts/web-1/commands");
    let command = asked["id"].as_u64().unwrap_or_else(|| panic!("{asked}"));
    wait(&host, "the command has succeeded", || {
        let commands = ask(&host, &hub, &[], "/hosts/web-1/commands");
        let ours = commands["commands"].as_array()?.iter().find(|known| known["id"] == command)?.clone();
        (ours["state"] == "succeeded").then_some(())
    });
    wait(&host, "both runs are complete", || {
        let runs = ask(&host, &hub, &[], "/hosts/web-1/runs");
        let runs = runs["runs"].as_array()?;
        (runs.len() == 2 && runs.iter().all(|run| run["is_complete"] == true)).then_some(())
    });
    // The next beat says so.
    wait(&host, "the host is idle", || {
        let host_of_hub = ask(&host, &hub, &[], "/hosts/web-1");
        (host_of_hub["state"] == "idle" && host_of_hub["actions"][0] == "switch").then_some(())
    });
    drop(hub);
    block_on(async {
        let engine = engine(&host);
        let runs = engine.runs(id, None, 10).await.unwrap();
        assert_eq!(runs.len(), 2);
        for run in runs {
            let own = host.run_dir(run.origin);
            assert_eq!(engine.gaps(run.key).await.unwrap(), []);
            for known in engine.files(run.key).await.unwrap() {
                let name = match known.file {
                    RunFile::Input => "input.zst",
                    RunFile::Lines => "lines.txt",
                    RunFile::Changes => "changes.jsonl.zst",
                    file => panic!("{file}"),
                };
                let mut bytes = Vec::new();
                while (bytes.len() as u64) < known.size {
                    let from = bytes.len() as u64;
                    let pieces =
                        engine.pieces(run.key, known.file, known.generation, from, 1 << 20).await.unwrap();
                    for (at, piece) in pieces {
                        assert_eq!(at, bytes.len() as u64);
                        bytes.extend(piece);
                    }
                }
                assert!(
                    bytes == std::fs::read(own.join(name)).unwrap(),
                    "{name} of run {} differs",
                    run.origin
                );
            }
        }
    });
}
