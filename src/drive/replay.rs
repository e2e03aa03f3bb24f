//! Logs and recordings from files.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use super::background::{Backlog, Stream, is_gone};
use super::progress::Progress;
use super::session::{FRAME, TICK};
use super::{Watch, complain, history_file, pipeline};
use crate::exit_status::{ExitStatus, Failed};
use crate::history::{Builder, Context as Circumstances, Forecaster, HistoryFile, Insights};
use crate::settings::{Form, Output, Settings};
use nixmon_core::pipeline::{Machine, Pipeline, Step, WriterEnd};
use nixmon_core::state::{Moment, State};
use nixmon_core::text::count;
use nixmon_runs::query::expect;
use nixmon_runs::recording::RecordingError;
use nixmon_runs::{self as runs, Facts, Played, QueryError, RunDir, Steps, Store};

/// Replays files, one after the other, as one stream.
pub(crate) fn replay(
    settings: &Settings,
    files: &[PathBuf],
    speed: Option<f64>,
    exit_status: Option<i32>,
    project: Option<&Path>,
) -> Result<ExitStatus> {
    let mut inputs = Vec::new();
    let mut kept_status = None;
    let mut kept_facts: Option<Facts> = None;
    for file in files {
        match run_of(settings.store().ok().as_ref(), file)? {
            Some(dir) => {
                kept_facts = dir.facts().ok();
                kept_status = dir.exit()?.map(|exit| exit.status());
                inputs.push(Input::of_run(dir)?);
            }
            None => inputs.push(Input::of_file(file)?),
        }
    }
    let total = inputs.iter().map(Input::total).sum::<Option<u64>>();
    tracing::debug!(n_inputs = inputs.len(), n_bytes = total, "replay");
    // If time passes, the output itself shows how far the replay is.
    let mut progress =
        speed.is_none().then(|| Progress::new("Replaying".to_owned(), total, settings.output.ascii));
    let unwritten: Unwritten = Rc::default();
    let writer = || {
        let stdout = std::io::stdout().lock();
        let writer: Box<dyn Write> = match &progress {
            Some(progress) => Box::new(progress.above(stdout)),
            None => Box::new(stdout),
        };
        let writer = Told { writer, error: Rc::clone(&unwritten) };
        (writer, Backlog::default())
    };
    let begun = Instant::now();
    let (mut pipeline, watch) = pipeline(writer, Stream::Stdout, &settings.output, settings.thresholds);
    if let Some(facts) = &kept_facts {
        expect(&mut pipeline, facts);
    }
    // Of several in a row only the first began at its time, and only one has a number.
    let only = kept_facts.as_ref().filter(|_| files.len() == 1);
    let begun_at =
        only.and_then(|facts| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(facts.created_at)));
    if let Some(facts) = only {
        pipeline.of_run(facts.id.0);
    }
    let history_file = history_file(settings);
    let mut insights = insights(&history_file, kept_facts.as_ref(), project);
    pipeline.expect_insights();
    if let Some(known) = insights.of_command() {
        pipeline.insight(known.insight, Moment::ZERO);
    }
    let mut screen = Screen::new(watch, begun);
    let mut ticked = Moment::ZERO;
    let mut base = Moment::ZERO;
    let mut recorded_status = None;
    // The recording of a command has its exit status, unless nobody saw its end.
    let mut is_of_command = false;
    let mut done = 0;
    let mut foresees = None;
    let mut machine = None;
    let mut unknown = 0;
    for mut input in inputs {
        is_of_command |= matches!(input, Input::Run(..));
        let mut now = base;
        while let Some((at, step)) = input.next()? {
            now = now.max(base + at);
            while ticked + TICK <= now {
                ticked += TICK;
                pipeline.release_until(ticked);
                if let Some(speed) = speed {
                    screen.wait(&mut pipeline, ticked, ticked.div_f64(speed));
                    if screen.is_interrupted() {
                        pipeline.interrupt(ticked);
                        pipeline.end(None, ticked, |state| runs::evidence(state, &settings.places, begun_at));
                        return Ok(ExitStatus::Interrupted);
                    }
                }
                let forecaster = foresees.get_or_insert_with(|| {
                    forecaster(&history_file, &settings.output, kept_facts.as_ref(), machine.as_ref())
                });
                if let Some(forecast) = forecaster.as_mut().and_then(|f| f.tick(pipeline.state(), ticked)) {
                    pipeline.forecast(forecast);
                }
                for known in insights.tick(pipeline.state()) {
                    pipeline.insight(known.insight, ticked);
                }
                pipeline.tick(ticked);
            }
            match &step {
                Step::ExitStatus(status) => recorded_status = Some(*status),
                Step::SeveralStreams => is_of_command = true,
                Step::Machine(found) => machine = Some(found.clone()),
                Step::Unknown => unknown += 1,
                _ => {}
            }
            // What the user names comes before what was recorded.
            if project.is_none() || !matches!(step, Step::Inside { derivation: None, .. }) {
                pipeline.step(&step, now);
            }
            if let Some(progress) = &mut progress {
                progress.advance_to(done + input.done());
            }
        }
        done += input.done();
        input.complain_of_damage();
        base = now;
    }
    drop(progress);
    tell_unknown(unknown);
    pipeline.end_of_recording(base);
    let status = exit_status.or(kept_status).or(recorded_status);
    if status.is_none() && is_of_command {
        pipeline.end_is_unseen();
    }
    let gather = |state: &State| runs::evidence(state, &settings.places, begun_at);
    // A filter notes the status of its writer if it counts; its recording ends as the filter did.
    let of_writer = recorded_status.filter(|_| exit_status.or(kept_status).is_none());
    let code = match of_writer {
        Some(status) => pipeline.end_of_stream(Some(WriterEnd { status, is_of_nix: true }), base, gather).0,
        None => pipeline.end(status, base, gather),
    };
    drop(pipeline);
    match unwritten.take() {
        Some(error) => Err(Failed::unwritten(&error)),
        None if of_writer.is_some() => Ok(ExitStatus::Command(u8::try_from(code).unwrap_or(1))),
        None => Ok(ExitStatus::of(code)),
    }
}

