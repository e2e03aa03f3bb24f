//! Reads the recording of a run once, on a thread of its own, into a [`Log`] and a [`Detail`]; of a run in progress it reads
//! on until the run has ended.

#![expect(
    clippy::disallowed_methods,
    reason = "threads that follow a recording pace themselves by the clock"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nixmon_core::activation::ActivationChange;
use nixmon_core::frontend::{Log as LogText, LogLines, LogOf};
use nixmon_core::pipeline::{Pipeline, Sink};
use nixmon_core::render::Style;
use nixmon_core::state::{Change, DerivationId, Moment, State};
use nixmon_core::wire::millis;
use nixmon_log::escapes::sanitize;
use nixmon_log::input::{Event, Line};
use nixmon_runs::clock::unix_ms;
use nixmon_runs::query::expect;
use nixmon_runs::{QueryError, RunId, Steps};
use tokio::sync::watch;

use crate::detail::{Detail, MAX_STEPS, Times, detail};
use crate::log::{Key, Kind, Log, NewLine, Span, Writer, styled};
use crate::program::Program;

/// Number of runs whose logs are held at once; the one that was asked for longest ago makes room.
const MAX_PLAYS: usize = 12;
/// Time between two looks at a recording that grows.
const POLL: Duration = Duration::from_millis(200);
/// Time between two publications while a recording is read at full speed.
const PUBLISH: Duration = Duration::from_millis(100);
/// Time between two details of a run in progress.
const DETAIL: Duration = Duration::from_millis(500);
/// The same for a run that prints nothing.
const QUIET: Duration = Duration::from_secs(2);
/// Steps of a recording between two looks at the clock.
const STEPS: u32 = 256;

/// A run whose recording is read.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    /// Its log.
    pub(crate) log: Log,
    detail: watch::Receiver<Arc<Detail>>,
    /// Ends the thread once nothing else holds it.
    _alive: Arc<Alive>,
}

impl Play {
    /// Returns the detail at the moment.
    pub(crate) fn detail(&self) -> Arc<Detail> {
        Arc::clone(&self.detail.borrow())
    }

    /// Waits until the whole recording so far has been read, for at most `limit`.
    pub(crate) async fn first_detail(&mut self, limit: Duration) -> Arc<Detail> {
        let is_there = |detail: &Arc<Detail>| detail.is_complete || detail.elapsed_ms > 0;
        let _ = tokio::time::timeout(limit, self.detail.wait_for(is_there)).await;
        self.detail()
    }
}

#[derive(Debug)]
struct Alive(Arc<AtomicBool>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The runs whose recordings are read.
pub(crate) struct Plays {
    program: Arc<dyn Program>,
    directory: PathBuf,
    /// The one that was asked for last is the last.
    plays: Mutex<VecDeque<(RunId, Play)>>,
}

impl std::fmt::Debug for Plays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plays").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Plays {
    /// Reads recordings of the runs of `program`, and keeps the files of logs in `directory`.
    pub(crate) fn new(program: Arc<dyn Program>, directory: PathBuf) -> Self {
        Self { program, directory, plays: Mutex::default() }
    }

    /// Returns the number of runs and of bytes of logs that are held.
    pub(crate) fn extent(&self) -> (usize, u64) {
        let plays = self.plays.lock().unwrap_or_else(PoisonError::into_inner);
        (plays.len(), plays.iter().map(|(_, play)| play.log.progress().n_bytes).sum())
    }

    /// Returns a run, and begins to read it if that has not happened yet. It is read on as long as the [`Play`] or a clone of it
    /// is held.
    ///
    /// # Errors
    ///
    /// If there is no room for its log.
    pub(crate) fn get(&self, run: RunId) -> std::io::Result<Play> {
        let mut plays = self.plays.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = plays.iter().position(|(id, _)| *id == run)
            && let Some((_, play)) = plays.remove(at)
        {
            // One that could not be read is tried again.
            if play.log.progress().error.is_none() {
                plays.push_back((run, play.clone()));
                return Ok(play);
            }
        }
        let (writer, log) = Writer::new(&self.directory)?;
        let (sender, receiver) = watch::channel(Arc::new(Detail::default()));
        let alive = Arc::new(AtomicBool::new(true));
        let play = Play { log, detail: receiver, _alive: Arc::new(Alive(Arc::clone(&alive))) };
        let program = Arc::clone(&self.program);
        std::thread::Builder::new().name(format!("run {run}")).spawn(move || {
            let sink = Rc::new(RefCell::new(LogSink::new(writer)));
            let result = follow(&*program, run, &sink, &sender, &alive);
            let error = result.err().map(|error| error.to_string());
            if let Some(error) = &error {
                tracing::warn!(%run, error, "a recording cannot be read");
            }
            sink.borrow_mut().writer.finish(error);
            sender.send_modify(|detail| Arc::make_mut(detail).is_complete = true);
        })?;
        while plays.len() >= MAX_PLAYS {
            plays.pop_front();
        }
        plays.push_back((run, play.clone()));
        Ok(play)
    }
}

