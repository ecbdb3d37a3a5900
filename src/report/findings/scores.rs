//! How an arm does by class, by confidence and by threshold.

use serde::Serialize;

use super::Repeats;
use crate::metrics::Classified;

const BINS: usize = 10;
/// Points of a curve that are kept: more cannot be seen.
const POINTS: usize = 200;

/// Means over repeats.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScore {
    pub class: String,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    pub support: u64,
}

/// Predictions of about equal confidence, pooled over repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Mean highest probability.
    pub confidence: f64,
    /// Part of them that is right.
    pub accuracy: f64,
    pub count: u64,
}

/// Precision, recall and F1 of every class.
pub fn per_class(repeats: &Repeats) -> Vec<ClassScore> {
    let n = repeats.all.len() as f64;
    let mut scores: Vec<ClassScore> = Vec::new();
    for predictions in &repeats.all {
        let Ok(classified) = Classified::new(&predictions.labels, &predictions.probabilities, repeats.classes()) else {
            continue;
        };
        for (class, counts) in classified.confusion().per_class().into_iter().enumerate() {
            if scores.len() <= class {
                let name = predictions.classes[class].clone();
                scores.push(ClassScore { class: name, precision: 0.0, recall: 0.0, f1: 0.0, support: counts.support });
            }
            scores[class].precision += counts.precision / n;
            scores[class].recall += counts.recall / n;
            scores[class].f1 += counts.f1 / n;
        }
    }
    scores
}

/// [true class][predicted class], mean counts.
pub fn confusion(repeats: &Repeats) -> Vec<Vec<f64>> {
    let (width, n) = (repeats.classes(), repeats.all.len() as f64);
    let mut counts = vec![vec![0.0; width]; width];
    for predictions in &repeats.all {
        for (&label, &predicted) in predictions.labels.iter().zip(&predictions.predicted) {
            counts[label as usize][predicted as usize] += 1.0 / n;
        }
    }
    counts
}

/// Over bins of equal width of the highest probability; empty ones are left out.
pub fn reliability(repeats: &Repeats) -> Vec<Bin> {
    let mut bins = vec![(0.0, 0u64, 0u64); BINS];
    let width = repeats.classes();
    for predictions in &repeats.all {
        for (image, row) in predictions.probabilities.chunks_exact(width).enumerate() {
            let confidence = row.iter().copied().fold(0.0, f64::max);
            let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
            bin.0 += confidence;
            bin.1 += u64::from(predictions.predicted[image] == predictions.labels[image]);
            bin.2 += 1;
        }
    }
    let full = bins.into_iter().filter(|(_, _, count)| *count > 0);
    full.map(|(sum, hits, count)| Bin { confidence: sum / count as f64, accuracy: hits as f64 / count as f64, count })
        .collect()
}

/// ROC and precision-recall, of the second of two classes, otherwise of every class against the rest at once.
pub fn curves(repeats: &Repeats) -> (Vec<[f64; 2]>, Vec<[f64; 2]>) {
    let width = repeats.classes();
    let classes = if width == 2 { 1..2 } else { 0..width };
    let mut scored: Vec<(f64, bool)> = Vec::new();
    for predictions in &repeats.all {
        for (row, &label) in predictions.probabilities.chunks_exact(width).zip(&predictions.labels) {
            scored.extend(classes.clone().map(|class| (row[class], class == label as usize)));
        }
    }
    let (roc, precision_recall) = at_thresholds(&mut scored);
    (thinned(roc), thinned(precision_recall))
}

/// (false, true positive rate) from (0, 0), and (recall, precision) of every threshold, the highest first. Empty where one of
/// the two does not occur.
fn at_thresholds(scored: &mut [(f64, bool)]) -> (Vec<[f64; 2]>, Vec<[f64; 2]>) {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = scored.iter().filter(|(_, positive)| *positive).count() as f64;
    let negatives = scored.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return (Vec::new(), Vec::new());
    }
    let (mut hits, mut misses) = (0.0, 0.0);
    let (mut roc, mut precision_recall) = (vec![[0.0, 0.0]], vec![]);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let of_class = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        hits += of_class;
        misses += tied.len() as f64 - of_class;
        roc.push([misses / negatives, hits / positives]);
        precision_recall.push([hits / positives, hits / (hits + misses)]);
    }
    (roc, precision_recall)
}

/// Both ends and evenly many in between.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() <= POINTS {
        return points;
    }
    (0..POINTS).map(|i| points[i * (points.len() - 1) / (POINTS - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Cases {
        curves: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        labels: Vec<u32>,
        scores: Vec<f64>,
        false_positive_rate: Vec<f64>,
        true_positive_rate: Vec<f64>,
        precision: Vec<f64>,
        recall: Vec<f64>,
    }

    fn close(found: impl Iterator<Item = f64>, expected: &[f64]) {
        let found: Vec<f64> = found.collect();
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    /// `scripts/reference/statistics.py` wrote the cases.
    #[test]
    fn curves_agree_with_scikit_learn() {
        let text = include_str!("../../../tests/reference/statistics/findings.json");
        let cases: Cases = serde_json::from_str(text).expect("the committed cases");
        assert!(!cases.curves.is_empty());
        for case in cases.curves {
            let mut scored: Vec<(f64, bool)> =
                case.scores.iter().copied().zip(case.labels.iter().map(|&l| l == 1)).collect();
            let (roc, precision_recall) = at_thresholds(&mut scored);
            close(roc.iter().map(|point| point[0]), &case.false_positive_rate);
            close(roc.iter().map(|point| point[1]), &case.true_positive_rate);
            // scikit-learn goes from the lowest threshold up, and adds a last point at recall 0.
            let n = case.recall.len() - 1;
            close(precision_recall.iter().rev().map(|point| point[0]), &case.recall[..n]);
            close(precision_recall.iter().rev().map(|point| point[1]), &case.precision[..n]);
        }
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let points: Vec<[f64; 2]> = (0..1001).map(|i| [f64::from(i), 0.0]).collect();
        let few = thinned(points);
        assert_eq!((few.len(), few[0], few[POINTS - 1]), (POINTS, [0.0, 0.0], [1000.0, 0.0]));
    }
}
