//! The history is filled by what happens in a run, as it happens.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Context;
use super::measures::Measures;
use super::mirror::machine_name;
use super::written::Written;
use nixmon_core::pipeline::Sink;
use nixmon_core::state::{
    BuildEnd, Change, DerivationId, DerivationState, Moment, PathId, PathState, Phase, State,
};
use nixmon_core::wire::millis;
use nixmon_history::name::drv_parts;
use nixmon_history::record::{
    BuildOutcome, BuildRecord, DownloadRecord, PackageRecord, PhaseRecord, PredictionRecord, Resources,
    RunOutcome, RunRecord, UnitRecord, format_moment,
};
use nixmon_history::stats::Regression;
use nixmon_history::store::{Losses, Notice, Recorder, Retention, Store};

/// Rows that wait for the disk at most; more are lost.
const MOST_WAITING: usize = 1 << 15;
/// Time after which a row is written; up to twice as long passes while rows come.
const FLUSH: Duration = Duration::from_secs(1);
/// Time that the end of a run waits for what was said of it.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time that the end of a run waits for the database, which other processes may hold.
const LAST: Duration = Duration::from_secs(6);
/// Runs between two times at which old ones are removed.
const PRUNE_EVERY: i64 = 20;
/// A shift of less is not worth a line.
const LEAST_SHIFT: u64 = 2_000;

/// A row of the history.
#[derive(Clone, Debug)]
pub(crate) enum Row {
    /// A build has ended.
    Build(Box<BuildRecord>),
    /// A download has ended.
    Download(Box<DownloadRecord>),
    /// The list of what was built inside a build, or by the command, is complete.
    Work(Vec<UnitRecord>, Vec<PackageRecord>),
}

/// The times of a run's stages, and counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stages {
    first_work: Option<Moment>,
    activation: Option<Moment>,
    builds: Busy,
    downloads: Busy,
    built: u32,
    failed: u32,
    downloaded: u32,
    downloaded_bytes: u64,
    /// Files and links.
    units: usize,
}

/// The time in which something of a kind was going on.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    running: u32,
    since: Moment,
    total: Moment,
}

impl Busy {
    fn begin(&mut self, at: Moment) {
        if self.running == 0 {
            self.since = at;
        }
        self.running += 1;
    }

    fn end(&mut self, at: Moment) {
        if self.running == 1 {
            self.total += at.saturating_sub(self.since);
        }
        self.running = self.running.saturating_sub(1);
    }

    fn total(&self) -> Option<u64> {
        (self.total > Moment::ZERO).then(|| millis(self.total))
    }
}

/// The stages of a run, which its sink and the end of the run share.
pub(crate) type Shared = Rc<RefCell<Stages>>;

/// Makes rows of changes.
struct Rows<F> {
    take: F,
    measures: Measures,
    stages: Shared,
    system: String,
    phases: HashMap<DerivationId, Vec<PhaseRecord>>,
    /// Builds that seem to have been cancelled: Nix may still count them as built.
    cancelled: BTreeMap<DerivationId, Box<BuildRecord>>,
}

/// Makes a sink that hands on the rows of a run, with what was measured of its builds.
pub(crate) fn recorded(
    system: &str,
    stages: Shared,
    measures: Measures,
    take: impl FnMut(Row) + 'static,
) -> impl Sink + 'static {
    let system = system.to_owned();
    Rows { take, measures, stages, system, phases: HashMap::new(), cancelled: BTreeMap::new() }
}

impl<F: FnMut(Row)> Rows<F> {
    fn phase(&mut self, state: &State, id: DerivationId, at: Moment) {
        let Some(phase) = &state.derivations().get(id).phase else { return };
        let phases = self.phases.entry(id).or_default();
        let now = millis(at);
        if let Some(last) = phases.last_mut() {
            last.elapsed_ms = now.saturating_sub(last.started_ms);
        }
        phases.push(PhaseRecord { name: phase.to_string(), started_ms: now, elapsed_ms: 0 });
    }