/// The error that a writer had.
type Unwritten = Rc<RefCell<Option<std::io::Error>>>;

/// A writer that tells its first error elsewhere, unless its reader has gone.
struct Told<W> {
    writer: W,
    error: Unwritten,
}

impl<W: Write> Told<W> {
    fn told<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        if let Err(error) = &result
            && error.kind() != std::io::ErrorKind::Interrupted
            && !is_gone(error)
        {
            let copy =
                error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error);
            self.error.borrow_mut().get_or_insert(copy);
        }
        result
    }
}

impl<W: Write> Write for Told<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes);
        self.told(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.writer.flush();
        self.told(flushed)
    }
}

/// Tells that notes were skipped.
fn tell_unknown(unknown: u64) {
    if unknown > 0 {
        let notes = count(unknown, "note is", "notes are");
        complain(&anyhow::anyhow!("{notes} of a kind that this nixmon does not know, and skipped"));
    }
}

/// Makes the forecaster of a replay, which knows the machine where the recording tells it, and teaches the history nothing.
fn forecaster(
    file: &HistoryFile,
    output: &Output,
    facts: Option<&Facts>,
    machine: Option<&Machine>,
) -> Option<Forecaster> {
    /// Time of the recording between two looks at what is to come.
    const EVERY: Duration = Duration::from_secs(1);
    let mut circumstances = Circumstances::here(file)?;
    if let Some(facts) = facts {
        circumstances = circumstances.of_run(facts);
    }
    if let Some(machine) = machine {
        circumstances = circumstances.of_recording(machine);
    }
    let every = match output.form {
        Form::Live => EVERY,
        Form::Json => output.snapshots?,
        Form::Lines => output.every.min(EVERY * 5),
        Form::Quiet => return None,
    };
    Some(Forecaster::here(circumstances, every))
}

