//! Logs and recordings from files.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use super::background::{Backlog, Stream};
use super::recording::{Recording, Step};
use super::session::{FRAME, TICK};
use super::{ExitStatus, Pipeline, Watch, clients, command, pipeline, service_logs};
use crate::runs::RunDir;
use crate::settings::Settings;
use crate::state::Moment;

/// Replays files, one after the other, as one stream.
pub(super) fn replay(
    settings: &Settings,
    files: &[PathBuf],
    speed: Option<f64>,
    exit_status: Option<i32>,
) -> Result<ExitStatus> {
    let mut recordings = Vec::new();
    let mut kept_status = None;
    let mut kept_command = None;
    let mut kept_run = None;
    let mut begun_at = None;
    for file in files {
        match run_of(settings, file)? {
            Some(dir) => {
                recordings.push(recording_of(&dir)?);
                if let Ok(facts) = dir.facts() {
                    // Of several in a row only the first began then.
                    if files.len() == 1 {
                        begun_at =
                            SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(facts.created_at));
                        kept_run = Some(facts.id);
                    }
                    kept_command = Some(facts.command);
                }
                kept_status = dir.exit()?.map(|exit| exit.status());
            }
            None => recordings.push(read(file)?.steps),
        }
    }
    let stdout = std::io::stdout();
    let begun = Instant::now();
    let (mut pipeline, watch) = pipeline(|| (stdout.lock(), Backlog::default()), Stream::Stdout, settings);
    if let Some(command) = &kept_command {
        command::expect(&mut pipeline, command);
    }
    if let Some(run) = kept_run {
        pipeline.of_run(run);
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
                        pipeline.end(None, ticked, |state| service_logs::evidence(state, settings, begun_at));
                        return Ok(ExitStatus::Interrupted);
                    }
                }
                pipeline.tick(ticked);
            }
            if let Step::ExitStatus(status) = step {
                recorded_status = Some(status);
            }
            pipeline.step(&step, now);
        }
        base = now;
    }
    pipeline.end_of_recording(base);
    let code = pipeline.end(exit_status.or(kept_status).or(recorded_status), base, |state| {
        service_logs::evidence(state, settings, begun_at)
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

    /// Lets time pass, and draws meanwhile: `at` is the moment of the recording, `until` that of ours.
    fn wait<W: std::io::Write>(&mut self, pipeline: &mut Pipeline<W>, at: Moment, until: Duration) {
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

/// Notes that the user wants an end, so that the terminal is put right before it.
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
        // Without it a signal ends us at once, and leaves the view where it is.
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            let _ = runtime.block_on(wait);
        }
    });
}

/// The run that is meant by a number or a name which is no file.
fn run_of(settings: &Settings, file: &Path) -> Result<Option<RunDir>> {
    let name = file.to_str().filter(|name| *name != "-" && !name.contains('/'));
    let Some(name) = name.filter(|_| std::fs::symlink_metadata(file).is_err()) else { return Ok(None) };
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number && crate::cli::run_name(name).is_err() {
        return Ok(None);
    }
    // Without a place for runs there are only files.
    let Ok(store) = clients::store(settings) else { return Ok(None) };
    match store.find(Some(name)) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if is_number => Err(error.into()),
        Err(error) => Err(anyhow::anyhow!("there is no file {}, and {error}", file.display())),
    }
}

/// What was kept of a run.
fn recording_of(dir: &RunDir) -> Result<Vec<(Moment, Step)>> {
    if !dir.input().exists() && !dir.rest().exists() {
        anyhow::bail!("run {} has no recording", dir.id());
    }
    let mut steps = clients::Steps::of(dir);
    let mut recording = Vec::new();
    while let Some(step) = steps.next().with_context(|| format!("cannot read run {}", dir.id()))? {
        recording.push(step);
    }
    if steps.is_damaged() {
        clients::complain_of_damage(dir);
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
    Recording::parse(bytes).with_context(|| file.display().to_string())
}