    fn build(&mut self, state: &State, id: DerivationId, end: BuildEnd, at: Moment) {
        let mut phases = self.phases.remove(&id).unwrap_or_default();
        let derivations = state.derivations();
        let derivation = derivations.get(id);
        let mut stages = self.stages.borrow_mut();
        let outcome = match end {
            BuildEnd::Built => BuildOutcome::Built,
            BuildEnd::Failed => BuildOutcome::Failed,
            BuildEnd::Cancelled => BuildOutcome::Cancelled,
        };
        let (Some(started), Some(elapsed)) = (derivation.started, derivation.known_elapsed(at)) else {
            return;
        };
        stages.built += u32::from(outcome == BuildOutcome::Built);
        stages.failed += u32::from(outcome == BuildOutcome::Failed);
        drop(stages);
        if let Some(last) = phases.last_mut() {
            last.elapsed_ms = millis(started + elapsed).saturating_sub(last.started_ms);
        }
        let digest = |path: &str| drv_parts(path).map(|(digest, _)| digest.to_owned());
        let needs = derivations.inputs(id).map(|input| derivations.get(input));
        let needs = needs.filter(|input| input.state() == DerivationState::Built && input.started.is_some());
        let machine = derivation.machine.as_deref().map(machine_name);
        // The processes of another machine are not seen.
        let resources = self.measures.take(state, id);
        let build = Box::new(BuildRecord {
            log_bytes: (derivation.log_bytes > 0).then_some(derivation.log_bytes),
            resources,
            drv: digest(&derivation.path),
            name: derivation.name().to_owned(),
            system: machine.is_none().then(|| self.system.clone()),
            machine: machine.map(str::to_owned),
            started_ms: millis(started),
            elapsed_ms: millis(elapsed),
            outcome,
            needs: needs.filter_map(|input| digest(&input.path)).collect(),
            phases,
            ..BuildRecord::default()
        });
        self.cancelled.remove(&id);
        if outcome == BuildOutcome::Cancelled {
            self.cancelled.insert(id, build);
        } else {
            (self.take)(Row::Build(build));
        }
    }

    fn download(&mut self, state: &State, id: PathId, at: Moment) {
        let path = state.transfers().get(id);
        let Some(started) = path.started else { return };
        {
            let mut stages = self.stages.borrow_mut();
            stages.downloaded += 1;
            stages.downloaded_bytes = stages.downloaded_bytes.saturating_add(path.done);
        }
        (self.take)(Row::Download(Box::new(DownloadRecord {
            cache: path.from.as_deref().unwrap_or_default().to_owned(),
            name: Some(path.name().to_owned()),
            bytes: path.done,
            started_ms: millis(started),
            elapsed_ms: millis(at.saturating_sub(started)),
            ..DownloadRecord::default()
        })));
    }
}

impl<F: FnMut(Row)> Sink for Rows<F> {
    fn wants_end(&self) -> bool {
        false
    }

    fn changes(&mut self, state: &State, changes: &[Change], at: Moment) {
        for change in changes {
            match change {
                Change::BuildStarted(_) => {
                    let mut stages = self.stages.borrow_mut();
                    stages.first_work.get_or_insert(at);
                    stages.builds.begin(at);
                }
                Change::FetchStarted(id) if state.transfers().get(*id).state() != PathState::Uploading => {
                    let mut stages = self.stages.borrow_mut();
                    stages.first_work.get_or_insert(at);
                    stages.downloads.begin(at);
                }
                Change::BuildPhase(id) => self.phase(state, *id, at),
                Change::BuildEnded(id, end) => {
                    self.stages.borrow_mut().builds.end(at);
                    self.build(state, *id, *end, at);
                }
                Change::FetchEnded(id, arrived)
                    if state.transfers().get(*id).state() != PathState::Uploaded =>
                {
                    self.stages.borrow_mut().downloads.end(at);
                    if *arrived {
                        self.download(state, *id, at);
                    }
                }
                Change::Worked(worked) => {
                    self.stages.borrow_mut().units += worked.finished.len();
                    let (units, packages) = super::work::records(state, worked, at);
                    (self.take)(Row::Work(units, packages));
                }
                Change::Phase(Phase::Activating) => {
                    self.stages.borrow_mut().activation.get_or_insert(at);
                }
                Change::Ended(_) => {
                    let cancelled = std::mem::take(&mut self.cancelled);
                    cancelled.into_values().for_each(|build| (self.take)(Row::Build(build)));
                }
                _ => {}
            }
        }
    }
}

