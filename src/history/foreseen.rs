//! The end of a run, foreseen: the estimator beside a pipeline, and what it has said.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Context;
use super::mirror::{Look, Mirror, apply};
use super::simple::Medians;
use nixmon_core::state::{self, Forecast, Moment, Phase, State};
use nixmon_core::wire::millis;
use nixmon_history::estimate::{Estimator, Eta, Expected, Foreseen, NodeId, Plan, Stage, TargetPast};
use nixmon_history::record::PredictionRecord;
use nixmon_history::store::{RunFilter, Store};

/// Least time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// A look takes at most one part in this many of the time, up to [`RAREST`].
const SHARE: u32 = 120;
/// The longest time between two looks.
const RAREST: Duration = Duration::from_secs(60);
/// Further time between two looks for each node of the plan, for the loop that tells what has changed.
const EVERY_NODE: Duration = Duration::from_micros(20);
/// Least time between two times at which the history is read, unless the plan has doubled.
const RELOAD: Duration = Duration::from_secs(5);
/// Largest number of nodes of the chain and beside it that are told.
const MOST_NAMED: usize = 64;

/// Asks Nix how many builds it runs at once.
pub(crate) type AskJobs = Box<dyn FnOnce() -> Option<u32> + Send>;

/// Foresees the end of a run.
pub(crate) struct Forecaster {
    mirror: Mirror,
    engine: Engine,
    every: Duration,
    looked: Moment,
    /// The moment of the run's beginning, in milliseconds since 1970; `None` in a replay.
    begun_at: Option<u64>,
    foretold: Foretold,
    /// The number of jobs that was found out.
    jobs: Option<u32>,
    /// The time that the last look took.
    cost: Duration,
}

enum Engine {
    Here(Box<Foreseer>),
    Thread { looks: SyncSender<Look>, answers: Receiver<Answer> },
}

impl std::fmt::Debug for Forecaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forecaster").field("looked", &self.looked).finish_non_exhaustive()
    }
}

impl Forecaster {
    /// Makes one that answers at once, for a replay. It looks at the history every so often in the time of the recording.
    pub(crate) fn here(context: Context, every: Duration) -> Self {
        let engine = Engine::Here(Box::new(Foreseer::new(context, None)));
        Self::new(engine, every, None)
    }

