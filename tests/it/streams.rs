//! Commands whose stderr, stdout and connections (`json-log-path`) were recorded: each event counts once, and nothing
//! is lost.

#![expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::play;
use nixmon::cli::PassthroughArg;
use nixmon::settings::Output;
use nixmon_core::pipeline::{Pipeline, Step};
use nixmon_core::view::Evidence;
use nixmon_log::input::Source;
use nixmon_runs::Recording;
use serde_json::Value;

/// A recording, what really happened (built, failed) and what a filter ends with, and whether one Nix process said
/// all of it.
type Case = (&'static str, u64, u64, i32, bool);

const CASES: [Case; 22] = [
    ("carriage-returns.nixrec", 1, 0, 0, true),
    ("eval-json.nixrec", 0, 0, 0, false),
    ("failure-logs.nixrec", 0, 1, 1, true),
    ("failure-v.nixrec", 1, 1, 1, true),
    ("fetch-failure.nixrec", 0, 0, 1, true),
    ("flake-check.nixrec", 1, 1, 1, true),
    ("hash-mismatch.nixrec", 0, 1, 1, true),
    ("interrupted.nixrec", 0, 0, 130, true),
    ("keep-going.nixrec.zst", 5, 4, 1, true),
    ("late-pipe.nixrec.zst", 12, 0, 0, true),
    ("make.nixrec", 12, 1, 1, false),
    ("old-command-records.nixrec", 3, 1, 0, false),
    ("post-build-hook.nixrec", 1, 0, 0, true),
    ("print-out-paths.nixrec", 1, 0, 0, false),
    ("records-twice.nixrec", 1, 0, 0, true),
    ("same-line.nixrec.zst", 1, 0, 0, true),
    ("script.nixrec", 1, 2, 0, false),
    ("success-logs.nixrec.zst", 12, 0, 0, true),
    ("throw.nixrec", 0, 0, 1, true),
    ("trace.nixrec", 1, 0, 0, true),
    ("two-at-once.nixrec.zst", 9, 0, 0, false),
    ("warning.nixrec", 1, 0, 0, true),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams")
}

fn recording(name: &str) -> Recording {
    Recording::parse(std::fs::read(fixtures().join(name)).unwrap()).unwrap()
}

/// The records of the connections.
fn records(recording: &Recording) -> Vec<u8> {
    let records = records_alone(recording).steps.into_iter().filter_map(|(_, step)| match step {
        Step::Bytes(_, bytes) => Some(bytes),
        _ => None,
    });
    records.flatten().collect()
}

/// The connections' records as a filter would read them, with their times.
fn records_alone(recording: &Recording) -> Recording {
    let steps = recording.steps.iter().filter_map(|(at, step)| match step {
        Step::Bytes(Source::Log(_), bytes) => Some((*at, Step::Bytes(Source::Main, bytes.clone()))),
        Step::ExitStatus(status) => Some((*at, Step::ExitStatus(*status))),
        _ => None,
    });
    Recording { steps: steps.collect(), timed: true }
}

/// What is said in JSON, without what was read.
fn said(recording: &Recording) -> Vec<Value> {
    let (out, _) = play::play(recording, &play::json_output(), None);
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.last_mut().unwrap().as_object_mut().unwrap().remove("input");
    lines
}

#[test]
fn every_fixture_is_a_case() {
    let mut files: Vec<String> = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, CASES.map(|(name, ..)| name));
}

#[test]
fn each_event_counts_once() {
    for (name, built, failed, status, is_alone) in CASES {
        let recording = recording(name);
        let summary = said(&recording).pop().unwrap();
        let counts = &summary["counts"];
        assert_eq!([&counts["built"], &counts["failed"]], [built, failed], "{name}: {summary:#}");
        assert_eq!(summary["exit_code"], status, "{name}");
        if is_alone {
            let (alone, _) = play::summary(&records(&recording), Some(status));
            assert_eq!(alone["counts"], *counts, "{name}");
        }
    }
}

/// What a process says on its connection is all there is to say: its text adds nothing.
#[test]
fn text_adds_nothing_to_the_records() {
    for (name, .., is_alone) in CASES {
        if is_alone {
            let recording = recording(name);
            assert_eq!(said(&recording), said(&records_alone(&recording)), "{name}");
        }
    }
}

#[test]
fn lines() {
    for (name, ..) in CASES {
        let output = Output { passthrough: PassthroughArg::All, ..Output::default() };
        let (out, code) = play::play(&recording(name), &output, None);
        let name = name.split('.').next().unwrap();
        insta::assert_snapshot!(name, format!("{out}exit status {code}\n"));
    }
}

