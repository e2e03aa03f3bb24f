//! Simple predictors, beside which predictions are held.

use std::collections::HashMap;

use nixmon_history::estimate::{Past, Plan, Stage, Work};
use nixmon_history::stats::median;

/// Larger plans get no chain.
const MOST: usize = 20_000;

/// The median times of packages, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Medians(HashMap<String, f64>, f64);

impl Medians {
    /// Finds the medians of a past.
    pub(super) fn of(past: &Past) -> Self {
        let mut times: HashMap<&str, Vec<f64>> = HashMap::new();
        for sample in past.samples.iter().filter(|sample| sample.ok) {
            times.entry(&sample.name.pname).or_default().push(sample.seconds() * 1000.0);
        }
        let medians: HashMap<String, f64> =
            times.into_iter().filter_map(|(name, times)| Some((name.to_owned(), median(times)?))).collect();
        let usual = median(medians.values().copied()).unwrap_or(0.0);
        Self(medians, usual)
    }

    /// Foresees what remains by the count of derivations, by the sum of medians, by that over the jobs, and by the larger of
    /// that and the longest chain of medians.
    pub(super) fn foresee(&self, plan: &Plan, now_ms: u64) -> [Option<u64>; 4] {
        let is_build = |i: &usize| matches!(plan.nodes()[*i].work, Work::Build { .. });
        let open_all = plan.open();
        let open: Vec<usize> = (0..open_all.len()).filter(|i| open_all[*i]).filter(is_build).collect();
        let done = plan.nodes().iter().filter(|n| matches!(n.stage, Stage::Done { .. })).count();
        let ms = |value: f64| Some(value.max(0.0).round() as u64);
        let by_count = (done > 0).then(|| now_ms as f64 * open.len() as f64 / done as f64);
        let by_count = by_count.and_then(ms);
        if self.0.is_empty() {
            return [by_count, None, None, None];
        }
        let mut left = vec![0.0; open_all.len()];
        for &i in &open {
            let node = &plan.nodes()[i];
            let whole = self.0.get(&node.name.pname).copied().unwrap_or(self.1);
            left[i] = match node.stage {
                Stage::Running { since_ms, .. } => (whole - now_ms.saturating_sub(since_ms) as f64).max(0.0),
                _ => whole,
            };
        }
        let sum: f64 = left.iter().sum();
        let share = sum / f64::from(plan.machines.iter().map(|machine| machine.slots).sum::<u32>().max(1));
        let chain = (open.len() <= MOST).then(|| chain(plan, &open_all, &left));
        [by_count, ms(sum), ms(share), chain.and_then(|chain| ms(share.max(chain)))]
    }
}

/// Returns the length of the longest chain of open builds.
fn chain(plan: &Plan, open: &[bool], left: &[f64]) -> f64 {
    let n = open.len();
    let mut users: Vec<Vec<u32>> = vec![Vec::new(); n];
    let mut missing = vec![0u32; n];
    for (i, node) in plan.nodes().iter().enumerate().filter(|(i, _)| open[*i]) {
        for dep in node.deps.iter().map(|dep| dep.0 as usize).filter(|dep| open[*dep]) {
            users[dep].push(i as u32);
            missing[i] += 1;
        }
    }
    let mut ready: Vec<usize> = (0..n).filter(|i| open[*i] && missing[*i] == 0).collect();
    let mut before = vec![0.0f64; n];
    let mut longest = 0.0f64;
    while let Some(i) = ready.pop() {
        let end = before[i] + left[i];
        longest = longest.max(end);
        for &user in &users[i] {
            let user = user as usize;
            before[user] = before[user].max(end);
            missing[user] -= 1;
            if missing[user] == 0 {
                ready.push(user);
            }
        }
    }
    longest
}
