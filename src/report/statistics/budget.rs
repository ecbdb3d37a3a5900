//! What a search of another size would have found: the more configurations are tried, the better the best of them looks.

/// The expected best of k configurations drawn from those that were tried, for k of 1 to their number (Dodge et al., "Show
/// your work: improved reporting of experimental results", EMNLP 2019). `larger_is_better` says what best means.
pub fn expected_best(scores: &[f64], larger_is_better: bool) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| if larger_is_better { a.total_cmp(b) } else { b.total_cmp(a) });
    let n = sorted.len() as f64;
    // The i-th worst is the best of k draws with probability (i/n)^k - ((i-1)/n)^k.
    let weight = |i: usize, k: i32| ((i as f64 + 1.0) / n).powi(k) - (i as f64 / n).powi(k);
    let best_of = |k: usize| sorted.iter().enumerate().map(|(i, score)| score * weight(i, k as i32)).sum();
    (1..=sorted.len()).map(best_of).collect()
}
