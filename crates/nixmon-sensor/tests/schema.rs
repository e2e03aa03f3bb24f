//! `docs/events.schema.json` is the schema of the records, and they are read as they are written.

#![expect(clippy::disallowed_methods, reason = "a test reads and writes files")]

use std::path::Path;

use nixmon_sensor::model::event::{Entry, Record, schema};
use serde_json::{Value, json};

/// `UPDATE=1 cargo test -p nixmon-sensor --test schema` writes the file anew.
#[test]
fn the_file_is_the_schema_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.schema.json");
    let current = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), current);
}

#[test]
fn records_have_a_round_trip() {
    let build = json!({
        "id": "7-1", "program": "make", "command": "make -j8", "label": "make", "directory": "/src", "user": 1000,
        "pid": 7, "result": "fail", "exit_status": 2, "started_ms": 1, "ended_ms": 2, "elapsed_ms": 1, "cpu_ms": 1,
        "peak_bytes": 1, "processes": 3, "backend": "connector", "lossy": true, "count": 2, "quiet": true,
        "suspended_ms": 4,
    });
    let with = |kind: &str, fields: &Value| {
        let mut record = fields.clone();
        record["type"] = kind.into();
        record["cursor"] = 5.into();
        record
    };
    let loss = json!({"at_ms": 1, "overruns": 2, "missed": 3});
    for record in [with("build.started", &build), with("build.completed", &build), with("sensor.loss", &loss)]
    {
        let entry: Entry = serde_json::from_value(record.clone()).unwrap();
        assert_eq!(serde_json::to_value(entry).unwrap(), record);
    }
    // A newer sensor may say more.
    let newer = r#"{"type":"sensor.loss","at_ms":1,"overruns":0,"missed":0,"new":1}"#;
    assert!(serde_json::from_str::<Record>(newer).is_ok());
}
