//! The end of the run as it is foreseen: a value that comes from outside, since the state knows no past.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Moment;
use super::ids::DerivationId;

/// The end of a run as it is foreseen, with a band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eta {
    /// The milliseconds that remain; as likely too few as too many.
    pub remaining_ms: u64,
    /// The lower end of the band.
    pub low_ms: u64,
    /// The upper end of the band.
    pub high_ms: u64,
    /// The share of cases in which the band is meant to hold the truth.
    pub coverage: f64,
    /// The open derivations that were built before.
    pub known: u32,
    /// The open derivations that were never built before.
    pub unknown: u32,
    /// The foreseen end, in milliseconds since 1970, where the clock is known.
    pub finish_at: Option<u64>,
    /// It is made of runs with other numbers of jobs, which may take longer or shorter.
    pub other_jobs: bool,
}

impl Eta {
    /// Returns the same after `ms` have passed.
    fn later(self, ms: u64) -> Self {
        Self {
            remaining_ms: self.remaining_ms.saturating_sub(ms),
            low_ms: self.low_ms.saturating_sub(ms),
            high_ms: self.high_ms.saturating_sub(ms),
            ..self
        }
    }
}

/// The expected duration of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The whole time of the build.
    pub total: Duration,
    /// Four of five such builds end before this time or shortly after; later ones are overdue.
    pub high: Duration,
}

/// All that is foreseen of a run at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// The moment.
    pub at: Moment,
    /// The end of the run, where enough is known.
    pub eta: Option<Eta>,
    /// The builds in progress that are known.
    pub expected: BTreeMap<DerivationId, Expected>,
    /// The longest chain of builds that the end waits for, the first one first.
    pub waits_for: Vec<DerivationId>,
    /// The builds that are ready or in progress and not on that chain.
    pub beside: Vec<DerivationId>,
}

impl Forecast {
    /// Returns the end of the run as it is foreseen, moved on to `now`.
    pub fn eta(&self, now: Moment) -> Option<Eta> {
        let passed = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        self.eta.map(|eta| eta.later(passed))
    }
}