fn follow(
    program: &dyn Program,
    run: RunId,
    sink: &Rc<RefCell<LogSink>>,
    sender: &watch::Sender<Arc<Detail>>,
    alive: &AtomicBool,
) -> Result<(), QueryError> {
    let runs = program.runs()?;
    let dir = runs.store().run(run)?;
    let look = runs.look(&dir, unix_ms())?;
    let mut pipeline = Pipeline::new(Rc::clone(sink), LogLines::All(None));
    if let Some(facts) = &look.facts {
        expect(&mut pipeline, facts);
    }
    let mut steps = Steps::of(&dir);
    let mut goes_on = look.life.goes_on();
    let mut published = Instant::now();
    let mut detailed: Option<Instant> = None;
    let mut n_steps = 0_u32;
    let tell = |pipeline: &Pipeline, at: Moment, is_complete: bool| {
        let sink = sink.borrow();
        let detail = detail(pipeline.state(), &sink.times, &sink.log_lines(), at, is_complete);
        sender.send_replace(Arc::new(detail));
    };
    let write_error = |error: String| QueryError::Write(std::io::Error::other(error));
    let mut is_news = true;
    while alive.load(Ordering::Relaxed) {
        loop {
            let step = steps.next_step().map_err(|error| QueryError::Unreadable { id: run, error })?;
            let Some((at, step)) = step else { break };
            pipeline.step(&step, at);
            is_news = true;
            n_steps = n_steps.wrapping_add(1);
            if n_steps.is_multiple_of(STEPS) && published.elapsed() >= PUBLISH {
                sink.borrow_mut().writer.publish().map_err(write_error)?;
                published = Instant::now();
                if !alive.load(Ordering::Relaxed) {
                    return Err(write_error("it was given up, since no client read it".to_owned()));
                }
            }
        }
        if !goes_on {
            break;
        }
        sink.borrow_mut().writer.publish().map_err(write_error)?;
        // Time passes for a build that prints nothing.
        let since = look.status.started_at.unwrap_or(look.status.created_at);
        let now = Duration::from_millis(unix_ms().saturating_sub(since)).max(steps.now());
        let due = if is_news { DETAIL } else { QUIET };
        if detailed.is_none_or(|at| at.elapsed() >= due) {
            tell(&pipeline, now, false);
            detailed = Some(Instant::now());
            is_news = false;
        }
        // The detail is there by now as well.
        sink.borrow().writer.set_current();
        std::thread::sleep(POLL);
        // Looked at before the steps: once it has ended there are no more.
        goes_on = runs.look(&dir, unix_ms())?.life.goes_on();
    }
    if goes_on || !alive.load(Ordering::Relaxed) {
        // Not the end of the run: a log that breaks off must not look like a whole one.
        return Err(write_error("it was given up, since no client read it".to_owned()));
    }
    let exit = dir.exit()?.map(|exit| exit.status());
    if exit.is_none() {
        pipeline.end_is_unseen();
    }
    pipeline.end(exit, steps.now(), |_| Default::default());
    sink.borrow_mut().writer.publish().map_err(write_error)?;
    tell(&pipeline, steps.now(), true);
    Ok(())
}

