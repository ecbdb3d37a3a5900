//! `train_head`: trains a linear or MLP head on features. The backbone never runs here.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tch::Tensor;
use thawline::{
    artifact::{
        Dataset, Features, Model, SoftTargets, Split,
        model::{BackboneSpec, HeadSpec},
    },
    backbones::{self, Block},
    protocol::{Answer, Epoch, Outcome},
    rng::Draws,
    stages::{
        optimizer::{Best, Metrics, Optimizer},
        train_head::{Training, Work},
    },
};

use super::epochs;
use crate::{
    nn::{Batch, Head, HeadPack, Score, Targets, checkpoint, class_weights, gather},
    task::{Stopped, Task},
};

/// Trains a pack: heads that [`Work::pack_key`] lets stand side by side, on the same batches. What became of each, in order; a
/// head's bits do not depend on the others.
///
/// # Errors
/// When the features do not fit the dataset or the settings cannot work, and [`Stopped`] when told to. A head whose loss
/// diverges fails alone.
///
/// [`Stopped`]: crate::task::Stopped
pub fn run(works: &[Work], outs: &[PathBuf], task: &mut Task<'_>) -> Result<Vec<Result<Outcome>>> {
    let work = works.first().context("a pack has at least one head")?;
    let training = &work.training;
    let dataset = Dataset::read(task.input("dataset")?)?;
    let classes = dataset.classes.len();
    let labels = dataset.labels(Split::Train);
    ensure!(!labels.is_empty(), "there are no training images");
    let weights = class_weights(training.class_weights, &labels, classes);
    let train = Targets::new(labels, weights, training.label_smoothing)?;
    let val = Targets::plain(dataset.labels(Split::Val), classes)?;
    let val_features = if val.is_empty() { None } else { Some(read(task, "features.val", val.len())?) };

    let mut view = 0;
    let (mut features, mut targets) = read_view(task, "features.train.0", &train)?;
    let spec = HeadSpec { inputs: features.width, hidden: training.hidden.clone(), classes };
    let rules: Vec<Optimizer> = works.iter().map(|work| work.training.optimizer).collect();
    let mut panels = Panels::new(&spec, &rules, training, task.seed)?;
    let outcome = Outcome {
        trained_parameters: spec.parameters(),
        total_parameters: spec.parameters() + parameters_up_to(&work.backbone)?,
        ..Outcome::default()
    };
    let mut members: Vec<Member> = works.iter().map(|_| Member::new(outcome.clone())).collect();
    let steps_per_epoch = targets.len().div_ceil(training.batch_size) as u64;
    let steps = steps_per_epoch * u64::from(training.epochs);

    for epoch in 0..training.epochs {
        if epoch % work.views != view {
            view = epoch % work.views;
            (features, targets) = read_view(task, &format!("features.train.{view}"), &train)?;
        }
        let order = Draws::new(task.seed, "", u64::from(epoch), "batch_order").permutation(targets.len());
        panels.begin_epoch(task.seed, epoch);
        let mut scores = vec![Score::default(); works.len()];
        let mut factor = 1.0;
        for (i, rows) in order.chunks(training.batch_size).enumerate() {
            let step = u64::from(epoch) * steps_per_epoch + i as u64;
            factor = training.lr_schedule.factor(step, steps, steps_per_epoch);
            let x = gather(&features, rows, training.batch_size)?;
            panels.step(&x, &targets.batch(rows, training.batch_size)?, factor, &mut scores)?;
        }
        let val_scores = match &val_features {
            Some(features) => Some(panels.evaluate(features, &val, training.batch_size, works.len())?),
            None => None,
        };
        let mut reports = Vec::new();
        for (at, member) in members.iter_mut().enumerate().filter(|(_, member)| member.trains()) {
            let lr = factor * rules[at].lr().unwrap_or_default();
            let val = val_scores.as_ref().map(|scores| &scores[at]);
            let metrics = epochs::metrics(&scores[at], val, lr, epoch + 1);
            member.outcome.epochs = epoch + 1;
            member.outcome.images_seen += targets.len() as u64;
            match metrics.and_then(|metrics| {
                member.after_epoch(training, epoch + 1, &metrics, || panels.head(at))?;
                Ok(metrics)
            }) {
                Ok(metrics) => reports.push((at, Epoch { epoch: epoch + 1, epochs: training.epochs, metrics })),
                Err(error) => member.failure = Some(error),
            }
        }
        if !reports.is_empty() && task.link.epochs(reports) != Answer::Continue {
            return Err(Stopped.into());
        }
        if !members.iter().any(Member::trains) {
            break;
        }
    }

    let write = |(at, member): (usize, Member)| {
        let (head, outcome) = member.finish(training, || panels.head(at))?;
        checkpoint::write(&outs[at].join(Model::WEIGHTS), &head.export()?)?;
        let model = Model {
            backbone: work.backbone.clone(),
            head: spec.clone(),
            classes: dataset.classes.clone(),
            changed_blocks: Vec::new(),
        };
        model.write(&outs[at])?;
        Ok(outcome)
    };
    Ok(members.into_iter().enumerate().map(write).collect())
}

