//! How large a difference is, apart from how sure it is.

use super::{mean, variance};

/// Hedges' g of paired differences: their mean in standard deviations, corrected for few of them (Hedges 1981, with the
/// exact factor). `None` of fewer than two, or where they do not vary.
pub fn hedges(differences: &[f64]) -> Option<f64> {
    let freedom = differences.len() as f64 - 1.0;
    if differences.len() < 2 {
        return None;
    }
    let deviation = variance(differences).sqrt();
    let gamma = statrs::function::gamma::ln_gamma;
    let factor =
        (gamma(freedom / 2.0) - gamma((freedom - 1.0).max(f64::MIN_POSITIVE) / 2.0)).exp() / (freedom / 2.0).sqrt();
    // With one degree of freedom the factor's denominator is infinite and g is not defined.
    (deviation > 0.0 && freedom > 1.0).then(|| factor * mean(differences) / deviation)
}

/// The part of the baseline's errors that the arm no longer makes, of scores whose best is 1; negative where it makes more.
/// `None` where the baseline makes none.
pub fn error_reduction(arm: f64, baseline: f64) -> Option<f64> {
    (baseline < 1.0).then(|| (arm - baseline) / (1.0 - baseline))
}
