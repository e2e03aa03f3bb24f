//! The estimator: from a model of the past and the plan at a moment to the end of the run.

use super::factors::{Factors, Seen};
use super::model::{Level, Model, Rung, Tuning};
use super::past::{CachePast, Past, concurrency};
use super::plan::{NodeId, Plan, Stage, Work};
use super::random::{logistic, logistic_above, logistic_rest, mix, normal_quantile, uniform};
use super::schedule::{Schedule, Scratch, Trace};

/// The end of the run as it is foreseen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eta {
    /// The milliseconds that remain; as likely too few as too many.
    pub remaining_ms: u64,
    /// The lower end of the band that holds the truth in four of five cases.
    pub low_ms: u64,
    /// Its upper end.
    pub high_ms: u64,
    /// The share of cases in which the band is meant to hold the truth.
    pub coverage: f64,
    /// The open derivations of which the package has been built before.
    pub known: u32,
    /// The open derivations that are new.
    pub unknown: u32,
}

/// The expectation of a single build.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The milliseconds that it takes in all, with this machine as fast as it is in this run.
    pub ms: u64,
    /// The lower end of the band that holds four of five builds.
    pub low_ms: u64,
    /// Its upper end.
    pub high_ms: u64,
    /// The number of samples on which it stands.
    pub samples: u32,
    /// Nearness of those samples.
    pub rung: Rung,
}

/// The share of cases that a band is meant to hold.
const COVERAGE: f64 = 0.8;
/// Beyond so many open nodes a bound takes the place of the simulation.
const MOST_SIMULATED: usize = 20_000;
/// The node-starts that one estimate simulates at most.
const BUDGET: usize = 150_000;

/// Foresees the end of a run. It is made once for a run and asked as often as one likes.
#[derive(Clone, Debug)]
pub struct Estimator {
    model: Model,
    tuning: Tuning,
    downloads: Option<Rate>,
    caches: Vec<CachePast>,
    band_factor: f64,
    machines: Vec<MachineFacts>,
    offsets: Vec<Vec<(f64, f64)>>,
    levels: Vec<Option<Level>>,
    /// All nodes in the order of their names.
    by_name: Vec<u32>,
    scratch: Scratch,
    last: Option<Cached>,
}

#[derive(Clone, Debug, PartialEq)]
struct MachineFacts {
    name: String,
    host: Option<u32>,
}

/// The rate of downloads in the past.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes_per_s: f64,
    mean_bytes: f64,
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    revision: u64,
    at_ms: u64,
    valid_ms: u64,
    eta: Option<Eta>,
}

impl Estimator {
    /// Fits the past.
    pub fn new(past: &Past) -> Self {
        Self::with_tuning(past, Tuning::default())
    }

    #[doc(hidden)]
    pub fn with_tuning(past: &Past, tuning: Tuning) -> Self {
        let bytes: u64 = past.downloads.iter().map(|d| d.0).sum();
        let ms: u64 = past.downloads.iter().map(|d| d.1).sum();
        let downloads = (bytes > 0 && ms > 0).then(|| Rate {
            bytes_per_s: bytes as f64 * 1000.0 / ms as f64,
            mean_bytes: bytes as f64 / past.downloads.len() as f64,
        });
        Estimator {
            model: Model::fit(past, tuning.clone()),
            tuning,
            downloads,
            caches: past.caches.clone(),
            band_factor: past.band_factor.unwrap_or(1.0),
            machines: Vec::new(),
            offsets: Vec::new(),
            levels: Vec::new(),
            by_name: Vec::new(),
            scratch: Scratch::default(),
            last: None,
        }
    }

    /// Returns how much builds slow each other down here.
    pub fn slowdown(&self) -> &super::Slowdown {
        &self.model.slow
    }

    /// Returns the end of the run as it is foreseen at `now_ms`, or `None` if nothing of the plan is known.
    pub fn estimate(&mut self, plan: &Plan, now_ms: u64) -> Option<Eta> {
        let view = View::new(self, plan, now_ms)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let eta = view.eta(self, &mut scratch);
        self.scratch = scratch;
        Some(eta)
    }

