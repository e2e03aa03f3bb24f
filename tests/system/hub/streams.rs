//! Streams: what comes live, and that a client that comes back misses nothing and gets nothing twice.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{Home, Hub, head, until};

/// An event of a stream.
#[derive(Debug)]
struct Event {
    kind: String,
    id: Option<String>,
    data: Value,
}

/// A stream of events.
struct Events(BufReader<Chunks>);

/// Reads the chunks of a body.
struct Chunks {
    stream: BufReader<TcpStream>,
    rest: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest == 0 {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                // The end of the chunk before.
                line.clear();
                self.stream.read_line(&mut line)?;
            }
            self.rest = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            if self.rest == 0 {
                return Ok(0);
            }
        }
        let wanted = buffer.len().min(self.rest);
        let n = self.stream.read(&mut buffer[..wanted])?;
        self.rest -= n;
        Ok(n)
    }
}

impl Events {
    fn open(hub: &Hub, path: &str, last: Option<&str>) -> Self {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let mut stream = hub.open(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{last}\r\n", hub.address));
        let (status, _) = head(&mut stream);
        assert_eq!(status, 200, "{path}");
        Self(BufReader::new(Chunks { stream, rest: 0 }))
    }

    /// Reads the next event; `None` at the end of the stream, or if the hub has died.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event { kind: String::new(), id: None, data: Value::Null };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if line.trim().is_empty() && !event.kind.is_empty() => return Some(event),
                // A sign of life.
                _ => {}
            }
        }
    }
}