/// Returns the record of a run that began at a moment in milliseconds since 1970.
pub(crate) fn begun(context: &Context, id: String, started_at: u64, nix: Option<String>) -> RunRecord {
    let subject = &context.subject;
    RunRecord {
        id,
        target: subject.target.clone(),
        command: subject.command.clone(),
        kind: subject.kind.map(str::to_owned),
        host: Some(context.host.clone()),
        system: Some(context.system.clone()),
        nix_version: nix,
        max_jobs: subject.max_jobs.or(context.max_jobs),
        cores: subject.cores.or(Some(context.cores).filter(|cores| *cores > 0)),
        tool_jobs: subject.tool_jobs,
        started: format_moment(i64::try_from(started_at).unwrap_or(0)),
        ..RunRecord::default()
    }
}

/// Completes the record of a run that has ended.
pub(crate) fn ended(record: RunRecord, stages: &Stages, outcome: RunOutcome, at: Moment) -> RunRecord {
    RunRecord {
        elapsed_ms: Some(millis(at)),
        outcome,
        evaluation_ms: stages.first_work.map(millis),
        downloads_ms: stages.downloads.total(),
        builds_ms: stages.builds.total(),
        activation_ms: stages.activation.map(|from| millis(at.saturating_sub(from))),
        built: Some(stages.built),
        failed: Some(stages.failed),
        downloaded: Some(stages.downloaded),
        downloaded_bytes: Some(stages.downloaded_bytes),
        ..record
    }
}

/// Returns the outcome of a run for the history.
pub(crate) fn outcome(state: &State) -> RunOutcome {
    use nixmon_core::state::Outcome;
    match state.outcome() {
        Some(Outcome::Success) => RunOutcome::Success,
        Some(Outcome::Failure) => RunOutcome::Failure,
        Some(Outcome::Interrupted) => RunOutcome::Cancelled,
        Some(Outcome::Incomplete) | None => RunOutcome::Unknown,
    }
}

enum Told {
    Row(Row),
    /// The end is near: what of the run is worth a line?
    News(SyncSender<News>),
    End(Box<RunRecord>, Vec<PredictionRecord>, SyncSender<(Losses, Option<Notice>)>),
}

/// Things worth a line at the end of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    /// Packages that now take longer than they did.
    pub(crate) slower: Vec<(String, Regression)>,
    /// The history was damaged, and is now elsewhere.
    pub(crate) notice: Option<String>,
    /// Rows that could not be written so far.
    pub(crate) losses: Losses,
}

/// The history of one run as it is filled, behind a queue.
#[derive(Debug)]
pub(crate) struct Filled {
    sender: SyncSender<Told>,
    /// Rows for which there was no room in the queue.
    dropped: Arc<AtomicU64>,
    stages: Shared,
    record: RunRecord,
    /// A run in which nothing was built or fetched is kept, too.
    always: bool,
}