    /// Returns the same as [`Estimator::estimate`], but lets time pass on the last answer where nothing has happened, and for a
    /// while after an expensive one, so that an estimate takes no more than about a hundredth of the time.
    pub fn refresh(&mut self, plan: &Plan, now_ms: u64) -> Option<Eta> {
        if let Some(last) = self.last {
            let age = now_ms.saturating_sub(last.at_ms);
            let unchanged = last.revision == plan.revision() && age < 5_000;
            if now_ms >= last.at_ms && (unchanged || age < last.valid_ms) {
                return last.eta.map(|eta| eta.later(age));
            }
        }
        let eta = self.estimate(plan, now_ms);
        // About 0.2 µs for each node of the plan and each simulated start.
        let n = plan.nodes().len();
        let cost_us = (n + BUDGET.min(n * self.tuning.draws)) / 5;
        self.last =
            Some(Cached { revision: plan.revision(), at_ms: now_ms, valid_ms: cost_us as u64 / 10, eta });
        eta
    }

    /// Returns the rate of past downloads from these caches in bytes per second; where they are new or none is named, from all.
    fn past_rate(&self, caches: &[String]) -> Option<f64> {
        let rate = |of: &mut dyn Iterator<Item = &CachePast>| {
            let (bytes, ms) = of.fold((0.0, 0.0), |(bytes, ms), cache| {
                (bytes + cache.bytes as f64, ms + cache.busy_ms as f64)
            });
            (bytes > 0.0 && ms > 0.0).then_some(bytes * 1000.0 / ms)
        };
        rate(&mut self.caches.iter().filter(|past| caches.contains(&past.cache)))
            .or_else(|| rate(&mut self.caches.iter()))
            .or(self.downloads.map(|downloads| downloads.bytes_per_s))
    }

    /// Returns the expectation of one build as the run stands, or `None` if the package is new or it is a download.
    pub fn expected(&mut self, plan: &Plan, now_ms: u64, node: NodeId) -> Option<Expected> {
        let view = View::new(self, plan, now_ms)?;
        view.expected(self, node)
    }

    /// Returns the expectations of all nodes, in their order.
    pub fn expectations(&mut self, plan: &Plan, now_ms: u64) -> Vec<Option<Expected>> {
        match View::new(self, plan, now_ms) {
            Some(view) => plan.ids().map(|id| view.expected(self, id)).collect(),
            None => vec![None; plan.nodes().len()],
        }
    }

    /// Returns the chain of nodes that the end of the run waits for, and what is ready beside it.
    pub fn critical_path(&mut self, plan: &Plan, now_ms: u64) -> Option<super::CriticalPath> {
        let view = View::new(self, plan, now_ms)?;
        let work = view.expected_work(self);
        Some(super::path::critical_path(plan, &view.schedule, &work, &self.model.slow, view.rate))
    }

    /// Returns start and stop in milliseconds of the run of each open node, were all to take what is expected.
    pub fn timeline(&mut self, plan: &Plan, now_ms: u64) -> Vec<(NodeId, u64, u64)> {
        let Some(view) = View::new(self, plan, now_ms) else { return Vec::new() };
        let work = view.expected_work(self);
        let mut trace = Trace::new();
        view.schedule.run(&work, &self.model.slow, view.rate, &mut self.scratch, Some(&mut trace));
        let ms = |seconds: f64| now_ms.saturating_add((seconds * 1000.0) as u64);
        let rows = view.schedule.order.iter().zip(&trace);
        rows.map(|(&node, &(start, stop))| (NodeId(node), ms(start), ms(stop))).collect()
    }

    /// Brings what is kept per machine and node up to the plan.
    fn prepare(&mut self, plan: &Plan) {
        let facts: Vec<MachineFacts> = plan
            .machines
            .iter()
            .map(|m| MachineFacts { name: m.name.clone(), host: self.model.host(&m.name) })
            .collect();
        if facts != self.machines {
            let hosts = self.model.n_hosts() as u32;
            self.offsets = facts
                .iter()
                .map(|m| (0..hosts).map(|h| self.model.host_offset(m.host, h)).collect())
                .collect();
            self.machines = facts;
            self.levels.clear();
        }
        let nodes = plan.nodes();
        if self.by_name.len() != nodes.len() {
            self.by_name = (0..nodes.len() as u32).collect();
            let name = |i: u32| &nodes[i as usize].name;
            self.by_name.sort_unstable_by(|&a, &b| name(a).cmp_full(name(b)).then(a.cmp(&b)));
        }
        for node in &plan.nodes()[self.levels.len().min(plan.nodes().len())..] {
            let level = match &node.work {
                Work::Build { drv, system } => {
                    let builder = builder(plan);
                    let own = self.machines[builder].host;
                    self.model.expect(
                        &node.name,
                        drv.as_deref(),
                        system.as_deref(),
                        own,
                        &self.offsets[builder],
                    )
                }
                Work::Download { .. } => None,
            };
            self.levels.push(level);
        }
    }
}