/// Bytes may be cut anywhere, whatever stream they come on.
#[test]
fn chunks_do_not_matter() {
    for (name, ..) in CASES {
        let whole = recording(name);
        let steps = whole.steps.iter().flat_map(|(at, step)| match step {
            Step::Bytes(source, bytes) => {
                bytes.chunks(7).map(|piece| (*at, Step::Bytes(*source, piece.to_vec()))).collect()
            }
            step => vec![(*at, step.clone())],
        });
        let cut = Recording { steps: steps.collect(), timed: true };
        assert_eq!(said(&cut), said(&whole), "{name}");
    }
}

/// Text may be read before its record and after it, and a pipe may keep it to the end.
#[test]
fn nothing_is_told_twice_whoever_comes_first() {
    for (name, ..) in CASES.into_iter().filter(|(.., is_alone)| *is_alone) {
        let whole = recording(name);
        let expected = &said(&whole).pop().unwrap()["counts"];
        for (earlier, later) in [(45, 0), (0, 45), (0, 3000)] {
            let mut steps = whole.steps.clone();
            for (at, step) in &mut steps {
                if matches!(step, Step::Bytes(Source::Main | Source::Stdout, _)) {
                    *at = at.saturating_sub(Duration::from_millis(earlier)) + Duration::from_millis(later);
                }
            }
            steps.sort_by_key(|(at, _)| *at);
            let (out, _) = play::play(&Recording { steps, timed: true }, &play::json_output(), None);
            let summary: Value = serde_json::from_str(out.lines().next_back().unwrap()).unwrap();
            assert_eq!(summary["counts"], *expected, "{name}, {earlier} earlier, {later} later");
            assert_eq!(summary["input"]["text_lines"], 0, "{name}, {earlier} earlier, {later} later");
        }
    }
}

/// A record that is much too late tells all the same how the build ended.
#[test]
fn a_late_record_takes_over_from_its_text() {
    let drv = "/nix/store/r8y95xadk9qzggyyfjq0xf5z88knam70-hello-2.12.1.drv";
    let id = 7_u64 << 32;
    let start = format!(
        r#"{{"action":"start","id":{id},"level":3,"parent":0,"text":"building '{drv}'","type":105,"fields":["{drv}","",1,1]}}"#
    );
    let stop = format!(r#"{{"action":"stop","id":{id}}}"#);
    let steps = [
        (0, Step::SeveralStreams),
        (0, Step::Bytes(Source::Main, format!("building '{drv}'...\n").into_bytes())),
        (400, Step::Bytes(Source::Log(1), format!("{start}\n{stop}\n").into_bytes())),
        (500, Step::ExitStatus(0)),
    ];
    let steps = steps.map(|(at, step)| (Duration::from_millis(at), step)).to_vec();
    let recording = Recording { steps, timed: true };
    assert_eq!(said(&recording).pop().unwrap()["counts"]["built"], 1);
    let (out, _) = play::play(&recording, &Output::default(), None);
    assert_eq!(out, "[0s] Building…\n[0s] ✓ Complete: 1 built in 0s\n");
}

/// What becomes of stdout is for the caller to say.
#[test]
fn stdout_is_told_passed_or_a_result() {
    let told = |say: fn(&mut Pipeline)| {
        let (mut pipeline, written) = play::pipeline(&Output::default());
        pipeline.expect_logs();
        say(&mut pipeline);
        let at = Duration::from_millis;
        pipeline.feed_from(Source::Main, b"on stderr\n", at(0));
        pipeline.feed_from(
            Source::Stdout,
            b"@nix {}\n  error: of a \x1b[1mresult\x1b[0m\nwithout end",
            at(1),
        );
        pipeline.close_source(Source::Stdout, at(2));
        while let Some(due) = pipeline.next_release() {
            pipeline.release(due);
        }
        pipeline.end(Some(0), at(1000), |_| Evidence::default());
        written.text()
    };
    let end = "[1s] ✓ Complete in 1s\n";
    assert_eq!(
        told(|pipeline| pipeline.stdout_is_result(true)),
        format!("@nix {{}}\n  error: of a result\nwithout end\non stderr\n{end}")
    );
    let passed = told(|pipeline| pipeline.pass_stdout(true));
    assert!(!passed.contains("result") && !passed.contains("without end"), "{passed}");
    assert!(passed.starts_with("on stderr\n"), "{passed}");
    let told = told(Pipeline::expect_logs);
    assert!(told.starts_with("on stderr\n") && told.contains("without end"), "{told}");
}
