//! `nixmon agent` and `nixmon run --hub` as processes.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hub;
#[cfg(feature = "hub")]
mod real;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nixmon_fleet::{CommandState, OnDeadline, RunFile};
use tempfile::TempDir;

use crate::common::home::at_home;
use crate::common::ran::Ran;
use hub::{Content, FakeHub, TOKEN};

/// A directory with a store of runs, the token and the settings of an agent.
struct Host(TempDir);

impl Host {
    fn new(settings: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        std::fs::write(host.path().join("token"), TOKEN).unwrap();
        std::fs::write(host.path().join("config.toml"), settings).unwrap();
        host
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn nixmon(&self, args: &[&str]) -> Command {
        at_home(Command::new(env!("CARGO_BIN_EXE_nixmon")), self.path(), args)
    }

    fn agent_command(&self, hub: &FakeHub) -> Command {
        let url = hub.url();
        self.nixmon(&[
            "agent",
            "--hub",
            &url,
            "--host",
            "web-1",
            "--token-file",
            "token",
            "--config",
            "config.toml",
        ])
    }

    fn agent(&self, hub: &FakeHub) -> Agent {
        let mut command = self.agent_command(hub);
        command.stderr(std::fs::File::create(self.path().join("agent.log")).unwrap());
        Agent(command.spawn().unwrap())
    }

    fn ran(&self, args: &[&str]) -> Ran {
        Ran::of(self.nixmon(args).output().unwrap())
    }

    fn run_dir(&self, run: u64) -> PathBuf {
        self.path().join("state/nixmon/runs").join(run.to_string())
    }

    fn n_runs(&self) -> usize {
        let runs = std::fs::read_dir(self.path().join("state/nixmon/runs")).unwrap();
        runs.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().parse::<u64>().is_ok())
            .count()
    }

    /// Asserts that the hub has the files of a run, byte by byte.
    #[track_caller]
    fn assert_mirrored(&self, content: &Content, run: u64) {
        let name = |file: RunFile| match file {
            RunFile::Input => "input.zst".to_owned(),
            RunFile::Lines => "lines.txt".to_owned(),
            RunFile::Changes => "changes.jsonl.zst".to_owned(),
            RunFile::Rest(1) => "rest.zst".to_owned(),
            RunFile::Rest(guard) => format!("rest-{guard}.zst"),
            file => format!("{file}.json"),
        };
        for file in RunFile::all() {
            let own = std::fs::read(self.run_dir(run).join(name(file))).ok();
            if file.grows() {
                let at_hub = content.files.get(&(run, file)).map(|(_, bytes)| bytes);
                assert!(own.as_ref() == at_hub, "{file} of run {run} differs");
            } else {
                let own = own.map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
                let at_hub = content.documents.get(&(run, file)).map(|(_, value)| value);
                assert_eq!(own.as_ref(), at_hub, "{file} of run {run}");
            }
        }
        assert!(content.files.contains_key(&(run, RunFile::Input)), "run {run} has no recording");
    }
}

/// An agent, which is killed at the end.
struct Agent(Child);

impl Agent {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An agent whose number is in a file, which is killed at the end.
struct AgentOf(PathBuf);

impl Drop for AgentOf {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok());
        if let Some(process) = pid.and_then(nixmon_runs::ProcessId::of) {
            process.signal(rustix::process::Signal::KILL);
        }
    }
}

/// Lines that do not compress well, so that cuts come at many places.
const PRINTS: &str = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); head -c 3000 /dev/urandom | od -An -tx1 | tr -d '\\n'; \
    echo \" line $i\"; sleep 0.1; done";

#[test]
fn runs_are_mirrored_exactly_over_cuts_and_kills() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    hub.content().cut_every = Some(40_000);
    // One that is over before the agent begins.
    assert_eq!(host.ran(&["run", "--", "/bin/sh", "-c", "echo before"]).code, Some(0));
    let mut agent = host.agent(&hub);
    let mut run = host.nixmon(&["run", "--", "/bin/sh", "-c", PRINTS]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    agent.kill();
    let _agent = host.agent(&hub);
    assert!(run.wait().unwrap().success());
    hub.wait("both runs are complete", |content| (content.ends.len() == 2).then_some(()));
    let content = hub.content();
    host.assert_mirrored(&content, 1);
    host.assert_mirrored(&content, 2);
    assert!(content.n_connections >= 4, "{} connections", content.n_connections);
    assert!(content.gaps.is_empty() && content.ends.values().all(|end| end.reason.is_none()));
    assert!(
        content
            .hellos
            .iter()
            .all(|hello| hello.host.as_str() == "web-1" && hello.store == content.hellos[0].store)
    );
    assert!(content.hellos.last().unwrap().instance != content.hellos[0].instance);
}