/// Writes what `nixmon log` prints, line by line, with the owner, the phase, the time and the colours of each line.
struct LogSink {
    text: LogText<Vec<u8>>,
    writer: Writer,
    sources: BTreeMap<DerivationId, (u32, u64)>,
    phases: BTreeMap<String, u16>,
    times: Times,
    /// The phase of the run, for lines that are not a builder's.
    phase: u16,
    /// The line of text that the coming changes are about, as it came.
    raw: Option<String>,
}

impl LogSink {
    fn new(writer: Writer) -> Self {
        Self {
            text: LogText::new(Vec::new(), LogOf::Run, Style::default()),
            writer,
            sources: BTreeMap::new(),
            phases: BTreeMap::new(),
            times: Times::default(),
            phase: 0,
            raw: None,
        }
    }

    fn log_lines(&self) -> BTreeMap<DerivationId, u64> {
        self.sources.iter().map(|(id, (_, n))| (*id, *n)).collect()
    }

    fn phase(&mut self, name: &str) -> u16 {
        if let Some(number) = self.phases.get(name) {
            return *number;
        }
        let number = self.writer.add_phase(&sanitize(name));
        // Names that have no number are not kept either.
        if number > 0 {
            self.phases.insert(name.to_owned(), number);
        }
        number
    }

    fn source(&mut self, state: &State, id: DerivationId) -> Key {
        let derivation = state.derivations().get(id);
        let phase = match &derivation.phase {
            Some(phase) => self.phase(phase),
            None => 0,
        };
        let Self { sources, writer, .. } = self;
        let (source, _) = sources.entry(id).or_insert_with(|| {
            (writer.add_source(&sanitize(&derivation.path), &sanitize(derivation.name())), 0)
        });
        Key { source: *source, phase }
    }

    /// Takes the lines that were just written.
    fn take(&mut self, key: Key, kind: Kind, at: Moment, name: usize, raw: Option<&str>) {
        if self.text.writer().is_empty() {
            return;
        }
        let bytes = std::mem::take(self.text.writer_mut());
        let text = String::from_utf8_lossy(&bytes);
        for line in text.lines() {
            let of_name = line.get(name..).unwrap_or(line);
            let spans = raw.map(|raw| spans(raw, of_name)).unwrap_or_default();
            let new = NewLine {
                key,
                kind,
                at_ms: millis(at),
                text: line,
                name: line.len() - of_name.len(),
                spans: &spans,
            };
            self.writer.push(&new);
        }
        // The room is used again.
        let mut bytes = bytes;
        bytes.clear();
        *self.text.writer_mut() = bytes;
    }
}

/// Returns the styles of a text that came as `raw`, if it is that.
fn spans(raw: &str, text: &str) -> Vec<Span> {
    if !raw.contains('\u{1b}') {
        return Vec::new();
    }
    let (plain, spans) = styled(raw);
    match text.strip_suffix(&*plain) {
        Some("") => spans,
        // A label may be before it, as `warning: `.
        Some(label) => {
            let by = u32::try_from(label.len()).unwrap_or(u32::MAX);
            spans.into_iter().map(|(at, style)| (at.saturating_add(by), style)).collect()
        }
        None => Vec::new(),
    }
}

impl Sink for LogSink {
    fn wants_events(&self) -> bool {
        true
    }

    fn event(&mut self, event: &Event<'_>, changes: &[Change]) {
        self.text.event(event, changes);
        self.raw = match event {
            Event::Line(Line { raw, .. }) if raw.contains('\u{1b}') => Some((*raw).to_owned()),
            _ => None,
        };
    }

    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        let raw = self.raw.take();
        let of_run = |phase| Key { source: 0, phase };
        // Lines of the event itself.
        self.take(of_run(self.phase), Kind::Text, at, 0, raw.as_deref());
        for change in changes {
            self.text.changes(state, std::slice::from_ref(change));
            match change {
                Change::LogLine(id, line) => {
                    let key = self.source(state, *id);
                    if let Some((_, n)) = self.sources.get_mut(id) {
                        *n += 1;
                    }
                    // As the log of a run writes it.
                    let name = sanitize(state.derivations().get(*id).name()).len() + "> ".len();
                    self.take(key, Kind::Text, at, name, Some(line));
                }
                Change::Failed(id) => {
                    let key = match state.failure(*id).derivation {
                        Some(id) => self.source(state, id),
                        None => of_run(self.phase),
                    };
                    self.take(key, Kind::Failure, at, 0, None);
                }
                Change::Phase(phase) => {
                    self.phase = self.phase(phase.as_str());
                    self.times.phases.push((phase.as_str().to_owned(), millis(at)));
                }
                Change::Activation(ActivationChange::Step { run, name })
                    if self.times.steps.len() < MAX_STEPS =>
                {
                    self.times.steps.push((*run, name.clone(), millis(at)));
                }
                _ => {}
            }
            self.take(of_run(self.phase), Kind::Text, at, 0, raw.as_deref());
        }
    }
}

