//! Fitting the model: the rest, the factors of past runs, and the slow-down, by turns.

use std::collections::HashMap;

use super::model::{Cell, LONG_S, Model, SHORT_S, location};
use super::schedule::{KNOTS, Slowdown};
use crate::name::DrvName;

impl Model {
    pub(super) fn fit_residual(&mut self) {
        let mut differences: [Vec<f64>; 2] = Default::default();
        let border = 2.0 * (SHORT_S * LONG_S).sqrt().ln();
        for cell in self.cells.iter().filter(|cell| cell.obs.len() > 1) {
            let mut before: Option<f64> = None;
            for o in self.obs[cell.obs.clone()].iter().filter(|o| o.rounding < 0.002) {
                let value = self.adjusted(o);
                if let Some(before) = before {
                    differences[usize::from(before + value > border)].push((before - value).abs());
                }
                before = Some(value);
            }
        }
        let priors = [self.tuning.short, self.tuning.long];
        for ((scale, prior), differences) in self.scales.iter_mut().zip(priors).zip(&mut differences) {
            let n = differences.len();
            // Half of the differences between two draws of the distribution are below 1.3 of its scale.
            let seen = if n == 0 {
                prior
            } else {
                *differences.select_nth_unstable_by(n / 2, f64::total_cmp).1 / 1.3
            };
            let weight = self.tuning.residual_weight;
            *scale = ((n as f64 * seen + weight * prior) / (n as f64 + weight)).clamp(0.02, 0.8);
        }
    }

    /// Returns for each observation what its level leaves unexplained of its adjusted logarithm.
    fn rests(&self) -> Vec<f64> {
        let mut rests = vec![0.0; self.obs.len()];
        let mut values: Vec<(f64, f64)> = Vec::new();
        let mut found: Vec<(f64, f64)> = Vec::new();
        let line = |a: &Cell, b: &Cell| (a.group, a.host, a.system) == (b.group, b.host, b.system);
        for cells in self.cells.chunk_by(line) {
            found.clear();
            for cell in cells {
                values.clear();
                values.extend(self.obs[cell.obs.clone()].iter().map(|o| {
                    let value = self.adjusted(o);
                    (value, self.scale(value).powi(2) + o.rounding)
                }));
                found.push(location(&mut values));
            }
            let is_class = self.groups[cells[0].group as usize].is_class;
            for (i, cell) in cells.iter().enumerate() {
                let mean = if is_class || cells.len() == 1 {
                    found[i].0
                } else {
                    let (mut precision, mut sum) = (0.0, 0.0);
                    for (other, (center, variance)) in cells.iter().zip(&found) {
                        let far = f64::from(other.version.abs_diff(cell.version));
                        let p = 1.0 / (variance + far * self.tuning.version_step);
                        precision += p;
                        sum += p * center;
                    }
                    sum / precision
                };
                for i in cell.obs.clone() {
                    rests[i] = self.adjusted(&self.obs[i]) - mean;
                }
            }
        }
        rests
    }

    pub(super) fn fit_runs(&mut self) {
        let rests = self.rests();
        let n = self.run_host_factor.len();
        let (mut weight, mut sum, mut spread) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for (o, rest) in self.obs.iter().zip(&rests) {
            let value = rest + self.run_host_factor[o.run_host];
            let level = self.adjusted(o) - rest;
            let noise = self.scale(level).powi(2);
            let doubt = 1.0 / (1.0 + rest * rest / (2.0 * (noise + o.rounding)));
            // By the seconds expected: by those that it took, the slow ones would count more.
            let w = (level * self.tuning.seconds_power).exp() * doubt;
            weight[o.run_host] += w;
            sum[o.run_host] += w * value;
            spread[o.run_host] += w * w * (noise + o.rounding);
        }
        let prior = self.tuning.run * self.tuning.run;
        let (mut squares, mut count) = (0.0, 0.0);
        for i in 0..n {
            if weight[i] > 0.0 {
                let mean = sum[i] / weight[i];
                let error = spread[i] / (weight[i] * weight[i]);
                self.run_host_factor[i] = mean * self.run_variance / (self.run_variance + error);
                squares += (mean * mean - error).max(0.0);
                count += 1.0;
            }
        }
        let w = self.tuning.run_weight;
        if count > 1.0 {
            self.run_variance = ((squares + w * prior) / (count - 1.0 + w)).max(0.0025);
        }
    }

