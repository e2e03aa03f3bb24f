//! The quality of past predictions, beside that of simple ones.

use schemars::JsonSchema;
use serde::Serialize;

use super::median;

/// A prediction and its truth, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Foretold {
    /// The part of the run it was made at, in percent.
    pub percent: u8,
    /// The time that truly remained.
    pub truth_ms: u64,
    /// The time that was said to remain.
    pub remaining_ms: u64,
    /// The lower end of the band.
    pub low_ms: u64,
    /// The upper end of the band.
    pub high_ms: u64,
    /// The four simple predictors: by count, sum of medians, that over the jobs, and the longest chain.
    pub simple_ms: [Option<u64>; 4],
}

/// The quality of the predictions made at one part of runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Accuracy {
    /// The part of the run, in percent.
    pub percent: u8,
    /// The number of predictions.
    pub runs: u32,
    /// The median distance from the truth, in percent of it.
    pub median_error: f64,
    /// The median of the signed distance: positive where too much time was foretold.
    pub bias: f64,
    /// The share of truths within the band, in percent.
    pub band_held: f64,
    /// The median width of the band, in percent of the truth.
    pub band_width: f64,
    /// The median errors of elapsed time by the count of derivations, of the sum of medians, of that over the jobs, and of the
    /// larger of that and the longest chain.
    pub simple_errors: [Option<f64>; 4],
}

/// Returns the accuracy at each part of runs at which something was foretold.
pub fn accuracy(foretold: &[Foretold]) -> Vec<Accuracy> {
    let mut percents: Vec<u8> = foretold.iter().map(|f| f.percent).collect();
    percents.sort_unstable();
    percents.dedup();
    percents
        .into_iter()
        .map(|percent| {
            let of: Vec<&Foretold> =
                foretold.iter().filter(|f| f.percent == percent && f.truth_ms > 0).collect();
            let off = |said: u64, truth: u64| (said as f64 - truth as f64) * 100.0 / truth as f64;
            let held = of.iter().filter(|f| (f.low_ms..=f.high_ms).contains(&f.truth_ms)).count();
            let simple = |which: usize| {
                median(of.iter().filter_map(|f| Some(off(f.simple_ms[which]?, f.truth_ms).abs())))
            };
            Accuracy {
                percent,
                runs: of.len() as u32,
                median_error: median(of.iter().map(|f| off(f.remaining_ms, f.truth_ms).abs())).unwrap_or(0.0),
                bias: median(of.iter().map(|f| off(f.remaining_ms, f.truth_ms))).unwrap_or(0.0),
                band_held: held as f64 * 100.0 / of.len().max(1) as f64,
                band_width: median(
                    of.iter().map(|f| f.high_ms.saturating_sub(f.low_ms) as f64 * 100.0 / f.truth_ms as f64),
                )
                .unwrap_or(0.0),
                simple_errors: std::array::from_fn(simple),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shares_of_the_truth() {
        let one = |remaining_ms, low_ms, high_ms| Foretold {
            percent: 50,
            truth_ms: 100,
            remaining_ms,
            low_ms,
            high_ms,
            simple_ms: [Some(200), None, Some(50), Some(100)],
        };
        let got = accuracy(&[one(110, 90, 130), one(120, 105, 140), one(80, 70, 110)]);
        assert_eq!(got.len(), 1);
        let a = &got[0];
        assert_eq!((a.percent, a.runs, a.median_error, a.bias), (50, 3, 20.0, 10.0));
        assert!((a.band_held - 200.0 / 3.0).abs() < 1e-9);
        assert_eq!(a.simple_errors, [Some(100.0), None, Some(50.0), Some(0.0)]);
    }
}
