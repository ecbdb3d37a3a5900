//! Classification metrics, from labels and class probabilities. Plain arithmetic in f64; definitions and edge cases follow
//! scikit-learn, which the tests compare with.
//!
//! A metric that is undefined on a split (AUROC where a class is absent, anything on no images) is `None`, never NaN.

mod calibration;
mod confusion;
mod ranking;
mod weighted;

pub use confusion::{ClassCounts, Confusion};
pub use weighted::Weighted;

use std::collections::BTreeMap;

/// Labelled images and what a model said of them.
#[derive(Debug, Clone, Copy)]
pub struct Classified<'a> {
    labels: &'a [u32],
    probabilities: &'a [f64],
    classes: usize,
}

impl<'a> Classified<'a> {
    /// `labels`: [n], indices under `classes`; `probabilities`: row-major [n, classes], rows summing to 1.
    ///
    /// # Errors
    /// In words, when the shapes do not agree, a label is no class, or a probability is not a number in 0 to 1.
    pub fn new(labels: &'a [u32], probabilities: &'a [f64], classes: usize) -> anyhow::Result<Classified<'a>> {
        anyhow::ensure!(classes > 0, "there are no classes");
        anyhow::ensure!(
            probabilities.len() == labels.len() * classes,
            "{} probabilities do not fit {} images and {classes} classes",
            probabilities.len(),
            labels.len()
        );
        if let Some(label) = labels.iter().find(|&&label| label as usize >= classes) {
            anyhow::bail!("label {label} is none of the {classes} classes (they count from 0)");
        }
        if let Some(at) = probabilities.iter().position(|p| !(0.0..=1.0 + 1e-9).contains(p)) {
            anyhow::bail!(
                "image {} of {} has the probability {} for class {}: not a number between 0 and 1",
                at / classes + 1,
                labels.len(),
                probabilities[at],
                at % classes
            );
        }
        Ok(Classified { labels, probabilities, classes })
    }

    /// (label, probabilities of all classes) of every image.
    fn rows(self) -> impl Iterator<Item = (usize, &'a [f64])> {
        self.labels.iter().map(|&label| label as usize).zip(self.probabilities.chunks_exact(self.classes))
    }

    /// The most probable class of every image; the first of equals.
    pub fn predicted(self) -> Vec<u32> {
        self.rows().map(|(_, row)| top(row).0 as u32).collect()
    }

    /// How often each class was taken for which.
    pub fn confusion(self) -> Confusion {
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (label, row) in self.rows() {
            counts[label][top(row).0] += 1;
        }
        Confusion::new(counts)
    }

    /// Every defined metric by its name: `accuracy`, `balanced_accuracy`, `macro_f1`, `auroc`, `ece` (over `bins`),
    /// `log_loss`, and `top_<k>` for every k of `top_k` that is under the number of classes.
    pub fn metrics(self, top_k: &[u32], bins: u32) -> BTreeMap<String, f64> {
        let confusion = self.confusion();
        let mut named = vec![
            ("accuracy".to_owned(), confusion.accuracy()),
            ("balanced_accuracy".to_owned(), confusion.balanced_accuracy()),
            ("macro_f1".to_owned(), confusion.macro_f1()),
            ("auroc".to_owned(), self.auroc()),
            ("ece".to_owned(), self.expected_calibration_error(bins)),
            ("log_loss".to_owned(), self.log_loss()),
        ];
        named.extend(top_k.iter().map(|&k| (format!("top_{k}"), self.top_k(k as usize))));
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Whether a smaller value of the metric of this name is the better one; split prefixes (`val/`) do not matter.
pub fn smaller_is_better(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name == "ece" || name.ends_with("loss") || name.ends_with("error")
}

/// The greatest of a non-empty row and its position; the first of equals.
fn top(row: &[f64]) -> (usize, f64) {
    row.iter().copied().enumerate().fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(test)]
mod tests;
