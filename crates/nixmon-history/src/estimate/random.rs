//! Random numbers that are the same for the same question, and the distribution of what a build misses its estimate by.

/// Mixes a number thoroughly (splitmix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Returns a number between 0 and 1, both excluded.
pub(crate) fn uniform(seed: u64) -> f64 {
    ((mix(seed) >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

/// Returns the quantile of the normal distribution at `p` (Acklam's approximation, exact to nine digits).
pub(crate) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [0.007_784_695_709_041_462, 0.322_467_129_070_039_8, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let polynomial = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, c| sum * x + c);
    if p < 0.024_25 {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    } else if p > 0.975_75 {
        -normal_quantile(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    }
}

/// The ratio between the scale of a logistic distribution and its standard deviation.
const SCALE: f64 = 0.551_328_895_421_792;

/// Returns the quantile at `p` of the logistic distribution with standard deviation `sd`.
///
/// The logarithms of repeated builds' times have heavier tails than the normal distribution; the logistic one is near, and it
/// and its inverse have closed forms.
pub(crate) fn logistic(p: f64, sd: f64) -> f64 {
    sd * SCALE * (p / (1.0 - p)).ln()
}

/// Returns the share of that distribution that lies above `x`.
pub(crate) fn logistic_above(x: f64, sd: f64) -> f64 {
    1.0 / (1.0 + (x / (sd * SCALE)).exp())
}

/// Returns the quantile at `p` of the part of that distribution that lies above `floor`.
pub(crate) fn logistic_rest(floor: f64, p: f64, sd: f64) -> f64 {
    let above = logistic_above(floor, sd);
    let x = if above > 1e-6 {
        logistic(1.0 - above * (1.0 - p), sd)
    } else {
        // Far out the tail is an exponential one.
        floor - sd * SCALE * (1.0 - p).ln()
    };
    x.max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_above_a_floor_is_part_of_the_distribution() {
        let sd = 0.3;
        for floor in [-2.0, -0.3, 0.0, 0.7, 2.0] {
            let share = logistic_above(floor, sd);
            for p in [0.001, 0.1, 0.5, 0.9, 0.999] {
                let x = logistic_rest(floor, p, sd);
                assert!(x >= floor);
                assert!(
                    (logistic_above(x, sd) - share * (1.0 - p)).abs() < 1e-7 + share * 1e-4,
                    "{floor} {p}"
                );
            }
        }
        assert!((logistic(0.9, 1.0) - 1.211_39).abs() < 1e-4, "as in the tables");
    }

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        for (p, x) in
            [(0.5, 0.0), (0.8, 0.841_621_2), (0.975, 1.959_964), (0.999, 3.090_232), (0.01, -2.326_348)]
        {
            assert!((normal_quantile(p) - x).abs() < 1e-6, "{p}: {}", normal_quantile(p));
        }
    }
}
