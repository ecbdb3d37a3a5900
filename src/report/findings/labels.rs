//! Labels that look wrong: confident learning (Northcutt, Jiang & Chuang, JAIR 2021), as cleanlab's
//! `find_label_issues(filter_by="confident_learning")`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Repeats, Study, chosen};
use crate::artifact::Split;

const SUSPECTS: usize = 50;

/// Images whose label a good model contradicts with confidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelErrors {
    /// The arm whose probabilities were used: the best by the metric that chose.
    pub arm: String,
    /// Images looked at: none of them was trained on.
    pub images: u64,
    /// How many there are; the first of them follow, the most suspect first.
    pub count: u64,
    pub suspects: Vec<Suspect>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    pub path: String,
    pub label: String,
    /// What the model takes it for.
    pub suggested: String,
    /// The label's probability minus the greatest other one, from -1 to 1.
    pub margin: f64,
    pub split: &'static str,
}

/// By the mean probabilities of the best arm, on validation and, where unsealed, test images.
pub fn find(study: &Study, judged_by: &str, arms: &[(&BTreeMap<String, Value>, &String)]) -> Option<LabelErrors> {
    let metric = &study.context.metric;
    let score = |&(facet, arm): &(&BTreeMap<String, Value>, &String)| {
        let scores: Vec<f64> = chosen(study, facet, arm).filter_map(|row| row.metrics.get(metric).copied()).collect();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        (!scores.is_empty()).then_some(if crate::metrics::smaller_is_better(metric) { -mean } else { mean })
    };
    let best = arms.iter().filter_map(|arm| Some((score(arm)?, arm))).max_by(|a, b| a.0.total_cmp(&b.0))?.1;
    let splits: &[Split] = if judged_by.contains("test/") { &[Split::Val, Split::Test] } else { &[Split::Val] };
    let (mut labels, mut probabilities, mut classes, mut sources) = (vec![], vec![], vec![], vec![]);
    for &split in splits {
        let Some(repeats) = Repeats::of(study, best.0, best.1, split) else { continue };
        let first = repeats.first();
        classes.clone_from(&first.classes);
        for (image, path) in first.paths.iter().enumerate() {
            labels.push(first.labels[image]);
            probabilities.extend((0..classes.len()).map(|class| repeats.probability(image, class)));
            sources.push((path.clone(), split));
        }
    }
    let suspicious = suspicious(&labels, &probabilities, classes.len());
    let width = classes.len();
    let mut suspects: Vec<Suspect> = suspicious
        .iter()
        .map(|&(image, suggested)| Suspect {
            path: sources[image].0.clone(),
            label: classes[labels[image] as usize].clone(),
            suggested: classes[suggested].clone(),
            margin: margin(labels[image], &probabilities[image * width..(image + 1) * width]),
            split: sources[image].1.name(),
        })
        .collect();
    suspects.sort_by(|a, b| a.margin.total_cmp(&b.margin).then_with(|| a.path.cmp(&b.path)));
    suspects.truncate(SUSPECTS);
    (!labels.is_empty()).then(|| LabelErrors {
        arm: best.1.clone(),
        images: labels.len() as u64,
        count: suspicious.len() as u64,
        suspects,
    })
}

fn margin(label: u32, row: &[f64]) -> f64 {
    let other = row.iter().enumerate().filter(|(class, _)| *class != label as usize).map(|(_, p)| *p);
    row[label as usize] - other.fold(0.0, f64::max)
}

/// (image, suggested class): images that are confidently of another class. A class is confident of an image when it gives it
/// at least the mean probability that it gives to images of its own label.
fn suspicious(labels: &[u32], probabilities: &[f64], classes: usize) -> Vec<(usize, usize)> {
    let (mut sums, mut counts) = (vec![0.0; classes], vec![0u64; classes]);
    for (image, &label) in labels.iter().enumerate() {
        sums[label as usize] += probabilities[image * classes + label as usize];
        counts[label as usize] += 1;
    }
    let threshold = |class: usize| if counts[class] > 0 { sums[class] / counts[class] as f64 } else { f64::INFINITY };
    let thresholds: Vec<f64> = (0..classes).map(threshold).collect();
    let most = |row: &[f64], of: &mut dyn Iterator<Item = usize>| {
        of.max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a)))
    };
    let check = |(image, &label): (usize, &u32)| {
        let row = &probabilities[image * classes..(image + 1) * classes];
        // A hair below the threshold counts, so that rounding decides nothing.
        let confident = most(row, &mut (0..classes).filter(|&class| row[class] >= thresholds[class] - 1e-6))?;
        let predicted = most(row, &mut (0..classes))?;
        (confident != label as usize && predicted != label as usize).then_some((image, confident))
    };
    labels.iter().enumerate().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Cases {
        label_errors: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        classes: usize,
        labels: Vec<u32>,
        probabilities: Vec<f64>,
        issues: Vec<usize>,
        quality: Vec<f64>,
    }

    /// `scripts/reference/statistics.py` wrote the cases.
    #[test]
    fn agrees_with_cleanlab() {
        let text = include_str!("../../../tests/reference/statistics/findings.json");
        let cases: Cases = serde_json::from_str(text).expect("the committed cases");
        assert!(!cases.label_errors.is_empty());
        for case in cases.label_errors {
            let found: Vec<usize> = suspicious(&case.labels, &case.probabilities, case.classes)
                .into_iter()
                .map(|(image, _)| image)
                .collect();
            assert_eq!(found, case.issues);
            assert!(!found.is_empty());
            for (row, (&label, quality)) in
                case.probabilities.chunks(case.classes).zip(case.labels.iter().zip(case.quality))
            {
                // cleanlab's normalised margin is on 0 to 1.
                assert!(((margin(label, row) + 1.0) / 2.0 - quality).abs() < 1e-9);
            }
        }
    }
}
