//! Logs and recordings from files.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::background::{Backlog, Stream};
use super::progress::Progress;
use super::session::{FRAME, TICK};
use super::{Watch, complain, pipeline};
use crate::exit_status::{ExitStatus, Failed};
use crate::history::{Context as Circumstances, Forecaster};
use crate::settings::{Form, Settings};
use nixmon_core::pipeline::{Pipeline, Step};
use nixmon_core::state::Moment;
use nixmon_core::text::count;
use nixmon_runs::query::expect;
use nixmon_runs::recording::Recording;
use nixmon_runs::{self as runs, Facts, QueryError, RunDir, Steps};

/// Replays files, one after the other, as one stream.
pub(crate) fn replay(
    settings: &Settings,
    files: &[PathBuf],
    speed: Option<f64>,
    exit_status: Option<i32>,
) -> Result<ExitStatus> {
    let mut recordings = Vec::new();
    let mut kept_status = None;
    let mut kept_facts: Option<Facts> = None;
    for file in files {
        match run_of(settings, file)? {
            Some(dir) => {
                recordings.push(recording_of(&dir, settings.output.ascii)?);
                kept_facts = dir.facts().ok();
                kept_status = dir.exit()?.map(|exit| exit.status());
            }
            None => recordings.push(read(file)?.steps),
        }
    }
    let n_steps = recordings.iter().map(Vec::len).sum::<usize>();
    tracing::debug!(n_recordings = recordings.len(), n_steps, "replay");
    tell_unknown(&recordings);
    let mut forecaster = forecaster(settings, kept_facts.as_ref(), &recordings);
    // If time passes, the output itself shows how far the replay is.
    let mut progress = speed
        .is_none()
        .then(|| Progress::new("Replaying".to_owned(), Some(n_steps as u64), settings.output.ascii));
    let writer = || {
        let stdout = std::io::stdout().lock();
        let writer: Box<dyn Write> = match &progress {
            Some(progress) => Box::new(progress.above(stdout)),
            None => Box::new(stdout),
        };
        (writer, Backlog::default())
    };
    let begun = Instant::now();
    let (mut pipeline, watch) = pipeline(writer, Stream::Stdout, settings);
    if let Some(facts) = &kept_facts {
        expect(&mut pipeline, facts);
    }
    let mut screen = Screen::new(watch, begun);
    let mut ticked = Moment::ZERO;
    let mut base = Moment::ZERO;
    let mut recorded_status = None;
    for recording in recordings {
        let mut now = base;
        for (at, step) in recording {
            now = now.max(base + at);
            while ticked + TICK <= now {
                ticked += TICK;
                pipeline.release_until(ticked);
                if let Some(speed) = speed {
                    screen.wait(&mut pipeline, ticked, ticked.div_f64(speed));
                    if screen.is_interrupted() {
                        pipeline.interrupt(ticked);
                        pipeline.end(None, ticked, |state| runs::evidence(state, &settings.places, None));
                        return Ok(ExitStatus::Interrupted);
                    }
                }
                if let Some(forecast) = forecaster.as_mut().and_then(|f| f.tick(pipeline.state(), ticked)) {
                    pipeline.forecast(forecast);
                }
                pipeline.tick(ticked);
            }
            if let Step::ExitStatus(status) = step {
                recorded_status = Some(status);
            }
            pipeline.step(&step, now);
            if let Some(progress) = &mut progress {
                progress.advance(1);
            }
        }
        base = now;
    }
    drop(progress);
    pipeline.end_of_recording(base);
    let code = pipeline.end(exit_status.or(kept_status).or(recorded_status), base, |state| {
        runs::evidence(state, &settings.places, None)
    });
    Ok(ExitStatus::of(code))
}

/// Tells that notes are skipped.
fn tell_unknown(recordings: &[Vec<(Moment, Step)>]) {
    let unknown = recordings.iter().flatten().filter(|(_, step)| *step == Step::Unknown).count();
    if unknown > 0 {
        let notes = count(unknown as u64, "note is", "notes are");
        complain(&anyhow::anyhow!("{notes} of a kind that this nixmon does not know, and skipped"));
    }
}

