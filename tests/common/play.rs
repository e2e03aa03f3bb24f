//! Recordings and logs through the whole pipeline, with times as the loops of the program give them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use nixmon::input::Source;
use nixmon::run::{Pipeline, Recording, Step};
use nixmon::settings::{Form, Output};
use nixmon::view::Evidence;
use serde_json::Value;

/// Time is told to the pipeline as often as the program does it.
const TICK: Duration = Duration::from_millis(250);

/// What the program would print, and what it would end with.
pub(crate) fn play(recording: &Recording, output: &Output, exit_status: Option<i32>) -> (String, i32) {
    let mut pipeline = Pipeline::to_writer(Vec::new(), output);
    let (mut ticked, mut now, mut recorded_status) = (Duration::ZERO, Duration::ZERO, None);
    for (at, step) in &recording.steps {
        now = *at;
        loop {
            let tick = ticked + TICK;
            if let Some(due) = pipeline.next_release().filter(|due| *due <= now.min(tick)) {
                pipeline.release(due);
            } else if tick <= now {
                ticked = tick;
                pipeline.tick(tick);
            } else {
                break;
            }
        }
        match step {
            Step::SeveralStreams => pipeline.expect_logs(),
            Step::Bytes(source, bytes) => pipeline.feed_from(*source, bytes, now),
            Step::Closed(source) => pipeline.close_source(*source, now),
            Step::Derivation(facts) => pipeline.derivation(facts, now),
            Step::ExitStatus(status) => recorded_status = Some(*status),
        }
        drop(pipeline.requests());
    }
    let code = pipeline.end(exit_status.or(recorded_status), now, |_| Evidence::default());
    (String::from_utf8(pipeline.into_writer().unwrap()).unwrap(), code)
}

/// A log in which no time passes.
pub(crate) fn untimed(log: &[u8]) -> Recording {
    Recording { steps: vec![(Duration::ZERO, Step::Bytes(Source::Main, log.to_vec()))], timed: false }
}

/// Nothing but JSON lines.
pub(crate) fn json_output() -> Output {
    Output { form: Form::Json, ..Output::default() }
}

/// The summary record of a log, and what a filter would end with.
pub(crate) fn summary(log: &[u8], exit_status: Option<i32>) -> (Value, i32) {
    let (out, code) = play(&untimed(log), &json_output(), exit_status);
    (serde_json::from_str(out.lines().next_back().unwrap()).unwrap(), code)
}