/// Returns the machine that takes what is queued.
fn builder(plan: &Plan) -> usize {
    plan.machines.iter().position(|m| m.slots > 0).unwrap_or(0)
}

impl Eta {
    /// Returns the same after `ms` have passed.
    pub fn later(self, ms: u64) -> Self {
        let less = |x: u64| x.saturating_sub(ms);
        Eta {
            remaining_ms: less(self.remaining_ms),
            low_ms: less(self.low_ms),
            high_ms: less(self.high_ms),
            ..self
        }
    }
}

/// One build in the terms of a simulation.
#[derive(Clone, Copy, Debug)]
struct Task {
    /// Mean of the logarithm of its seconds alone, without the factors.
    mean: f64,
    /// Scale of the logarithm, with the rest of a single build.
    scale: f64,
    factors: [Option<usize>; 2],
    /// The seconds of work that are done.
    done: f64,
    /// A download's remaining bytes.
    bytes: Option<f64>,
    /// Its seed, which stays the same while the run goes on.
    seed: u64,
}

/// A plan at a moment, ready to be simulated.
struct View {
    now_s: f64,
    schedule: Schedule,
    tasks: Vec<Task>,
    factors: Factors,
    rate: f64,
    known: u32,
    unknown: u32,
}

impl View {
    fn new(e: &mut Estimator, plan: &Plan, now_ms: u64) -> Option<View> {
        let builds = || plan.nodes().iter().any(|n| matches!(n.work, Work::Build { .. }));
        let rate = plan.download_rate.filter(|r| *r > 0.0).or_else(|| e.past_rate(&plan.caches));
        if e.model.is_empty() && (builds() || rate.is_none()) {
            return None;
        }
        e.prepare(plan);
        if builds() && !e.levels.iter().flatten().any(|l| l.rung.is_known()) {
            return None;
        }
        let open = plan.open();
        let schedule = Schedule::new(plan, &open, &e.by_name);
        let spans = spans(plan, now_ms);
        let factors = online_factors(e, plan, &spans, now_ms);
        let n_machines = plan.machines.len().max(1);
        let local = builder(plan);
        let (mut known, mut unknown) = (0, 0);
        let mean_bytes = e.downloads.map_or(1e6, |d| d.mean_bytes);
        let tasks = schedule
            .order
            .iter()
            .map(|&i| {
                let node = &plan.nodes()[i as usize];
                let seed = mix(u64::from(i) + 1);
                if let Work::Download { bytes, received } = node.work {
                    let left = bytes.map_or(mean_bytes, |b| b as f64) - received as f64;
                    return Task {
                        mean: 0.0,
                        scale: 0.0,
                        factors: [None; 2],
                        done: 0.0,
                        bytes: Some(left.max(0.0)),
                        seed,
                    };
                }
                let level = e.levels[i as usize];
                match level {
                    Some(l) if l.rung.is_known() => known += 1,
                    _ => unknown += 1,
                }
                let level = level.unwrap_or(Level {
                    mean: 0.0,
                    variance: 1.0,
                    rung: Rung::Any,
                    samples: 0,
                    foreign: None,
                });
                let (machine, done) = match node.stage {
                    Stage::Running { since_ms, machine } => {
                        let m = (machine.0 as usize).min(n_machines - 1);
                        let elapsed = now_ms.saturating_sub(since_ms) as f64 / 1000.0;
                        let beside = spans
                            .binary_search_by_key(&(i as usize), |s| s.node)
                            .map_or(1.0, |s| spans[s].concurrency);
                        (m, elapsed / e.model.slow.log(beside).exp())
                    }
                    _ => (local, 0.0),
                };
                let mut task = Task {
                    mean: level.mean,
                    scale: (level.variance + (e.tuning.kappa * e.model.scale(level.mean)).powi(2)).sqrt(),
                    factors: [Some(machine), level.foreign.map(|h| n_machines + h as usize)],
                    done,
                    bytes: None,
                    seed,
                };
                if let Some(share) = node.progress.filter(|p| *p > 0.02 && done > 1.0) {
                    // What the build itself says, the better the further it is.
                    let said = (done / share).ln() - factors.mean_of(task.factors);
                    let doubt = (0.6 * (1.0 - share) + 0.05).powi(2);
                    let (a, b) = (1.0 / task.scale.powi(2), 1.0 / doubt);
                    task.mean = (a * task.mean + b * said) / (a + b);
                    task.scale = (1.0 / (a + b)).sqrt();
                }
                task
            })
            .collect();
        let rate = rate.unwrap_or(1e6);
        Some(View { now_s: now_ms as f64 / 1000.0, schedule, tasks, factors, rate, known, unknown })
    }

