//! The steps of a build: planned ones and those that lines name, with their times.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::forecast::Forecast;
use crate::{
    belief::Count,
    packages::Project,
    past::Past,
    step,
    weights::{self, Class, Language, Weigher},
};

/// The names by which a line means a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'l> {
    pub(super) package: Option<&'l str>,
    /// The object, source or crate as it was printed; of a link the output.
    pub(super) file: &'l str,
    pub(super) is_link: bool,
}

/// A step that has ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finished {
    /// The package, target or crate.
    pub package: Option<String>,
    /// The source, or the output of a link.
    pub file: String,
    /// True if it linked.
    pub is_link: bool,
    /// The time from the build's begin to the step's, in seconds. Of a tool that prints only ends it is the end before.
    pub started: f64,
    /// The time from the build's begin to the step's end, in seconds.
    pub ended: f64,
    /// True if both times come from lines of the step itself and not from those of others.
    pub is_exact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Waiting,
    Running(f64),
    Ended,
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) package: Option<String>,
    pub(super) file: String,
    pub(super) is_link: bool,
    class: Class,
    cost: f64,
    pub(super) state: State,
}

/// A target of the plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) depends_on: Vec<String>,
    pub(super) is_expected: bool,
    pub(super) n_sources: usize,
    pub(super) n_compiled: usize,
    pub(super) is_linked: bool,
    pub(super) is_built: bool,
}

/// The steps of a build.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    by_object: HashMap<String, usize>,
    by_name: HashMap<(Option<String>, String), usize>,
    by_source: HashMap<String, Vec<usize>>,
    links: HashMap<String, usize>,
    pub(super) targets: HashMap<String, Target>,
    pub(super) forecast: Forecast,
    running: Vec<usize>,
    finished: Vec<Finished>,
    weigher: Weigher,
    pub(super) jobs: usize,
    /// True if the number of jobs was given; else it grows with what lines prove.
    pub(super) knows_jobs: bool,
    n_planned: u64,
    n_ended: u64,
    /// The costs of the latest steps, for builds without a plan.
    recent: std::collections::VecDeque<f64>,
    last_end: f64,
    is_calibrated: bool,
    /// True if any step's begin was seen.
    pub(super) sees_begins: bool,
}

/// Steps that say how much the next ones cost, where there is no plan.
const N_RECENT: usize = 20;
/// Seconds that the earlier run's pace counts for beside this one's.
const CONFIDENCE: f64 = 10.0;
/// Share of a running step that is at most taken as done.
const MOST: f64 = 0.95;
/// Seconds for which the package of a step that has ended is the one of the moment, where only ends are printed.
const MOMENT: f64 = 1.0;
/// Share of the planned files that an earlier run must have had.
const SHARE_IN_PAST: f64 = 0.6;
/// A plan must have at least this share of the tool's own number of steps, and the tool this share of the plan's.
const SHARE_PLANNED: f64 = 0.5;

impl Steps {
    pub(super) fn new(jobs: Option<u32>) -> Self {
        Self {
            jobs: jobs.map_or(1, |jobs| jobs.max(1) as usize),
            knows_jobs: jobs.is_some(),
            ..Self::default()
        }
    }