impl Filled {
    /// Begins a run, and returns the sink that fills its history. Without a thread there is none.
    pub(crate) fn begin(
        context: &Context,
        record: RunRecord,
        retention: Retention,
        always: bool,
        measures: Measures,
    ) -> Option<(Self, impl Sink + 'static)> {
        let (sender, told) = sync_channel(MOST_WAITING);
        let writer = Writer {
            path: context.path.clone(),
            record: record.clone(),
            recorder: None,
            notice: None,
            retention,
            written: Written::new(context.written_in.clone(), std::time::SystemTime::now()),
        };
        thread::Builder::new().name("history".to_owned()).spawn(move || writer.serve(&told)).ok()?;
        let stages = Shared::default();
        let dropped = Arc::new(AtomicU64::new(0));
        let (rows, lost) = (sender.clone(), Arc::clone(&dropped));
        let sink = recorded(&context.system, Rc::clone(&stages), measures, move |row| {
            if rows.try_send(Told::Row(row)).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        Some((Self { sender, dropped, stages, record, always }, sink))
    }

    /// Notes the number of jobs, which may be found out during the run.
    pub(crate) fn set_max_jobs(&mut self, jobs: Option<u32>) {
        self.record.max_jobs = self.record.max_jobs.or(jobs);
    }

    /// Notes the use of CPU and memory.
    pub(crate) fn set_resources(&mut self, resources: Option<Resources>) {
        self.record.resources = resources;
    }

    fn is_empty(&self) -> bool {
        let stages = self.stages.borrow();
        !self.always && stages.built + stages.failed + stages.downloaded == 0 && stages.units == 0
    }

    /// Returns what is worth a line, if the history answers soon.
    pub(crate) fn news(&self) -> News {
        let stages = self.stages.borrow().clone();
        if stages.built + stages.failed + stages.downloaded == 0 {
            return News::default();
        }
        let (reply, answer) = sync_channel(1);
        if self.sender.try_send(Told::News(reply)).is_err() {
            return News::default();
        }
        let mut news = answer.recv_timeout(PATIENCE).unwrap_or_default();
        news.losses.rows += self.dropped.load(Ordering::Relaxed);
        news.slower.retain(|(_, slower)| slower.after_ms - slower.before_ms >= LEAST_SHIFT);
        news
    }

    /// Ends the run. Returns what was lost, and what was not told yet.
    pub(crate) fn finish(
        self,
        outcome: RunOutcome,
        at: Moment,
        foretold: Vec<PredictionRecord>,
    ) -> (Losses, Option<String>) {
        if self.is_empty() {
            return Default::default();
        }
        let record = ended(self.record, &self.stages.borrow(), outcome, at);
        let (reply, answer) = sync_channel(1);
        let (mut losses, mut notice) = (Losses::default(), None);
        if self.sender.try_send(Told::End(Box::new(record), foretold, reply)).is_ok() {
            (losses, notice) = answer.recv_timeout(LAST).unwrap_or_else(|_| {
                let reason = Some("the history was too slow for the end of the run".to_owned());
                (Losses { run: true, reason, ..Losses::default() }, None)
            });
        } else {
            losses.run = true;
        }
        losses.rows += self.dropped.load(Ordering::Relaxed);
        (losses, notice.map(|notice| notice.to_string()))
    }
}

/// The thread's side.
struct Writer {
    path: std::path::PathBuf,
    record: RunRecord,
    recorder: Option<Recorder>,
    notice: Option<Notice>,
    retention: Retention,
    written: Written,
}

impl Writer {
    fn serve(mut self, told: &Receiver<Told>) {
        let mut flushed = Instant::now();
        loop {
            // A steady stream of rows never lets the wait run out.
            if flushed.elapsed() >= FLUSH {
                flushed = Instant::now();
                if let Some(recorder) = &mut self.recorder {
                    recorder.flush();
                }
            }
            match told.recv_timeout(FLUSH) {
                Ok(Told::Row(Row::Build(build))) => self.recorder().build(*build),
                Ok(Told::Row(Row::Download(download))) => self.recorder().download(*download),
                Ok(Told::Row(Row::Work(mut units, mut packages))) => {
                    // Of builds in a sandbox nothing is left to be read.
                    if units.iter().all(|unit| unit.scope.is_none()) {
                        self.written.refine(&mut units, &mut packages);
                    }
                    let recorder = self.recorder();
                    units.into_iter().for_each(|unit| recorder.unit(unit));
                    packages.into_iter().for_each(|package| recorder.package(package));
                }
                Ok(Told::News(reply)) => {
                    let (news, notice) = (self.news(), self.notice.clone());
                    // An answer that came too late was not told.
                    self.notice = if reply.send(news).is_err() { notice } else { None };
                }
                Ok(Told::End(record, foretold, reply)) => {
                    for prediction in foretold {
                        self.recorder().prediction(prediction);
                    }
                    // A run without rows begins only now.
                    self.recorder();
                    if let Some(recorder) = self.recorder.take() {
                        let run = recorder.run();
                        let losses = recorder.finish(&record);
                        if losses.is_empty() && run.is_some_and(|run| run.0 % PRUNE_EVERY == 0) {
                            self.prune();
                        }
                        // If nobody waits any more, the loss has been told.
                        let _ = reply.send((losses, self.notice.take()));
                    }
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if let Some(recorder) = &mut self.recorder {
                        recorder.flush();
                    }
                    return;
                }
            }
        }
    }

    fn recorder(&mut self) -> &mut Recorder {
        self.recorder.get_or_insert_with(|| {
            let (recorder, notice) = Recorder::begin(&self.path, self.record.clone(), now_ms());
            self.notice = notice;
            recorder
        })
    }

    fn news(&mut self) -> News {
        let mut news = News::default();
        let Some(recorder) = &mut self.recorder else { return news };
        news.slower = recorder.regressions();
        news.losses = recorder.losses().clone();
        news.notice = self.notice.as_ref().map(ToString::to_string);
        news
    }

    fn prune(&self) {
        if let Ok((mut store, _)) = Store::open(&self.path, now_ms())
            && let Err(error) = store.prune(&self.retention, now_ms())
        {
            tracing::debug!(%error, "the history was not pruned");
        }
    }
}

/// Returns the time of day in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(nixmon_runs::clock::unix_ms()).unwrap_or(i64::MAX)
}
