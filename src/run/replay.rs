//! Logs and recordings from files.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::recording::{Recording, Step};
use super::{ExitStatus, Pipeline, frontend, service_logs};
use crate::settings::Settings;
use crate::state::Moment;

/// Time passes in steps of this length.
const TICK: Duration = Duration::from_millis(250);

/// Replays files, one after the other, as one stream.
pub(super) fn replay(
    settings: &Settings,
    files: &[PathBuf],
    speed: Option<f64>,
    exit_status: Option<i32>,
) -> Result<ExitStatus> {
    let recordings = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let stdout = std::io::stdout();
    let mut pipeline = Pipeline::new(frontend(stdout.lock(), &settings.output, settings.thresholds));
    let begun = Instant::now();
    let mut ticked = Moment::ZERO;
    let mut base = Moment::ZERO;
    let mut recorded_status = None;
    for recording in recordings {
        let mut now = base;
        for (at, step) in recording.steps {
            now = base + at;
            while ticked + TICK <= now {
                ticked += TICK;
                if let Some(speed) = speed {
                    wait(begun, ticked.div_f64(speed));
                }
                pipeline.tick(ticked);
            }
            match step {
                Step::Bytes(bytes) => pipeline.feed(&bytes, now),
                Step::Derivation(facts) => pipeline.derivation(&facts, now),
                Step::ExitStatus(status) => recorded_status = Some(status),
            }
            // Nobody answers in a replay.
            drop(pipeline.requests());
        }
        base = now;
    }
    let code = pipeline
        .end(exit_status.or(recorded_status), base, |state| service_logs::evidence(state, settings, None));
    Ok(ExitStatus::of(code))
}

fn wait(begun: Instant, until: Duration) {
    let left = until.saturating_sub(begun.elapsed());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

fn read(file: &Path) -> Result<Recording> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Recording::parse(bytes).with_context(|| file.display().to_string())
}
