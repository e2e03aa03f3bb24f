//! A build as it goes on: lines with their times in, units, packages and a percent out.

mod forecast;
mod hints;
mod package;
mod steps;
mod work;

use std::collections::HashMap;
use std::time::Duration;

pub use hints::Hints;
pub use package::{Health, Package, Status};
pub use steps::Finished;

use crate::{
    belief::Verdict,
    causes::{self, Cause},
    form::{Kind, Sighting},
    past::Timeline,
    scan::Scanner,
    step,
    unit::{Stage, Tool, Unit},
};
use package::Packages;
use steps::{Key, Steps};
use work::Work;

/// Highest percent of a build that has not ended.
const MOST: f64 = 99.0;
/// Causes that are kept.
const N_CAUSES: usize = 32;

/// One scope: the log of a derivation, or the output of a command.
#[derive(Debug)]
pub struct Build {
    scanner: Scanner,
    /// One for each tool that was seen, in the order of their first lines.
    works: Vec<Work>,
    /// The tool of the latest line of progress.
    latest: Option<Tool>,
    steps: Steps,
    packages: Packages,
    timeline: Option<Timeline>,
    hints: Hints,
    causes: causes::Collector,
    /// The highest percent that was told: it never falls.
    told: f64,
    now: f64,
    ended: Option<bool>,
    /// Names of outputs and the packages that make them.
    outputs: HashMap<String, String>,
}

impl Build {
    /// Starts a build of which no line has come yet.
    pub fn new(hints: Hints) -> Self {
        let mut steps = Steps::new(hints.jobs);
        let mut packages = Packages::default();
        let mut outputs = HashMap::new();
        if let Some(project) = &hints.project {
            steps.plan(project);
            if let Some(past) = &hints.past {
                steps.calibrate(past);
            }
            packages.plan(project);
            for target in &project.targets {
                if let Some(output) = &target.output {
                    outputs.insert(output.clone(), target.name.clone());
                }
            }
        }
        Self {
            scanner: Scanner::new(hints.ninja_status.as_deref(), hints.tools.iter().copied()),
            works: Vec::new(),
            latest: None,
            steps,
            packages,
            timeline: hints.past.clone().map(Timeline::new),
            causes: causes::Collector::new(N_CAUSES),
            hints,
            told: 0.0,
            now: 0.0,
            ended: None,
            outputs,
        }
    }

    /// Reads one line, without terminal escapes and line breaks, at its time since the build's begin. Returns whether it
    /// was a line of progress.
    ///
    /// Lines that are none cost a few nanoseconds.
    pub fn line(&mut self, line: &str, at: Duration) -> bool {
        let Some((tool, sighting)) = self.scanner.line(line) else { return false };
        let now = at.as_secs_f64().max(self.now);
        self.now = now;
        self.apply(tool, &sighting, now);
        true
    }

    /// Reads a line for the cause of a failure. A program that finds error lines by its own means calls this for those
    /// lines and for the ones right behind each; else it calls this for all.
    pub fn error_line(&mut self, line: &str) {
        self.causes.line(line);
    }

    /// Ends the build.
    pub fn end(&mut self, success: bool, at: Duration) {
        self.now = at.as_secs_f64().max(self.now);
        self.ended = Some(success);
        let finished = self.steps.end(success, self.now);
        self.close(&finished);
        self.packages.end(success, self.now);
        if success {
            self.works.iter_mut().for_each(Work::end);
        }
    }