/// Makes the insights of a replay. The recording of a run has those about its command, as they were then.
fn insights(file: &HistoryFile, facts: Option<&Facts>, project: Option<&Path>) -> Insights {
    let context = Circumstances::here(file).map(|context| match facts {
        Some(facts) => context.of_run(facts),
        None => context,
    });
    let project = project.map(|project| std::path::absolute(project).unwrap_or_else(|_| project.to_owned()));
    let builder = match facts {
        Some(facts) => Builder::new(&facts.command, PathBuf::from(&facts.directory), project),
        None => Builder::new(&[], PathBuf::new(), project),
    };
    let is_told = facts.is_some() && builder.project().is_none();
    Insights::here(context.as_ref(), builder, is_told)
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
fn run_of(store: Option<&Store>, file: &Path) -> Result<Option<RunDir>> {
    let name = file.to_str().filter(|name| *name != "-" && !name.contains('/'));
    let Some(name) = name.filter(|_| std::fs::symlink_metadata(file).is_err()) else { return Ok(None) };
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number && crate::cli::run_name(name).is_err() {
        return Ok(None);
    }
    // Without a place for runs there are only files.
    let Some(store) = store else { return Ok(None) };
    match store.find(Some(name)) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if is_number => Err(error.into()),
        Err(error) => Err(anyhow::Error::new(error).context(format!("there is no file {}", file.display()))),
    }
}

/// A recording, read step by step.
enum Input {
    Run(Box<Steps>, RunDir),
    /// With the number of bytes of its text that were read.
    File(Box<Played>, PathBuf, u64),
}

impl Input {
    fn of_run(dir: RunDir) -> Result<Self> {
        if !dir.input().exists() && !dir.has_rest() {
            return Err(QueryError::NoRecording { id: dir.id() }.into());
        }
        Ok(Self::Run(Box::new(Steps::of(&dir)), dir))
    }

    fn of_file(file: &Path) -> Result<Self> {
        let played = match file == Path::new("-") {
            true => Played::of_reader(std::io::stdin()),
            false => Played::open(file),
        };
        Ok(Self::File(Box::new(played.map_err(|error| failed(file, error))?), file.to_owned(), 0))
    }

    /// Returns the number of its bytes, if that is known.
    fn total(&self) -> Option<u64> {
        match self {
            Self::Run(_, dir) => Some(dir.recording_size()),
            Self::File(played, ..) => played.total(),
        }
    }

    /// Returns the number of its bytes that were read so far.
    fn done(&self) -> u64 {
        match self {
            Self::Run(steps, _) => steps.n_read(),
            Self::File(_, _, done) => *done,
        }
    }

    /// Returns the next step with its time.
    fn next(&mut self) -> Result<Option<(Moment, Step)>> {
        match self {
            Self::Run(steps, dir) => {
                steps.next_step().map_err(|error| QueryError::Unreadable { id: dir.id(), error }.into())
            }
            Self::File(played, file, done) => {
                let step = played.next_step().map_err(|error| failed(file, error))?;
                Ok(step.map(|(at, step, n_bytes)| {
                    *done += n_bytes;
                    (at, step)
                }))
            }
        }
    }

    fn complain_of_damage(&self) {
        let Self::Run(steps, dir) = self else { return };
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

fn failed(file: &Path, error: RecordingError) -> anyhow::Error {
    match error {
        RecordingError::Read(error) if file == Path::new("-") => {
            anyhow::Error::new(error).context("cannot read standard input")
        }
        RecordingError::Read(error) => {
            anyhow::Error::new(error).context(format!("cannot read {}", file.display()))
        }
        error => Failed::error(ExitStatus::Data, format!("{}: {error}", file.display())),
    }
}