    fn eta(&self, e: &Estimator, scratch: &mut Scratch) -> Eta {
        let n = self.schedule.len();
        let mut ends = if n > MOST_SIMULATED { self.bound(e) } else { self.simulate(e, scratch) };
        ends.sort_by(f64::total_cmp);
        let at = |p: f64| {
            let x = p * (ends.len() - 1) as f64;
            let (low, part) = (x.floor() as usize, x.fract());
            ends[low] * (1.0 - part) + ends[(low + 1).min(ends.len() - 1)] * part
        };
        let middle = at(0.5);
        let (low, high) = band(self.now_s, middle, at(0.1), at(0.9), e.band_factor);
        let ms = |seconds: f64| (seconds * 1000.0).round() as u64;
        Eta {
            remaining_ms: ms(middle),
            low_ms: ms(low),
            high_ms: ms(high),
            coverage: COVERAGE,
            known: self.known,
            unknown: self.unknown,
        }
    }

    /// Returns the seconds until the end in each of many simulations.
    fn simulate(&self, e: &Estimator, scratch: &mut Scratch) -> Vec<f64> {
        let n = self.schedule.len();
        if n == 0 {
            return vec![0.0];
        }
        let draws = (BUDGET / n).clamp(7, e.tuning.draws);
        let mut work = vec![0.0; n];
        let mut factors = Vec::new();
        (0..draws as u64)
            .map(|draw| {
                let stream = mix(draw.wrapping_mul(0x2545_f491_4f6c_dd1d));
                // Spread evenly over the draws, so that few of them are enough for quantiles of the common factor.
                let strata = |i: usize| {
                    let turn = uniform(mix(i as u64 + 5)) + golden(i) * draw as f64;
                    normal_quantile(((turn.fract() * draws as f64).floor() + 0.5) / draws as f64)
                };
                self.factors.draw(strata, &mut factors);
                for (rank, task) in self.tasks.iter().enumerate() {
                    work[rank] = task.draw(uniform(stream ^ task.seed), &factors);
                }
                self.schedule.run(&work, &e.model.slow, self.rate, scratch, None)
            })
            .collect()
    }

    /// Returns the remaining work of each open node, were it to take what is expected.
    fn expected_work(&self, _e: &Estimator) -> Vec<f64> {
        self.tasks.iter().map(|task| task.draw(0.5, &self.factors.mean)).collect()
    }

    /// Returns quantiles from a bound instead of a simulation: the longest chain, or all work over all slots.
    fn bound(&self, e: &Estimator) -> Vec<f64> {
        let work = self.expected_work(e);
        let slots = f64::from(self.schedule.build_slots());
        let busy = e.model.slow.factor(self.schedule.build_slots() as usize);
        let (mut builds, mut bytes) = (0.0, 0.0);
        for (task, work) in self.tasks.iter().zip(&work) {
            if task.bytes.is_some() {
                bytes += work;
            } else {
                // The mean of a skewed distribution is above its median.
                builds += work * (task.scale * task.scale).min(1.0).exp();
            }
        }
        let chain = super::path::longest(&self.schedule, &work, self.rate).first().map_or(0.0, |c| c.1);
        let middle = (builds * busy / slots).max(chain).max(bytes / self.rate);
        let sd = self.factors.variance_of([Some(0), None]).sqrt().max(0.1);
        [0.1, 0.5, 0.9].map(|p| middle * (sd * normal_quantile(p)).exp()).to_vec()
    }

