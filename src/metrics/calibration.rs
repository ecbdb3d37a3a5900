//! Metrics that take the probabilities at their word.

use super::{Classified, top};

impl Classified<'_> {
    /// Expected calibration error (Guo et al., "On calibration of modern neural networks", ICML 2017): over bins of equal
    /// width, lower edge excluded, of the highest probability, the mean gap between that probability and the accuracy,
    /// weighted by images.
    pub fn expected_calibration_error(self, bins: u32) -> Option<f64> {
        if bins == 0 || self.labels.is_empty() {
            return None;
        }
        // (sum of confidences, hits) a bin.
        let mut sums = vec![(0.0, 0u64); bins as usize];
        for (label, row) in self.rows() {
            let (predicted, confidence) = top(row);
            let bin = (1..bins).filter(|&edge| confidence > f64::from(edge) / f64::from(bins)).count();
            sums[bin].0 += confidence;
            sums[bin].1 += u64::from(predicted == label);
        }
        let gaps = sums.iter().map(|&(confidence, hits)| (confidence - hits as f64).abs());
        Some(gaps.sum::<f64>() / self.labels.len() as f64)
    }

    /// Mean negative natural logarithm of the true class's probability, which is clipped to [eps, 1 - eps] with f64's
    /// machine epsilon (`log_loss`).
    pub fn log_loss(self) -> Option<f64> {
        let losses = self.rows().map(|(label, row)| -row[label].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln());
        (!self.labels.is_empty()).then(|| losses.sum::<f64>() / self.labels.len() as f64)
    }
}