    /// Adds all steps of a project that are expected.
    pub(super) fn plan(&mut self, project: &Project) {
        let mut ordered = Vec::new();
        for target in &project.targets {
            let is_expected = project.is_expected(target);
            let state = Target {
                depends_on: target.depends_on.clone(),
                is_expected,
                n_sources: target.sources.len(),
                is_linked: weights::link_cost(project, target).is_some(),
                ..Target::default()
            };
            self.targets.insert(target.name.clone(), state);
            let first = self.steps.len();
            for source in &target.sources {
                let class = Class::Source(source.language);
                let cost = weights::source_cost(source.language, source.bytes);
                let at = self.push(Step {
                    package: Some(target.name.clone()),
                    file: source.path.clone(),
                    is_link: false,
                    class,
                    cost,
                    state: State::Waiting,
                });
                if is_expected {
                    self.weigher.expect(class, cost);
                    self.n_planned += 1;
                }
                if let Some(object) = &source.object {
                    self.by_object.insert(object.clone(), at);
                }
                self.by_name.insert((Some(target.name.clone()), base_name(&source.path).to_owned()), at);
                self.by_source.entry(base_name(&source.path).to_owned()).or_default().push(at);
            }
            if let Some((class, cost)) = weights::link_cost(project, target) {
                let at = self.push(Step {
                    package: Some(target.name.clone()),
                    file: target.output.clone().unwrap_or_else(|| target.name.clone()),
                    is_link: true,
                    class,
                    cost,
                    state: State::Waiting,
                });
                self.links.insert(target.name.clone(), at);
                if is_expected {
                    self.weigher.expect(class, cost);
                    self.n_planned += 1;
                }
            }
            if let Some(position) = target.position.filter(|_| is_expected) {
                ordered.push((position, first..self.steps.len()));
            }
        }
        ordered.sort_by_key(|(position, _)| *position);
        self.forecast.order = ordered.into_iter().flat_map(|(_, steps)| steps).collect();
    }

    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Takes the costs of planned files from an earlier run, and gives the links the time in which no file ran, in the
    /// proportions that are expected of them. Does nothing if too few files are in that run.
    pub(super) fn calibrate(&mut self, past: &Past) {
        let expected: Vec<usize> = (0..self.steps.len()).filter(|at| self.is_expected(*at)).collect();
        let of = |at: &usize| self.steps.get(*at).map(|step| past.own(step.package.as_deref(), &step.file));
        let own: Vec<Option<f64>> = expected.iter().map(|at| of(at).flatten()).collect();
        let sources =
            expected.iter().filter(|at| self.steps.get(**at).is_some_and(|step| !step.is_link)).count();
        let found = own.iter().flatten().count();
        let links: f64 = expected
            .iter()
            .filter_map(|at| self.steps.get(*at))
            .filter(|step| step.is_link)
            .map(|step| step.cost)
            .sum();
        if (found as f64) < SHARE_IN_PAST * sources as f64 || links <= 0.0 {
            return;
        }
        self.weigher.clear();
        let by_link = past.between() / links;
        for (at, own) in expected.into_iter().zip(own) {
            let Some(step) = self.steps.get_mut(at) else { continue };
            step.cost = if step.is_link { step.cost * by_link } else { own.unwrap_or(0.0) };
            self.weigher.expect(step.class, step.cost);
        }
        self.is_calibrated = true;
    }

    /// Returns whether the costs are those of an earlier run.
    pub(super) fn is_calibrated(&self) -> bool {
        self.is_calibrated
    }

    fn is_expected(&self, at: usize) -> bool {
        let target = self.steps.get(at).and_then(|step| self.targets.get(step.package.as_deref()?));
        target.is_some_and(|target| target.is_expected)
    }

    pub(super) fn has_plan(&self) -> bool {
        self.n_planned > 0
    }

    pub(super) fn planned(&self) -> Option<u64> {
        self.has_plan().then_some(self.n_planned)
    }

    pub(super) fn n_ended(&self) -> u64 {
        self.n_ended
    }

    pub(super) fn has_begun(&self) -> bool {
        self.n_ended > 0 || !self.running.is_empty()
    }

    pub(super) fn finished(&self) -> &[Finished] {
        &self.finished
    }

    /// Returns the package that a planned object belongs to.
    pub(super) fn package_of(&self, object: &str) -> Option<String> {
        self.steps.get(*self.by_object.get(object)?)?.package.clone()
    }

    /// Returns the package that a source belongs to, if only one has it.
    pub(super) fn package_of_source(&self, path: &str) -> Option<String> {
        let candidates = self.by_source.get(base_name(path))?;
        let fits = |step: &&Step| {
            step.file == path || step.file.ends_with(&format!("/{}", path.trim_start_matches("../")))
        };
        let mut packages =
            candidates.iter().filter_map(|at| self.steps.get(*at)).filter(fits).map(|step| &step.package);
        let first = packages.next()?.clone();
        packages.all(|other| *other == first).then_some(first)?
    }

