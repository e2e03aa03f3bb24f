//! The documented schema of an export is the one of the types.

#![expect(clippy::disallowed_methods, reason = "it reads and writes the document")]

use nixmon_history::record::{Line, schema};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/history.schema.json");

/// Run with `UPDATE_SCHEMA=1` to write the document again.
#[test]
fn the_document_is_made_from_the_types() {
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(PATH, &made).unwrap();
    }
    let kept = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(kept == made, "docs/history.schema.json is out of date: run this test with UPDATE_SCHEMA=1");
}

#[test]
fn lines_written_elsewhere_are_read() {
    let cases = [
        r#"{"type":"nixmon-history","schema":1}"#,
        r#"{"type":"run","id":"h00","target":"s01","host":"here","system":"x86_64-linux","max_jobs":1,"cores":8,"started":"2026-01-04T12:00:00Z","elapsed_ms":1000,"outcome":"failure"}"#,
        r#"{"type":"run","id":"past","target":"fluffos","host":null,"system":"x86_64-linux","max_jobs":2,"cores":2,"started":"2026-11-20T10:00:00Z","elapsed_ms":1,"outcome":"success"}"#,
        r#"{"type":"build","run":"h00","drv":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a-1.0.drv","name":"a-1.0","system":"x86_64-linux","machine":null,"started_ms":0,"elapsed_ms":700,"outcome":"failed"}"#,
        r#"{"type":"unit","run":"past","package":"core","file":"src/a.cc","started_ms":3,"elapsed_ms":4,"outcome":"built"}"#,
    ];
    for case in cases {
        let line: Line = serde_json::from_str(case).unwrap();
        let again: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        assert_eq!(line, again, "{case}");
    }
}