/// Actions of a host: a switch that replaces its own agent, and others.
fn actions(host: &Host, hub: &FakeHub) {
    let script = host.path().join("nixos-rebuild");
    let restart = format!(
        "#!/bin/sh\necho building the system configuration...\nkill -9 $(cat {0}/agent.pid)\n\
        HOME={0} XDG_STATE_HOME={0}/state {1} agent --hub {2} --host web-1 --token-file {0}/token --config {0}/config.toml \
        >/dev/null 2>&1 </dev/null & echo $! > {0}/agent.pid\nsleep 2\necho done\n",
        host.path().display(),
        env!("CARGO_BIN_EXE_nixmon"),
        hub.url(),
    );
    std::fs::write(&script, restart).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings = format!(
        "[agent.actions]\nswitch = [\"{}\", \"switch\"]\nfail = \"false\"\nlong = [\"sleep\", \"600\"]\nbuild = [\"sleep\", \"3\"]\n\
        missing = [\"/no/such/program\"]\n",
        script.display()
    );
    std::fs::write(host.path().join("config.toml"), settings).unwrap();
}

#[test]
fn commands_outlive_their_agent() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    actions(&host, &hub);
    hub.content().asks_twice = true;
    // Killed by the test.
    let mut agent = host.agent(&hub);
    hub.ask(1, "build", None, OnDeadline::Wait);
    let executing = hub.wait_for_state(1, CommandState::Executing);
    agent.kill();
    let agent = host.agent(&hub);
    let ended = hub.wait_for_state(1, CommandState::Succeeded);
    assert_eq!((ended.run, ended.exit_code), (executing.run, Some(0)));
    // Killed by its own switch, which starts another one.
    let _started = AgentOf(host.path().join("agent.pid"));
    std::fs::write(host.path().join("agent.pid"), agent.0.id().to_string()).unwrap();
    hub.ask(2, "switch", None, OnDeadline::Wait);
    let ended = hub.wait_for_state(2, CommandState::Succeeded);
    let is_told = |content: &Content| content.ends.contains_key(&ended.run.unwrap()).then_some(());
    hub.wait("the switch is mirrored", is_told);
    assert_eq!(host.n_runs(), 2, "each was begun once");
    let content = hub.content();
    host.assert_mirrored(&content, 1);
    host.assert_mirrored(&content, 2);
    assert_eq!(content.hellos[0].actions, ["build", "fail", "long", "missing", "switch"]);
    let instances: std::collections::BTreeSet<_> =
        content.hellos.iter().map(|hello| &hello.instance).collect();
    assert_eq!(instances.len(), 3);
}

#[test]
fn commands_end_as_the_contract_says() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    actions(&host, &hub);
    let _agent = host.agent(&hub);
    hub.ask(1, "long", None, OnDeadline::Wait);
    hub.wait_for_state(1, CommandState::Executing);
    hub.ask(2, "build", None, OnDeadline::Wait);
    let busy = hub.wait_for_state(2, CommandState::Failed);
    assert_eq!(busy.message.as_deref(), Some("long is in progress (command 1)"));
    let beat = hub.content().beats.last().unwrap().1.clone();
    assert!(!beat.is_switching);
    hub.stop(1);
    let stopped = hub.wait_for_state(1, CommandState::Stopped);
    assert_eq!(stopped.exit_code, Some(143));
    hub.ask(3, "rm -rf /", None, OnDeadline::Wait);
    assert!(hub.wait_for_state(3, CommandState::Failed).message.unwrap().contains("no action"));
    hub.ask(4, "fail", None, OnDeadline::Wait);
    assert_eq!(hub.wait_for_state(4, CommandState::Failed).exit_code, Some(1));
    hub.ask(5, "missing", None, OnDeadline::Wait);
    let missing = hub.wait_for_state(5, CommandState::Failed);
    assert!(missing.message.unwrap().contains("/no/such/program"));
    hub.ask(6, "long", Some(1), OnDeadline::Stop);
    let late = hub.wait_for_state(6, CommandState::TimedOut);
    assert_eq!(late.exit_code, Some(143));
    // Its record is removed while it runs: nobody knows its end.
    hub.ask(7, "long", None, OnDeadline::Wait);
    let run = hub.wait_for_state(7, CommandState::Executing).run.unwrap();
    let facts = std::fs::read_to_string(host.run_dir(run).join("facts.json")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(facts["request"], 7);
    let is_sent = |content: &Content| content.files.contains_key(&(run, RunFile::Input)).then_some(());
    hub.wait("something of the run is at the hub", is_sent);
    host.ran(&["stop", &run.to_string()]);
    std::fs::remove_dir_all(host.run_dir(run)).unwrap();
    let end = hub.wait("the end of the removed run", |content| content.ends.get(&run).cloned());
    let news = hub.content().news.iter().rev().find(|news| news.id.0 == 7).cloned().unwrap();
    assert!([CommandState::Orphaned, CommandState::Failed].contains(&news.state), "{news:?}");
    if news.state == CommandState::Orphaned {
        assert!(end.reason.unwrap().contains("removed"));
    }
}