    fn apply(&mut self, tool: Tool, sighting: &Sighting<'_>, now: f64) {
        let jobs = self.hints.jobs;
        let at = match self.works.iter().position(|work| work.tool == tool) {
            Some(at) => at,
            None => {
                self.works.push(Work::new(tool, sighting.stage, self.hints.total_of(tool)));
                self.works.len() - 1
            }
        };
        let Some(work) = self.works.get_mut(at) else { return };
        if sighting.kind == Kind::Counts && !matches!(tool, Tool::Pytest | Tool::Latex) {
            // Its own words: a known description, or a tool that opened.
            let described = sighting.item.map(step::describe);
            let is_known = work.is_open
                || matches!(
                    tool,
                    Tool::Ghc | Tool::Git | Tool::Webpack | Tool::Gradle | Tool::Pnpm | Tool::Cargo
                )
                || described.is_some_and(|step| step.is_known);
            let is_described = described.is_some_and(|step| step.is_known);
            let verdict = work.count(sighting, is_known, is_described);
            if verdict == Verdict::Doubted {
                return;
            }
            self.scanner.open(tool);
            work.is_open = true;
            if matches!(tool, Tool::Ninja | Tool::CMake) {
                // ninja prints a step when it has ended, the Makefiles when it begins. A first count of 0 is ninja's
                // on a terminal, when it begins.
                let ends = tool == Tool::Ninja && sighting.done != Some(0);
                let text = sighting.item.unwrap_or("");
                self.step(tool, text, ends, now);
                self.latest = Some(tool);
                return;
            }
        }
        let is_progress = work.apply(sighting, jobs);
        if is_progress {
            self.latest = Some(tool);
        }
        match sighting.kind {
            Kind::Begins if counts_steps(tool) => {
                let file = sighting.item.or(sighting.package).unwrap_or("");
                let key = Key { package: sighting.package, file, is_link: sighting.stage == Stage::Link };
                let finished = self.steps.begin(&key, now);
                self.close(&finished);
                self.begun(&key, now);
            }
            Kind::Ends if counts_steps(tool) => {
                let file = sighting.item.or(sighting.package).unwrap_or("");
                let key = Key { package: sighting.package, file, is_link: sighting.stage == Stage::Link };
                let finished = self.steps.finish(&key, now);
                self.close(&finished);
            }
            Kind::Built => {
                if let Some(package) = sighting.package {
                    let finished = self.steps.finish_package(package, now);
                    self.close(&finished);
                    self.packages.built(package, now);
                }
            }
            Kind::Fails => self.fail(sighting, now),
            Kind::Closes => {
                let finished = self.steps.finish_running(now);
                self.close(&finished);
            }
            _ => {}
        }
    }

    /// Takes a described step of ninja or of CMake's Makefiles.
    fn step(&mut self, tool: Tool, text: &str, ends: bool, now: f64) {
        let step = step::describe(text);
        let is_link = step.stage == Stage::Link;
        let planned = self.steps.package_of(step.output);
        let by_output = || {
            let name = step.output.rsplit('/').next().unwrap_or(step.output);
            // CMake and Meson call a library `libTARGET.a`, and a program as its target.
            let stem = name.split('.').next().unwrap_or(name);
            let target = [stem, stem.strip_prefix("lib").unwrap_or(stem)];
            let named = target.into_iter().find(|target| self.packages.has(target));
            self.outputs.get(name).cloned().or_else(|| named.filter(|_| is_link).map(str::to_owned))
        };
        let package = planned.or_else(|| step.package.map(str::to_owned)).or_else(by_output);
        let file = if is_link { step.output.to_owned() } else { step::source_of(step.output) };
        if let Some(work) = self.works.iter_mut().find(|work| work.tool == tool) {
            work.stage = step.stage;
            work.current = Some(file.clone());
            work.package.clone_from(&package);
        }
        let key = Key { package: package.as_deref(), file: step.output, is_link };
        if !step.is_known && package.is_none() {
            // A generator or a custom command: it counts in the tool's own numbers only.
            return;
        }
        if ends {
            let finished = self.steps.finish(&key, now);
            self.close(&finished);
        } else {
            let finished = self.steps.begin(&key, now);
            self.close(&finished);
            self.begun(&key, now);
        }
    }

    fn begun(&mut self, key: &Key<'_>, now: f64) {
        let (file, package) = self.steps.name_of(key);
        if let Some(package) = &package {
            self.packages.begun(package, &file, key.is_link, now);
        }
        if let Some(timeline) = self.timeline.as_mut().filter(|_| !key.is_link) {
            timeline.begin(package.as_deref(), &file, now);
        }
    }

