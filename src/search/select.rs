//! The configuration that validation chooses.

use crate::spec::Goal;

/// Position of the best mean; of equals the first, which is the one that was suggested first. `None` among the scores marks a
/// configuration that has none.
pub fn best(scores: &[Option<f64>], goal: Goal) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (i, score) in scores.iter().enumerate() {
        let Some(score) = score.filter(|s| s.is_finite()) else { continue };
        let better = best.is_none_or(|(_, top)| match goal {
            Goal::Maximize => score > top,
            Goal::Minimize => score < top,
        });
        if better {
            best = Some((i, score));
        }
    }
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins_and_failures_never_do() {
        assert_eq!(best(&[None, Some(0.5), Some(0.7), Some(0.7)], Goal::Maximize), Some(2));
        assert_eq!(best(&[Some(f64::NAN), Some(0.5), Some(0.4)], Goal::Minimize), Some(2));
        assert_eq!(best(&[None, Some(f64::NAN)], Goal::Maximize), None);
    }
}
