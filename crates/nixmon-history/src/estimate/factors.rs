//! The factors that this run shares with no past one: how fast each machine is today, and how other machines' times convert.

/// A joint normal distribution of the factors, in logarithms.
#[derive(Clone, Debug)]
pub(crate) struct Factors {
    pub(crate) mean: Vec<f64>,
    /// The lower Cholesky factor of the covariance, row by row.
    root: Vec<Vec<f64>>,
    pub(crate) covariance: Vec<Vec<f64>>,
}

/// An observation: the sum of some factors, seen with a precision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) factors: [Option<usize>; 2],
    pub(crate) value: f64,
    pub(crate) precision: f64,
}

impl Factors {
    /// Combines independent priors (mean and variance of each) with what was seen.
    pub(crate) fn from(priors: &[(f64, f64)], seen: &[Seen]) -> Self {
        let n = priors.len();
        let mut precision = vec![vec![0.0; n]; n];
        let mut right = vec![0.0; n];
        for (i, (mean, variance)) in priors.iter().enumerate() {
            precision[i][i] = 1.0 / variance;
            right[i] = mean / variance;
        }
        for s in seen {
            for a in s.factors.into_iter().flatten() {
                right[a] += s.precision * s.value;
                for b in s.factors.into_iter().flatten() {
                    precision[a][b] += s.precision;
                }
            }
        }
        let covariance = inverse(precision);
        let mean = covariance.iter().map(|row| row.iter().zip(&right).map(|(a, b)| a * b).sum()).collect();
        let root = cholesky(&covariance);
        Factors { mean, root, covariance }
    }

    /// Adds an independent variance to one factor.
    pub(crate) fn widen(&mut self, factor: usize, variance: f64) {
        self.covariance[factor][factor] += variance;
        self.root = cholesky(&self.covariance);
    }

    /// Returns the mean of a sum of factors.
    pub(crate) fn mean_of(&self, factors: [Option<usize>; 2]) -> f64 {
        factors.into_iter().flatten().map(|f| self.mean[f]).sum()
    }

    /// Returns the variance of a sum of factors.
    pub(crate) fn variance_of(&self, factors: [Option<usize>; 2]) -> f64 {
        let each = || factors.into_iter().flatten();
        each().flat_map(|a| each().map(move |b| (a, b))).map(|(a, b)| self.covariance[a][b]).sum()
    }

    /// Makes one draw from as many independent normal numbers.
    pub(crate) fn draw(&self, normal: impl Fn(usize) -> f64, out: &mut Vec<f64>) {
        let z: Vec<f64> = (0..self.mean.len()).map(normal).collect();
        out.clear();
        out.extend(
            self.mean
                .iter()
                .zip(&self.root)
                .map(|(m, row)| m + row.iter().zip(&z).map(|(a, b)| a * b).sum::<f64>()),
        );
    }
}

/// Inverts a symmetric positive matrix (Gauss and Jordan; its diagonal never vanishes).
fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut out: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
    for i in 0..n {
        let pivot = a[i][i];
        for j in 0..n {
            a[i][j] /= pivot;
            out[i][j] /= pivot;
        }
        for k in (0..n).filter(|&k| k != i) {
            let factor = a[k][i];
            if factor != 0.0 {
                for j in 0..n {
                    a[k][j] -= factor * a[i][j];
                    out[k][j] -= factor * out[i][j];
                }
            }
        }
    }
    out
}

fn cholesky(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut root = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| root[i][k] * root[j][k]).sum();
            root[i][j] =
                if i == j { (a[i][i] - sum).max(1e-12).sqrt() } else { (a[i][j] - sum) / root[j][j] };
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_move_what_they_are_sums_of() {
        let one = |factors, value, precision| Seen { factors, value, precision };
        let f = Factors::from(&[(0.0, 1.0), (0.0, 1.0)], &[one([Some(0), None], 1.0, 1.0)]);
        assert!((f.mean[0] - 0.5).abs() < 1e-12 && f.mean[1] == 0.0);
        // A sum that is seen exactly goes to both in equal parts, and they then depend on each other.
        let f = Factors::from(&[(0.0, 1.0), (0.0, 1.0)], &[one([Some(0), Some(1)], 1.0, 1e9)]);
        assert!((f.mean[0] - 0.5).abs() < 1e-6 && (f.mean[1] - 0.5).abs() < 1e-6);
        assert!(f.variance_of([Some(0), Some(1)]) < 1e-6 && f.variance_of([Some(0), None]) > 0.4);
    }
}