/// Makes the forecaster of a replay, which knows the machine where the recording tells it, and teaches the history nothing.
fn forecaster(
    settings: &Settings,
    facts: Option<&Facts>,
    recordings: &[Vec<(Moment, Step)>],
) -> Option<Forecaster> {
    /// Time of the recording between two looks at what is to come.
    const EVERY: Duration = Duration::from_secs(1);
    let mut circumstances = Circumstances::here(settings)?;
    if let Some(facts) = facts {
        circumstances = circumstances.of_run(facts);
    }
    let machine = recordings.iter().flatten().find_map(|(_, step)| match step {
        Step::Machine(machine) => Some(machine),
        _ => None,
    });
    if let Some(machine) = machine {
        circumstances = circumstances.of_recording(machine);
    }
    let every = match settings.output.form {
        Form::Live => EVERY,
        Form::Json => settings.output.snapshots?,
        Form::Lines => settings.output.every.min(EVERY * 5),
        Form::Quiet => return None,
    };
    Some(Forecaster::here(circumstances, every))
}

/// The terminal of a replay in which time passes.
struct Screen {
    watch: Watch,
    begun: Instant,
    drawn: Instant,
    interrupted: Arc<AtomicBool>,
}

impl Screen {
    fn new(watch: Watch, begun: Instant) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        if watch.is_live() {
            spawn_signals(Arc::clone(&interrupted));
        }
        Self { watch, begun, drawn: begun, interrupted }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Lets time pass, and draws meanwhile: `at` is the moment of the recording, `until` that of the replay.
    fn wait(&mut self, pipeline: &mut Pipeline, at: Moment, until: Duration) {
        loop {
            if self.drawn.elapsed() >= FRAME && self.watch.is_live() {
                self.drawn = Instant::now();
                pipeline.frame(at, self.watch.condition());
            }
            let left = until.saturating_sub(self.begun.elapsed());
            if left.is_zero() || self.is_interrupted() {
                return;
            }
            std::thread::sleep(left.min(FRAME));
        }
    }
}

/// Takes note of signals that end the program, so that the terminal is restored first.
fn spawn_signals(interrupted: Arc<AtomicBool>) {
    thread::spawn(move || {
        let wait = async {
            let mut interrupts = signal(SignalKind::interrupt())?;
            let mut terminations = signal(SignalKind::terminate())?;
            let mut hangups = signal(SignalKind::hangup())?;
            let mut quits = signal(SignalKind::quit())?;
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
                _ = hangups.recv() => {}
                _ = quits.recv() => {}
            }
            interrupted.store(true, Ordering::Relaxed);
            std::io::Result::Ok(())
        };
        // Without it a signal ends the program at once, and the view stays on the screen.
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            let _ = runtime.block_on(wait);
        }
    });
}

/// Finds the run for a number or a name that is no file.
fn run_of(settings: &Settings, file: &Path) -> Result<Option<RunDir>> {
    let name = file.to_str().filter(|name| *name != "-" && !name.contains('/'));
    let Some(name) = name.filter(|_| std::fs::symlink_metadata(file).is_err()) else { return Ok(None) };
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number && crate::cli::run_name(name).is_err() {
        return Ok(None);
    }
    // Without a place for runs there are only files.
    let Ok(store) = settings.store() else { return Ok(None) };
    match store.find(Some(name)) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if is_number => Err(error.into()),
        Err(error) => Err(anyhow::Error::new(error).context(format!("there is no file {}", file.display()))),
    }
}

/// Reads the recording of a run.
fn recording_of(dir: &RunDir, ascii: bool) -> Result<Vec<(Moment, Step)>> {
    if !dir.input().exists() && !dir.rest().exists() {
        return Err(QueryError::NoRecording { id: dir.id() }.into());
    }
    let mut steps = Steps::of(dir);
    let mut recording = Vec::new();
    let mut progress = Progress::new(format!("Reading run {}", dir.id()), None, ascii);
    while let Some(step) = steps.next_step().with_context(|| format!("cannot read run {}", dir.id()))? {
        progress.advance(1);
        recording.push(step);
    }
    if steps.is_damaged() {
        let damaged = format!("the recording of run {} is damaged; the rest of it is lost", dir.id());
        complain(&anyhow::anyhow!(damaged));
    }
    Ok(recording)
}

fn read(file: &Path) -> Result<Recording> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let failed = |error| Failed::error(ExitStatus::Data, format!("{}: {error:#}", file.display()));
    Recording::parse(bytes).map_err(failed)
}
