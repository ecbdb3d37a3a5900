//! What the stages that train have in common: one epoch's figures, and when they are reported.

use anyhow::{Result, bail};
use thawline::{
    protocol::{Answer, Epoch},
    stages::optimizer::Metrics,
};

use crate::{
    nn::Score,
    task::{Stopped, Task},
};

/// `train/loss` (as trained, the mean over the epoch's steps), `train/accuracy`, `lr` (that of the epoch's last step) and,
/// where there are validation images, `val/loss` (plain cross-entropy, neither weighted nor smoothed) and `val/accuracy`.
///
/// # Errors
/// When a loss is not a number: `epoch` counts from 1.
pub fn metrics(train: &Score, val: Option<&Score>, lr: f64, epoch: u32) -> Result<Metrics> {
    let mut metrics = Metrics::from([("lr".to_string(), lr)]);
    for (split, score) in [("train", Some(train)), ("val", val)] {
        let Some(score) = score else { continue };
        if !score.loss().is_finite() {
            let (loss, of) = (score.loss(), if split == "val" { "validation loss" } else { "loss" });
            bail!(
                "the {of} became {loss} in epoch {epoch} at lr {lr}: lower the learning rate, warm it up, or set clip_norm"
            );
        }
        metrics.insert(format!("{split}/loss"), score.loss());
        metrics.insert(format!("{split}/accuracy"), score.accuracy());
    }
    Ok(metrics)
}

/// Reports an epoch (from 1).
///
/// # Errors
/// [`Stopped`] when the answer is anything but to go on.
pub fn report(task: &mut Task<'_>, epoch: u32, epochs: u32, metrics: &Metrics) -> Result<()> {
    match task.link.epochs(vec![(0, Epoch { epoch, epochs, metrics: metrics.clone() })]) {
        Answer::Continue => Ok(()),
        Answer::Checkpoint | Answer::Stop => bail!(Stopped),
    }
}
