//! The model of the past: how long each build takes alone on a machine, and what made past runs slower or faster.
//!
//! The logarithm of a build's seconds is taken as a sum: its own level on its machine, a factor of the run (foreign load), the
//! slow-down by the builds beside it, and a rest. All but the rest are found together, by turns. The logarithm of a level moves
//! with each new version; so old versions count less, by what a new version usually changes.

use std::collections::HashMap;
use std::ops::Range;

use super::past::Past;
use super::schedule::{KNOTS, Slowdown, pieces};
use crate::name::DrvName;

/// The rung of the ladder that an expectation stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The same derivation was built on this machine.
    SameDerivation,
    /// This version of the package was.
    SameVersion,
    /// Another version of the package was.
    SamePackage,
    /// The package was built on another machine; a factor between the machines is applied.
    OtherHost,
    /// Only builds with a name of this class are known.
    Class,
    /// Nothing alike is known: it is expected to be like any build.
    Any,
}

impl Rung {
    /// Returns true if the package itself has been seen.
    pub fn is_known(self) -> bool {
        self < Rung::Class
    }
}

/// The numbers of the model that no history gives. Their sources are in `docs/decisions/0018-history-and-estimates.md`.
#[derive(Clone, Debug, PartialEq)]
#[doc(hidden)]
pub struct Tuning {
    /// Scale of the logarithm of repeated builds that take up to [`SHORT_S`].
    pub short: f64,
    /// The same for builds from [`LONG_S`] on.
    pub long: f64,
    /// Weight of those values, in samples.
    pub residual_weight: f64,
    /// Variance that a step of the version adds.
    pub version_step: f64,
    /// Standard deviation between two machines, per package.
    pub host_package: f64,
    /// Standard deviation between two machines.
    pub host: f64,
    /// Standard deviation between runs.
    pub run: f64,
    /// Weight of that value, in runs.
    pub run_weight: f64,
    /// Power of the seconds by which builds count for the factor of a run.
    pub seconds_power: f64,
    /// Prior slope of the slow-down, and the inverse of its variance in units of samples.
    pub slope: f64,
    pub slope_weight: f64,
    /// Standard deviation of the load still to come.
    pub future: f64,
    /// The share of the variance between runs that there is within one.
    pub within: f64,
    /// The ratio of standard deviation and scale of single builds.
    pub kappa: f64,
    /// The share of regression to the mean that times of another machine have: below 1, since packages' times have long tails.
    pub regression: f64,
    /// The memory for the speed of this run, as a share of its elapsed time.
    pub memory: f64,
    /// Widening between shapes of one name.
    pub shape: f64,
    pub draws: usize,
    pub rounds: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            short: 0.1,
            long: 0.13,
            residual_weight: 150.0,
            version_step: 0.1,
            host_package: 0.23,
            host: 0.3,
            run: 0.03,
            run_weight: 1.0,
            seconds_power: 0.4,
            slope: 0.1,
            slope_weight: 5.0,
            future: 0.05,
            within: 0.1,
            kappa: 0.9,
            regression: 0.5,
            memory: 4.0,
            shape: 0.3,
            draws: 100,
            rounds: 6,
        }
    }
}

/// The shortest time that is told from nothing.
const FLOOR_S: f64 = 0.1;
/// The seconds up to which builds are short, and from which on they are long: their times repeat differently well.
pub(super) const SHORT_S: f64 = 5.0;
pub(super) const LONG_S: f64 = 60.0;
/// The number of samples that are used of one package on one machine.
const NEWEST: usize = 20;

/// The expectation of a build alone on its machine, before the factors of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Level {
    /// The mean of the logarithm of its seconds.
    pub(crate) mean: f64,
    /// The variance of that mean; the rest of single builds comes on top.
    pub(crate) variance: f64,
    pub(crate) rung: Rung,
    pub(crate) samples: u32,
    /// The other machine whose times these are, if they are.
    pub(crate) foreign: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Obs {
    pub(super) log: f64,
    /// Variance by rounding of short times.
    pub(super) rounding: f64,
    pub(super) run_host: usize,
    pub(super) group: u32,
    pub(super) host: u32,
    pub(super) system: u32,
    pub(super) version: u32,
    /// The hash of the derivation's digest.
    drv: Option<u64>,
    pub(super) pieces: [f64; KNOTS],
}