    fn expected(&self, e: &Estimator, node: NodeId) -> Option<Expected> {
        let level = (*e.levels.get(node.index())?)?;
        if !level.rung.is_known() {
            return None;
        }
        let factors = [Some(0), level.foreign.map(|h| e.machines.len().max(1) + h as usize)];
        let middle = level.mean + self.factors.mean_of(factors);
        let scale =
            (level.variance + e.model.scale(middle).powi(2) + self.factors.variance_of(factors)).sqrt();
        let ms = |log: f64| (log.exp() * 1000.0).round() as u64;
        Some(Expected {
            ms: ms(middle),
            low_ms: ms(middle + logistic(0.1, scale)),
            high_ms: ms(middle + logistic(0.9, scale)),
            samples: level.samples,
            rung: level.rung,
        })
    }
}

/// Returns an irrational step for each factor, so that their draws are spread evenly together.
fn golden(factor: usize) -> f64 {
    const STEPS: [f64; 6] = [
        0.618_033_988_75,
        0.754_877_666_25,
        0.569_840_290_99,
        0.819_172_513_4,
        0.671_043_606_7,
        0.549_700_477_9,
    ];
    STEPS[factor % STEPS.len()]
}

impl Task {
    /// Returns the remaining work at quantile `p`, given what is done.
    fn draw(&self, p: f64, factors: &[f64]) -> f64 {
        if let Some(bytes) = self.bytes {
            return bytes;
        }
        let center = self.mean + self.factors.into_iter().flatten().map(|f| factors[f]).sum::<f64>();
        if self.done <= 0.0 {
            return (center + logistic(p, self.scale)).exp();
        }
        let floor = self.done.ln() - center;
        // Beyond some point the longest build would decide over all.
        let rest = logistic_rest(floor, p, self.scale).min(floor.max(1.0) + 1.5);
        (center + rest).exp() - self.done
    }
}

/// A build of this run that has begun.
struct Span {
    node: usize,
    machine: usize,
    start_ms: u64,
    stop_ms: u64,
    running: bool,
    /// The builds beside it, itself included, as a geometric mean over its time.
    concurrency: f64,
}

/// Returns the builds that have begun and taken some time.
fn spans(plan: &Plan, now_ms: u64) -> Vec<Span> {
    let n_machines = plan.machines.len().max(1);
    let mut spans: Vec<Span> = Vec::new();
    for (node, of) in plan.nodes().iter().enumerate() {
        let (start_ms, stop_ms, machine, running) = match of.stage {
            Stage::Done { start_ms, stop_ms, machine } => (start_ms, stop_ms, machine, false),
            Stage::Running { since_ms, machine } => (since_ms, now_ms.max(since_ms), machine, true),
            _ => continue,
        };
        if matches!(of.work, Work::Build { .. }) && stop_ms > start_ms {
            let machine = (machine.0 as usize).min(n_machines - 1);
            spans.push(Span { node, machine, start_ms, stop_ms, running, concurrency: 1.0 });
        }
    }
    for machine in 0..n_machines {
        let on: Vec<usize> = (0..spans.len()).filter(|&i| spans[i].machine == machine).collect();
        let times: Vec<(u64, u64)> = on.iter().map(|&i| (spans[i].start_ms, spans[i].stop_ms)).collect();
        for (i, concurrency) in on.into_iter().zip(concurrency(&times)) {
            spans[i].concurrency = concurrency;
        }
    }
    spans
}

