//! A few small cases from beginning to end, as a person reads them: the condensed lines with their report, and the JSON
//! lines. What they say is held against the truth by `tests/it/conformance.rs`; here it is how they say it.
//!
//! After a change that is meant, look at the differences with `cargo insta review`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::time::Duration;

use crate::common::corpus::{self, Case};
use crate::common::play::{self, json_output};
use nixmon::settings::Output;
use nixmon_core::render::failure_in_short;
use nixmon_core::view::Evidence;
use nixmon_runs::Recording;
use serde_json::{Map, Value};

/// A recording of a log in the program's own format, in which a line comes every so many milliseconds.
///
/// Real times are in no capture, and most of these builds are too short for signs of life.
fn recording(case: &Case, millis: usize) -> Recording {
    let mut text = b"nixmon-recording 1\n".to_vec();
    for (i, line) in case.log.split_inclusive(|byte| *byte == b'\n').enumerate() {
        text.extend_from_slice(format!("{} ", i * millis).as_bytes());
        text.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        text.push(b'\n');
    }
    text.extend_from_slice(format!("0!{{\"exit_status\":{}}}\n", case.exit_status()).as_bytes());
    let mut recording = Recording::parse(text).unwrap();
    assert!(recording.timed);
    let end = recording.steps.len() - 1;
    recording.steps[end].0 = recording.steps[end - 1].0;
    recording
}

#[test]
fn condensed_lines() {
    for case in corpus::plain() {
        let (lines, code) = play::play(&recording(&case, 200), &Output::default(), None);
        insta::with_settings!({ description => case.truth["outcome"].as_str().unwrap(), omit_expression => true }, {
            insta::assert_snapshot!(format!("{}.lines", case.name), format!("{lines}exit status {code}\n"));
        });
    }
}

/// The case whose JSON lines are a snapshot as they are written, so that names, order and empty fields are seen once.
const WHOLE: &str = "keep-going";

/// JSON lines without empty fields, so that a new field changes only the snapshots in which it says something.
fn without_empty_fields(lines: &str) -> String {
    fn drop_empty(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(drop_empty);
                let is_empty = |value: &Value| {
                    value.is_null()
                        || value.as_array().is_some_and(Vec::is_empty)
                        || value.as_object().is_some_and(Map::is_empty)
                };
                fields.retain(|_, value| !is_empty(value));
            }
            Value::Array(items) => items.iter_mut().for_each(drop_empty),
            _ => {}
        }
    }
    let mut out = String::new();
    for line in lines.lines() {
        let mut value = serde_json::from_str(line).unwrap();
        drop_empty(&mut value);
        writeln!(out, "{value}").unwrap();
    }
    out
}

#[test]
fn json_lines() {
    for case in corpus::plain() {
        let (lines, _) = play::play(&recording(&case, 200), &json_output(), None);
        let lines = if case.name == WHOLE { lines } else { without_empty_fields(&lines) };
        insta::with_settings!({ description => case.truth["outcome"].as_str().unwrap(), omit_expression => true }, {
            insta::assert_snapshot!(format!("{}.json", case.name), lines);
        });
    }
}

/// The words of `status` for the first root cause, for each kind of failure of one version.
#[test]
fn root_causes_in_short() {
    let mut told = String::new();
    for case in corpus::archive_of(|name| name.starts_with("nix-2.34.8/") && !name.ends_with("-v")) {
        let (mut pipeline, _) = play::pipeline(&json_output());
        pipeline.feed(&case.log, Duration::ZERO);
        pipeline.end(Some(case.exit_status()), Duration::ZERO, |_| Evidence::default());
        if let Some((_, failure)) = pipeline.state().failures().next() {
            let name = failure.name.as_deref().unwrap_or("-");
            writeln!(told, "{}: {name} {}", case.scenario(), failure_in_short(failure)).unwrap();
        }
    }
    insta::assert_snapshot!(told);
}
