//! Recordings and logs through the whole pipeline, with times as the loops of the program give them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use nixmon::drive::to_writer;
use nixmon::settings::{Form, Output};
use nixmon_core::pipeline::{Pipeline, Step};
use nixmon_core::view::Evidence;
use nixmon_log::input::Source;
use nixmon_runs::Recording;
use serde_json::Value;

/// Time is told to the pipeline as often as the program does it.
const TICK: Duration = Duration::from_millis(250);

/// The text that a pipeline has written.
#[derive(Clone, Default)]
pub(crate) struct Written(Rc<RefCell<Vec<u8>>>);

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A pipeline and the text that it will have written.
pub(crate) fn pipeline(output: &Output) -> (Pipeline, Written) {
    let written = Written::default();
    (to_writer(written.clone(), output), written)
}

/// What the program would print, and what it would end with.
pub(crate) fn play(recording: &Recording, output: &Output, exit_status: Option<i32>) -> (String, i32) {
    let (mut pipeline, written) = pipeline(output);
    let (mut ticked, mut now, mut recorded_status) = (Duration::ZERO, Duration::ZERO, None);
    for (at, step) in &recording.steps {
        now = *at;
        while ticked + TICK <= now {
            ticked += TICK;
            pipeline.release_until(ticked);
            pipeline.tick(ticked);
        }
        if let Step::ExitStatus(status) = step {
            recorded_status = Some(*status);
        }
        pipeline.step(step, now);
    }
    let code = pipeline.end(exit_status.or(recorded_status), now, |_| Evidence::default());
    (written.text(), code)
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
