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
use crate::settings::Settings;
use nixmon_core::pipeline::{Pipeline, Step};
use nixmon_core::state::Moment;
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
                recordings.push(recording_of(&dir)?);
                kept_facts = dir.facts().ok();
                kept_status = dir.exit()?.map(|exit| exit.status());
            }
            None => {
                let steps = read(file)?.steps;
                recordings.push(Recorded::File { total: steps.len(), steps: steps.into_iter() });
            }
        }
    }
    let total = recordings.iter().map(Recorded::total).sum::<u64>();
    tracing::debug!(n_recordings = recordings.len(), total, "replay");
    // If time passes, the output itself shows how far the replay is.
    let mut progress =
        speed.is_none().then(|| Progress::new("Replaying".to_owned(), Some(total), settings.output.ascii));
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
    let mut done = 0;
    for mut recording in recordings {
        let mut now = base;
        while let Some((at, step)) = recording.next()? {
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
                pipeline.tick(ticked);
            }
            if let Step::ExitStatus(status) = step {
                recorded_status = Some(status);
            }
            pipeline.step(&step, now);
            if let Some(progress) = &mut progress {
                progress.advance_to(done + recording.done());
            }
        }
        done += recording.total();
        recording.complain_of_damage();
        base = now;
    }
    drop(progress);
    pipeline.end_of_recording(base);
    let code = pipeline.end(exit_status.or(kept_status).or(recorded_status), base, |state| {
        runs::evidence(state, &settings.places, None)
    });
    Ok(ExitStatus::of(code))
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

/// A recording that is replayed. That of a run may be of gigabytes, and is read step by step.
enum Recorded {
    Run { dir: RunDir, steps: Box<Steps> },
    File { steps: std::vec::IntoIter<(Moment, Step)>, total: usize },
}

impl Recorded {
    fn next(&mut self) -> Result<Option<(Moment, Step)>> {
        match self {
            Self::Run { dir, steps } => steps.next().with_context(|| format!("cannot read run {}", dir.id())),
            Self::File { steps, .. } => Ok(steps.next()),
        }
    }

    /// How much work there is: bytes or steps.
    fn total(&self) -> u64 {
        match self {
            Self::Run { dir, .. } => dir.recording_size(),
            Self::File { total, .. } => *total as u64,
        }
    }

    /// How much of it is done.
    fn done(&self) -> u64 {
        match self {
            Self::Run { steps, .. } => steps.n_read(),
            Self::File { steps, total } => total.saturating_sub(steps.len()) as u64,
        }
    }

    fn complain_of_damage(&self) {
        if let Self::Run { dir, steps } = self {
            if steps.is_damaged() {
                let damaged = format!("the recording of run {} is damaged; the rest of it is lost", dir.id());
                complain(&anyhow::anyhow!(damaged));
            }
            if steps.lost() > 0 {
                let lost = format!("{} bytes are missing in the recording of run {}", steps.lost(), dir.id());
                complain(&anyhow::anyhow!(lost));
            }
        }
    }
}

/// Opens the recording of a run.
fn recording_of(dir: &RunDir) -> Result<Recorded> {
    if !dir.input().exists() && !dir.has_rest() {
        return Err(QueryError::NoRecording { id: dir.id() }.into());
    }
    Ok(Recorded::Run { dir: dir.clone(), steps: Box::new(Steps::of(dir)) })
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
