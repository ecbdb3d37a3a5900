//! The logarithm of the expected improvement, also where the improvement itself is too small for a number.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

use super::{super::Point, model::Model};

/// From so many deviations on the tail's series is more exact than the difference.
const FAR: f64 = 25.0;

/// The expected improvement over a loss.
#[derive(Debug)]
pub struct Improvement {
    over: f64,
    model: Model,
}

impl Improvement {
    pub fn over(over: f64, model: Model) -> Improvement {
        Improvement { over, model }
    }

    pub fn log(&self, point: &Point) -> f64 {
        let (mean, deviation) = self.model.expected(point);
        deviation.ln() + parts((self.over - mean) / deviation).0
    }

    /// And its slope along these parameters.
    pub fn log_and_slope(&self, point: &Point, along: &[usize]) -> (f64, Vec<f64>) {
        let ((mean, deviation), slopes) = self.model.expected_and_slopes(point, along);
        let (log, density, share) = parts((self.over - mean) / deviation);
        let slope = |(of_mean, of_deviation): (f64, f64)| (density * of_deviation - share * of_mean) / deviation;
        (deviation.ln() + log, slopes.into_iter().map(slope).collect())
    }
}

/// Of h(z) = z Phi(z) + phi(z), by which a normal of deviation 1 improves on z: ln h, phi / h and Phi / h.
fn parts(z: f64) -> (f64, f64, f64) {
    let normal = Normal::standard();
    if z > -1.0 {
        let (density, share) = (normal.pdf(z), normal.cdf(z));
        let h = z * share + density;
        return (h.ln(), density / h, share / h);
    }
    let t = -z;
    // Mills' ratio Phi(-t) / phi(t), and 1 - t times it.
    let (ratio, rest) = if t < FAR {
        let ratio = (normal.cdf(z).ln() - normal.ln_pdf(z)).exp();
        (ratio, 1.0 - t * ratio)
    } else {
        let rest = (1.0 - 3.0 / (t * t) + 15.0 / t.powi(4) - 105.0 / t.powi(6)) / (t * t);
        ((1.0 - rest) / t, rest)
    };
    (normal.ln_pdf(z) + rest.ln(), 1.0 / rest, ratio / rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// mpmath 1.3, 50 digits: log(z * ncdf(z) + npdf(z)).
    #[test]
    fn logarithms_are_exact_far_out() {
        for (z, expected) in EXPECTED {
            let (log, _, share) = parts(z);
            assert!((log - expected).abs() < 1e-6 * expected.abs().max(1.0), "{z}: {log}, not {expected}");
            // d ln h / dz is Phi / h.
            let slope = (parts(z + 1e-5).0 - parts(z - 1e-5).0) / 2e-5;
            assert!((share - slope).abs() < 1e-4 * slope.abs().max(1.0), "{z}: {share}, not {slope}");
        }
    }

    const EXPECTED: [(f64, f64); 7] = [
        (2.0, 0.6973835457882284),
        (0.0, -0.9189385332046728),
        (-0.9, -2.298282989459652),
        (-1.1, -2.6791783824760533),
        (-5.0, -16.74430116266099),
        (-24.9, -317.35848574266737),
        (-40.0, -808.29856835662),
    ];
}