/// One head of a pack, beside its weights.
struct Member {
    outcome: Outcome,
    best: Option<(Best, Head)>,
    /// Stopped early.
    over: bool,
    failure: Option<anyhow::Error>,
}

impl Member {
    fn new(outcome: Outcome) -> Member {
        Member { outcome, best: None, over: false, failure: None }
    }

    fn trains(&self) -> bool {
        !self.over && self.failure.is_none()
    }

    fn after_epoch(
        &mut self,
        training: &Training,
        epoch: u32,
        metrics: &Metrics,
        head: impl Fn() -> Result<Head>,
    ) -> Result<()> {
        let Some(stopping) = &training.early_stopping else {
            self.outcome.metrics = metrics.clone();
            return Ok(());
        };
        let so_far = self.best.as_ref().map(|(best, _)| *best);
        match stopping.improved(so_far, epoch, metrics)? {
            Some(improved) => {
                self.best = Some((improved, head()?));
                self.outcome.metrics = metrics.clone();
            }
            None => self.over = stopping.is_over(so_far, epoch),
        }
        Ok(())
    }

    /// The head to keep: the last, or the best where training may stop early.
    fn finish(mut self, training: &Training, last: impl Fn() -> Result<Head>) -> Result<(Head, Outcome)> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let head = match (self.best, &training.early_stopping) {
            (Some((best, head)), Some(stopping)) => {
                if best.epoch < self.outcome.epochs {
                    self.outcome.notes.push(stopping.note(best, self.outcome.epochs));
                }
                head
            }
            _ => last()?,
        };
        Ok((head, self.outcome))
    }
}

/// All heads of a pack, as many to a product as it is wide; each product has its own draws, as if it were alone.
struct Panels {
    panels: Vec<(HeadPack, Draws)>,
    capacity: usize,
}

impl Panels {
    fn new(spec: &HeadSpec, rules: &[Optimizer], training: &Training, seed: u64) -> Result<Panels> {
        let capacity = HeadPack::capacity(spec);
        let head = Head::random(spec, seed)?;
        let panel = |rules: &[Optimizer]| {
            let pack = HeadPack::new(&vec![&head; rules.len()], rules, training.dropout, training.clip_norm)?;
            Ok((pack, Draws::new(seed, "", 0, "dropout")))
        };
        Ok(Panels { panels: rules.chunks(capacity).map(panel).collect::<Result<_>>()?, capacity })
    }

    fn begin_epoch(&mut self, seed: u64, epoch: u32) {
        for (_, dropout) in &mut self.panels {
            *dropout = Draws::new(seed, "", u64::from(epoch), "dropout");
        }
    }

    fn step(&mut self, x: &Tensor, batch: &Batch, factor: f64, scores: &mut [Score]) -> Result<()> {
        for ((pack, dropout), scores) in self.panels.iter_mut().zip(scores.chunks_mut(self.capacity)) {
            pack.step(x, batch, factor, dropout, scores)?;
        }
        Ok(())
    }

    fn evaluate(&self, features: &Features, targets: &Targets, batch_size: usize, heads: usize) -> Result<Vec<Score>> {
        let order: Vec<usize> = (0..targets.len()).collect();
        let mut scores = vec![Score::default(); heads];
        for rows in order.chunks(batch_size) {
            let (x, batch) = (gather(features, rows, batch_size)?, targets.batch(rows, batch_size)?);
            for ((pack, _), scores) in self.panels.iter().zip(scores.chunks_mut(self.capacity)) {
                pack.evaluate(&x, &batch, scores)?;
            }
        }
        Ok(scores)
    }

    fn head(&self, at: usize) -> Result<Head> {
        self.panels[at / self.capacity].0.head(at % self.capacity)
    }
}

/// One split's features, checked against the number of images.
fn read(task: &Task<'_>, role: &str, images: usize) -> Result<Features> {
    let features = Features::read(task.input(role)?)?;
    ensure!(features.rows == images, "`{role}` has {} rows for {images} images", features.rows);
    Ok(features)
}

/// One view's features, and what its images show: `labels`, unless the view mixes images or has more of them.
pub(super) fn read_view(task: &Task<'_>, role: &str, labels: &Targets) -> Result<(Features, Targets)> {
    let dir = task.input(role)?;
    let features = Features::read(dir)?;
    let soft = SoftTargets::read(dir, features.rows)?;
    let targets = labels.of_view(soft, features.rows).with_context(|| format!("`{role}`"))?;
    Ok((features, targets))
}

/// Parameters of the backbone's blocks up to its cut.
pub(super) fn parameters_up_to(spec: &BackboneSpec) -> Result<u64> {
    let backbone = backbones::find(&spec.backbone).with_context(|| format!("no backbone `{}`", spec.backbone))?;
    let end = backbone.block_index(&spec.cut).with_context(|| format!("no block `{}`", spec.cut))?;
    Ok(backbone.blocks[..=end].iter().map(Block::parameters).sum())
}

#[cfg(test)]
pub(super) mod tests;
