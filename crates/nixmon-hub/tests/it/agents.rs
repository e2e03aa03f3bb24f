//! Agents, hosts without one, and commands, by way of a hub that is served.

use std::time::{Duration, Instant};

use nixmon_fleet::{
    Ack, Beat, CommandNews, CommandState, Document, FromAgent, FromHub, Gap, KnownFile, RunEnd, RunFile,
};
use serde_json::json;

use crate::client::{Agent, Served, hello, piece};

/// Waits until something is so.
#[track_caller]
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn file_ack(generation: u64, size: u64) -> FromHub {
    FromHub::Ack(Ack::File { run: 3, file: KnownFile { file: RunFile::Lines, generation, size } })
}

#[test]
fn pieces_are_acknowledged_where_the_file_ends() {
    let served = Served::start();
    let token = served.enrol("alpha");
    let mut agent = Agent::open(&served, &token);
    let FromHub::Welcome(welcome) = agent.greet(&hello("alpha", "one", 10)) else { panic!("no welcome") };
    assert_eq!((welcome.runs.len(), welcome.hub.len()), (0, 32));
    agent.piece(&piece(0, 0, b"first\n"));
    assert_eq!(agent.next(), file_ack(0, 6));
    agent.piece(&piece(0, 9, b"beyond\n"));
    assert_eq!(agent.next(), file_ack(0, 6));
    agent.piece(&piece(0, 3, b"st\nsecond\n"));
    assert_eq!(agent.next(), file_ack(0, 13));
    let document = Document { run: 3, file: RunFile::Status, version: 2, content: json!({ "name": "home" }) };
    agent.send(&FromAgent::Document(document.clone()));
    let known = |version| FromHub::Ack(Ack::Document { run: 3, file: RunFile::Status, version });
    assert_eq!(agent.next(), known(2));
    agent.send(&FromAgent::Document(Document { version: 1, ..document }));
    assert_eq!(agent.next(), known(2), "an older one is answered with that which is kept");
    let gap =
        Gap { run: 3, file: RunFile::Lines, generation: 0, from: 13, to: Some(20), reason: "gone".into() };
    agent.send(&FromAgent::Gap(gap));
    let end = |size| {
        let files = vec![KnownFile { file: RunFile::Lines, generation: 0, size }];
        FromAgent::End(RunEnd { run: 3, files, reason: None })
    };
    agent.send(&end(30));
    assert_eq!(agent.next(), file_ack(0, 20), "behind the gap");
    agent.piece(&piece(0, 20, b"0123456789"));
    assert_eq!(agent.next(), file_ack(0, 30));
    agent.send(&end(30));
    assert_eq!(agent.next(), FromHub::Ack(Ack::End { run: 3 }));
    drop(agent);

    // Another connection goes on at the place that the hub has, and a newer process takes the place of an older one.
    let mut older = Agent::open(&served, &token);
    let FromHub::Welcome(welcome) = older.greet(&hello("alpha", "one", 10)) else { panic!("no welcome") };
    let run = &welcome.runs[0];
    assert!(run.is_complete && run.run == 3 && run.files[0].size == 30 && run.documents[0].version == 2);
    let mut newer = Agent::open(&served, &token);
    assert!(matches!(newer.greet(&hello("alpha", "two", 20)), FromHub::Welcome(_)));
    let FromHub::Refused(refusal) = older.next() else { panic!("the older process was not refused") };
    assert!(!refusal.is_final);
    newer.send(&FromAgent::Beat(Beat { seq: 1, ..Beat::default() }));
    until("the host is idle", || (served.json("/api/v1/hosts/alpha")["state"] == "idle").then_some(()));
    let mut late = Agent::open(&served, &token);
    assert!(matches!(late.greet(&hello("alpha", "one", 10)), FromHub::Refused(_)));
    assert_eq!(served.json("/api/v1/hosts/alpha/runs")["runs"][0]["run"], 3);
    let state = "nixmon_host_state{host=\"alpha\",state=\"idle\"} 1";
    until("the state in numbers", || served.get("/metrics").body.contains(state).then_some(()));
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn an_agent_has_the_word_for_its_own_host_only() {
    let served = Served::start();
    let (alpha, beta) = (served.enrol("alpha"), served.enrol("beta"));
    for token in ["", "wrong", &"0".repeat(64)] {
        assert_eq!(Agent::refused(&served, token), 401, "{token}");
    }
    let mut agent = Agent::open(&served, &alpha);
    let FromHub::Refused(refusal) = agent.greet(&hello("beta", "one", 1)) else { panic!("welcome") };
    assert!(refusal.is_final && refusal.message.contains("alpha"), "{refusal:?}");
    let mut agent = Agent::open(&served, &alpha);
    let mut other = hello("alpha", "one", 1);
    other.protocol = 99;
    assert!(matches!(agent.greet(&other), FromHub::Refused(refusal) if refusal.is_final));
    // The first message is `hello`, and each message is one.
    for text in
        [r#"{"type":"beat"}"#, "{", r#"{"type":"document","run":1,"file":"../x","version":1,"content":1}"#]
    {
        let mut agent = Agent::open(&served, &alpha);
        agent.text(text);
        assert!(matches!(agent.next(), FromHub::Refused(_)), "{text}");
    }
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    for (path, expected) in [
        ("/api/v1/hosts/alpha/logs", 200),
        ("/api/hosts/alpha/heartbeat", 200),
        ("/api/v1/hosts/beta/logs", 403),
        ("/api/v1/hosts/alpha/commands", 403),
    ] {
        let answer = served.post(path, &[&bearer(&alpha), "Content-Type: application/json"], "x\n");
        assert_eq!(answer.status, if path.ends_with("beat") { 413 } else { expected }, "{path}: {answer:?}");
    }
    assert_eq!(served.post("/api/hosts/beta/heartbeat", &[&bearer(&beta)], "").status, 200);
    for path in ["/api/v1/hosts", "/api/v1/runs", "/", "/metrics", "/api/v1/audit", "/api/v1/hosts/beta"] {
        assert_eq!(served.send("GET", path, &[&bearer(&alpha)], "").status, 403, "{path}");
    }
    served.revoke("alpha");
    assert_eq!(Agent::refused(&served, &alpha), 401);
    // Pages of other sites get nothing done.
    for header in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Host: evil.example"] {
        let answer = served.post("/api/v1/hosts/beta/logs", &[header], "x\n");
        assert!(matches!(answer.status, 403 | 421), "{header}: {answer:?}");
    }
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(served.post("/api/v1/hosts/beta/logs", &[], &large).status, 413);
    assert_eq!(served.post("/api/v1/hosts/..%2fbeta/logs", &[], "x").status, 404);
    assert_eq!(served.send("DELETE", "/api/v1/hosts/beta/logs", &[], "").status, 405);
}

#[test]
fn a_host_without_an_agent_sends_lines() {
    let served = Served::start();
    let token = served.enrol("plain");
    let bearer = format!("Authorization: Bearer {token}");
    let post = |path: &str, body: &str| {
        let answer = served.post(&format!("/api/hosts/plain/{path}"), &[&bearer], body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    assert_eq!(post("logs?run=nightly", "one\ntwo\n")["run"], 1);
    assert_eq!(post("logs?run=nightly", "three\nbroken off")["run"], 1);
    until("the host is busy", || (served.json("/api/v1/hosts/plain")["state"] == "busy").then_some(()));
    let lines = |since: u64| {
        let log = served.json(&format!("/api/v1/hosts/plain/logs?since={since}"));
        let lines = log["lines"].as_array().unwrap().clone();
        lines
            .iter()
            .map(|line| (line["n"].as_u64().unwrap(), line["text"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let expected =
        [(1, "one"), (2, "two"), (3, "three"), (4, "broken off")].map(|(n, text)| (n, text.to_owned()));
    until("all lines are there", || (lines(0) == expected).then_some(()));
    assert_eq!(lines(3), expected[3..]);
    let failing = "error: builder for '/nix/store/00000000000000000000000000000000-a-1.0.drv' failed with exit code 1\n";
    assert_eq!(post("logs?run=nightly&end=1", failing)["run"], 1);
    assert_eq!(post("logs?run=nightly", "again\n")["run"], 2, "the first one has ended");
    let run = until("the end is there", || {
        let run = served.json("/api/v1/hosts/plain/runs/1");
        (run["status"]["state"] == "ended" && run["detail"]["is_complete"] == true).then_some(run)
    });
    assert_eq!(run["status"]["exit_code"], 1, "{run}");
    assert_eq!(run["detail"]["failures"].as_array().unwrap().len(), 1, "{run}");
    let listed = served.json("/api/v1/hosts/plain/runs");
    let ended: Vec<_> =
        listed["runs"].as_array().unwrap().iter().map(|run| run["is_complete"].clone()).collect();
    assert_eq!(ended, [json!(false), json!(true)]);
    assert_eq!(served.post("/api/hosts/plain/logs?run=x&end=300", &[&bearer], "").status, 400);
    assert_eq!(served.post("/api/hosts/plain/logs?other=x", &[&bearer], "").status, 400);
}

#[test]
fn commands_go_to_the_agent_and_their_ends_come_back() {
    let served = Served::start();
    let token = served.enrol("alpha");
    let mut agent = Agent::open(&served, &token);
    assert!(matches!(agent.greet(&hello("alpha", "one", 10)), FromHub::Welcome(_)));
    let ask = |action: &str| {
        let body = json!({ "action": action, "timeout_s": 60, "on_deadline": "stop" }).to_string();
        served.post("/api/v1/hosts/alpha/commands", &["Content-Type: application/json"], &body)
    };
    assert_eq!(ask("rm -rf /").status, 400, "the configuration of the host has no such action");
    assert_eq!(served.post("/api/v1/hosts/alpha/commands", &[], "{}").status, 415);
    let first = ask("switch");
    assert_eq!(first.status, 202, "{first:?}");
    let FromHub::Command(request) = agent.next() else { panic!("no command") };
    assert_eq!((request.action.as_str(), request.timeout_s), ("switch", Some(60)));
    assert_eq!(first.json()["id"], request.id.0);
    let busy = ask("switch");
    assert_eq!(busy.status, 409, "{busy:?}");
    assert!(busy.body.contains("command 1 to do first"), "{busy:?}");
    let mut news = CommandNews {
        id: request.id,
        state: CommandState::Executing,
        run: Some(3),
        exit_code: None,
        message: None,
    };
    agent.send(&FromAgent::Command(news.clone()));
    assert_eq!(agent.next(), FromHub::Ack(Ack::Command { id: request.id, state: CommandState::Executing }));
    assert!(ask("switch").body.contains("run 3"), "it says which run");
    let stopped = served.post("/api/v1/hosts/alpha/commands/1/stop", &[], "");
    assert_eq!(stopped.json()["is_stop_asked"], true);
    // The command may come again; the request to stop it comes.
    until("the request to stop it", || {
        matches!(agent.next(), FromHub::Stop { id } if id == request.id).then_some(())
    });
    news.state = CommandState::Stopped;
    news.exit_code = Some(143);
    agent.send(&FromAgent::Command(news));
    until("the end", || {
        let end = FromHub::Ack(Ack::Command { id: request.id, state: CommandState::Stopped });
        (agent.next() == end).then_some(())
    });
    let commands = served.json("/api/v1/hosts/alpha/commands");
    assert_eq!(commands["commands"][0]["state"], "stopped", "{commands}");
    let audit = served.json("/api/v1/audit");
    let results: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|line| line["result"].as_str().unwrap())
        .collect();
    assert_eq!(
        results,
        [
            "accepted as 1",
            "refused: 1 is not over",
            "refused: 1 is not over",
            "executing",
            "stopped, exit status 143"
        ]
    );
    assert_eq!(served.post("/api/v1/hosts/alpha/commands/99/stop", &[], "").status, 404);

    let batch = json!({ "hosts": ["alpha"], "action": "switch" }).to_string();
    let batch = served.post("/api/v1/batches", &["Content-Type: application/json"], &batch);
    assert_eq!(batch.status, 202, "{batch:?}");
    let FromHub::Command(request) = agent.next() else { panic!("no command") };
    let done = CommandNews {
        id: request.id,
        state: CommandState::Succeeded,
        run: None,
        exit_code: Some(0),
        message: None,
    };
    agent.send(&FromAgent::Command(done));
    until("the batch is done", || (served.json("/api/v1/batches/1")["state"] == "done").then_some(()));
    // A host that is not there comes for its command later.
    drop(agent);
    let id = ask("switch").json()["id"].as_u64().unwrap();
    let mut agent = Agent::open(&served, &token);
    let FromHub::Welcome(welcome) = agent.greet(&hello("alpha", "one", 10)) else { panic!("no welcome") };
    assert_eq!(welcome.commands.iter().map(|command| command.id.0).collect::<Vec<_>>(), [id]);
}

#[test]
fn changes_of_hosts_are_streamed_and_runs_that_are_looked_at_come_faster() {
    let served = Served::start();
    let token = served.enrol("alpha");
    let mut events = served.stream("/api/v1/events/hosts");
    assert!(events.next_of("reset").is_some());
    let mut agent = Agent::open(&served, &token);
    assert!(matches!(agent.greet(&hello("alpha", "one", 10)), FromHub::Welcome(_)));
    agent.send(&FromAgent::Beat(Beat { seq: 4, ..Beat::default() }));
    until("the beat", || (events.next_of("host")?["beat"]["seq"] == 4).then_some(()));
    let content = json!({ "name": "home", "command": ["true"], "state": "running" });
    for (file, content) in
        [(RunFile::Facts, json!({ "format": 1, "id": 3, "name": "home" })), (RunFile::Status, content)]
    {
        agent.send(&FromAgent::Document(Document { run: 3, file, version: 1, content }));
        assert!(matches!(agent.next(), FromHub::Ack(_)));
    }
    assert_eq!(served.get("/api/v1/hosts/alpha/runs/3").status, 200);
    assert_eq!(agent.next(), FromHub::Watched { runs: vec![3] });
}
