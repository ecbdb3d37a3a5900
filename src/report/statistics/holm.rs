//! Several comparisons at once.

/// p values adjusted by Holm (1979), in the order given: each may be held against 0.05, and the probability that any true
/// hypothesis is rejected stays below it (`statsmodels.stats.multitest.multipletests(method="holm")`).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[at]).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}