/// The observations of one version of one name on one machine. They stand together in [`Model::obs`].
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) obs: Range<usize>,
    pub(super) group: u32,
    pub(super) host: u32,
    pub(super) system: u32,
    pub(super) version: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) obs: Range<usize>,
    /// The versions in the order in which they came.
    pub(super) versions: Vec<Box<str>>,
    /// True if one run held several of its names: then names are members and not versions.
    pub(super) is_class: bool,
}

/// The fitted model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(super) tuning: Tuning,
    pub(super) obs: Vec<Obs>,
    pub(super) cells: Vec<Cell>,
    pub(super) groups: Vec<Group>,
    /// The groups of each package name, with the shapes of their versions.
    pub(super) by_pname: HashMap<String, Vec<(String, u32)>>,
    hosts: Vec<String>,
    systems: Vec<String>,
    pub(super) run_host_factor: Vec<f64>,
    /// The logarithm of another machine's time over this one's, per host: mean and variance.
    pub(crate) slow: Slowdown,
    /// The scale of the rest, of short and long builds.
    pub(super) scales: [f64; 2],
    /// Variance of this run's factor, per host index.
    pub(super) run_variance: f64,
    runs_of_host: Vec<u32>,
    pub(super) classes: HashMap<String, (f64, f64, u32)>,
    pub(super) any: Option<(f64, f64, u32)>,
}

/// Returns location and variance of some values of which the squares of the scales are known, by the likelihood of Student's
/// distribution with two degrees of freedom: a build that took far longer than the others says little of the next one.
pub(super) fn location(values: &mut [(f64, f64)]) -> (f64, f64) {
    if let [(value, spread)] = values {
        return (*value, *spread / 0.6);
    }
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let n = values.len();
    let mut center = (values[(n - 1) / 2].0 + values[n / 2].0) / 2.0;
    let mut precision = 0.0;
    for _ in 0..6 {
        let mut sum = 0.0;
        precision = 0.0;
        for (value, spread) in values.iter() {
            let weight = 3.0 / (2.0 + (value - center).powi(2) / spread) / spread;
            precision += weight;
            sum += weight * value;
        }
        center = sum / precision;
    }
    // The information of one value is 0.6 over the square of the scale; a weight is 1.5 over it at most.
    (center, 1.0 / (precision * 0.4).max(1e-9))
}

/// Hashes a text (FNV-1a): for equality within a process.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// A level as the versions on one side tell it: a walk from the farthest one to the one that is wanted.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    /// Mean and variance so far, and the steps that are left.
    at: Option<(f64, f64, f64)>,
}

impl Walk {
    /// Takes in a version at some distance, which is nearer than those before, by what its builds say.
    fn meet(&mut self, (mean, variance): (f64, f64), far: f64, step: f64) {
        let at = self.at.map(|(m, v, before)| (m, v + (before - far) * step));
        self.at = Some(match at {
            Some((m, v)) => {
                let both = 1.0 / (1.0 / v + 1.0 / variance);
                (both * (m / v + mean / variance), both, far)
            }
            None => (mean, variance, far),
        });
    }

    /// Returns mean and variance at the version that is wanted.
    fn arrive(self, step: f64) -> Option<(f64, f64)> {
        self.at.map(|(mean, variance, far)| (mean, variance + far * step))
    }
}