/// A run in progress, which is ended at the end of the test.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Begins a run that prints numbered lines until there is a file `stop`.
fn counting(home: &Home, name: &str) -> Run {
    let script = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo \"line $i\"; sleep 0.01; done; echo last";
    let mut command = home.nixmon(&["run", "--name", name, "--", "/bin/sh", "-c", script]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Run(command.spawn().unwrap())
}

fn texts(event: &Event) -> Vec<String> {
    event.data["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_log_goes_on_exactly_where_it_was() {
    let home = Home::new();
    let mut run = counting(&home, "count");
    let mut hub = home.hub();
    let path = "/api/v1/runs/count/log/events";
    until("the run", || (hub.get("/api/v1/runs/count").status == 200).then_some(()));
    let mut lines: Vec<String> = Vec::new();
    let mut last: Option<String> = None;
    // Connections that break, and hubs that are killed in the middle of one.
    for round in 0..6 {
        let mut events = Events::open(&hub, path, last.as_deref());
        for _ in 0..3 {
            let Some(event) = events.next() else { break };
            assert_eq!(event.kind, "lines", "{event:?}");
            lines.extend(texts(&event));
            last = event.id;
            assert_eq!(last, Some(lines.len().to_string()), "the id is the number of the last line");
        }
        if round % 2 == 1 {
            hub.process.kill().unwrap();
            hub.process.wait().unwrap();
            assert!(events.next().is_none_or(|event| event.kind == "lines"));
            hub = home.hub();
        }
    }
    std::fs::write(home.path().join("stop"), "").unwrap();
    let mut events = Events::open(&hub, path, last.as_deref());
    while let Some(event) = events.next() {
        match event.kind.as_str() {
            "lines" => lines.extend(texts(&event)),
            "end" => {
                assert_eq!(event.data["total"], lines.len());
                break;
            }
            kind => panic!("{kind}"),
        }
    }
    assert!(run.0.wait().unwrap().success());
    let expected: Vec<String> =
        (1..lines.len()).map(|n| format!("line {n}")).chain(["last".to_owned()]).collect();
    assert!(
        lines == expected,
        "{} lines: {:?}",
        lines.len(),
        lines.iter().zip(&expected).find(|(a, b)| a != b)
    );
    // The stream of a run that has ended ends.
    assert_eq!(Events::open(&hub, path, Some(&lines.len().to_string())).next().unwrap().kind, "end");
}

/// The hub holds twelve logs: one that makes room for others must not look as if its run had ended.
#[test]
fn a_log_that_is_followed_is_not_given_up() {
    let home = Home::new();
    let mut run = counting(&home, "count");
    let hub = home.hub();
    until("the run", || (hub.get("/api/v1/runs/count").status == 200).then_some(()));
    let mut events = Events::open(&hub, "/api/v1/runs/count/log/events", None);
    let mut lines = texts(&events.next().unwrap());
    for n in 0..14 {
        let other = home.record(&format!("other-{n}"), "echo fine");
        assert_eq!(hub.json(&format!("/api/v1/runs/{other}/log"))["lines"][0]["text"], "fine");
    }
    std::fs::write(home.path().join("stop"), "").unwrap();
    while let Some(event) = events.next() {
        match event.kind.as_str() {
            "lines" => lines.extend(texts(&event)),
            _ => {
                assert_eq!((event.kind.as_str(), &event.data["error"]), ("end", &Value::Null), "{event:?}");
                break;
            }
        }
    }
    assert_eq!(lines.last().map(String::as_str), Some("last"));
    assert!(run.0.wait().unwrap().success());
}

#[test]
fn news_of_a_run_come_as_they_are() {
    let home = Home::new();
    let mut run = counting(&home, "count");
    let hub = home.hub();
    until("the run", || (hub.get("/api/v1/runs/count").status == 200).then_some(()));
    let mut events = Events::open(&hub, "/api/v1/runs/count/events", None);
    let first = events.next().unwrap();
    assert_eq!((first.kind.as_str(), first.id.as_deref()), ("line", Some("1")), "{first:?}");
    let wait = hub.open(&format!(
        "GET /runs/count/wait HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        hub.address
    ));
    std::fs::write(home.path().join("stop"), "").unwrap();
    let mut cursors = vec![1];
    let end = loop {
        let event = events.next().expect("the end");
        match event.kind.as_str() {
            "line" => cursors.push(event.data["cursor"].as_u64().unwrap()),
            "status" => {}
            _ => break event,
        }
    };
    assert_eq!((end.kind.as_str(), &end.data["outcome"]), ("end", &Value::from("success")), "{end:?}");
    let n = cursors.len() as u64;
    assert_eq!(cursors, (1..=n).collect::<Vec<_>>());
    assert!(run.0.wait().unwrap().success());
    // From a cursor on.
    let mut later = Events::open(&hub, "/api/v1/runs/count/events", Some(&(n - 1).to_string()));
    assert_eq!(later.next().unwrap().id, Some(n.to_string()));
    assert_eq!(later.next().unwrap().kind, "end");
    assert_eq!(hub.send("GET", "/api/v1/runs/count/events", &["Last-Event-ID: x"]).status, 400);
    // The same as text.
    let mut text = String::new();
    let mut wait = wait;
    wait.read_to_string(&mut text).unwrap();
    assert!(text.contains("ended: success, exit status 0"), "{text}");
}

#[test]
fn changes_of_the_board_come_to_those_who_were_away() {
    let home = Home::new();
    let first = home.record("first", "echo fine");
    let hub = home.hub();
    let mut events = Events::open(&hub, "/api/v1/events", None);
    let reset = events.next().unwrap();
    assert_eq!((reset.kind.as_str(), &reset.data["runs"][0]), ("reset", &Value::from(first)));
    let known = events.next().unwrap();
    assert_eq!((known.kind.as_str(), &known.data["status"]["name"]), ("run", &Value::from("first")));
    let version = known.id.unwrap();
    let mut text = hub.open(&format!("GET /wait HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address));
    // Live.
    let second = home.record("second", "echo fine");
    let live =
        std::iter::from_fn(|| events.next()).find(|event| event.data["status"]["state"] == "ended").unwrap();
    assert_eq!(live.data["run"], second);
    // Away, and back: what has changed since, and nothing else.
    drop(events);
    let mut events = Events::open(&hub, "/api/v1/events", Some(&version));
    let missed = events.next().unwrap();
    assert_eq!((missed.kind.as_str(), &missed.data["run"]), ("run", &Value::from(second)));
    let version = missed.id.unwrap();
    home.ran(&["runs", "prune", "--keep-runs", "1", "--keep-days", "1"]);
    let mut events = Events::open(&hub, "/api/v1/events", Some(&version));
    let removed = events.next().unwrap();
    assert_eq!(
        (removed.kind.as_str(), &removed.data["run"]),
        ("removed", &Value::from(first)),
        "{removed:?}"
    );
    // A version of another hub says nothing.
    let other = home.hub();
    assert_eq!(Events::open(&other, "/api/v1/events", Some(&version)).next().unwrap().kind, "reset");
    head(&mut text);
    let mut lines = BufReader::new(Chunks { stream: text, rest: 0 }).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("ended")).unwrap().unwrap();
    assert!(line.starts_with(&format!("run {second} (second")) && line.contains("ended: success"), "{line}");
}

/// A client that opens a stream and reads nothing must not hold others up.
#[test]
fn a_stalled_reader_holds_nothing_up() {
    let home = Home::new();
    let flood = "i=0; while [ $i -lt 200000 ]; do echo \"line $i of a flood, which is long enough to fill buffers\"; i=$((i+1)); done";
    home.record("flood", flood);
    let hub = home.hub();
    let stalled: Vec<_> = (0..20)
        .map(|_| {
            hub.open(&format!("GET /api/v1/runs/flood/log/events HTTP/1.1\r\nHost: {}\r\n\r\n", hub.address))
        })
        .collect();
    assert_eq!(hub.get("/healthz").status, 200);
    home.record("other", "echo fine");
    until("the other run", || (hub.json("/api/v1/runs")["runs"].as_array()?.len() == 2).then_some(()));
    // A long log is answered as far as it is read.
    until("line 100,000 of the flood", || {
        let log = hub.json("/api/v1/runs/flood/log?from=100000&count=3");
        let text = log["lines"][0]["text"].as_str()?;
        assert_eq!(text, "line 99999 of a flood, which is long enough to fill buffers");
        Some(())
    });
    drop(stalled);
}
