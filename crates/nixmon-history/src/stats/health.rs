//! The health of a target or package, and how its time develops.

use schemars::JsonSchema;
use serde::Serialize;

use super::median;

/// A past attempt, in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// The derivation, or another text that is the same where the inputs are.
    pub inputs: Option<String>,
    /// True if it succeeded.
    pub ok: bool,
    /// The milliseconds that it took.
    pub elapsed_ms: u64,
}

/// The direction of a development.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    /// It gets better: more successes.
    Better,
    /// It stays.
    Steady,
    /// It gets worse.
    Worse,
}

/// The health.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Health {
    /// The attempts.
    pub attempts: u32,
    /// The share of successes, from 0 to 100.
    pub success: f64,
    /// The share of attempts whose outcome differs from that of the attempt before with the same inputs, from 0 to 100; null
    /// where nothing was tried twice.
    pub flakiness: Option<f64>,
    /// The development: the newer half against the older.
    pub trend: Trend,
}

/// Judges attempts, the oldest first, or returns `None` of none.
pub fn health(attempts: &[Attempt]) -> Option<Health> {
    let n = attempts.len();
    if n == 0 {
        return None;
    }
    let share = |of: &[Attempt]| of.iter().filter(|a| a.ok).count() as f64 * 100.0 / of.len().max(1) as f64;
    let (mut again, mut flips) = (0u32, 0u32);
    for (i, attempt) in attempts.iter().enumerate() {
        if attempt.inputs.is_none() {
            continue;
        }
        if let Some(before) = attempts[..i].iter().rev().find(|b| b.inputs == attempt.inputs) {
            again += 1;
            flips += u32::from(before.ok != attempt.ok);
        }
    }
    let (old, new) = attempts.split_at(n / 2);
    let step = if n < 4 { 0.0 } else { share(new) - share(old) };
    Some(Health {
        attempts: n as u32,
        success: share(attempts),
        flakiness: (again > 0).then(|| f64::from(flips) * 100.0 / f64::from(again)),
        trend: match step {
            s if s >= 20.0 => Trend::Better,
            s if s <= -20.0 => Trend::Worse,
            _ => Trend::Steady,
        },
    })
}

/// A point of a trend.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TrendPoint {
    /// The moment, in milliseconds of the Unix epoch.
    pub started_ms: i64,
    /// The time of the run or build.
    pub elapsed_ms: u64,
    /// The jobs.
    pub jobs: Option<u32>,
    /// True if it succeeded.
    pub ok: bool,
}

/// Returns the logarithm's slope per point of the successful ones, as a percent per point, by the median of all pairs (Theil and
/// Sen): one outlier does not move it. `None` below four points.
pub fn trend(points: &[TrendPoint]) -> Option<f64> {
    let values: Vec<f64> =
        points.iter().filter(|p| p.ok).map(|p| (p.elapsed_ms.max(1) as f64).ln()).collect();
    if values.len() < 4 {
        return None;
    }
    // The newest hundred are enough, and pairs grow with the square.
    let values = &values[values.len().saturating_sub(100)..];
    let slopes = (0..values.len()).flat_map(|i| (i + 1..values.len()).map(move |j| (i, j)));
    let slope = median(slopes.map(|(i, j)| (values[j] - values[i]) / (j - i) as f64))?;
    Some((slope.exp() - 1.0) * 100.0)
}

/// Draws values as a line of blocks, from their least to their largest.
pub fn sparkline(values: &[u64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some(&low), Some(&high)) = (values.iter().min(), values.iter().max()) else { return String::new() };
    let height = |v: u64| {
        if high == low { 3 } else { ((v - low) as f64 * 7.0 / (high - low) as f64).round() as usize }
    };
    values.iter().map(|&v| BLOCKS[height(v).min(7)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(text: &str) -> Vec<Attempt> {
        let one = |c: char| Attempt {
            inputs: Some(c.to_ascii_lowercase().to_string()),
            ok: c.is_uppercase(),
            elapsed_ms: 1,
        };
        text.chars().map(one).collect()
    }

    #[test]
    fn flakiness_counts_other_outcomes_of_the_same_inputs() {
        // Capital letters are successes; the letter names the inputs.
        let check = |text: &str, success: f64, flakiness: Option<f64>, trend: Trend| {
            let got = health(&attempts(text)).unwrap();
            assert_eq!((got.success, got.flakiness, got.trend), (success, flakiness, trend), "{text}");
        };
        check("A", 100.0, None, Trend::Steady);
        check("AaAA", 75.0, Some(200.0 / 3.0), Trend::Better);
        check("ABCD", 100.0, None, Trend::Steady);
        check("aB", 50.0, None, Trend::Steady);
        check("ABab", 50.0, Some(100.0), Trend::Worse);
        assert_eq!(health(&[]), None);
    }

    #[test]
    fn trends_do_not_follow_one_outlier() {
        let point = |elapsed_ms| TrendPoint { started_ms: 0, elapsed_ms, jobs: None, ok: true };
        let flat: Vec<TrendPoint> = [100, 100, 900, 100, 100].map(point).to_vec();
        assert_eq!(trend(&flat), Some(0.0));
        let growing: Vec<TrendPoint> = [1000, 1100, 1210, 1331].map(point).to_vec();
        assert!((trend(&growing).unwrap() - 10.0).abs() < 0.1);
        assert_eq!(trend(&flat[..3]), None);
    }

    #[test]
    fn sparklines_span_their_range() {
        assert_eq!(sparkline(&[0, 7, 3]), "▁█▄");
        assert_eq!(sparkline(&[5, 5]), "▄▄");
        assert_eq!(sparkline(&[]), "");
    }
}
