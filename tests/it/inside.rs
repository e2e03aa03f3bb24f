//! Real builds that are not Nix, from the recordings of `nixmon-progress`: what is told while they run, and why they failed.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures, and fails by panicking"
)]

use std::time::Duration;

use crate::common::play::{self, json_output};
use nixmon::settings::Output;
use nixmon_core::pipeline::Step;
use nixmon_core::render::{self, Memory, Style, Viewport};
use nixmon_core::state::{Effects, Input, State};
use nixmon_core::view::View;
use nixmon_log::input::Reader;
use nixmon_progress::Hints;
use nixmon_progress::packages::{Disk, Project};
use nixmon_runs::Recording;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/nixmon-progress/tests/fixtures");

fn recording(name: &str) -> Recording {
    Recording::parse(std::fs::read(format!("{FIXTURES}/{name}.nixrec")).unwrap()).unwrap()
}

/// The report of a failed build has the cause in its first three lines, and the JSON its parts.
#[test]
fn the_cause_is_in_the_first_three_lines() {
    let check = |name: &str, expected: &str, kind: &str, of: Value| {
        let (lines, code) = play::play(&recording(name), &Output::default(), None);
        assert_ne!(code, 0, "{name}");
        let report: Vec<&str> = lines.lines().skip_while(|line| !line.contains('✗')).take(3).collect();
        assert!(report.iter().any(|line| line.contains(expected)), "{name}: {expected:?} is not in\n{lines}");
        let (json, _) = play::play(&recording(name), &json_output(), None);
        let summary: Value = serde_json::from_str(json.lines().next_back().unwrap()).unwrap();
        let failure = &summary["failures"][0];
        assert_eq!(failure["kind"], kind, "{name}");
        for (key, value) in of.as_object().unwrap() {
            assert_eq!(failure[key], *value, "{name} {key}");
        }
    };
    let place =
        |file: &str, line: u64, column: Option<u64>| json!({"file": file, "line": line, "column": column});
    check("gcc-fail", "a.c:2:31: ‘undefined_name’ undeclared", "compile-error", json!({"target": "a"}));
    check(
        "clang-fail",
        "a.c:2:31: use of undeclared identifier",
        "compile-error",
        json!({"location": place("a.c", 2, Some(31))}),
    );
    check("lld-fail", "undefined symbol: missing", "link-error", json!({"location": null}));
    check("rustc-fail", "r.rs:1:25: mismatched types", "compile-error", json!({}));
    check(
        "cargo-fail",
        "alpha/src/lib.rs:3:18: cannot find value",
        "compile-error",
        json!({"package": "alpha"}),
    );
    check("ghc-fail", "Main.hs:8:15: Variable not in scope", "compile-error", json!({}));
    check(
        "go-fail",
        "p1/a.go:2:11: undefined: undefinedThing",
        "compile-error",
        json!({"package": "demo/p1"}),
    );
    check(
        "javac-fail",
        "A.java:1: incompatible types",
        "compile-error",
        json!({"location": place("A.java", 1, None)}),
    );
    check("tsc-fail", "src/t.ts:1:7: TS2322", "compile-error", json!({}));
    check("python-fail", "/build/c/e.py:1: SyntaxError", "compile-error", json!({}));
    check(
        "python-fail2",
        "/build/c/g.py:1: ModuleNotFoundError",
        "unknown",
        json!({"location": place("/build/c/g.py", 1, None)}),
    );
    check("cargo-test-fail", "tests failed (cargo test)", "test-failure", json!({}));
}

/// The lines about good builds, with a project's files and without.
#[test]
fn condensed_lines_of_builds() {
    let output = Output { every: Duration::from_secs(60), ..Output::default() };
    for name in ["make-tree", "autotools-hello", "meson-dav1d", "gcc-fail", "cargo-fail"] {
        let (lines, code) = play::play(&recording(name), &output, None);
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(name, format!("{lines}exit status {code}\n"));
        });
    }
}