    fn find(&self, key: &Key<'_>) -> Option<usize> {
        if key.is_link {
            return self.links.get(key.package?).copied();
        }
        if let Some(at) = self.by_object.get(key.file) {
            return Some(*at);
        }
        let name = base_name(key.file);
        let name = if key.package.is_some() { name.strip_suffix(".o").unwrap_or(name) } else { key.file };
        self.by_name.get(&(key.package.map(str::to_owned), name.to_owned())).copied()
    }

    /// Finds a step, or adds one that no plan has.
    fn find_or_add(&mut self, key: &Key<'_>) -> usize {
        if let Some(at) = self.find(key)
            && self.steps.get(at).is_some_and(|step| !matches!(step.state, State::Ended))
        {
            return at;
        }
        let class = if key.is_link {
            if key.file.ends_with(".a") { Class::Archive } else { Class::Link }
        } else {
            Class::Source(if step::is_source(key.file) || key.file.ends_with(".o") {
                Language::of_path(key.file)
            } else {
                Language::Other
            })
        };
        let cost = match class {
            Class::Source(language) => weights::source_cost(language, None),
            Class::Archive => 0.1,
            Class::Link | Class::LtoLink => 0.5,
        };
        let file = if key.is_link { key.file.to_owned() } else { step::source_of(key.file) };
        let at = self.push(Step {
            package: key.package.map(str::to_owned),
            file,
            is_link: key.is_link,
            class,
            cost,
            state: State::Waiting,
        });
        if key.is_link {
            if let Some(package) = key.package {
                self.links.insert(package.to_owned(), at);
            }
        } else {
            self.by_object.insert(key.file.to_owned(), at);
        }
        at
    }

    /// Returns the file and the package by which a step is known.
    pub(super) fn name_of(&self, key: &Key<'_>) -> (String, Option<String>) {
        match self.find(key).and_then(|at| self.steps.get(at)) {
            Some(step) => (step.file.clone(), step.package.clone()),
            None => (step::source_of(key.file), key.package.map(str::to_owned)),
        }
    }

    /// Takes the begin of a step. Returns the steps that must have ended for it to begin.
    pub(super) fn begin(&mut self, key: &Key<'_>, now: f64) -> Vec<Finished> {
        self.sees_begins = true;
        let at = self.find_or_add(key);
        if self.running.contains(&at) {
            return Vec::new();
        }
        let mut ended = Vec::new();
        // With one job a target is linked before another one's files begin.
        let is_other = |at: &usize| {
            let step = self.steps.get(*at);
            step.is_some_and(|step| !step.is_link && step.package.as_deref() != key.package)
        };
        if !self.knows_jobs
            && self.jobs == 1
            && key.package.is_some()
            && !key.is_link
            && self.running.iter().any(is_other)
        {
            self.jobs = 2;
        }
        // Objects end before their link begins, and what a target needs before the target.
        if let Some(package) = key.package {
            let needed =
                self.targets.get(package).map(|target| target.depends_on.clone()).unwrap_or_default();
            let must_end = |step: &Step| {
                let of = step.package.as_deref();
                key.is_link && of == Some(package)
                    || of.is_some_and(|of| needed.iter().any(|name| name == of))
            };
            let over: Vec<usize> =
                self.running.iter().copied().filter(|at| self.steps.get(*at).is_some_and(must_end)).collect();
            ended.extend(over.into_iter().filter_map(|at| self.finish_at(at, now, false)));
        }
        while self.running.len() >= self.jobs {
            // The one with the least time left has most likely made room.
            let left = |at: usize| {
                self.steps.get(at).map_or(0.0, |step| match step.state {
                    State::Running(since) => step.cost * self.weigher.factor(step.class) - (now - since),
                    _ => 0.0,
                })
            };
            let Some(over) = self.running.iter().copied().min_by(|a, b| left(*a).total_cmp(&left(*b))) else {
                break;
            };
            ended.extend(self.finish_at(over, now, false));
        }
        if let Some(step) = self.steps.get_mut(at) {
            step.state = State::Running(now);
        }
        self.running.push(at);
        ended
    }

    /// Takes the end of a step.
    pub(super) fn finish(&mut self, key: &Key<'_>, now: f64) -> Vec<Finished> {
        let at = self.find_or_add(key);
        self.finish_at(at, now, true).into_iter().collect()
    }