    /// Tells packages and the past of steps that ended.
    fn close(&mut self, finished: &[Finished]) {
        for step in finished {
            if let Some(package) = &step.package {
                self.packages.finished(package, step);
            }
            if let Some(timeline) = self.timeline.as_mut().filter(|_| !step.is_link) {
                timeline.end(step.package.as_deref(), &step.file, step.ended);
            }
        }
    }

    /// Takes a failed target: ninja's `FAILED: x.o`, make's `*** [dir/build.make:76: x.o] Error 1`, cargo's crate.
    fn fail(&mut self, sighting: &Sighting<'_>, now: f64) {
        let target = sighting.item.map(|item| item.rsplit(": ").next().unwrap_or(item).trim());
        let package = sighting.package.map(str::to_owned).or_else(|| {
            let target = target?;
            self.steps
                .package_of(target)
                .or_else(|| step::target_of(target).map(str::to_owned))
                .or_else(|| self.outputs.get(target.rsplit('/').next()?).cloned())
        });
        // The outer makes only pass the failure on: `*** [CMakeFiles/Makefile2:3437: x.dir/all] Error 2`.
        if target.is_some_and(|target| target.ends_with("/all") || target == "all") {
            return;
        }
        if let Some(target) = target {
            self.steps.fail(&Key { package: package.as_deref(), file: target, is_link: false }, now);
        }
        if let Some(package) = package {
            self.packages.failed(&package, now);
        }
    }

    /// Returns the share of the build's time that has passed, from 0 to 100, and whether it is an estimate. It never
    /// falls. Returns nothing as long as nothing tells how much there is to do.
    pub fn percent(&mut self, now: Duration) -> Option<(f64, bool)> {
        let now = now.as_secs_f64().max(self.now);
        if self.ended == Some(true) && !self.works.is_empty() {
            self.told = 100.0;
            return Some((100.0, false));
        }
        let (percent, is_estimate) = self.estimate(now)?;
        self.told = self.told.max(percent.clamp(0.0, MOST));
        Some((self.told, is_estimate))
    }

    fn estimate(&self, now: f64) -> Option<(f64, bool)> {
        if let Some(timeline) = self.timeline.as_ref().filter(|timeline| timeline.fits())
            && self.is_comparable()
            && !self.works.is_empty()
        {
            let by_time = timeline.share(now);
            if self.steps.is_calibrated() {
                // The one knows when things happened, and is exact for the same tool; the other sees the links. Their
                // errors differ.
                let by_steps = self.steps.share(None, now);
                return Some((100.0 * (2.0 * by_time + by_steps) / 3.0, true));
            }
            return Some((100.0 * by_time, true));
        }
        let building = self.building();
        let count = building.and_then(|work| work.count_of_all());
        if self.steps.has_plan() && self.steps.has_begun() {
            return Some((100.0 * self.steps.share(count, now), true));
        }
        if let Some(count) = count {
            return Some((100.0 * self.steps.share(Some(count), now), self.steps.has_begun()));
        }
        if let Some(percent) = building.and_then(|work| work.percent) {
            // CMake's Makefiles count steps, too, and only tell the quotient.
            let count = building.and_then(|work| work.count_by_percent(self.steps.n_ended()));
            return Some(match count {
                Some(count) => (100.0 * self.steps.share(Some(count), now), true),
                None => (percent, false),
            });
        }
        // Nothing is built here, so a run of tests or a download is all there is.
        let only = self.works.iter().rev().find(|work| work.share().is_some());
        only.filter(|_| building.is_none()).and_then(|work| work.share()).map(|share| (100.0 * share, false))
    }

    /// Returns whether the tool's own total is about that of the earlier run: an incremental build is measured by itself.
    fn is_comparable(&self) -> bool {
        let (Some(timeline), Some(count)) = (
            &self.timeline,
            self.building().filter(|work| work.tool == Tool::Ninja).and_then(Work::count_of_all),
        ) else {
            return true;
        };
        // The time of a build of less than half of the files says nothing about that of a full one.
        count.total.saturating_mul(2) >= timeline.past().n_files() as u64
    }

