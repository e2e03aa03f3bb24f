//! Frames of the live view of real captures, at several moments and sizes.
//!
//! Frames are a function of the state, the moment and the size. Captures without times get ten records a second.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nixmon_core::activation::ActivationChange;
use nixmon_core::pipeline::Step;
use nixmon_core::render::{BegunStep, Memory, Style, Thresholds, Viewport, frame};
use nixmon_core::state::{Change, Effects, Input, Moment, State};
use nixmon_core::text::Symbols;
use nixmon_core::view::View;
use nixmon_log::input::{Reader, Source};
use nixmon_runs::Recording;

/// Columns and rows of what is in the snapshots.
const SHOWN: [(usize, usize); 5] = [(20, 5), (40, 24), (80, 24), (120, 60), (200, 60)];
/// All that is held against the size.
const COLUMNS: [usize; 8] = [0, 1, 2, 20, 40, 80, 120, 500];
const ROWS: [usize; 7] = [0, 1, 2, 5, 24, 60, 200];
/// Moments of the frames, in percent of the capture's steps.
const MOMENTS: [usize; 3] = [30, 60, 90];

/// The parts that make a frame.
struct Run {
    reader: Reader,
    state: State,
    effects: Effects,
    steps: Vec<BegunStep>,
}

impl Run {
    fn step(&mut self, step: &Step, at: Moment) {
        let Self { reader, state, effects, steps } = self;
        match step {
            Step::Bytes(_, bytes) => {
                reader.feed(bytes, |event| state.apply(Input::Event(event), at, effects))
            }
            Step::Derivation(facts) => state.apply(Input::Derivation(facts), at, effects),
            Step::Inside { .. }
            | Step::ExitStatus(_)
            | Step::SeveralStreams
            | Step::Closed(_)
            | Step::Machine(_)
            | Step::Unknown => {}
        }
        state.apply(Input::Tick, at, effects);
        for change in effects.changes.drain(..) {
            match change {
                Change::Activation(ActivationChange::Began { .. }) => steps.clear(),
                Change::Activation(ActivationChange::Step { name, .. }) => steps.push(BegunStep { name, at }),
                _ => {}
            }
        }
    }

    fn frame(&self, columns: usize, rows: usize, style: &Style) -> Vec<nixmon_core::text::Line> {
        let now = self.state.now() + Duration::from_millis(1500);
        let view = View::new(&self.state, now);
        frame(&view, &self.steps, &mut Memory::default(), Viewport { columns, rows }, style)
    }
}

/// Steps with times: those of the recording, or a tenth of a second for each line.
fn steps(path: &Path) -> Vec<(Moment, Step)> {
    let recording = Recording::parse(std::fs::read(path).unwrap()).unwrap();
    if recording.timed {
        return recording.steps;
    }
    let mut bytes = Vec::new();
    for (_, step) in &recording.steps {
        if let Step::Bytes(_, piece) = step {
            bytes.extend_from_slice(piece);
        }
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    (0..)
        .map(|n| Duration::from_millis(100 * n))
        .zip(lines.map(|line| Step::Bytes(Source::Main, line.to_vec())))
        .collect()
}

/// All frames of one capture, and their sizes held against the terminal's.
fn frames(path: &Path) -> String {
    let steps = steps(path);
    let styles = [
        Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() },
        Style { symbols: Symbols::ascii(), ascii: true, thresholds: Thresholds::default() },
    ];
    let mut run = Run {
        reader: Reader::default(),
        state: State::new(),
        effects: Effects::default(),
        steps: Vec::new(),
    };
    let mut text = String::new();
    let mut done = 0;
    for moment in MOMENTS {
        let until = steps.len() * moment / 100;
        for (at, step) in &steps[done..until] {
            run.step(step, *at);
        }
        done = until;
        writeln!(text, "at {moment} %").unwrap();
        for (columns, rows) in SHOWN {
            writeln!(text, "{columns}x{rows}").unwrap();
            for line in run.frame(columns, rows, &styles[0]) {
                writeln!(text, "|{}", line.plain().trim_end()).unwrap();
            }
        }
        for style in &styles {
            for columns in COLUMNS {
                for rows in ROWS {
                    let lines = run.frame(columns, rows, style);
                    assert!(lines.len() <= rows, "{path:?} {columns}x{rows}: {} rows", lines.len());
                    for line in lines {
                        assert!(line.width() <= columns, "{path:?} {columns}x{rows}: {:?}", line.plain());
                        assert!(!style.ascii || line.plain().is_ascii(), "{:?}", line.plain());
                    }
                }
            }
        }
    }
    text
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

macro_rules! captures {
    ($($name:ident: $path:literal,)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), frames(&fixture($path)));
        }
    )*};
}

captures! {
    demo_default: "live/demo-default.nixrec.zst",
    demo_broken: "live/demo-broken.nixrec.zst",
    wide: "live/wide.jsonl.zst",
    substitute: "live/substitute.jsonl.zst",
    keep_going: "live/keep-going.jsonl.zst",
    remote: "live/remote.jsonl.zst",
    daemon: "live/daemon.jsonl.zst",
    ifd: "live/ifd.jsonl.zst",
    spoof: "live/spoof.jsonl.zst",
    home: "live/home.jsonl.zst",
    nix_build_text: "live/nix-build-text.txt.zst",
    colmena: "activation/colmena-failed-units/log.txt",
    darwin: "activation/darwin-rebuild-success/log.txt",
    home_manager_chinese: "activation/home-manager-chinese/log.txt",
    nixos_switch: "activation/nixos-rebuild-failed-units/log.txt",
}