fn index_of(names: &mut Vec<String>, name: &str) -> u32 {
    let at = names.iter().position(|n| n == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    at as u32
}

/// Samples met of a group, from the newest on: run and version of the last one, and how many of each host were taken.
type Met = (Option<(u32, u32)>, Vec<usize>);

impl Model {
    pub(crate) fn fit(past: &Past, tuning: Tuning) -> Self {
        let mut model = Model {
            slow: Slowdown::new([tuning.slope; KNOTS]),
            scales: [tuning.short, tuning.long],
            run_variance: tuning.run * tuning.run,
            tuning,
            obs: Vec::new(),
            cells: Vec::new(),
            groups: Vec::new(),
            by_pname: HashMap::new(),
            hosts: Vec::new(),
            systems: Vec::new(),
            run_host_factor: Vec::new(),
            runs_of_host: Vec::new(),
            classes: HashMap::new(),
            any: None,
        };
        model.read(past);
        model.find_cells();
        for _ in 0..model.tuning.rounds {
            model.fit_residual();
            model.fit_runs();
            model.fit_slowdown();
        }
        model.fit_classes();
        model
    }

    /// Returns true if nothing is known at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.obs.is_empty()
    }

    fn read(&mut self, past: &Past) {
        let mut run_hosts: HashMap<(u32, u32), usize> = HashMap::new();
        let mut order: Vec<usize> = (0..past.samples.len()).filter(|&i| past.samples[i].ok).collect();
        order.sort_by_key(|&i| {
            let s = &past.samples[i];
            (past.runs.get(s.run as usize).map_or(0, |r| r.started_ms), s.run, s.start_ms, i)
        });
        let mut met: Vec<Met> = Vec::new();
        // From the newest on, so that what is too old is left out.
        for &i in order.iter().rev() {
            let sample = &past.samples[i];
            let group = self.group_for(&sample.name);
            let host = index_of(&mut self.hosts, past.host_of(sample));
            let versions = &mut self.groups[group].versions;
            let version = versions.iter().position(|v| **v == *sample.name.version).unwrap_or_else(|| {
                versions.push(sample.name.version.as_str().into());
                versions.len() - 1
            }) as u32;
            met.resize_with(self.groups.len(), Default::default);
            let (last, taken) = &mut met[group];
            self.groups[group].is_class |=
                last.is_some_and(|(run, other)| run == sample.run && other != version);
            *last = Some((sample.run, version));
            if taken.len() <= host as usize {
                taken.resize(host as usize + 1, 0);
            }
            let taken = &mut taken[host as usize];
            let limit = if self.groups[group].is_class { NEWEST * 20 } else { NEWEST };
            if *taken >= limit {
                continue;
            }
            *taken += 1;
            let next = run_hosts.len();
            let run_host = *run_hosts.entry((sample.run, host)).or_insert(next);
            let seconds = sample.seconds().max(FLOOR_S);
            let system = index_of(&mut self.systems, sample.system.as_deref().unwrap_or(""));
            self.obs.push(Obs {
                log: seconds.ln(),
                rounding: (0.06 / seconds).powi(2),
                run_host,
                host,
                version,
                system,
                drv: sample.drv.as_deref().map(hash),
                group: group as u32,
                pieces: pieces(sample.concurrency.unwrap_or(1.0)),
            });
        }
        // Versions were met from the newest on.
        for group in &mut self.groups {
            group.versions.reverse();
        }
        for o in &mut self.obs {
            let last = self.groups[o.group as usize].versions.len().saturating_sub(1) as u32;
            o.version = last - o.version;
        }
        self.run_host_factor = vec![0.0; run_hosts.len()];
        self.runs_of_host = vec![0; self.hosts.len()];
        let mut pairs: Vec<_> = run_hosts.keys().collect();
        pairs.sort_unstable();
        for &&(_, host) in &pairs {
            self.runs_of_host[host as usize] += 1;
        }
    }

    /// Returns the number of the group of a name, and makes it if need be.
    fn group_for(&mut self, name: &DrvName) -> usize {
        let shape = name.shape();
        if !self.by_pname.contains_key(&name.pname) {
            self.by_pname.insert(name.pname.clone(), Vec::new());
        }
        let groups = &mut self.groups;
        let Some(of_pname) = self.by_pname.get_mut(&name.pname) else { return 0 };
        if let Some((_, group)) = of_pname.iter().find(|(known, _)| *known == shape) {
            return *group as usize;
        }
        of_pname.push((shape, groups.len() as u32));
        groups.push(Group::default());
        groups.len() - 1
    }

    /// Puts the observations of each group, and in it of each cell, together.
    fn find_cells(&mut self) {
        let place = |o: &Obs| (o.group, o.host, o.system, o.version);
        // Stable: within a cell the newest stay first.
        self.obs.sort_by_key(place);
        let mut at = 0;
        for cell in self.obs.chunk_by(|a, b| place(a) == place(b)) {
            let (group, host, system, version) = place(&cell[0]);
            self.cells.push(Cell { obs: at..at + cell.len(), group, host, system, version });
            let range = &mut self.groups[group as usize].obs;
            if range.start == range.end {
                *range = at..at;
            }
            at += cell.len();
            range.end = at;
        }
    }

    /// Returns what an observation says of its level, without the factors of its run.
    pub(super) fn adjusted(&self, o: &Obs) -> f64 {
        let slow: f64 = o.pieces.iter().zip(self.slow.slopes).map(|(p, s)| p * s).sum();
        o.log - slow - self.run_host_factor[o.run_host]
    }

    /// Returns the scale of the rest of a build, by the logarithm of its seconds.
    pub(crate) fn scale(&self, log: f64) -> f64 {
        let [short, long] = self.scales;
        let share = ((log - SHORT_S.ln()) / (LONG_S / SHORT_S).ln()).clamp(0.0, 1.0);
        short * (long / short).powf(share)
    }

    /// Returns mean and variance of a level at some version, and the steps to the nearest version known, from the observations
    /// chosen, which are of one machine.
    fn level(&self, chosen: &[usize], distance: impl Fn(&Obs) -> f64) -> Option<(f64, f64, f64)> {
        // By distance: those of one version share what that version changed.
        let mut cells: Vec<(f64, Vec<(f64, f64)>)> = Vec::new();
        for &i in chosen {
            let o = &self.obs[i];
            let far = distance(o);
            let value = self.adjusted(o);
            let spread = self.scale(value).powi(2) + o.rounding;
            match cells.iter_mut().find(|cell| cell.0 == far) {
                Some(cell) => cell.1.push((value, spread)),
                None => cells.push((far, vec![(value, spread)])),
            }
        }
        // A level walks from version to version: what older ones say passes through those between, and so for newer ones.
        cells.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        let step = self.tuning.version_step;
        let [mut older, mut newer, mut same] = [Walk::default(); 3];
        let mut near = f64::INFINITY;
        for (far, mut values) in cells {
            let walk = match far {
                0.0 => &mut same,
                far if far > 0.0 => &mut older,
                _ => &mut newer,
            };
            near = far.abs();
            walk.meet(location(&mut values), near, step);
        }
        let (mut precision, mut sum) = (0.0, 0.0);
        for (mean, variance) in [older, same, newer].into_iter().filter_map(|walk| walk.arrive(step)) {
            precision += 1.0 / variance;
            sum += mean / variance;
        }
        (precision > 0.0).then(|| (sum / precision, 1.0 / precision, near))
    }

    /// Returns the number of a host, if it has built anything.
    pub(crate) fn host(&self, name: &str) -> Option<u32> {
        self.hosts.iter().position(|h| h == name).map(|h| h as u32)
    }

    /// Returns the number of hosts.
    pub(crate) fn n_hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Returns the variance of the factor of a new run on a host.
    pub(crate) fn run_variance(&self, host: Option<u32>) -> f64 {
        let runs = host.map_or(0, |h| self.runs_of_host[h as usize]);
        self.run_variance * (1.0 + 1.0 / f64::from(runs.max(1)))
    }

    /// Returns mean and variance of the logarithm of this host's time over another's, from what both have built.
    pub(crate) fn host_offset(&self, own: Option<u32>, other: u32) -> (f64, f64) {
        let prior = self.tuning.host.powi(2) + self.run_variance;
        let Some(own) = own else { return (0.0, prior) };
        let (mut precision, mut sum, mut count) = (0.0, 0.0, 0);
        for group in &self.groups {
            let of = |host: u32| -> Vec<usize> {
                group.obs.clone().filter(|&i| self.obs[i].host == host).collect()
            };
            let (here, there) = (of(own), of(other));
            if here.is_empty() || there.is_empty() || group.is_class {
                continue;
            }
            let newest = here.iter().chain(&there).map(|&i| self.obs[i].version).max().unwrap_or(0);
            let far = |o: &Obs| f64::from(newest) - f64::from(o.version);
            if let (Some((a, va, _)), Some((b, vb, _))) = (self.level(&here, far), self.level(&there, far)) {
                let p = 1.0 / (va + vb + self.tuning.host_package.powi(2));
                precision += p;
                sum += p * (a - b);
                count += 1;
            }
        }
        if count == 0 {
            return (0.0, prior);
        }
        (sum / (precision + 1.0 / prior), 1.0 / (precision + 1.0 / prior))
    }

    /// Returns the expectation of a build, or `None` if nothing at all is known.
    ///
    /// `offsets` holds the result of [`Model::host_offset`] for each host.
    pub(crate) fn expect(
        &self,
        name: &DrvName,
        drv: Option<&str>,
        system: Option<&str>,
        own: Option<u32>,
        offsets: &[(f64, f64)],
    ) -> Option<Level> {
        let shape = name.shape();
        let of_pname = || self.by_pname.get(&name.pname).into_iter().flatten();
        if let Some(&(_, group)) = of_pname().find(|(known, _)| *known == shape)
            && let Some(level) = self.expect_in(group, name, drv, system, own, offsets, 0.0)
        {
            return Some(level);
        }
        let widening = self.tuning.shape.powi(2);
        for &(_, group) in of_pname() {
            if let Some(level) = self.expect_in(group, name, drv, system, own, offsets, widening) {
                return Some(Level { rung: level.rung.max(Rung::SamePackage), ..level });
            }
        }
        let (any, any_variance, _) = self.any?;
        let level = Level { mean: any, variance: any_variance, rung: Rung::Any, samples: 0, foreign: None };
        match self.classes.get(name.class()) {
            Some(&(mean, variance, n)) => {
                // Shrunk towards all builds by the number of names.
                let p = f64::from(n) / (f64::from(n) + 3.0);
                let mean = p * mean + (1.0 - p) * any;
                Some(Level {
                    mean,
                    variance: p * variance + (1.0 - p) * any_variance,
                    rung: Rung::Class,
                    ..level
                })
            }
            None => Some(level),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the one caller has all of them at hand")]
    fn expect_in(
        &self,
        group: u32,
        name: &DrvName,
        drv: Option<&str>,
        system: Option<&str>,
        own: Option<u32>,
        offsets: &[(f64, f64)],
        widening: f64,
    ) -> Option<Level> {
        let group = &self.groups[group as usize];
        let system = system.and_then(|s| self.systems.iter().position(|known| known == s)).map(|s| s as u32);
        let unnamed = self.systems.iter().position(String::is_empty).map(|s| s as u32);
        let fits = |o: &Obs| system.is_none() || Some(o.system) == system || Some(o.system) == unnamed;
        let wanted = group.versions.iter().position(|v| **v == *name.version);
        // Of several members of a class those count that are named most alike.
        let likeness = |o: &Obs| {
            let version = &group.versions[o.version as usize];
            version.bytes().zip(name.version.bytes()).take_while(|(a, b)| a == b).count()
        };
        let most = if group.is_class && wanted.is_none() {
            self.obs[group.obs.clone()].iter().map(likeness).max()
        } else {
            None
        };
        let far = |o: &Obs| match wanted {
            Some(wanted) if group.is_class => f64::from(u8::from(o.version as usize != wanted)),
            Some(wanted) => wanted as f64 - f64::from(o.version),
            None if group.is_class => 1.0,
            None => group.versions.len() as f64 - f64::from(o.version),
        };
        let chosen = |host: u32| -> Vec<usize> {
            let of_host = group.obs.clone().filter(|&i| self.obs[i].host == host && fits(&self.obs[i]));
            let mut of_host: Vec<usize> = of_host.collect();
            if group.is_class && of_host.iter().any(|&i| far(&self.obs[i]) == 0.0) {
                of_host.retain(|&i| far(&self.obs[i]) == 0.0);
            } else if let Some(most) = most {
                of_host.retain(|&i| likeness(&self.obs[i]) == most);
            }
            of_host
        };
        let mut best: Option<Level> = None;
        if let Some(own) = own {
            let here = chosen(own);
            if let Some((mean, variance, near)) = self.level(&here, far) {
                let rung = if drv.is_some() && here.iter().any(|&i| self.obs[i].drv == drv.map(hash)) {
                    Rung::SameDerivation
                } else if near == 0.0 {
                    Rung::SameVersion
                } else {
                    Rung::SamePackage
                };
                best = Some(Level {
                    mean,
                    variance: variance + widening,
                    rung,
                    samples: here.len() as u32,
                    foreign: None,
                });
            }
        }
        let mut foreign: Option<Level> = None;
        for host in 0..self.hosts.len() as u32 {
            if Some(host) == own {
                continue;
            }
            let there = chosen(host);
            if let Some((mean, variance, _)) = self.level(&there, far) {
                let (offset, doubt) = offsets[host as usize];
                let variance = variance + self.tuning.host_package.powi(2) + widening;
                match &mut best {
                    Some(best) => {
                        let (a, b) = (1.0 / best.variance, 1.0 / (variance + doubt));
                        best.mean = (a * best.mean + b * (mean + offset)) / (a + b);
                        best.variance = 1.0 / (a + b);
                    }
                    None => {
                        let level = Level {
                            mean,
                            variance,
                            rung: Rung::OtherHost,
                            samples: there.len() as u32,
                            foreign: Some(host),
                        };
                        let total = |l: &Level| l.variance + l.foreign.map_or(0.0, |h| offsets[h as usize].1);
                        if foreign.as_ref().is_none_or(|f| total(&level) < total(f)) {
                            foreign = Some(level);
                        }
                    }
                }
            }
        }
        let level = best.or(foreign)?;
        let Some((any, spread, _)) = self.any.filter(|_| level.foreign.is_some()) else { return Some(level) };
        // A package that took long there did so in part by what is particular to that machine, and long ones are most of the time.
        let share = spread / (spread + self.tuning.regression * level.variance);
        Some(Level { mean: any + (level.mean - any) * share, ..level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks over versions (mean, variance, steps away) with a variance of 1 for each step.
    fn check(versions: &[(f64, f64, f64)], expected: Option<(f64, f64)>) {
        let mut walk = Walk::default();
        for &(mean, variance, far) in versions {
            walk.meet((mean, variance), far, 1.0);
        }
        let got = walk.arrive(1.0);
        let near = |(a, b): ((f64, f64), (f64, f64))| (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9;
        assert!(got.zip(expected).map_or(got == expected, near), "{versions:?}: {got:?}");
    }

    #[test]
    fn an_old_version_tells_little_beside_a_newer_one() {
        check(&[], None);
        check(&[(5.0, 0.5, 2.0)], Some((5.0, 2.5)));
        check(&[(5.0, 1.0, 0.0)], Some((5.0, 1.0)));
        // The old one is three steps older than the new one: 1 + 3 against 1.
        check(&[(5.0, 1.0, 4.0), (0.0, 1.0, 1.0)], Some((1.0, 0.8 + 1.0)));
        // A version that is known well leaves nothing to older ones.
        check(&[(5.0, 1.0, 2.0), (0.0, 1e-12, 1.0)], Some((0.0, 1.0)));
    }
}