#[cfg(test)]
mod tests {
    use nixmon_core::pipeline::Pipeline;

    use super::*;
    use crate::log::View;

    const A: &str = "/nix/store/00000000000000000000000000000000-a-1.0.drv";

    /// Reads a stream, and returns its lines with their owners, phases and kinds.
    fn read(input: &str) -> (Vec<String>, Log, Detail) {
        let (writer, log) = Writer::new(&std::env::temp_dir()).unwrap();
        let sink = Rc::new(RefCell::new(LogSink::new(writer)));
        let mut pipeline = Pipeline::new(Rc::clone(&sink), LogLines::All(None));
        pipeline.feed(input.as_bytes(), Duration::from_millis(1500));
        pipeline.end(Some(1), Duration::from_secs(3), |_| Default::default());
        sink.borrow_mut().writer.finish(None);
        let sink = sink.borrow();
        let detail = detail(pipeline.state(), &sink.times, &sink.log_lines(), Duration::from_secs(3), true);
        let lines = log.range(View::Whole, 0, 1000).unwrap();
        let lines = lines.iter().map(|line| {
            let (source, phase) = log.names(line.key);
            let parts: Vec<&str> = line.parts.iter().map(|(_, classes)| classes.as_str()).collect();
            format!("{source}|{phase}|{:?}|{}|{}", line.kind, line.text, parts.join(","))
        });
        (lines.collect(), log, detail)
    }

    fn records(records: &[serde_json::Value]) -> String {
        records.iter().map(|record| format!("@nix {record}\n")).collect()
    }

    #[test]
    fn lines_have_owners_phases_and_colors() {
        use serde_json::json;
        let input = records(&[
            json!({"action":"start","id":1,"level":3,"parent":0,"text":"","type":104}),
            json!({"action":"start","id":2,"level":3,"parent":0,"text":"","type":105,"fields":[A,"",1,1]}),
            json!({"action":"result","id":2,"type":104,"fields":["buildPhase"]}),
            json!({"action":"result","id":2,"type":101,"fields":["\u{1b}[32mgood\u{1b}[0m \u{1b}]0;t\u{7}morning <b>"]}),
            json!({"action":"msg","level":0,"msg":format!("error: builder for '{A}' failed with exit code 1")}),
            json!({"action":"stop","id":2}),
        ]) + "\u{1b}[1mmake: stop\u{1b}[0m\n";
        let (lines, log, detail) = read(&input);
        let expected = [
            "a-1.0|buildPhase|Text|good morning <b>|c2,",
            "a-1.0|buildPhase|Failure|✗ a-1.0 failed in buildPhase, exit 1|",
            "|building|Text|make: stop|bold",
        ];
        assert_eq!(lines, expected);
        assert_eq!(
            log.text(0, 99).unwrap().split(|b| *b == b'\n').next().unwrap(),
            b"a-1.0> good morning <b>"
        );
        assert_eq!(detail.builds.len(), 1);
        let build = &detail.builds[0];
        assert_eq!((build.name.as_str(), build.state.as_str(), build.log_lines), ("a-1.0", "failed", 1));
        assert_eq!((build.from_ms, build.phase.as_deref()), (Some(1500), Some("buildPhase")));
        assert_eq!(detail.failures.len(), 1);
        assert!(detail.is_complete && detail.elapsed_ms == 3000);
    }
}
