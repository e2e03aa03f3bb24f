//! Statistics of the history: the slowest, differences, trends, regressions, health, and how good predictions were. Pure.

mod accuracy;
mod chain;
mod compare;
mod health;
mod regression;

pub use accuracy::{Accuracy, Foretold, accuracy};
pub use chain::{Link, chain};
pub use compare::{Change, Difference, Slow, compare, slowest};
pub use health::{Attempt, Health, Trend, TrendPoint, health, sparkline, trend};
pub use regression::{Regression, mann_whitney, regression};

/// Returns the median, or `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| (values[(n - 1) / 2] + values[n / 2]) / 2.0)
}
