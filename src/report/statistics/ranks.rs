//! Several arms over several data sets, by ranks (Demšar, "Statistical comparisons of classifiers over multiple data sets",
//! JMLR 2006): Friedman's test whether they differ at all, and Nemenyi's critical difference for which do.

use serde::Serialize;
use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal};

use super::CONFIDENCE;

/// Ranks of arms over data sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranks {
    /// Of each arm, 1 the best; equal scores share their mean rank.
    pub mean: Vec<f64>,
    pub chi_squared: f64,
    pub p: f64,
    /// Arms whose mean ranks are at least this far apart differ (Nemenyi, family-wise 0.05).
    pub critical_difference: f64,
    pub data_sets: u64,
}

/// `scores`: [data sets, arms]. `None` with fewer than two data sets or three arms, for which this test is not made.
pub fn friedman(scores: &[Vec<f64>], larger_is_better: bool) -> Option<Ranks> {
    let (n, k) = (scores.len() as f64, scores.first().map_or(0, Vec::len));
    if scores.len() < 2 || k < 3 || scores.iter().any(|row| row.len() != k) {
        return None;
    }
    let mut sums = vec![0.0; k];
    let mut ties = 0.0;
    for row in scores {
        let mut order: Vec<usize> = (0..k).collect();
        order.sort_by(|&a, &b| if larger_is_better { row[b].total_cmp(&row[a]) } else { row[a].total_cmp(&row[b]) });
        let mut rank = 0.0;
        for tied in order.chunk_by(|&a, &b| row[a] == row[b]) {
            let size = tied.len() as f64;
            tied.iter().for_each(|&arm| sums[arm] += rank + (size + 1.0) / 2.0);
            rank += size;
            ties += size * (size * size - 1.0);
        }
    }
    let arms = k as f64;
    let uncorrected =
        12.0 / (n * arms * (arms + 1.0)) * sums.iter().map(|sum| sum * sum).sum::<f64>() - 3.0 * n * (arms + 1.0);
    let correction = 1.0 - ties / (arms * (arms * arms - 1.0) * n);
    let chi_squared = if correction > 0.0 { uncorrected / correction } else { 0.0 };
    let p = ChiSquared::new(arms - 1.0).map_or(1.0, |chi| chi.sf(chi_squared));
    let range = studentized_range(CONFIDENCE, k);
    Some(Ranks {
        mean: sums.iter().map(|sum| sum / n).collect(),
        chi_squared,
        p,
        critical_difference: range / 2f64.sqrt() * (arms * (arms + 1.0) / (6.0 * n)).sqrt(),
        data_sets: scores.len() as u64,
    })
}

/// The quantile of the range of `k` standard normals (`scipy.stats.studentized_range(k, inf).ppf`), by bisection.
fn studentized_range(probability: f64, k: usize) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else { return f64::INFINITY };
    // P(range < q) = k times the integral of pdf(z) (cdf(z) - cdf(z - q))^(k - 1): Simpson's rule, smooth and light-tailed.
    let below = |q: f64| {
        let (steps, from, to) = (2000, -9.0, 9.0 + q);
        let width = (to - from) / f64::from(steps);
        let at = |i: i32| {
            let z = from + f64::from(i) * width;
            normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - q)).powi(k as i32 - 1)
        };
        let inner: f64 = (1..steps).map(|i| at(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        k as f64 * (at(0) + inner + at(steps)) * width / 3.0
    };
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(middle) < probability { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}
