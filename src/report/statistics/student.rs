//! Student's t: over seeds ("on this test set": the images are taken as given), and over resampled splits.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{CONFIDENCE, Estimate, mean, variance};

/// An estimate with its standard error, and how many degrees of freedom that has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct T {
    pub mean: f64,
    pub standard_error: f64,
    pub freedom: f64,
}

impl T {
    /// 95 %.
    pub fn interval(&self) -> [f64; 2] {
        let half = quantile(0.5 + CONFIDENCE / 2.0, self.freedom) * self.standard_error;
        [self.mean - half, self.mean + half]
    }

    /// Two-sided, of the hypothesis that the mean is 0. Without any spread: 1 where the mean is 0, otherwise 0.
    pub fn p(&self) -> f64 {
        if self.mean == 0.0 {
            return 1.0;
        }
        let t = self.mean.abs() / self.standard_error;
        let below = StudentsT::new(0.0, 1.0, self.freedom).map_or(0.0, |student| student.cdf(-t));
        (2.0 * below).clamp(0.0, 1.0)
    }
}

/// From differences of trials of equal seed (`scipy.stats.ttest_rel`); `None` of fewer than two.
pub fn paired(differences: &[f64]) -> Option<T> {
    let n = differences.len() as f64;
    (differences.len() > 1).then(|| T {
        mean: mean(differences),
        standard_error: (variance(differences) / n).sqrt(),
        freedom: n - 1.0,
    })
}

/// `a` minus `b`, independent samples of unequal variance (Welch 1947; `scipy.stats.ttest_ind(equal_var=False)`).
pub fn welch(a: Estimate, b: Estimate) -> Option<T> {
    let part = |e: Estimate| Some((e.std?.powi(2) / e.n as f64, e.n as f64 - 1.0));
    let ((a_part, a_freedom), (b_part, b_freedom)) = part(a).zip(part(b))?;
    let spread = a_part * a_part / a_freedom + b_part * b_part / b_freedom;
    // Where neither varies, the interval is a point whatever the degrees of freedom.
    let freedom = if spread > 0.0 { (a_part + b_part).powi(2) / spread } else { 1.0 };
    Some(T { mean: a.mean - b.mean, standard_error: (a_part + b_part).sqrt(), freedom })
}

/// From differences over folds or repeated splits, whose training sets overlap: the variance of the mean is
/// (1/n + test/train) times that of a difference (Nadeau & Bengio, "Inference for the generalization error", 2003).
/// `test` and `train` are the images of one split. `None` of fewer than two, or without training images.
pub fn corrected_resampled(differences: &[f64], train: u64, test: u64) -> Option<T> {
    let n = differences.len() as f64;
    (differences.len() > 1 && train > 0).then(|| T {
        mean: mean(differences),
        standard_error: ((1.0 / n + test as f64 / train as f64) * variance(differences)).sqrt(),
        freedom: n - 1.0,
    })
}

/// Of Student's t distribution; `freedom` > 0.
pub fn quantile(probability: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(probability))
}
