//! A forecast of what ninja runs, since it prints only ends.
//!
//! ninja starts the ready edge that comes first in its file whenever a job ends (1.11.1 src/build.cc, `Plan::FindWork`). So
//! the order of targets, what each waits for and the ends seen tell what runs, as long as nothing else takes a job. Each
//! end tells whether the forecast was right, and one that is often wrong is not used.

use super::steps::{State, Steps};

/// Most steps that are forecast: each end looks at all that wait.
const MOST: usize = 8192;
/// Weight of the latest end in the score, and the score from which a forecast is used.
const NEWEST: f64 = 0.1;
const TRUSTED: f64 = 0.7;
/// Score below which another number of jobs is tried, the ends for which one is tried, and the largest.
const TRIED: f64 = 0.5;
const N_TRIED: usize = 20;
const MOST_JOBS: usize = 16;

/// Steps that are thought to run.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    /// Positions of steps in ninja's order.
    pub(super) order: Vec<usize>,
    running: Vec<(usize, f64)>,
    /// The share of ends that were forecast, the newest with the most weight.
    score: f64,
    /// Ends since the number of jobs was changed.
    n_ends: usize,
}

impl Forecast {
    fn is_trusted(&self) -> bool {
        self.score >= TRUSTED
    }

    /// Returns what is thought to run, and since when.
    pub(super) fn running(&self) -> Vec<(usize, f64)> {
        if self.is_trusted() { self.running.clone() } else { Vec::new() }
    }

    fn rank(&self, step: usize) -> usize {
        self.order.iter().position(|at| *at == step).unwrap_or(usize::MAX)
    }
}

impl Steps {
    /// Takes the end of a step into the forecast.
    pub(super) fn foresee(&mut self, ended: usize, now: f64) {
        if self.sees_begins || self.forecast.order.is_empty() || self.forecast.order.len() > MOST {
            return;
        }
        let forecast = &mut self.forecast;
        let n_before = forecast.running.len();
        forecast.running.retain(|(at, _)| *at != ended);
        let is_hit = forecast.running.len() < n_before;
        forecast.score = (1.0 - NEWEST) * forecast.score + if is_hit { NEWEST } else { 0.0 };
        forecast.n_ends += 1;
        if !self.knows_jobs && forecast.score < TRIED && forecast.n_ends >= N_TRIED && self.jobs < MOST_JOBS {
            // With the right number most ends are foreseen.
            self.jobs += 1;
            forecast.n_ends = 0;
            forecast.score = TRIED;
        }
        if !is_hit {
            // It began before all that come behind it, so those are not known to run.
            let rank = forecast.rank(ended);
            let kept: Vec<(usize, f64)> =
                forecast.running.iter().copied().filter(|(at, _)| forecast.rank(*at) < rank).collect();
            forecast.running = kept;
        }
        let mut running = std::mem::take(&mut self.forecast.running);
        for at in &self.forecast.order {
            if running.len() >= self.jobs {
                break;
            }
            if !running.iter().any(|(other, _)| other == at) && self.is_ready(*at) {
                running.push((*at, now));
            }
        }
        self.forecast.running = running;
    }

    /// Returns whether a step waits, and all that it needs is done. A package of which a file has ended may go on.
    fn is_ready(&self, at: usize) -> bool {
        let Some(step) = self.steps.get(at).filter(|step| step.state == State::Waiting) else { return false };
        let Some(package) = step.package.as_deref().and_then(|name| self.targets.get(name)) else {
            return false;
        };
        if step.is_link && package.n_compiled < package.n_sources {
            return false;
        }
        let is_built = |name: &String| {
            self.targets.get(name).is_none_or(|needed| !needed.is_expected || needed.is_built)
        };
        package.n_compiled > 0 && !step.is_link || package.depends_on.iter().all(is_built)
    }

    /// Returns the file of a package that is thought to be compiled, and since when.
    pub(super) fn foreseen(&self, package: &str) -> Option<(&str, f64)> {
        let trusted = self.forecast.running.iter().filter(|_| self.forecast.is_trusted());
        trusted.filter_map(|(at, since)| Some((self.steps.get(*at)?, *since))).find_map(|(step, since)| {
            (!step.is_link && step.package.as_deref() == Some(package)).then_some((step.file.as_str(), since))
        })
    }

    /// Returns the package of which a file is thought to be compiled.
    pub(super) fn foreseen_package(&self) -> Option<&str> {
        let trusted = self.forecast.running.iter().filter(|_| self.forecast.is_trusted());
        trusted.filter_map(|(at, _)| self.steps.get(*at)).find(|step| !step.is_link)?.package.as_deref()
    }
}
