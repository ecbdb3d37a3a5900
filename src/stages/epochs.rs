//! What the stages that train have in common: one epoch's figures, when they are reported, and when training stops early.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Epoch, Stopped, Task,
    optimizer::{EarlyStopping, Monitor},
};
use crate::nn::Score;

/// An epoch's figures by name.
pub type Metrics = BTreeMap<String, f64>;

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
    match task.link.epoch(&Epoch { epoch, epochs, metrics: metrics.clone() }) {
        Answer::Continue => Ok(()),
        Answer::Checkpoint | Answer::Stop => bail!(Stopped),
    }
}

/// The best epoch so far, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub epoch: u32,
    pub value: f64,
}

impl EarlyStopping {
    fn metric(&self) -> &'static str {
        match self.monitor {
            Monitor::Loss => "val/loss",
            Monitor::Accuracy => "val/accuracy",
        }
    }

    /// `epoch` as the new best, if it is.
    pub fn improved(&self, best: Option<Best>, epoch: u32, metrics: &Metrics) -> Result<Option<Best>> {
        let name = self.metric();
        let value = *metrics.get(name).with_context(|| {
            format!("early_stopping watches {name}, but there are no validation images: give the dataset a `val` split")
        })?;
        let gain = |best: Best| match self.monitor {
            Monitor::Loss => best.value - value,
            Monitor::Accuracy => value - best.value,
        };
        Ok(best.is_none_or(|best| gain(best) > self.min_delta).then_some(Best { epoch, value }))
    }

    /// Whether `epoch` was the last in vain.
    pub fn is_over(&self, best: Option<Best>, epoch: u32) -> bool {
        best.is_some_and(|best| epoch - best.epoch >= self.patience)
    }

    /// What a person should know when `best` of `epochs` was restored.
    pub fn note(&self, best: Best, epochs: u32) -> String {
        let (name, Best { epoch, value }) = (self.metric(), best);
        format!("early stopping after {epochs} epochs: epoch {epoch} was the best, {name} {value:.4}, and was restored")
    }
}

/// The other end of a task in tests.
#[cfg(test)]
pub(super) mod recorder {
    use super::super::{Answer, Epoch, Link};

    /// Remembers the curve, and asks for a checkpoint at the epoch of number `last`.
    #[derive(Default)]
    pub struct Recorder {
        pub curve: Vec<Epoch>,
        pub log: Vec<String>,
        pub last: Option<u32>,
    }

    impl Link for Recorder {
        fn log(&mut self, line: &str) {
            self.log.push(line.to_string());
        }

        fn progress(&mut self, _done: u64, _total: u64) -> Answer {
            Answer::Continue
        }

        fn epoch(&mut self, epoch: &Epoch) -> Answer {
            self.curve.push(epoch.clone());
            if self.last == Some(epoch.epoch) { Answer::Checkpoint } else { Answer::Continue }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_epochs_without_improvement() {
        let stopping = EarlyStopping { patience: 2, monitor: Monitor::Loss, min_delta: 0.1 };
        let mut best = None;
        let mut over = Vec::new();
        for (i, loss) in [1.0, 0.8, 0.75, 0.9].into_iter().enumerate() {
            let metrics = Metrics::from([("val/loss".to_string(), loss)]);
            best = stopping.improved(best, i as u32 + 1, &metrics).unwrap().or(best);
            over.push(stopping.is_over(best, i as u32 + 1));
        }
        assert_eq!(best, Some(Best { epoch: 2, value: 0.8 }));
        assert_eq!(over, [false, false, false, true]);
        assert!(stopping.improved(None, 1, &Metrics::new()).unwrap_err().to_string().contains("validation images"));
    }
}
