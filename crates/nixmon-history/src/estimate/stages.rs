//! Estimates from a target's own past: before its plan is known, and of the stages that are no builds.

use super::eta::Eta;
use super::random::{logistic, logistic_rest};

/// The times of a past run's stages, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageTimes {
    /// The time until the first build or download began.
    pub evaluation_ms: Option<u64>,
    /// The time from the last build to the end, where a system was activated.
    pub activation_ms: Option<u64>,
    /// The time of the whole run.
    pub total_ms: u64,
    /// The number of derivations that were built.
    pub built: u32,
    /// The number of jobs.
    pub jobs: Option<u32>,
}

/// A run foreseen from its target's past.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreseen {
    /// The end.
    pub eta: Eta,
    /// True if runs with other numbers of jobs are in it, since none had this one, or this one is not known; it must then be said.
    pub other_jobs: bool,
}

/// The successful past runs of a target on this host, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetPast {
    /// The runs.
    pub runs: Vec<StageTimes>,
}

/// The spread of the logarithm of a target's time where too few runs tell it.
const SPREAD: f64 = 0.8;

impl TargetPast {
    /// Returns mean and standard deviation of the logarithm of seconds, the newer the more weight.
    fn spread(values: impl Iterator<Item = u64>) -> Option<(f64, f64)> {
        let (mut weight, mut sum, mut square, mut w) = (0.0, 0.0, 0.0, 1.0);
        for ms in values.take(20) {
            let log = (ms.max(50) as f64 / 1000.0).ln();
            weight += w;
            sum += w * log;
            square += w * log * log;
            w *= 0.85;
        }
        if weight == 0.0 {
            return None;
        }
        let mean = sum / weight;
        let variance = ((square - sum * mean).max(0.0) + 2.0 * SPREAD * SPREAD) / (weight + 2.0);
        Some((mean, variance.sqrt()))
    }

    /// Foresees the whole run from past runs with as many jobs, while no plan is known; where there are none, or `jobs` is not
    /// known, from all.
    pub fn foresee(&self, elapsed_ms: u64, jobs: Option<u32>) -> Option<Foreseen> {
        let alike = || self.runs.iter().filter(|r| r.jobs == jobs);
        let has_alike = jobs.is_some() && alike().next().is_some();
        let first = self.runs.first()?.jobs;
        let other_jobs = !has_alike && (jobs.is_some() || self.runs.iter().any(|r| r.jobs != first));
        let (mean, sd) = if has_alike {
            Self::spread(alike().map(|r| r.total_ms))?
        } else {
            Self::spread(self.runs.iter().map(|r| r.total_ms))?
        };
        Some(Foreseen { eta: conditional(mean, sd, elapsed_ms), other_jobs })
    }

    /// Foresees the rest of the evaluation.
    pub fn evaluation(&self, elapsed_ms: u64) -> Option<Eta> {
        let (mean, sd) = Self::spread(self.runs.iter().filter_map(|r| r.evaluation_ms))?;
        Some(conditional(mean, sd, elapsed_ms))
    }

    /// Foresees the rest of the activation, of which `elapsed_ms` have passed.
    pub fn activation(&self, elapsed_ms: u64) -> Option<Eta> {
        let (mean, sd) = Self::spread(self.runs.iter().filter_map(|r| r.activation_ms))?;
        Some(conditional(mean, sd, elapsed_ms))
    }
}

fn conditional(mean: f64, sd: f64, elapsed_ms: u64) -> Eta {
    let elapsed = elapsed_ms as f64 / 1000.0;
    let left = |p: f64| {
        let log = if elapsed > 0.0 {
            mean + logistic_rest(elapsed.ln() - mean, p, sd)
        } else {
            mean + logistic(p, sd)
        };
        ((log.exp() - elapsed).max(0.0) * 1000.0).round() as u64
    };
    Eta {
        remaining_ms: left(0.5),
        low_ms: left(0.1),
        high_ms: left(0.9),
        coverage: 0.8,
        known: 0,
        unknown: 0,
    }
}

impl Eta {
    /// Returns the time of this and then of `after`: for an activation that follows the builds.
    pub fn then(self, after: Eta) -> Eta {
        let below = |e: Eta| e.remaining_ms.saturating_sub(e.low_ms) as f64;
        let above = |e: Eta| e.high_ms.saturating_sub(e.remaining_ms) as f64;
        let both = |x: f64, y: f64| x.hypot(y).round() as u64;
        let remaining_ms = self.remaining_ms + after.remaining_ms;
        Eta {
            remaining_ms,
            low_ms: remaining_ms.saturating_sub(both(below(self), below(after))),
            high_ms: remaining_ms + both(above(self), above(after)),
            ..self
        }
    }
}
