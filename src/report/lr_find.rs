//! The plot of a learning-rate range test.

use super::figures::{self, Chart, Mark, Series};
use crate::artifact::LearningRate;

/// An SVG file: the loss and its smoothed form over the learning rate, both suggestions marked. `None` without a curve.
pub fn plot(stage: &str, found: &LearningRate) -> Option<String> {
    let smoothed: Vec<[f64; 2]> = found.curve.iter().map(|point| [point.lr, point.smoothed]).collect();
    let highest = smoothed.iter().map(|point| point[1]).fold(f64::NEG_INFINITY, f64::max);
    // Single losses at the end would press everything else flat.
    let losses = found.curve.iter().filter(|point| point.loss <= highest).map(|point| [point.lr, point.loss]).collect();
    let at =
        |lr: f64| smoothed.iter().min_by(|a, b| (a[0] / lr).ln().abs().total_cmp(&(b[0] / lr).ln().abs())).copied();
    let series = |name: &str, colour, mark, points| Series { name: name.to_owned(), colour, mark, points };
    let chart = Chart {
        caption: format!("{stage}: loss as the learning rate rises"),
        x: "learning rate",
        y: "loss".to_owned(),
        log_x: true,
        series: vec![
            series("of a step", 5, Mark::Line, losses),
            series("smoothed", 0, Mark::Line, smoothed.clone()),
            series("steepest", 1, Mark::Named, at(found.steepest).into_iter().collect()),
            series("minimum / 10", 2, Mark::Named, at(found.minimum).into_iter().collect()),
        ],
        ..Chart::default()
    };
    Some(figures::file(&chart.svg()?))
}
