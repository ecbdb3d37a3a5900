//! Metrics that ask in which order the probabilities stand.

use super::Classified;

impl Classified<'_> {
    /// Part of the images whose class is among the k most probable; of equal probabilities the first class counts as the
    /// greater, so that k = 1 is the accuracy. `None` unless 0 < k < classes: it would say nothing.
    pub fn top_k(self, k: usize) -> Option<f64> {
        if k == 0 || k >= self.classes || self.labels.is_empty() {
            return None;
        }
        let hit = |(label, row): (usize, &[f64])| {
            let before = |(class, &p): (usize, &f64)| p > row[label] || (p == row[label] && class < label);
            row.iter().enumerate().filter(|&other| before(other)).count() < k
        };
        Some(self.rows().filter(|&row| hit(row)).count() as f64 / self.labels.len() as f64)
    }

    /// Area under the ROC curve (`roc_auc_score`). Two classes: that of class 1; more: the mean of each class against the
    /// rest (`multi_class="ovr", average="macro"`). `None` where a class does not occur, or nothing else does.
    pub fn auroc(self) -> Option<f64> {
        if self.classes == 2 {
            return self.auroc_of(1);
        }
        let areas: Vec<f64> = (0..self.classes).map(|class| self.auroc_of(class)).collect::<Option<_>>()?;
        Some(areas.iter().sum::<f64>() / areas.len() as f64)
    }

    /// The Mann-Whitney form: the probability that an image of `class` scores above one of another, ties counting half.
    fn auroc_of(self, class: usize) -> Option<f64> {
        let mut scored: Vec<(f64, bool)> = self.rows().map(|(label, row)| (row[class], label == class)).collect();
        scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Pairs in half units, so that the sum is exact whatever the order of the images.
        let (mut below, mut half_pairs, mut positives) = (0u64, 0u64, 0u64);
        for tied in scored.chunk_by(|a, b| a.0 == b.0) {
            let hits = tied.iter().filter(|(_, positive)| *positive).count() as u64;
            let misses = tied.len() as u64 - hits;
            half_pairs += hits * (2 * below + misses);
            below += misses;
            positives += hits;
        }
        (positives > 0 && below > 0).then(|| half_pairs as f64 / (2.0 * positives as f64 * below as f64))
    }
}