    /// Returns the work of the tool that builds, not that of one that tests, configures or fetches.
    fn building(&self) -> Option<&Work> {
        let builds = |work: &&Work| {
            !work.tool.runs_tests()
                && !work.tool.downloads()
                && work.stage != Stage::Configure
                && work.has_progress()
        };
        self.works
            .iter()
            .filter(builds)
            .max_by_key(|work| (work.total.is_some() || work.percent.is_some(), work.done))
    }

    /// Returns the expected time to the end, where an earlier run or the pace so far tells it.
    pub fn eta(&mut self, now: Duration) -> Option<Duration> {
        let at = now.as_secs_f64().max(self.now);
        if self.ended.is_some() {
            return None;
        }
        if let Some(timeline) = self.timeline.as_ref().filter(|timeline| timeline.fits())
            && self.is_comparable()
        {
            return Some(crate::weights::duration(timeline.remaining(at)));
        }
        let (percent, _) = self.percent(now)?;
        // The first percents say too little.
        (percent >= 5.0).then(|| crate::weights::duration(at * (100.0 - percent) / percent))
    }

    /// Returns the work of each tool, the one of the latest line first.
    pub fn units(&mut self, now: Duration) -> Vec<Unit> {
        let overall = self.percent(now);
        let at = now.as_secs_f64().max(self.now);
        let mut works: Vec<&Work> = self.works.iter().filter(|work| work.has_progress()).collect();
        works.sort_by_key(|work| Some(work.tool) != self.latest);
        let building = self.building().map(|work| work.tool);
        let mut units: Vec<Unit> = works
            .into_iter()
            .map(|work| {
                let mut unit = work.unit();
                if building == Some(work.tool) {
                    unit.percent = overall.map(|(percent, _)| percent);
                    unit.estimated = overall.is_some_and(|(_, is_estimate)| is_estimate);
                    if unit.total.is_none() {
                        unit.total = self.steps.planned();
                        unit.done = if unit.total.is_some() { self.steps.n_ended() } else { unit.done };
                    }
                }
                unit
            })
            .collect();
        // A step's package is of the moment only while the step is likely to run.
        if let Some(first) = units.first_mut()
            && matches!(first.tool, Tool::Ninja | Tool::CMake)
            && self.steps.has_begun()
        {
            first.package = self.steps.moment(at);
        }
        units
    }

    /// Returns the leading unit: that of the latest line, with the percent of the whole build.
    pub fn unit(&mut self, now: Duration) -> Option<Unit> {
        let percent = self.percent(now);
        let mut unit = self.units(now).into_iter().next()?;
        // While tests or downloads run, the build's own percent stays.
        unit.percent = percent.map(|(percent, _)| percent);
        unit.estimated = percent.is_some_and(|(_, is_estimate)| is_estimate);
        Some(unit)
    }

    /// Returns all packages, sorted by name.
    pub fn packages(&self, now: Duration) -> Vec<Package> {
        let now = now.as_secs_f64().max(self.now);
        self.packages.list(&self.steps, self.timeline.as_ref().map(Timeline::past), now)
    }

    /// Returns the files that ended so far, in the order in which they did, with their times as far as lines tell them.
    pub fn finished(&self) -> &[Finished] {
        self.steps.finished()
    }

    /// Returns the causes of failure that were found, the first first.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes = self.causes.causes();
        for cause in &mut causes {
            cause.package = cause
                .target
                .as_deref()
                .and_then(|target| {
                    self.steps.package_of(target).or_else(|| step::target_of(target).map(str::to_owned))
                })
                .or_else(|| self.steps.package_of_source(&cause.place.as_ref()?.file))
                .or_else(|| cause.package.take());
        }
        causes
    }
}

/// Returns whether the tool's lines stand for single steps that take time.
fn counts_steps(tool: Tool) -> bool {
    matches!(
        tool,
        Tool::Make
            | Tool::Autotools
            | Tool::Cargo
            | Tool::Go
            | Tool::Ghc
            | Tool::Gradle
            | Tool::Rustc
            | Tool::Maven
    )
}
