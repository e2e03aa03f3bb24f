//! The end of a run as it is foreseen: in condensed lines, in snapshots, and nowhere if nothing is known.

use std::time::Duration;

use crate::common::play;
use nixmon::settings::{Form, Output};
use nixmon_core::state::{Eta, Expected, Forecast};
use nixmon_core::view::Evidence;
use serde_json::{Value, json};

const LOG: &str = r#"@nix {"action":"msg","level":3,"msg":"these 2 derivations will be built:"}
@nix {"action":"msg","level":3,"msg":"  /nix/store/00000000000000000000000000000000-lib-1.0.drv"}
@nix {"action":"msg","level":3,"msg":"  /nix/store/11111111111111111111111111111111-app-2.1.drv"}
@nix {"action":"start","id":1,"level":3,"text":"building","type":105,"fields":["/nix/store/00000000000000000000000000000000-lib-1.0.drv","",1,1]}
@nix {"action":"result","id":1,"type":104,"fields":["buildPhase"]}
"#;

fn eta(unknown: u32) -> Option<Eta> {
    let minutes = |n: u64| n * 60_000;
    Some(Eta {
        remaining_ms: minutes(12),
        low_ms: minutes(8),
        high_ms: minutes(19),
        coverage: 0.8,
        known: 33,
        unknown,
        finish_at: Some(1_700_000_000_000),
        other_jobs: false,
    })
}

/// Returns what is written until two minutes after the log if this is foreseen after one, for builds that take this long.
fn written(output: &Output, eta: Option<Eta>, expected: Option<u64>) -> String {
    let (mut pipeline, written) = play::pipeline(output);
    pipeline.feed(LOG.as_bytes(), Duration::ZERO);
    // The phase is shown once it has lasted.
    pipeline.tick(Duration::from_secs(1));
    let at = Duration::from_secs(60);
    let ids: Vec<_> = pipeline.state().derivations().iter().map(|(id, _)| id).collect();
    let total =
        |seconds| Expected { total: Duration::from_secs(seconds), high: Duration::from_secs(seconds) };
    pipeline.forecast(Forecast {
        at,
        eta,
        expected: expected.map(|seconds| (ids[0], total(seconds))).into_iter().collect(),
        waits_for: ids.clone(),
        beside: Vec::new(),
    });
    pipeline.tick(at);
    pipeline.tick(Duration::from_secs(120));
    pipeline.end(Some(0), Duration::from_secs(120), |_| Evidence::default());
    written.text()
}

#[test]
fn condensed_lines_tell_the_time_left() {
    let check = |eta, expected, parts: &[&str], absent: &[&str]| {
        let text = written(&Output::default(), eta, expected);
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        for part in absent {
            assert!(!text.contains(part), "{part:?} is in:\n{text}");
        }
    };
    let seen = ["~12m left (8–19m)", "~11m left (7–18m)"];
    check(eta(0), Some(110), &seen, &["never seen"]);
    check(eta(0), Some(110), &["lib-1.0 buildPhase 1m of ~1m50s", "2m of ~1m50s"], &["usually"]);
    check(eta(0), Some(60), &["lib-1.0 buildPhase 2m, usually ~1m"], &[]);
    check(eta(7), None, &["7 of 40 never seen", "lib-1.0 buildPhase 1m00s"], &["of ~"]);
    let other = |eta: Option<Eta>| eta.map(|eta| Eta { other_jobs: true, ..eta });
    check(other(eta(0)), None, &["~12m left (8–19m, from runs with another -j)"], &[]);
    check(None, None, &["lib-1.0 buildPhase 1m00s"], &["left", "never seen", "~"]);
}

#[test]
fn snapshots_have_the_estimate_or_null() {
    let output = Output { snapshots: Some(Duration::from_secs(60)), ..play::json_output() };
    let snapshots = |eta, expected| -> Vec<Value> {
        let rows = written(&output, eta, expected);
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter(|row| row["type"] == "snapshot").collect()
    };
    let known = snapshots(eta(7), Some(110));
    // The last one is of the end.
    assert_eq!(known.len(), 3);
    assert_eq!((&known[2]["phase"], &known[2]["eta"]), (&json!("done"), &Value::Null));
    assert_eq!(
        known[1]["eta"],
        json!({
            "remaining_ms": 660_000, "low_ms": 420_000, "high_ms": 1_080_000, "finish_at": 1_700_000_000_000_u64,
            "coverage": 0.8, "known": 33, "unknown": 7, "other_jobs": false,
        })
    );
    assert_eq!(known[1]["running"][0]["expected_ms"], 110_000);
    assert_eq!(known[1]["waits_for"], json!(["lib-1.0", "app-2.1"]));
    let unknown = snapshots(None, None);
    assert_eq!(unknown[1]["eta"], Value::Null);
    assert_eq!(unknown[1]["running"][0]["expected_ms"], Value::Null);
    assert_eq!(Output::default().form, Form::Lines);
}
