//! Metrics that only ask which class was predicted.

/// Counts of (true class, predicted class).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// Rows are true classes, columns predicted ones.
    pub counts: Vec<Vec<u64>>,
}

/// What the confusion matrix says of one class; ratios without a denominator are 0 (scikit-learn's `zero_division=0`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassCounts {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    /// Images that truly are of this class.
    pub support: u64,
    /// Images predicted to be of this class.
    pub predicted: u64,
}

impl Confusion {
    pub(super) fn new(counts: Vec<Vec<u64>>) -> Confusion {
        Confusion { counts }
    }

    /// Precision, recall and F1 of every class.
    pub fn per_class(&self) -> Vec<ClassCounts> {
        let class = |c: usize| {
            let hits = self.counts[c][c];
            let support = self.counts[c].iter().sum();
            let predicted = self.counts.iter().map(|row| row[c]).sum();
            ClassCounts {
                precision: ratio(hits, predicted).unwrap_or(0.0),
                recall: ratio(hits, support).unwrap_or(0.0),
                f1: ratio(2 * hits, support + predicted).unwrap_or(0.0),
                support,
                predicted,
            }
        };
        (0..self.counts.len()).map(class).collect()
    }

    /// Part of the images whose class was predicted.
    pub fn accuracy(&self) -> Option<f64> {
        let hits = (0..self.counts.len()).map(|c| self.counts[c][c]).sum();
        ratio(hits, self.counts.iter().flatten().sum())
    }

    /// Mean recall over the classes that occur (`balanced_accuracy_score`).
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean(self.per_class().iter().filter(|c| c.support > 0).map(|c| c.recall))
    }

    /// Mean F1 over the classes that occur or are predicted (`f1_score(average="macro")`).
    pub fn macro_f1(&self) -> Option<f64> {
        mean(self.per_class().iter().filter(|c| c.support + c.predicted > 0).map(|c| c.f1))
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