    pub(super) fn fit_slowdown(&mut self) {
        // Within one package and version on one machine, the differences in concurrency against those in time.
        let mut normal = [[0.0; KNOTS]; KNOTS];
        let mut right = [0.0; KNOTS];
        for cell in self.cells.iter().filter(|cell| cell.obs.len() > 1) {
            let obs = &self.obs[cell.obs.clone()];
            let value = |o: &super::model::Obs| o.log - self.run_host_factor[o.run_host];
            let n = obs.len() as f64;
            let mean = obs.iter().map(value).sum::<f64>() / n;
            let mut pieces = [0.0; KNOTS];
            for o in obs {
                for (sum, piece) in pieces.iter_mut().zip(o.pieces) {
                    *sum += piece / n;
                }
            }
            let noise = self.scale(mean).powi(2);
            for o in obs {
                let x: [f64; KNOTS] = std::array::from_fn(|k| o.pieces[k] - pieces[k]);
                let y = value(o) - mean;
                let fit: f64 = x.iter().zip(self.slow.slopes).map(|(x, s)| x * s).sum();
                let spread = noise + o.rounding;
                let weight = noise / spread / (1.0 + (y - fit).powi(2) / (2.0 * spread));
                for a in 0..KNOTS {
                    right[a] += weight * x[a] * y;
                    for b in 0..KNOTS {
                        normal[a][b] += weight * x[a] * x[b];
                    }
                }
            }
        }
        // Ridge towards the slope before; by coordinates, since no slope is negative.
        let mut slopes = self.slow.slopes;
        for _ in 0..30 {
            for a in 0..KNOTS {
                let prior = if a == 0 { self.tuning.slope } else { slopes[a - 1] };
                let weight = self.tuning.slope_weight;
                let others: f64 = (0..KNOTS).filter(|&b| b != a).map(|b| normal[a][b] * slopes[b]).sum();
                slopes[a] = ((right[a] - others + weight * prior) / (normal[a][a] + weight)).clamp(0.0, 1.2);
            }
        }
        self.slow = Slowdown::new(slopes);
    }

    pub(super) fn fit_classes(&mut self) {
        let mut sums: HashMap<String, (f64, f64, u32)> = HashMap::new();
        let mut names: Vec<(&String, &(String, u32))> = self
            .by_pname
            .iter()
            .flat_map(|(pname, groups)| groups.iter().map(move |group| (pname, group)))
            .collect();
        names.sort_unstable();
        let mut any = (0.0, 0.0, 0u32);
        for (pname, (shape, group)) in names {
            let obs = &self.obs[self.groups[*group as usize].obs.clone()];
            let mean = obs.iter().map(|o| self.adjusted(o)).sum::<f64>() / obs.len() as f64;
            let add = |sum: &mut (f64, f64, u32)| *sum = (sum.0 + mean, sum.1 + mean * mean, sum.2 + 1);
            add(&mut any);
            let class = DrvName::class_of(pname, shape);
            if !class.is_empty() {
                match sums.get_mut(class) {
                    Some(sum) => add(sum),
                    None => add(sums.entry(class.to_owned()).or_default()),
                }
            }
        }
        let finish = |(sum, square, n): (f64, f64, u32)| {
            let mean = sum / f64::from(n);
            // A few are no measure of a spread.
            let variance = (square - sum * mean).max(0.0);
            (mean, (variance + 2.0 * 1.0) / (f64::from(n) - 1.0 + 2.0).max(1.0), n)
        };
        self.any = (any.2 > 0).then(|| finish(any));
        self.classes =
            sums.into_iter().filter(|(_, sum)| sum.2 >= 2).map(|(class, sum)| (class, finish(sum))).collect();
    }
}
