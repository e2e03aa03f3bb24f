//! `nixmon mcp`, with clients that this project did not write (`tests/mcp/install`), and with raw requests where the server is
//! killed, abandoned or asked twice at once.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nixmon_runs::{Facts, RunOutcome, RunState, Status, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::ran::Ran;
use crate::common::require;

/// Directory of the clients.
fn clients() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("mcp-clients")
}

/// Returns a client's program, or says that the test is skipped.
fn client(program: &str) -> Option<PathBuf> {
    let path = clients().join(program);
    if !path.exists() {
        require::skip(&format!(
            "no {program} below mcp-clients in the target directory; tests/mcp/install fetches it"
        ));
        return None;
    }
    Some(path)
}

pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn store(&self) -> Store {
        Store::open(self.0.path().join("state/nixmon/runs"))
    }

    pub(crate) fn configure(&self, text: &str) {
        std::fs::create_dir_all(self.0.path().join("config/nixmon")).unwrap();
        std::fs::write(self.0.path().join("config/nixmon/config.toml"), text).unwrap();
    }

    /// A command with the environment of this home.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("XDG_STATE_HOME", self.0.path().join("state"))
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            .env("LANG", "C.UTF-8")
            .current_dir(self.0.path());
        command
    }

    pub(crate) fn server(&self) -> Raw {
        self.server_with(&[])
    }

    fn server_with(&self, args: &[&str]) -> Raw {
        let mut command = self.command(env!("CARGO_BIN_EXE_nixmon"));
        command.arg("mcp").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut raw = Raw { process, stdin: Some(stdin), stdout, n: 0 };
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" }
        });
        raw.request("initialize", &params);
        raw.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        raw
    }
}

/// A client that writes the requests itself.
pub(crate) struct Raw {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    n: u64,
}

impl Raw {
    fn send(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
        stdin.flush().unwrap();
    }

    fn begin(&mut self, method: &str, params: &Value) -> u64 {
        self.n += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": self.n, "method": method, "params": params }));
        self.n
    }

    /// Reads messages up to the answer to a request.
    fn end(&mut self, id: u64) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the server has gone");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.begin(method, params);
        self.end(id)
    }

    fn begin_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.begin("tools/call", &json!({ "name": tool, "arguments": arguments }))
    }

    /// The structured answer of a tool, after checks that hold for every answer.
    fn answer(&mut self, id: u64) -> Value {
        let message = self.end(id);
        let result = &message["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{message}"));
        assert!(text.len() <= 400, "{} bytes: {text}", text.len());
        let structured = &result["structuredContent"];
        if structured.is_null() {
            return json!({ "text": text, "isError": result["isError"] });
        }
        assert_eq!(&serde_json::from_str::<Value>(text).unwrap(), structured);
        structured.clone()
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.begin_call(tool, arguments);
        self.answer(id)
    }

    fn start(&mut self, script: &str) -> String {
        let answer = self.call("build_start", json!({ "command": ["sh", "-c", script] }));
        answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The client goes away, and the server with it.
    fn leave(mut self) {
        drop(self.stdin.take());
        let begun = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the server outlives its client");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_next_server_answers_for_the_same_id() {
    let home = Home::new();
    let mut first = home.server();
    let run = first.start("sleep 3; echo last words");
    let _pending = first.begin_call("build_wait", json!({ "id": run }));
    std::thread::sleep(Duration::from_millis(300));
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    let mut second = home.server();
    let answer = second.call("build_wait", json!({ "id": run }));
    assert_eq!((&answer["id"], &answer["outcome"]), (&json!(run), &json!("success")), "{answer}");
    second.leave();
}

#[test]
fn builds_outlive_a_client_and_nothing_else_does() {
    let home = Home::new();
    let mut server = home.server();
    let run = server.start("sleep 2; echo done > finished");
    // A wait is pending when the client goes.
    server.begin_call("build_wait", json!({ "id": run }));
    std::thread::sleep(Duration::from_millis(200));
    server.leave();
    assert!(!home.0.path().join("finished").exists());
    let mut server = home.server();
    assert_eq!(server.call("build_wait", json!({ "id": run }))["outcome"], "success");
    assert!(home.0.path().join("finished").exists());
    server.leave();
}

#[test]
fn two_clients_follow_one_run() {
    let home = Home::new();
    let (mut a, mut b) = (home.server(), home.server());
    let run = a.start("echo one; sleep 2; echo two");
    let ids =
        (a.begin_call("build_wait", json!({ "id": run })), b.begin_call("build_wait", json!({ "id": run })));
    // A client may ask something else while it waits.
    let status = b.call("build_status", json!({}));
    assert_eq!(status["state"], "running", "{status}");
    let (first, second) = (a.answer(ids.0), b.answer(ids.1));
    assert_eq!(first, second);
    assert_eq!(first["outcome"], "success");
}

#[test]
fn cancelling_a_wait_stops_nothing_and_stopping_does() {
    let home = Home::new();
    let mut server = home.server();
    let run = server.start("sleep 60");
    let id = server.begin_call("build_wait", json!({ "id": run }));
    server.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id, "reason": "enough" }
    }));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(server.call("build_status", json!({ "id": run }))["state"], "running");
    let stopped = server.call("build_stop", json!({ "id": run }));
    assert_eq!((&stopped["state"], &stopped["had_ended"]), (&json!("ended"), &json!(false)), "{stopped}");
    assert_eq!(server.call("build_stop", json!({ "id": run }))["had_ended"], true);
}

