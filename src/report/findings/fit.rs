//! Over- and under-fitting, named from the mean curves of an arm's repeats, with what shows it and what usually helps.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Study, chosen};
use crate::report::evidence::Curve;

/// What the curves look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The training loss ends higher than it began.
    Diverged,
    /// The validation loss rose again while the training loss fell on.
    OverFits,
    /// Much better on training images than on validation images, without getting worse.
    Gap,
    /// Both losses were still falling at the end.
    Unfinished,
    /// Even the training images are not learnt well.
    UnderFits,
    Sound,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    pub shape: Shape,
    /// A sentence with the figures that show it.
    pub evidence: String,
    /// What usually helps; empty where nothing needs to.
    pub remedies: &'static [&'static str],
}

/// Mean over repeats of a metric, epoch by epoch, as long as the shortest; `None` where no repeat has it.
pub fn mean_curve(curves: &[Curve], metric: &str) -> Option<Vec<f64>> {
    let all: Vec<Vec<f64>> = curves.iter().map(|curve| curve.metric(metric).into_iter().flatten().collect()).collect();
    let shortest = all.iter().map(Vec::len).min().filter(|&n| n > 0)?;
    let mean = |epoch: usize| all.iter().map(|curve| curve[epoch]).sum::<f64>() / all.len() as f64;
    Some((0..shortest).map(mean).collect())
}

/// `None` without curves of training and validation loss of at least three epochs.
pub fn judge(study: &Study, facet: &BTreeMap<String, Value>, arm: &str) -> Option<Fit> {
    let curves: Vec<Curve> =
        chosen(study, facet, arm).filter_map(|row| study.evidence.curves.curve(&row.trial)).collect();
    let loss = ["train/loss", "val/loss"].map(|name| mean_curve(&curves, name));
    let accuracy = ["train/accuracy", "val/accuracy"].map(|name| mean_curve(&curves, name));
    let [Some(train), Some(val)] = loss else { return None };
    let last_accuracy = accuracy.map(|curve| curve.and_then(|curve| curve.last().copied()));
    (train.len() > 2 && train.len() == val.len()).then(|| shape(&train, &val, last_accuracy))
}

fn shape(train: &[f64], val: &[f64], accuracy: [Option<f64>; 2]) -> Fit {
    let epochs = val.len();
    let (best, lowest) =
        val.iter().copied().enumerate().fold((0, f64::INFINITY), |best, at| if at.1 < best.1 { at } else { best });
    let (first_train, last_train, last_val) = (train[0], train[epochs - 1], val[epochs - 1]);
    let fit = |shape, evidence, remedies| Fit { shape, evidence, remedies };
    if last_train > 1.1 * first_train || !last_train.is_finite() {
        return fit(
            Shape::Diverged,
            format!("training loss rose from {first_train:.3} to {last_train:.3}"),
            &["a smaller learning rate", "a warm-up", "a look at the input's normalisation"],
        );
    }
    // One part in ten is more than epochs differ by chance on a few hundred images.
    if last_val > 1.1 * lowest && last_train < train[best] {
        return fit(
            Shape::OverFits,
            format!(
                "validation loss was lowest, {lowest:.3}, in epoch {} of {epochs} and ended at {last_val:.3}, while training loss fell on from {:.3} to {last_train:.3}",
                best + 1,
                train[best]
            ),
            &[
                "fewer epochs",
                "stronger augmentation",
                "weight decay or dropout",
                "more frozen blocks",
                "more training images",
            ],
        );
    }
    if let [Some(train), Some(val)] = accuracy
        && train - val > 0.1
    {
        return fit(
            Shape::Gap,
            format!("accuracy ends at {train:.3} on training and {val:.3} on validation images"),
            &["stronger augmentation", "weight decay or dropout", "more frozen blocks", "more training images"],
        );
    }
    let before = epochs - (epochs / 5).max(1) - 1;
    if last_val < 0.97 * val[before] && last_train < 0.97 * train[before] {
        return fit(
            Shape::Unfinished,
            format!(
                "validation loss still fell from {:.3} to {last_val:.3} between epoch {} and the last, {epochs}",
                val[before],
                before + 1
            ),
            &["more epochs", "a larger learning rate"],
        );
    }
    match accuracy {
        [Some(train), Some(val)] if train < 0.85 && train <= val + 0.02 => fit(
            Shape::UnderFits,
            format!(
                "accuracy ends at {train:.3} even on training images, {val:.3} on validation images, and no longer improves"
            ),
            &["more thawed blocks", "a larger learning rate", "a larger backbone or image size", "weaker augmentation"],
        ),
        _ => fit(Shape::Sound, format!("validation loss ends at {last_val:.3}, lowest {lowest:.3}"), &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_named_from_the_curves() {
        let of = |train: &[f64], val: &[f64], accuracy| shape(train, val, accuracy).shape;
        let unknown = [None, None];
        assert_eq!(of(&[0.7, 0.9, 1.4], &[0.7, 0.8, 1.0], unknown), Shape::Diverged);
        assert_eq!(of(&[0.7, 0.3, 0.1], &[0.7, 0.5, 0.8], unknown), Shape::OverFits);
        assert_eq!(of(&[0.7, 0.3, 0.29], &[0.7, 0.5, 0.5], [Some(0.99), Some(0.8)]), Shape::Gap);
        assert_eq!(of(&[0.7, 0.6, 0.5], &[0.7, 0.6, 0.5], unknown), Shape::Unfinished);
        assert_eq!(of(&[0.7, 0.65, 0.65], &[0.7, 0.64, 0.64], [Some(0.7), Some(0.7)]), Shape::UnderFits);
        assert_eq!(of(&[0.7, 0.2, 0.2], &[0.7, 0.25, 0.25], [Some(0.95), Some(0.93)]), Shape::Sound);
    }

    #[test]
    fn the_mean_curve_is_as_long_as_the_shortest() {
        let curve = |values: &[f64]| Curve {
            epochs: values
                .iter()
                .map(|&value| crate::report::evidence::Point {
                    node: "probe".into(),
                    epoch: 1,
                    metrics: BTreeMap::from([("val/loss".to_owned(), value)]),
                })
                .collect(),
        };
        let both = [curve(&[1.0, 0.5, 0.25]), curve(&[0.5, 0.25])];
        assert_eq!(mean_curve(&both, "val/loss"), Some(vec![0.75, 0.375]));
        assert_eq!(mean_curve(&both, "train/loss"), None);
    }
}
