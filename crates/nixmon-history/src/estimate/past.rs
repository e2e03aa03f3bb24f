//! The past that estimates are made from: runs and the builds in them.

use crate::name::DrvName;

/// A run of the past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastRun {
    /// The machine on which Nix ran.
    pub host: String,
    /// The moment at which the run began, in milliseconds of the Unix epoch.
    pub started_ms: i64,
    /// The number of builds at once.
    pub jobs: u32,
}

/// A build of the past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The index of its run in [`Past::runs`].
    pub run: u32,
    /// The name.
    pub name: DrvName,
    /// The digest of the derivation, if it is known.
    pub drv: Option<String>,
    /// The system, if it is known.
    pub system: Option<String>,
    /// The machine that built it; `None` is the run's own.
    pub machine: Option<String>,
    /// The moment at which it began, in milliseconds of the run.
    pub start_ms: u64,
    /// The moment at which it ended.
    pub stop_ms: u64,
    /// True if it was built, false if it failed.
    pub ok: bool,
    /// The builds that ran at once on this machine while it ran, itself included, as a geometric mean over its time. `None`
    /// lets [`Past::count_concurrency`] find it.
    pub concurrency: Option<f64>,
}

impl Sample {
    /// Returns the seconds that it took.
    pub fn seconds(&self) -> f64 {
        self.stop_ms.saturating_sub(self.start_ms) as f64 / 1000.0
    }
}

/// The past downloads from one cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePast {
    /// Its address.
    pub cache: String,
    /// The bytes.
    pub bytes: u64,
    /// The milliseconds in which at least one of its downloads went on, so that those at once do not count twice.
    pub busy_ms: u64,
}

/// All that is remembered and of use for a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// The runs, the oldest first.
    pub runs: Vec<PastRun>,
    /// The builds.
    pub samples: Vec<Sample>,
    /// The downloads: bytes and milliseconds, the oldest first.
    pub downloads: Vec<(u64, u64)>,
    /// The caches that they came from, by address.
    pub caches: Vec<CachePast>,
    /// The factor by which the spread of past predictions was too small, if enough of them were kept; see
    /// [`conformal_factor`](super::conformal_factor).
    pub band_factor: Option<f64>,
}

impl Past {
    /// Returns the host that built a sample.
    pub fn host_of<'a>(&'a self, sample: &'a Sample) -> &'a str {
        match &sample.machine {
            Some(machine) => machine,
            None => self.runs.get(sample.run as usize).map_or("", |run| &run.host),
        }
    }

    /// Finds the concurrency of the samples that lack one, from the others of their run.
    ///
    /// It needs all builds of a run; a store that reads only some keeps the number with each.
    pub fn count_concurrency(&mut self) {
        let mut by_run: std::collections::BTreeMap<(u32, Option<&str>), Vec<usize>> =
            std::collections::BTreeMap::new();
        for (i, sample) in self.samples.iter().enumerate() {
            by_run.entry((sample.run, sample.machine.as_deref())).or_default().push(i);
        }
        let groups: Vec<Vec<usize>> = by_run.into_values().collect();
        for group in groups {
            if group.iter().all(|&i| self.samples[i].concurrency.is_some()) {
                continue;
            }
            let spans: Vec<(u64, u64)> =
                group.iter().map(|&i| (self.samples[i].start_ms, self.samples[i].stop_ms)).collect();
            for (i, concurrency) in group.into_iter().zip(concurrency(&spans)) {
                self.samples[i].concurrency.get_or_insert(concurrency);
            }
        }
    }
}

/// Returns, for each span of time, the geometric mean over its time of the number of spans that run at once.
pub fn concurrency(spans: &[(u64, u64)]) -> Vec<f64> {
    let mut edges: Vec<u64> = spans.iter().flat_map(|&(a, b)| [a, b.max(a)]).collect();
    edges.sort_unstable();
    edges.dedup();
    let at = |t: u64| edges.partition_point(|&e| e < t);
    // The number that runs in each interval between two edges, by differences.
    let mut change = vec![0i64; edges.len() + 1];
    for &(a, b) in spans {
        change[at(a)] += 1;
        change[at(b.max(a))] -= 1;
    }
    // The integral of the logarithm up to each edge.
    let mut integral = Vec::with_capacity(edges.len());
    let (mut running, mut sum) = (0i64, 0.0);
    for (i, &edge) in edges.iter().enumerate() {
        if i > 0 {
            sum += (edge - edges[i - 1]) as f64 * (running.max(1) as f64).ln();
        }
        running += change[i];
        integral.push(sum);
    }
    spans
        .iter()
        .map(|&(a, b)| {
            if b <= a {
                return 1.0;
            }
            ((integral[at(b)] - integral[at(a)]) / (b - a) as f64).exp()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_is_a_mean_over_the_time_of_a_build() {
        let check = |spans: &[(u64, u64)], expected: &[f64]| {
            let got = concurrency(spans);
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{spans:?}: {got:?}");
        };
        check(&[(0, 10)], &[1.0]);
        check(&[(0, 10), (10, 20)], &[1.0, 1.0]);
        check(&[(0, 10), (0, 10)], &[2.0, 2.0]);
        check(&[(0, 20), (0, 10)], &[2f64.sqrt(), 2.0]);
        check(&[(5, 5), (0, 10)], &[1.0, 1.0]);
    }
}
