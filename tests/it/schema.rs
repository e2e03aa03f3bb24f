//! `docs/output.schema.json` describes the lines that nixmon writes: it is the schema of their types, every line is valid
//! and has no field that it does not know, and every type of line in it is written.
//!
//! `UPDATE=1 cargo test --test schema` writes the file anew.

#![expect(clippy::disallowed_methods, reason = "a test of the program starts it and writes files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use crate::common::{corpus, play};
use nixmon::settings::Output;
use nixmon_core::frontend::json_line;
use nixmon_core::pipeline::Step;
use nixmon_core::text::{Line, Role};
use nixmon_core::view::Evidence;
use nixmon_core::wire;
use nixmon_log::input::Source;
use nixmon_runs::Recording;
use nixmon_runs::{Facts, RootCause, RunOutcome, RunState, Status, StatusRecord, Store};
use serde_json::Value;

/// The schema of all lines, from their types.
fn schema() -> Value {
    wire::schemas().with::<StatusRecord>().finish()
}

/// Input that no capture holds: a build that failed and was built after all, and unusable input.
const RARE: &str = r#"@nix {"action":"start","fields":["/nix/store/00000000000000000000000000000000-a.drv","",1,1],"id":1,"type":105}
@nix {"action":"msg","level":0,"msg":"error: builder for '/nix/store/00000000000000000000000000000000-a.drv' failed with exit code 1"}
@nix {"action":"stop","id":1}
@nix {"action":"start","fields":["/nix/store/00000000000000000000000000000000-a.drv","",1,1],"id":2,"type":105}
@nix {"action":"stop","id":2}
@nix {"action":
"#;

/// Messages from nixmon about a run itself.
fn notices(output: &Output) -> Vec<(String, String)> {
    let (mut pipeline, written) = play::pipeline(output);
    pipeline
        .notice(&[Line::new().with(Role::Warning, "home takes longer than 15m; it goes on")], Duration::ZERO);
    pipeline.end(Some(0), Duration::ZERO, |_| Evidence::default());
    let out = written.text();
    out.lines().map(|line| ("notice".to_owned(), line.to_owned())).collect()
}

/// All lines of several captures, each with the name of its case.
fn texts() -> Vec<(String, String)> {
    let mut cases = corpus::plain();
    cases.extend(corpus::archive_of(|name| {
        name.starts_with("activation/")
            || [
                "14-flake-update",
                "14-lock-new",
                "11-nar-broken",
                "11-nix-copy",
                "27-trace",
                "12-unreachable",
            ]
            .iter()
            .any(|scenario| name.ends_with(scenario))
    }));
    let mut logs: Vec<(String, Vec<u8>)> = cases.into_iter().map(|case| (case.name, case.log)).collect();
    logs.push(("rare".to_owned(), RARE.as_bytes().to_vec()));
    let output = Output { snapshots: Some(Duration::from_secs(10)), ..play::json_output() };
    let mut lines = Vec::new();
    for (name, log) in logs {
        let steps = log.split_inclusive(|byte| *byte == b'\n').zip(0..);
        let steps =
            steps.map(|(line, i)| (Duration::from_millis(200 * i), Step::Bytes(Source::Main, line.to_vec())));
        let recording = Recording { steps: steps.collect(), timed: true };
        let (out, _) = play::play(&recording, &output, None);
        lines.extend(out.lines().map(|line| (name.clone(), line.to_owned())));
    }
    lines.extend(notices(&output));
    lines
}

/// The same lines, read.
fn lines() -> Vec<(String, Value)> {
    read(texts())
}

fn read(texts: Vec<(String, String)>) -> Vec<(String, Value)> {
    texts.into_iter().map(|(case, text)| (case, serde_json::from_str(&text).unwrap())).collect()
}

/// The lines of `list` and `wait` about a run in progress, one that has ended and one of another version of nixmon.
fn lines_of_runs() -> Vec<(String, String)> {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path().join("nixmon/runs"));
    let facts = Facts { command: vec!["make".to_owned()], created_at: 1, ..Facts::default() };
    let make = || store.create(facts.clone(), true).unwrap();
    let (running, ended, other) = (make(), make(), make());
    let cause = RootCause { name: None, message: "it broke".to_owned() };
    let status = Status {
        id: ended.facts.id,
        state: RunState::Ended,
        outcome: Some(RunOutcome::Failure),
        first_failure: Some(RootCause { name: Some("lib-1.0".to_owned()), ..cause.clone() }),
        last_failure: Some(cause),
        ..Status::default()
    };
    ended.dir.write_status(&status).unwrap();
    std::fs::write(running.dir.lines(), "one\ntwo\n").unwrap();
    std::fs::write(other.dir.file("facts.json"), r#"{"format":2}"#).unwrap();
    let mut lines = Vec::new();
    for args in [&["list", "--json"][..], &["wait", "1", "--json", "--since", "0", "--timeout", "0"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nixmon"));
        let output = command.args(args).env("XDG_STATE_HOME", temp.path()).env("HOME", temp.path()).output();
        let out = String::from_utf8(output.unwrap().stdout).unwrap();
        lines.extend(out.lines().map(|line| (args[0].to_owned(), line.to_owned())));
    }
    assert_eq!(lines.len(), 6, "{lines:?}");
    lines
}

/// The schema with every object closed, so that a field that it does not know is an error.
fn strict(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut object: serde_json::Map<String, Value> =
                object.iter().map(|(key, value)| (key.clone(), strict(value))).collect();
            if object.get("properties").is_some_and(Value::is_object) && object.contains_key("required") {
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            Value::Object(object)
        }
        Value::Array(array) => array.iter().map(strict).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_file_is_the_schema_of_the_types() {
    let schema = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write("docs/output.schema.json", &schema).unwrap();
    }
    let file = std::fs::read_to_string("docs/output.schema.json").unwrap();
    assert!(file == schema, "docs/output.schema.json is old: run the test with UPDATE=1");
}

#[test]
fn the_file_of_packages_is_the_schema_of_their_types() {
    let schema = format!("{}\n", serde_json::to_string_pretty(&nixmon::packages::schema()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write("docs/packages.schema.json", &schema).unwrap();
    }
    let file = std::fs::read_to_string("docs/packages.schema.json").unwrap();
    assert!(file == schema, "docs/packages.schema.json is old: run the test with UPDATE=1");
}

#[test]
fn every_line_is_read_and_written_again_as_it_was() {
    let mut lines = texts();
    lines.extend(lines_of_runs());
    for (case, text) in lines {
        let line = wire::Line::read(&text).unwrap_or_else(|error| panic!("{case}: {text}: {error}"));
        let mut again = Vec::new();
        match line {
            wire::Line::Unknown(status) => {
                json_line(&serde_json::from_value::<StatusRecord>(status).unwrap(), &mut again);
            }
            line => json_line(&line, &mut again),
        }
        assert_eq!(String::from_utf8(again).unwrap(), format!("{text}\n"), "{case}");
    }
}

#[test]
fn every_line_is_valid() {
    let schema = schema();
    let (open, strict) =
        (jsonschema::validator_for(&schema).unwrap(), jsonschema::validator_for(&strict(&schema)).unwrap());
    let mut lines = lines();
    lines.extend(read(lines_of_runs()));
    assert!(lines.len() > 1000, "{}", lines.len());
    for (case, line) in lines {
        for validator in [&open, &strict] {
            if let Err(error) = validator.validate(&line) {
                panic!("{case}: {line}: {error}");
            }
        }
        // Readers of the same schema must survive the next version.
        let mut later = line.clone();
        later["a field to come"] = Value::Bool(true);
        assert!(open.is_valid(&later) && !strict.is_valid(&later), "{case}: {later}");
    }
}

#[test]
fn wrong_lines_are_not_valid() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for line in [
        r#"{"type":"phase","phase":"building","schema":1,"at_ms":1.5}"#,
        r#"{"type":"phase","phase":"resting","schema":1,"at_ms":1}"#,
        r#"{"type":"phase","phase":"building","schema":2,"at_ms":1}"#,
        r#"{"type":"phases","phase":"building","schema":1,"at_ms":1}"#,
        r#"{"type":"retracted","schema":1,"at_ms":1}"#,
        r#"{"type":"line","schema":1,"run":0,"cursor":1,"text":""}"#,
    ] {
        assert!(!schema.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
    }
}

#[test]
fn every_type_of_the_schema_is_written_and_described() {
    let schema = schema();
    let described: BTreeSet<&str> = schema["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["properties"]["type"]["const"].as_str().unwrap())
        .collect();
    let mut lines = lines();
    lines.extend(read(lines_of_runs()));
    let written: BTreeSet<&str> = lines.iter().map(|(_, line)| line["type"].as_str().unwrap()).collect();
    assert_eq!(written, described);
}

#[test]
fn the_last_line_is_the_summary_and_no_other() {
    let mut lines = lines().into_iter().peekable();
    while let Some((case, line)) = lines.next() {
        let is_last = lines.peek().is_none_or(|(next, _)| *next != case);
        assert_eq!(line["type"] == "summary", is_last, "{case}: {line}");
    }
}