/// Estimates the factors of this run from what is done and what runs.
fn online_factors(e: &Estimator, plan: &Plan, spans: &[Span], now_ms: u64) -> Factors {
    let n_machines = plan.machines.len().max(1);
    let mut priors: Vec<(f64, f64)> = (0..n_machines)
        .map(|m| (0.0, e.model.run_variance(e.machines.get(m).and_then(|m| m.host))))
        .collect();
    let local = builder(plan);
    priors.extend(e.offsets.get(local).into_iter().flatten().copied());
    struct Row {
        factors: [Option<usize>; 2],
        value: f64,
        variance: f64,
        weight: f64,
        /// The logarithm of the work done so far, of a build that still runs.
        censored: Option<f64>,
        mean: f64,
    }
    let mut rows: Vec<Row> = Vec::new();
    for span in spans {
        let Some(level) = e.levels[span.node].filter(|l| l.rung.is_known()) else { continue };
        let seconds = (span.stop_ms - span.start_ms) as f64 / 1000.0;
        let value = seconds.max(0.1).ln() - e.model.slow.log(span.concurrency) - level.mean;
        let age = (now_ms.saturating_sub(span.stop_ms)) as f64 / now_ms.max(1) as f64;
        rows.push(Row {
            factors: [Some(span.machine), level.foreign.map(|h| n_machines + h as usize)],
            value,
            variance: e.model.scale(level.mean).powi(2) + level.variance + (0.06 / seconds).powi(2),
            // A build that takes long has seen more of what this run is like.
            weight: (level.mean * e.tuning.seconds_power - age / e.tuning.memory).exp(),
            censored: span.running.then_some(value),
            mean: 0.0,
        });
    }
    let mut factors = Factors::from(&priors, &[]);
    for _ in 0..4 {
        let mut seen = Vec::with_capacity(rows.len());
        let (mut sum, mut squares) = (0.0, 0.0);
        for row in &mut rows {
            let center = factors.mean_of(row.factors);
            row.mean = row.value;
            let mut share = 1.0;
            if let Some(floor) = row.censored {
                // A build that still runs says that it takes longer than so far: nothing while that is short.
                let scale = row.variance.sqrt();
                row.mean = center + logistic_rest(floor - center, 0.5, scale);
                share = 1.0 - logistic_above(floor - center, scale);
            }
            let doubt = 1.0
                / (1.0
                    + (row.mean - center).powi(2)
                        / (2.0 * (row.variance + factors.variance_of(row.factors))));
            let weight = row.weight * doubt * share;
            sum += weight;
            squares += weight * weight;
            seen.push((row, weight));
        }
        if sum <= 0.0 {
            break;
        }
        // The weights are scaled so that they say as much as a weighted mean does.
        let scale = sum / squares;
        let seen: Vec<Seen> = seen
            .into_iter()
            .map(|(row, weight)| Seen {
                factors: row.factors,
                value: row.mean,
                precision: weight * scale / row.variance,
            })
            .collect();
        factors = Factors::from(&priors, &seen);
    }
    for (m, (_, variance)) in priors.iter().enumerate().take(n_machines) {
        // A machine on which runs differ is loaded by others, and that changes within a run, too.
        factors.widen(m, e.tuning.future.powi(2) + e.tuning.within * variance);
    }
    factors
}

/// Returns the factor by which bands of simulations were too narrow on resampled real runs, by the share of the run that has
/// passed; see decision 18.
fn conformal(passed: f64) -> f64 {
    1.66 - 0.2 * passed * passed
}

/// Widens the quantiles of the simulations, in logarithms, to a band that holds what it promises.
fn band(elapsed: f64, middle: f64, low: f64, high: f64, factor: f64) -> (f64, f64) {
    let floor = 1e-3;
    let factor = factor * conformal(elapsed / (elapsed + middle).max(floor));
    let wider = |x: f64| middle * (factor * (x.max(floor) / middle.max(floor)).ln()).exp();
    (wider(low).min(middle), wider(high).max(middle))
}

/// Returns the factor that would have made past bands hold four of five truths, from pairs of the distance of the truth from the
/// estimate and the distance of that end of the band, both in logarithms. `None` if there are fewer than ten.
pub fn conformal_factor(misses: &[(f64, f64)]) -> Option<f64> {
    if misses.len() < 10 {
        return None;
    }
    let mut ratios: Vec<f64> =
        misses.iter().map(|(miss, width)| miss.abs() / width.abs().max(1e-3)).collect();
    ratios.sort_by(f64::total_cmp);
    let at = (((ratios.len() + 1) as f64 * COVERAGE).ceil() as usize).clamp(1, ratios.len());
    // Shrunk towards no change by ten predictions.
    let n = ratios.len() as f64;
    Some((ratios[at - 1].clamp(0.2, 5.0).ln() * n / (n + 10.0)).exp())
}