#[test]
fn beats_come_while_a_command_runs() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    let _agent = host.agent(&hub);
    let mut run = host.nixmon(&["run", "--", "/bin/sh", "-c", "echo working; sleep 22"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    hub.wait("three beats", |content| (content.beats.len() >= 3).then_some(()));
    run.kill().unwrap();
    run.wait().unwrap();
    let content = hub.content();
    let times: Vec<_> = content.beats.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let is_regular =
        |time: &Duration| (Duration::from_millis(8500)..Duration::from_millis(12_500)).contains(time);
    assert!(times.iter().take(2).all(is_regular), "{times:?}");
    let beat = &content.beats[2].1;
    assert_eq!((beat.seq, beat.running, beat.busy.as_ref().map(|busy| busy.run)), (3, 1, Some(1)));
    if cfg!(target_os = "linux") {
        assert!(beat.load.memory_total.is_some() && beat.load.cpu_percent.is_some(), "{beat:?}");
    }
}

#[test]
fn a_single_run_is_reported_and_not_disturbed() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    let url = hub.url();
    let settings = "[agent]\ntoken-file = \"~/token\"\nhost = \"ci\"\n";
    std::fs::write(host.path().join("config.toml"), settings).unwrap();
    let run = |args: &[&str], script: &str| {
        let before = ["--config", "config.toml", "run"];
        let args = [&before, args, &["--", "/bin/sh", "-c", script]].concat();
        host.ran(&args)
    };
    assert_eq!(run(&[], "true").code, Some(0));
    let ran = run(&["--hub", &url], "echo one; echo two >&2; exit 3");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    {
        let content = hub.content();
        assert_eq!(content.ends.keys().collect::<Vec<_>>(), [&2], "only this run");
        host.assert_mirrored(&content, 2);
        assert!(content.hellos[0].is_single_run && content.hellos[0].actions.is_empty());
    }
    // A hub that refuses, and one that is not there.
    std::fs::write(host.path().join("token"), "wrong").unwrap();
    let ran = run(&["--hub", &url], "exit 4");
    assert_eq!(ran.code, Some(4));
    assert!(ran.err.contains("the run is not reported: the hub refuses this host"), "{ran:?}");
    let ran = run(&["--hub", "http://hub.example.org"], "exit 5");
    assert_eq!(ran.code, Some(5));
    assert!(ran.err.contains("has no TLS"), "{ran:?}");
}

#[test]
fn a_refused_agent_says_so_and_ends() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    std::fs::write(host.path().join("token"), "wrong").unwrap();
    let ran = Ran::of(host.agent_command(&hub).output().unwrap());
    assert_ne!(ran.code, Some(0));
    assert!(ran.err.contains("the hub refuses this host: it does not take the token"), "{ran:?}");
    std::fs::remove_file(host.path().join("token")).unwrap();
    let ran = Ran::of(host.agent_command(&hub).output().unwrap());
    assert!(ran.err.contains("`nixmon agent enroll` gets one"), "{ran:?}");
}

#[test]
fn a_code_is_exchanged_for_a_token() {
    let host = Host::new("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/nixmon", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0);
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let answer = r#"{"token":"fresh-token"}"#;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        (head, String::from_utf8(body).unwrap())
    });
    let ran = host.ran(&["agent", "enroll", "--hub", &url, "--host", "web-1", "CODE"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (head, body) = asked.join().unwrap();
    assert!(head.starts_with("POST /nixmon/api/v1/enroll HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, r#"{"code":"CODE","host":"web-1"}"#);
    let token = host.path().join("state/nixmon/agent/token");
    assert_eq!(std::fs::read_to_string(&token).unwrap(), "fresh-token\n");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_second_agent_of_the_same_store_is_refused() {
    let (hub, host) = (FakeHub::start(), Host::new(""));
    let _agent = host.agent(&hub);
    hub.wait("the first greeting", |content| content.hellos.first().map(drop));
    let begun = Instant::now();
    let ran = Ran::of(host.agent_command(&hub).output().unwrap());
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.err.contains("another agent has"), "{ran:?}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}