    /// Takes the end of all steps of a package.
    pub(super) fn finish_package(&mut self, package: &str, now: f64) -> Vec<Finished> {
        let of =
            |at: &usize| self.steps.get(*at).is_some_and(|step| step.package.as_deref() == Some(package));
        let over: Vec<usize> = self.running.iter().copied().filter(of).collect();
        over.into_iter().filter_map(|at| self.finish_at(at, now, false)).collect()
    }

    /// Takes the end of the tool.
    pub(super) fn finish_running(&mut self, now: f64) -> Vec<Finished> {
        let over = self.running.clone();
        over.into_iter().filter_map(|at| self.finish_at(at, now, false)).collect()
    }

    /// Takes the end of the build. After a failure what ran is not known to have ended.
    pub(super) fn end(&mut self, success: bool, now: f64) -> Vec<Finished> {
        if success { self.finish_running(now) } else { Vec::new() }
    }

    /// Takes the failure of a step.
    pub(super) fn fail(&mut self, key: &Key<'_>, now: f64) {
        let Some(at) = self.find(key) else { return };
        self.running.retain(|other| *other != at);
        if let Some(step) = self.steps.get_mut(at) {
            step.state = State::Failed;
        }
        self.last_end = now;
    }

    fn finish_at(&mut self, at: usize, now: f64, is_own_line: bool) -> Option<Finished> {
        self.running.retain(|other| *other != at);
        let jobs = self.jobs as f64;
        let step = self.steps.get_mut(at)?;
        let (started, seen) = match step.state {
            State::Running(since) => (since, now - since),
            // Where only ends are printed, so much time of all jobs has passed since the end before.
            State::Waiting => (self.last_end, (now - self.last_end) * jobs),
            State::Ended | State::Failed => return None,
        };
        let is_exact = is_own_line && matches!(step.state, State::Running(_));
        step.state = State::Ended;
        self.weigher.end(step.class, step.cost, Some(seen));
        let finished = Finished {
            package: step.package.clone(),
            file: step.file.clone(),
            is_link: step.is_link,
            started,
            ended: now,
            is_exact,
        };
        self.recent.push_back(seen);
        if self.recent.len() > N_RECENT {
            self.recent.pop_front();
        }
        self.last_end = now;
        self.n_ended += 1;
        self.finished.push(finished.clone());
        if let Some(target) = finished.package.as_ref().and_then(|package| self.targets.get_mut(package)) {
            target.n_compiled += usize::from(!finished.is_link);
            target.is_built |= finished.is_link || !target.is_linked && target.n_compiled >= target.n_sources;
        }
        self.foresee(at, now);
        Some(finished)
    }

    /// Returns the share of the time that has passed, from 0 to 1.
    pub(super) fn share(&self, count: Option<Count>, now: f64) -> f64 {
        let fits = count.is_none_or(|count| {
            let (planned, total) = (self.n_planned as f64, count.total as f64);
            planned >= SHARE_PLANNED * total && total >= SHARE_PLANNED * planned
        });
        if self.has_plan() && fits {
            if self.is_calibrated {
                return self.calibrated_share(now);
            }
            let (total, done) = self.weigher.total_and_done();
            return if total > 0.0 { ((done + self.running_cost(now)) / total).min(1.0) } else { 0.0 };
        }
        let Some(count) = count else { return 0.0 };
        let plain = count.done as f64 / count.total.max(1) as f64;
        if self.recent.is_empty() || count.total < count.done || self.n_ended * 2 < count.done {
            return plain;
        }
        // The steps to come are like the latest rather than like the first: a project's C++ comes after the C libraries
        // that it brings, and its programs come last.
        let spent: f64 = self.finished.iter().map(|step| step.ended - step.started).sum();
        let usual = spent / self.finished.len().max(1) as f64;
        // What runs now counts with the time that it has taken so far: a link that takes minutes tells of the others.
        let running = self.running_times(now);
        let seen = self.recent.iter().sum::<f64>() / if self.sees_begins { 1.0 } else { self.jobs as f64 };
        let latest = (seen + running.iter().sum::<f64>()) / (self.recent.len() + running.len()) as f64;
        let left = (count.total - count.done) as f64 * usual.midpoint(latest.max(usual));
        let spent = spent + self.running_cost(now);
        if spent + left > 0.0 { spent / (spent + left) } else { plain }
    }