    /// Makes one that works on a thread. Without the thread nothing is foreseen.
    pub(crate) fn beside(context: Context, begun_at: u64, ask: Option<AskJobs>) -> Option<Self> {
        let (looks, todo) = sync_channel::<Look>(1);
        let (said, answers) = sync_channel(2);
        let work = move || {
            let mut foreseer = Foreseer::new(context, ask);
            while let Ok(look) = todo.recv() {
                let begun = Instant::now();
                let answer = foreseer.answer(look);
                if said.send(Answer { cost: begun.elapsed(), ..answer }).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("forecast".to_owned()).spawn(work).ok()?;
        Some(Self::new(Engine::Thread { looks, answers }, EVERY, Some(begun_at)))
    }

    fn new(engine: Engine, every: Duration, begun_at: Option<u64>) -> Self {
        Self {
            mirror: Mirror::default(),
            engine,
            every,
            looked: Moment::ZERO,
            begun_at,
            foretold: Foretold::default(),
            jobs: None,
            cost: Duration::ZERO,
        }
    }

    /// Returns the number of builds at once, if it was found out.
    pub(crate) fn found_jobs(&self) -> Option<u32> {
        self.jobs
    }

    /// Takes note of the time. Returns what is foreseen, if there is something new.
    pub(crate) fn tick(&mut self, state: &State, at: Moment) -> Option<Forecast> {
        let mut answer = match &self.engine {
            Engine::Thread { answers, .. } => answers.try_iter().last(),
            Engine::Here(_) => None,
        };
        let every = match self.engine {
            Engine::Here(_) => self.every,
            Engine::Thread { .. } => {
                let nodes = EVERY_NODE * u32::try_from(self.mirror.len()).unwrap_or(u32::MAX);
                (self.every + nodes).max(self.cost * SHARE).min(RAREST)
            }
        };
        let is_due = at.saturating_sub(self.looked) >= every;
        // A replay tells what it can as soon as it can: the next time may be long after.
        let is_first = matches!(self.engine, Engine::Here(_))
            && self.mirror.len() == 0
            && state.derivations().iter().len() > 0;
        if (is_due || is_first) && state.phase() != Phase::Done {
            if is_due {
                self.looked = at;
            }
            let look = self.mirror.look(state, at);
            match &mut self.engine {
                Engine::Here(foreseer) => answer = Some(foreseer.answer(look)),
                Engine::Thread { looks, .. } => {
                    if let Err(TrySendError::Full(look)) = looks.try_send(look) {
                        self.mirror.take_back(look);
                    }
                }
            }
        }
        answer.map(|answer| self.forecast(answer))
    }

    /// Returns what was foretold at parts of a run that took this long.
    pub(crate) fn foretold(&self, total: Moment) -> Vec<PredictionRecord> {
        self.foretold.rows(millis(total))
    }

    fn forecast(&mut self, answer: Answer) -> Forecast {
        self.jobs = answer.jobs;
        self.cost = answer.cost;
        if let Some(eta) = answer.eta {
            self.foretold.keep(millis(answer.at), eta, answer.simple);
        }
        let derivation = |node: &NodeId| self.mirror.derivation(*node);
        let expected = answer.expected.iter().filter_map(|(node, expected)| {
            let Expected { ms, high_ms, .. } = *expected;
            let expected =
                state::Expected { total: Duration::from_millis(ms), high: Duration::from_millis(high_ms) };
            Some((derivation(node)?, expected))
        });
        let finish_at = answer
            .eta
            .zip(self.begun_at)
            .map(|(eta, begun)| begun.saturating_add(millis(answer.at)).saturating_add(eta.remaining_ms));
        Forecast {
            at: answer.at,
            eta: answer.eta.map(|eta| state::Eta {
                remaining_ms: eta.remaining_ms,
                low_ms: eta.low_ms,
                high_ms: eta.high_ms,
                coverage: eta.coverage,
                known: eta.known,
                unknown: eta.unknown,
                finish_at,
                other_jobs: answer.other_jobs,
            }),
            expected: expected.collect(),
            waits_for: answer.waits_for.iter().filter_map(derivation).collect(),
            beside: answer.beside.iter().filter_map(derivation).collect(),
        }
    }
}

/// The answer to a look.
#[derive(Clone, Debug, Default)]
struct Answer {
    at: Moment,
    eta: Option<Eta>,
    /// The estimate is made of runs with other numbers of jobs.
    other_jobs: bool,
    expected: Vec<(NodeId, Expected)>,
    waits_for: Vec<NodeId>,
    beside: Vec<NodeId>,
    simple: [Option<u64>; 4],
    jobs: Option<u32>,
    cost: Duration,
}

/// The estimator with its plan and the history.
struct Foreseer {
    context: Context,
    ask: Option<AskJobs>,
    plan: Plan,
    store: Option<Store>,
    /// The number of nodes for which the past was read, and when.
    loaded: Option<(usize, Moment)>,
    estimator: Option<Estimator>,
    medians: Medians,
    target: Option<TargetPast>,
    /// The number of jobs is known, not assumed.
    knows_jobs: bool,
}

impl Foreseer {
    fn new(context: Context, ask: Option<AskJobs>) -> Self {
        // A history that cannot be read is one from which nothing is known.
        let store = Store::open_read_only(&context.path)
            .inspect_err(|error| tracing::debug!(%error, "no past is read"))
            .ok();
        let subject = &context.subject;
        let max_jobs = subject.max_jobs.or(context.max_jobs);
        let cores = subject.cores.unwrap_or(context.cores);
        let target = subject.target.as_deref().zip(store.as_ref());
        let target = target.and_then(|(target, store)| store.target_past(target, &context.host).ok());
        Self {
            plan: Plan::new(&context.host, max_jobs.unwrap_or(1), cores),
            knows_jobs: max_jobs.is_some(),
            context,
            ask,
            store,
            loaded: None,
            estimator: None,
            medians: Medians::default(),
            target: target.filter(|past| !past.runs.is_empty()),
        }
    }

    fn answer(&mut self, look: Look) -> Answer {
        let now_ms = millis(look.at);
        apply(&mut self.plan, look.updates, &self.context.system);
        self.plan.download_rate = look.rate;
        self.plan.caches = look.caches;
        self.find_jobs();
        self.load(look.at);
        let jobs = self.knows_jobs.then(|| self.plan.machines[0].slots);
        let mut answer = Answer { at: look.at, jobs, ..Answer::default() };
        let in_phase = now_ms.saturating_sub(millis(look.phase_since));
        let Some(estimator) = self.estimator.as_mut().filter(|_| !look.endless) else {
            (answer.eta, answer.other_jobs) = self.of_target(now_ms, look.phase, in_phase);
            return answer;
        };
        if look.phase < Phase::Activating {
            answer.eta = estimator.refresh(&self.plan, now_ms);
            let activation = self.target.as_ref().and_then(|past| past.activation(0));
            if let (Some(eta), Some(activation)) = (answer.eta, activation) {
                answer.eta = Some(eta.then(activation));
            }
        }
        let running = |i: &usize| matches!(self.plan.nodes()[*i].stage, Stage::Running { .. });
        if answer.eta.is_some() {
            let expectations = estimator.expectations(&self.plan, now_ms);
            answer.expected = (0..expectations.len())
                .filter(running)
                .filter_map(|i| Some((NodeId(i as u32), expectations[i]?)))
                .collect();
            if let Some(path) = estimator.critical_path(&self.plan, now_ms) {
                answer.waits_for = path.steps.iter().take(MOST_NAMED).map(|step| step.node).collect();
                answer.beside = path.parallel.into_iter().take(MOST_NAMED).collect();
            }
            answer.simple = self.medians.foresee(&self.plan, now_ms);
        } else {
            (answer.eta, answer.other_jobs) = self.of_target(now_ms, look.phase, in_phase);
        }
        answer
    }

    /// Foresees a run without a known plan from the past of its target. Returns also whether runs with other numbers of jobs are in
    /// the estimate.
    fn of_target(&self, now_ms: u64, phase: Phase, in_phase: u64) -> (Option<Eta>, bool) {
        let Some(past) = &self.target else { return (None, false) };
        if phase == Phase::Activating {
            return (past.activation(in_phase), false);
        }
        let subject = &self.context.subject;
        let jobs = subject.tool_jobs.or(self.knows_jobs.then(|| self.plan.machines[0].slots));
        match past.foresee(now_ms, jobs) {
            Some(Foreseen { eta, other_jobs }) => (Some(eta), other_jobs),
            None => (None, false),
        }
    }

    /// Finds out how many builds run at once, once there are any.
    fn find_jobs(&mut self) {
        if self.knows_jobs || self.plan.nodes().is_empty() {
            return;
        }
        let asked = self.ask.take().and_then(|ask| ask());
        if let Some(jobs) = asked {
            self.knows_jobs = true;
            self.plan.machines[0].slots = jobs;
            return;
        }
        let filter = RunFilter { host: Some(&self.context.host), limit: Some(1), ..RunFilter::default() };
        let runs = self.store.as_ref().and_then(|store| store.runs(&filter).ok());
        let last = runs.and_then(|runs| runs.first().and_then(|run| run.record.max_jobs));
        let running =
            self.plan.nodes().iter().filter(|node| matches!(node.stage, Stage::Running { .. })).count();
        let seen = u32::try_from(running).unwrap_or(u32::MAX);
        self.plan.machines[0].slots = last.unwrap_or(1).max(seen).max(self.plan.machines[0].slots);
    }

    /// Reads the past of the packages of the plan, where there are new ones.
    fn load(&mut self, at: Moment) {
        let n = self.plan.nodes().len();
        let is_due = match self.loaded {
            None => n > 0,
            Some((known, when)) => n > known && (n >= 2 * known || at.saturating_sub(when) >= RELOAD),
        };
        let Some(store) = self.store.as_ref().filter(|_| is_due) else { return };
        self.loaded = Some((n, at));
        match store.past(&self.plan.wanted()) {
            Ok(past) => {
                self.medians = Medians::of(&past);
                self.estimator = Some(Estimator::new(&past));
            }
            Err(error) => tracing::debug!(%error, "the past cannot be read"),
        }
    }
}

/// Predictions that were made, thinned out evenly.
#[derive(Debug)]
pub(crate) struct Foretold {
    kept: Vec<PredictionRecord>,
    /// Least time between two, in milliseconds.
    apart: u64,
}

impl Default for Foretold {
    fn default() -> Self {
        Self { kept: Vec::new(), apart: 500 }
    }
}

impl Foretold {
    const MOST: usize = 512;

    fn keep(&mut self, at_ms: u64, eta: Eta, simple: [Option<u64>; 4]) {
        if self.kept.last().is_some_and(|last| at_ms < last.at_ms + self.apart) {
            return;
        }
        if self.kept.len() >= Self::MOST {
            self.apart *= 2;
            let mut even = false;
            self.kept.retain(|_| {
                even = !even;
                even
            });
        }
        let [by_count_ms, by_sum_ms, by_share_ms, by_chain_ms] = simple;
        self.kept.push(PredictionRecord {
            at_ms,
            remaining_ms: eta.remaining_ms,
            low_ms: eta.low_ms,
            high_ms: eta.high_ms,
            coverage: eta.coverage,
            by_count_ms,
            by_sum_ms,
            by_share_ms,
            by_chain_ms,
            ..PredictionRecord::default()
        });
    }

    /// Returns for each part of a run the last prediction before it, unless that is much older.
    fn rows(&self, total_ms: u64) -> Vec<PredictionRecord> {
        [5u8, 25, 50, 75]
            .into_iter()
            .filter_map(|percent| {
                let part = total_ms.saturating_mul(u64::from(percent)) / 100;
                let last = self.kept.iter().rfind(|kept| kept.at_ms <= part)?;
                let fresh = part - last.at_ms <= total_ms / 20;
                fresh.then(|| PredictionRecord { percent, ..last.clone() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_kept_at_parts_of_a_run() {
        let mut foretold = Foretold::default();
        for second in 0..5000 {
            let eta = Eta {
                remaining_ms: (5000 - second) * 1000,
                low_ms: 0,
                high_ms: 9_000_000,
                coverage: 0.8,
                known: 1,
                unknown: 0,
            };
            foretold.keep(second * 1000, eta, [None; 4]);
        }
        assert!(foretold.kept.len() <= Foretold::MOST);
        let rows = foretold.rows(5_000_000);
        assert_eq!(rows.iter().map(|row| row.percent).collect::<Vec<_>>(), [5, 25, 50, 75]);
        assert!(rows.iter().all(|row| {
            let part = u64::from(row.percent) * 50_000;
            row.at_ms <= part && part - row.at_ms <= 40_000 && row.remaining_ms == 5_000_000 - row.at_ms
        }));
        // A run of which nothing was said for long has no prediction there.
        assert_eq!(foretold.rows(50_000_000).len(), 1);
    }
}