#[test]
fn a_wait_is_a_task_with_the_id_of_the_run() {
    let home = Home::new();
    let mut server = home.server();
    let run = server.start("sleep 3");
    server.leave();
    // As a client of the newer protocol, which says with each request who it is and what it can.
    let mut server = home.server();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } },
    });
    let call = json!({ "name": "build_wait", "arguments": { "id": run }, "_meta": meta });
    let task = server.request("tools/call", &call)["result"].clone();
    assert_eq!(
        (&task["resultType"], &task["taskId"], &task["status"]),
        (&json!("task"), &json!(run), &json!("working")),
        "{task}"
    );
    let cancelled = server.request("tasks/cancel", &json!({ "taskId": run, "_meta": meta }));
    assert!(cancelled["error"].is_null(), "{cancelled}");
    assert_eq!(
        server.request("tasks/get", &json!({ "taskId": run, "_meta": meta }))["result"]["status"],
        "cancelled"
    );
    drop(server);
    // The run goes on, and another server answers for the task.
    let mut server = home.server();
    let begun = Instant::now();
    let ended = loop {
        let task = server.request("tasks/get", &json!({ "taskId": run, "_meta": meta }))["result"].clone();
        if task["status"] != "working" {
            break task;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{task}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(
        (&ended["status"], &ended["result"]["structuredContent"]["outcome"]),
        (&json!("completed"), &json!("success")),
        "{ended}"
    );
    assert!(server.request("tasks/get", &json!({ "taskId": "run-99", "_meta": meta }))["error"].is_object());
}

#[test]
fn subscribers_hear_of_the_end() {
    let home = Home::new();
    let mut server = home.server();
    let run = server.start("sleep 3");
    let uri = format!("nixmon://run/{}", run.trim_start_matches("run-"));
    assert!(server.request("resources/subscribe", &json!({ "uri": "nixmon://run/99" }))["error"].is_object());
    let subscribed = server.request("resources/subscribe", &json!({ "uri": uri }));
    assert!(subscribed["error"].is_null(), "{subscribed}");
    let mut line = String::new();
    while !line.contains("notifications/resources/updated") {
        line.clear();
        assert!(server.stdout.read_line(&mut line).unwrap() > 0);
    }
    assert!(line.contains(&uri), "{line}");
    assert_eq!(server.call("build_wait", json!({ "id": run }))["outcome"], "success");
}

#[test]
fn the_configuration_limits_what_may_start() {
    let home = Home::new();
    std::fs::create_dir(home.0.path().join("flake")).unwrap();
    home.configure(
        "[mcp]\nprofile = \"build\"\nallow = [\"echo *\", \"home-manager *\"]\ndirectories = [\"~/flake\"]\n\
         [target.hello]\ncommand = [\"echo\", \"hello\"]\ndirectory = \"~/flake\"\n",
    );
    let flake = home.0.path().join("flake");
    let mut server = home.server();
    let mut refused = |arguments: Value, expected: &str| {
        let answer = server.call("build_start", arguments);
        assert!(answer["text"].as_str().unwrap_or_default().contains(expected), "{answer}");
    };
    refused(json!({ "command": ["rm", "-r", "x"], "cwd": flake }), "is not allowed; [mcp] allow has: echo *");
    refused(json!({ "command": ["home-manager", "switch"], "cwd": flake }), "switches a configuration");
    refused(json!({ "command": ["echo", "x"] }), "commands may not run in");
    refused(json!({ "command": ["echo", "x"], "cwd": flake.join("..") }), "commands may not run in");
    let answer = server.call("build_start", json!({ "target": "hello" }));
    assert_eq!(answer["name"], "hello", "{answer}");
    assert_eq!(server.call("build_wait", json!({ "id": "hello" }))["outcome"], "success");
    server.leave();
    let mut reader = home.server_with(&["--profile", "read-only"]);
    let answer = reader.call("build_start", json!({ "target": "hello" }));
    assert!(
        answer["text"].as_str().unwrap().contains("the profile of this server is `read-only`"),
        "{answer}"
    );
    let tools = reader.request("tools/list", &json!({}))["result"]["tools"].to_string();
    assert!(tools.contains("build_wait") && !tools.contains("\"build_start\""), "{tools}");
}

#[test]
fn a_plan_is_refused_once_the_flake_has_moved() {
    let home = Home::new();
    let dir = home.0.path();
    std::fs::create_dir(dir.join("bin")).unwrap();
    std::fs::write(dir.join("flake.nix"), "{ }").unwrap();
    // A stand-in for the tool, since the tests have no home-manager.
    let tool = dir.join("bin/home-manager");
    std::fs::write(&tool, "#!/bin/sh\necho \"called with $*\"\n").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.configure(&format!(
        "[target.home]\ncommand = [\"{}\", \"switch\", \"--flake\", \".\"]\ndirectory = \"~/\"\n",
        tool.display()
    ));
    let mut server = home.server();
    let plan = server.call("build_plan", json!({ "target": "home" }));
    assert!(plan["lines"].to_string().contains("called with build --dry-run --flake ."), "{plan}");
    let apply = json!({ "plan": plan["plan"] });
    let applied = server.call("build_apply", apply.clone());
    assert_eq!(server.call("build_wait", json!({ "id": applied["id"] }))["outcome"], "success");
    let log = server.call("build_log", json!({ "id": applied["id"] }));
    assert!(log["text"].as_str().unwrap().contains("called with switch --flake ."), "{log}");
    std::fs::write(dir.join("flake.lock"), "{}").unwrap();
    let refused = server.call("build_apply", apply);
    assert!(refused["text"].as_str().unwrap().contains("has changed since the plan was made"), "{refused}");
}

#[test]
fn a_hundred_runs_are_listed_at_once() {
    let home = Home::new();
    let store = home.store();
    for n in 0..100 {
        let facts =
            Facts { name: Some(format!("run{n}")), command: vec!["make".to_owned()], ..Facts::default() };
        let run = store.create(facts, true).unwrap().dir;
        let status = Status {
            id: run.id(),
            state: RunState::Ended,
            outcome: Some(RunOutcome::Success),
            ..Status::default()
        };
        run.write_status(&status).unwrap();
    }
    let mut server = home.server();
    let list = server.call("build_list", json!({}));
    assert_eq!(list["runs"][0]["id"], "run-100", "{list}");
    assert_eq!(list["older"].as_u64().unwrap() + list["runs"].as_array().unwrap().len() as u64, 100);
    let mut times = Vec::new();
    for _ in 0..9 {
        let begun = Instant::now();
        let id = server.begin_call("build_list", json!({ "limit": 50 }));
        server.end(id);
        times.push(begun.elapsed());
    }
    times.sort();
    // The release build on an idle machine needs a few milliseconds; this one may share a busy machine.
    assert!(times[4] < Duration::from_millis(500), "{times:?}");
}

/// Runs a scenario with the Python client in both eras of the protocol.
fn python(scenario: &str) {
    let Some(python) = client("python/bin/python") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp/client.py");
    let modes = ["auto", "legacy"].map(|mode| {
        let home = Home::new();
        let mut command = home.command(&python);
        command.arg(&script).args([env!("CARGO_BIN_EXE_nixmon"), mode, scenario]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (home, child)
    });
    for (_home, child) in modes {
        Ran::of(child.wait_with_output().unwrap()).check(0, &[]);
    }
}

#[test]
fn python_client_follows_a_success() {
    python("success");
}

#[test]
fn python_client_gets_to_a_cause() {
    python("failure");
}

#[test]
fn python_client_makes_mistakes() {
    python("mistakes");
}

#[test]
fn python_client_gets_progress() {
    python("progress");
}

#[test]
fn python_client_asks_for_the_past() {
    python("past");
}

#[test]
fn python_client_reads_resources() {
    python("resources");
}

#[test]
fn python_client_asks_the_user() {
    python("consent");
}

/// A command of Node's, with the Node that these clients need.
fn node(home: &Home, program: &str) -> Option<Command> {
    let program = client(&format!("node/node_modules/.bin/{program}"))?;
    let own = clients().join("node/node_modules/node/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).unwrap();
    let mut command = home.command(program);
    command.env("PATH", path).stdin(Stdio::null());
    Some(command)
}

#[test]
fn inspector_calls_tools() {
    for era in ["legacy", "modern"] {
        let home = Home::new();
        let Some(mut command) = node(&home, "mcp-inspector") else { return };
        command.args([
            "--cli",
            env!("CARGO_BIN_EXE_nixmon"),
            "mcp",
            "--protocol-era",
            era,
            "--method",
            "tools/call",
        ]);
        command.args(["--tool-name", "build_start", "--tool-arg", r#"command=["true"]"#]);
        let ran = Ran::of(command.output().unwrap());
        ran.check(0, &["run-1", "build_wait"]);
    }
}

#[cfg(feature = "mcp-http")]
mod http {
    use super::*;

    struct Http {
        process: Child,
        url: String,
    }

    impl Http {
        fn start(home: &Home, args: &[&str], token: Option<&str>) -> Self {
            let mut command = home.command(env!("CARGO_BIN_EXE_nixmon"));
            command.args(["mcp", "--http", "127.0.0.1:0"]).args(args);
            command.envs(token.map(|token| ("NIXMON_MCP_TOKEN", token)));
            let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
            let url = line.trim().rsplit(' ').next().unwrap().to_owned();
            assert!(url.starts_with("http://127.0.0.1:"), "{line}");
            Self { process, url }
        }

        /// Sends a request with these headers, and returns the status code.
        fn status(&self, headers: &[&str]) -> String {
            let address = self.url.trim_start_matches("http://").trim_end_matches("/mcp");
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
            let host = if headers.iter().any(|header| header.starts_with("Host:")) {
                String::new()
            } else {
                format!("Host: {address}\r\n")
            };
            let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
            write!(
                stream,
                "POST /mcp HTTP/1.1\r\n{host}{headers}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            line.split(' ').nth(1).unwrap_or_default().to_owned()
        }
    }

    impl Drop for Http {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    #[test]
    fn hosts_origins_and_tokens_are_checked() {
        let home = Home::new();
        let server = Http::start(&home, &[], None);
        assert_eq!(server.status(&[]), "200");
        assert_eq!(server.status(&["Origin: http://localhost:3000"]), "200");
        assert_eq!(server.status(&["Origin: https://evil.example"]), "403");
        assert_eq!(server.status(&["Host: evil.example"]), "403");
        let server = Http::start(&home, &[], Some("secret"));
        assert_eq!(server.status(&[]), "401");
        assert_eq!(server.status(&["Authorization: Bearer wrong"]), "401");
        assert_eq!(server.status(&["Authorization: Bearer secret"]), "200");
        let mut open = home.command(env!("CARGO_BIN_EXE_nixmon"));
        let ran = Ran::of(open.args(["mcp", "--http", "0.0.0.0:0"]).stdin(Stdio::null()).output().unwrap());
        ran.check(2, &["needs a token", "NIXMON_MCP_TOKEN"]);
    }

    #[test]
    fn inspector_calls_over_http() {
        let home = Home::new();
        let Some(mut command) = node(&home, "mcp-inspector") else { return };
        let server = Http::start(&home, &[], None);
        command.args(["--cli", &server.url, "--transport", "http", "--method", "tools/call"]);
        command.args(["--tool-name", "watch_events", "--tool-arg", "since=0"]);
        Ran::of(command.output().unwrap()).check(0, &["there is no sensor"]);
        // Nothing may be started over HTTP without a configuration.
        let mut command = node(&home, "mcp-inspector").unwrap();
        command.args(["--cli", &server.url, "--transport", "http", "--method", "tools/list"]);
        let ran = Ran::of(command.output().unwrap());
        assert!(ran.out.contains("build_wait") && !ran.out.contains("\"build_start\""), "{}", ran.out);
    }

    #[test]
    fn conformance_scenarios_pass() {
        let home = Home::new();
        if client("node/node_modules/.bin/conformance").is_none() {
            return;
        }
        let server = Http::start(&home, &[], None);
        let list = include_str!("../mcp/conformance.txt");
        let scenarios = list.lines().filter_map(|line| line.strip_prefix("pass ")).map(str::trim);
        let mut failed = Vec::new();
        for scenario in scenarios {
            let Some(mut command) = node(&home, "conformance") else { return };
            let ran = Ran::of(
                command.args(["server", "--url", &server.url, "--scenario", scenario]).output().unwrap(),
            );
            if ran.code != Some(0) {
                failed.push(format!("{scenario}:\n{}{}", ran.out, ran.err));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}