    /// Returns the share by the costs of an earlier run, whose proportions are taken as they are.
    fn calibrated_share(&self, now: f64) -> f64 {
        let (total, done) = self.weigher.plain_total_and_done();
        // Seconds of the earlier run in one of this.
        let pace = (done + CONFIDENCE) / (self.last_end + CONFIDENCE);
        let running: Vec<(usize, f64)> = if self.sees_begins {
            let since = |at: &usize| match self.steps.get(*at)?.state {
                State::Running(since) => Some((*at, since)),
                _ => None,
            };
            self.running.iter().filter_map(since).collect()
        } else {
            self.forecast.running()
        };
        let n = running.len().max(1) as f64;
        let partial: f64 = running
            .iter()
            .filter_map(|(at, since)| {
                Some(((now - since) * pace / n).clamp(0.0, MOST * self.steps.get(*at)?.cost))
            })
            .sum();
        ((done + partial) / total.max(1e-9)).min(1.0)
    }

    /// Returns how long the running steps have run, where begins are printed, else the time since the last end.
    fn running_times(&self, now: f64) -> Vec<f64> {
        if !self.sees_begins {
            return vec![now - self.last_end];
        }
        let since = self.running.iter().filter_map(|at| match self.steps.get(*at)?.state {
            State::Running(since) => Some(now - since),
            _ => None,
        });
        since.collect()
    }

    /// Returns the seconds of running steps that are done.
    fn running_cost(&self, now: f64) -> f64 {
        if !self.sees_begins {
            // What runs is not known: as much as the jobs do, up to a usual step.
            let (total, done) = self.weigher.total_and_done();
            let n_left = (self.n_planned.saturating_sub(self.n_ended)).max(1) as f64;
            return ((now - self.last_end) * self.jobs as f64)
                .clamp(0.0, MOST * (total - done).max(0.0) / n_left);
        }
        let done = |at: &usize| {
            self.steps.get(*at).map_or(0.0, |step| match step.state {
                State::Running(since) => {
                    (now - since).clamp(0.0, MOST * step.cost * self.weigher.factor(step.class))
                }
                _ => 0.0,
            })
        };
        self.running.iter().map(done).sum()
    }

    /// Returns the package of which a file is being compiled. A link is named by its output.
    pub(super) fn moment(&self, now: f64) -> Option<String> {
        if !self.sees_begins {
            let last = self.finished.last().filter(|last| !last.is_link && now - last.ended <= MOMENT);
            return last
                .and_then(|last| last.package.clone())
                .or_else(|| self.foreseen_package().map(str::to_owned));
        }
        let compiling =
            self.running.iter().rev().filter_map(|at| self.steps.get(*at)).find(|step| !step.is_link);
        compiling.and_then(|step| step.package.clone())
    }

    /// Returns the file of the package that runs, and when it began.
    pub(super) fn running_file(&self, package: &str) -> Option<(&str, f64)> {
        let of = |step: &&Step| step.package.as_deref() == Some(package);
        let step = self.running.iter().rev().filter_map(|at| self.steps.get(*at)).find(of)?;
        match step.state {
            State::Running(since) => Some((step.file.as_str(), since)),
            _ => None,
        }
    }

    /// Returns expected seconds of each package: all, and those that are left.
    pub(super) fn seconds(&self) -> HashMap<&str, (f64, f64)> {
        let mut seconds: HashMap<&str, (f64, f64)> = HashMap::new();
        for step in &self.steps {
            let Some(package) = step.package.as_deref() else { continue };
            let cost = step.cost * self.weigher.factor(step.class);
            let (total, left) = seconds.entry(package).or_default();
            *total += cost;
            *left += if matches!(step.state, State::Ended) { 0.0 } else { cost };
        }
        seconds
    }

    /// Returns how many jobs may run.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Finished {
    /// Returns how long the step took, as far as lines tell it.
    pub fn elapsed(&self) -> Duration {
        weights::duration(self.ended - self.started)
    }
}
