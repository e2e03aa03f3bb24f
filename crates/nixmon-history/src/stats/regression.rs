//! Regressions: builds that take clearly longer than they did.

use schemars::JsonSchema;
use serde::Serialize;

use super::median;

/// A build that takes longer than it did.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Regression {
    /// The median before.
    pub before_ms: u64,
    /// The median since.
    pub after_ms: u64,
    /// The samples before.
    pub before: u32,
    /// The samples since.
    pub after: u32,
    /// The probability that the newer are as large by chance.
    pub p: f64,
}

/// The samples on either side, at least.
const FEWEST: usize = 3;
/// The samples on either side, at most: a change is told when it is new.
const MOST: usize = 10;
/// The shift of the median that counts.
const SHIFT: f64 = 1.25;
/// The probability up to which a shift is no chance. Three of each side reach just this.
const CHANCE: f64 = 0.05;

/// Returns the regression that the newest of `times_ms` shows, the oldest first, or `None`.
///
/// It is told once: with the first sample that makes it one, and not again with those after it.
pub fn regression(times_ms: &[u64]) -> Option<Regression> {
    let now = shift(times_ms)?;
    let before = times_ms.split_last().and_then(|(_, rest)| shift(rest));
    before.is_none().then_some(now)
}

fn shift(times_ms: &[u64]) -> Option<Regression> {
    // The latest three against what was before them.
    let cut = times_ms.len().checked_sub(FEWEST)?;
    let (old, new) = times_ms.split_at(cut);
    let old = &old[old.len().saturating_sub(MOST)..];
    if old.len() < FEWEST {
        return None;
    }
    let of = |x: &[u64]| median(x.iter().map(|&t| t as f64)).unwrap_or(0.0);
    let (before, after) = (of(old), of(new));
    if after < before * SHIFT || after < before + 500.0 {
        return None;
    }
    let p = mann_whitney(old, new);
    (p <= CHANCE + 1e-9).then_some(Regression {
        before_ms: before as u64,
        after_ms: after as u64,
        before: old.len() as u32,
        after: new.len() as u32,
        p,
    })
}

/// Returns the probability that values like `new` are as large as they are beside `old` by chance (Mann and Whitney, one-sided,
/// exact; ties count half, which errs on the side of chance).
pub fn mann_whitney(old: &[u64], new: &[u64]) -> f64 {
    let (m, n) = (old.len(), new.len());
    if m == 0 || n == 0 {
        return 1.0;
    }
    // Twice the statistic, so that ties stay whole.
    let twice: usize =
        new.iter().flat_map(|b| old.iter().map(move |a| 2 * usize::from(b > a) + usize::from(b == a))).sum();
    let u = twice / 2;
    // The number of orders of m and n values with each statistic, by which comes last.
    let most = m * n;
    let mut counts = vec![vec![vec![0.0f64; most + 1]; n + 1]; m + 1];
    for (i, of_i) in counts.iter_mut().enumerate() {
        of_i[0][0] = 1.0;
        if i == 0 {
            for of_j in of_i.iter_mut() {
                of_j[0] = 1.0;
            }
        }
    }
    for i in 1..=m {
        for j in 1..=n {
            for s in 0..=i * j {
                let last_old = counts[i - 1][j][s];
                let last_new = if s >= i { counts[i][j - 1][s - i] } else { 0.0 };
                counts[i][j][s] = last_old + last_new;
            }
        }
    }
    let all: f64 = counts[m][n].iter().sum();
    counts[m][n][u..].iter().sum::<f64>() / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_tables() {
        // Critical values of U: 3 and 3 reach 1/20, 5 and 5 with U = 21 reach 0.048 (one-sided).
        assert!((mann_whitney(&[1, 2, 3], &[4, 5, 6]) - 0.05).abs() < 1e-12);
        assert!((mann_whitney(&[4, 5, 6], &[1, 2, 3]) - 1.0).abs() < 1e-12);
        let p = mann_whitney(&[1, 2, 3, 4, 9], &[5, 6, 7, 8, 10]);
        assert!((p - 0.0476).abs() < 1e-3, "{p}");
        assert_eq!(mann_whitney(&[], &[1]), 1.0);
    }

    #[test]
    fn a_regression_is_told_once() {
        let times = [10_000, 11_000, 10_500, 10_200, 20_000, 21_000, 20_500];
        assert_eq!(regression(&times[..6]), None, "two are too few");
        let told = regression(&times).unwrap();
        assert_eq!((told.before_ms, told.after_ms, told.before, told.after), (10_350, 20_500, 4, 3));
        let mut more = times.to_vec();
        more.push(20_700);
        assert_eq!(regression(&more), None, "told before");
    }

    #[test]
    fn small_shifts_and_single_outliers_are_none() {
        assert_eq!(regression(&[10_000, 10_000, 10_000, 11_000, 11_000, 11_000]), None);
        assert_eq!(regression(&[10_000, 10_000, 10_000, 10_000, 90_000, 10_000]), None);
        assert_eq!(
            regression(&[10, 10, 10, 100, 100, 100]),
            None,
            "less than half a second is nobody's concern"
        );
    }
}