/// A build directory of which only the file API's reply is kept.
fn fluffos() -> (tempfile::TempDir, Project) {
    let dir = tempfile::tempdir().unwrap();
    let reply = dir.path().join(".cmake/api/v1/reply");
    std::fs::create_dir_all(&reply).unwrap();
    let files: Value =
        serde_json::from_slice(&std::fs::read(format!("{FIXTURES}/fluffos/file-api.json")).unwrap()).unwrap();
    for (name, content) in files.as_object().unwrap() {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        std::fs::write(reply.join(name.rsplit('/').next().unwrap()), text).unwrap();
    }
    let project = Project::read(&Disk::new(dir.path())).unwrap();
    (dir, project)
}

/// A recording keeps what is known of a project, and a replay shows the same percent and packages.
#[test]
fn a_recording_keeps_the_project() {
    let mut recording = recording("fluffos/make");
    let (_dir, project) = fluffos();
    let hints = Hints { project: Some(project), jobs: Some(2), ..Hints::default() };
    recording.steps.insert(0, (Duration::ZERO, Step::Inside { derivation: None, hints: hints.to_json() }));
    let output = Output { snapshots: Some(Duration::from_secs(10)), ..json_output() };
    let (json, code) = play::play(&recording, &output, None);
    assert_eq!(code, 0);
    let rows: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let snapshots: Vec<&Value> = rows.iter().filter(|row| row["type"] == "snapshot").collect();
    let end = snapshots.last().unwrap()["at_ms"].as_f64().unwrap();
    let (mut last, mut distance, mut n) = (0.0, 0.0, 0);
    for snapshot in &snapshots {
        let Some(percent) = snapshot["work"][0]["percent"].as_f64() else { continue };
        assert!(percent >= last, "{last} then {percent}");
        last = percent;
        distance += (percent - 100.0 * snapshot["at_ms"].as_f64().unwrap() / end).abs();
        n += 1;
    }
    assert!(n * 10 > snapshots.len() * 9, "{n} of {}", snapshots.len());
    let mean = distance / f64::from(u32::try_from(n).unwrap());
    assert!(mean < 10.0, "mean distance {mean}");
    let packages = snapshots.last().unwrap()["packages"].as_array().unwrap();
    let of = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();
    assert_eq!(
        (&of("package_sockets")["status"], &of("package_sockets")["done"]),
        (&json!("built"), &of("package_sockets")["total"])
    );
    // Only a fresh look at the clock would differ: the summary has the same.
    let summary = rows.last().unwrap();
    assert_eq!(summary["packages"].as_array().unwrap().len(), packages.len());
    assert_eq!(summary["work"][0]["percent"], 100.0);
}

/// The tree and the condensed line about a build that ninja does, at several widths.
#[test]
fn a_build_with_a_percent_has_a_bar_where_there_is_room() {
    let path = format!("/nix/store/{}-firefox-130.0.drv", "f".repeat(32));
    let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
    let mut feed = |state: &mut State, record: &Value, at: u64| {
        reader.feed(format!("@nix {record}\n").as_bytes(), |event| {
            state.apply(Input::Event(event), Duration::from_secs(at), &mut effects);
        });
    };
    feed(
        &mut state,
        &json!({"action": "start", "id": 1, "level": 3, "parent": 0, "text": "", "type": 105, "fields": [path, "", 1, 1]}),
        0,
    );
    feed(&mut state, &json!({"action": "result", "id": 1, "type": 104, "fields": ["buildPhase"]}), 1);
    for n in 1..=2310 {
        let line = format!("[{n}/3790] Building CXX object dom/base/CMakeFiles/dom.dir/Document{n}.cpp.o");
        feed(&mut state, &json!({"action": "result", "id": 1, "type": 101, "fields": [line]}), n / 2);
    }
    let now = Duration::from_secs(1156);
    state.apply(Input::Tick, now, &mut effects);
    let (view, style) = (View::new(&state, now), Style::default());
    let mut text = format!("{}\n", render::heartbeat(&view, false, &style).plain());
    for columns in [30, 50, 80, 120] {
        let viewport = Viewport { columns, rows: 24 };
        let frame = render::frame(&view, &[], &mut Memory::default(), viewport, &style);
        text.push_str(&format!("{columns}\n"));
        frame.iter().for_each(|line| text.push_str(&format!("|{}\n", line.plain())));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("frames", text) });
}
