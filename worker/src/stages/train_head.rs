//! `train_head`: trains a linear or MLP head on features. The backbone never runs here.

use anyhow::{Context, Result, ensure};
use thawline::{
    artifact::{
        Dataset, Features, Model, SoftTargets, Split,
        model::{BackboneSpec, HeadSpec},
    },
    backbones::{self, Block},
    protocol::Outcome,
    rng::Draws,
    stages::{optimizer::Best, train_head::Work},
};

use super::epochs;
use crate::{
    nn::{Head, HeadPack, Score, Targets, checkpoint, class_weights, gather},
    task::Task,
};

/// # Errors
/// When the features do not fit the dataset or the settings cannot work, when the loss diverges, and [`Stopped`] when told to.
///
/// [`Stopped`]: crate::task::Stopped
pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
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
    let mut features = read(task, "features.train.0", train.len())?;
    let mut targets = targets_of(task, "features.train.0", &train)?;
    let spec = HeadSpec { inputs: features.width, hidden: training.hidden.clone(), classes };
    let heads = [Head::random(&spec, task.seed)?];
    let mut pack = HeadPack::new(&heads, &[training.optimizer], training.dropout, training.clip_norm)?;
    let steps_per_epoch = train.len().div_ceil(training.batch_size) as u64;
    let steps = steps_per_epoch * u64::from(training.epochs);

    let mut outcome = Outcome {
        trained_parameters: spec.parameters(),
        total_parameters: spec.parameters() + parameters_up_to(&work.backbone)?,
        ..Outcome::default()
    };
    let mut best: Option<(Best, Head)> = None;
    for epoch in 0..training.epochs {
        if epoch % work.views != view {
            view = epoch % work.views;
            let role = format!("features.train.{view}");
            features = read(task, &role, train.len())?;
            targets = targets_of(task, &role, &train)?;
        }
        let order = Draws::new(task.seed, "", u64::from(epoch), "batch_order").permutation(train.len());
        let mut dropout = Draws::new(task.seed, "", u64::from(epoch), "dropout");
        let mut score = [Score::default()];
        let mut factor = 1.0;
        for (i, rows) in order.chunks(training.batch_size).enumerate() {
            let step = u64::from(epoch) * steps_per_epoch + i as u64;
            factor = training.lr_schedule.factor(step, steps, steps_per_epoch);
            let x = gather(&features, rows, training.batch_size)?;
            pack.step(&x, &targets.batch(rows, training.batch_size)?, factor, &mut dropout, &mut score)?;
        }
        let val_score = match &val_features {
            Some(features) => Some(evaluate(&pack, features, &val, training.batch_size)?),
            None => None,
        };
        let lr = factor * training.optimizer.lr().unwrap_or_default();
        let metrics = epochs::metrics(&score[0], val_score.as_ref(), lr, epoch + 1)?;
        outcome.epochs = epoch + 1;
        outcome.images_seen += train.len() as u64;
        let mut over = false;
        if let Some(stopping) = &training.early_stopping {
            let so_far = best.as_ref().map(|(best, _)| *best);
            match stopping.improved(so_far, epoch + 1, &metrics)? {
                Some(improved) => {
                    best = Some((improved, pack.head(0)?));
                    outcome.metrics = metrics.clone();
                }
                None => over = stopping.is_over(so_far, epoch + 1),
            }
        } else {
            outcome.metrics = metrics.clone();
        }
        epochs::report(task, epoch + 1, training.epochs, &metrics)?;
        if over {
            break;
        }
    }

    let head = match (best, &training.early_stopping) {
        (Some((best, head)), Some(stopping)) => {
            if best.epoch < outcome.epochs {
                outcome.notes.push(stopping.note(best, outcome.epochs));
            }
            head
        }
        _ => pack.head(0)?,
    };
    checkpoint::write(&task.out.join(Model::WEIGHTS), &head.export()?)?;
    let model =
        Model { backbone: work.backbone.clone(), head: spec, classes: dataset.classes, changed_blocks: Vec::new() };
    model.write(&task.out)?;
    Ok(outcome)
}

/// One view's features, checked against the number of images.
fn read(task: &Task<'_>, role: &str, images: usize) -> Result<Features> {
    let features = Features::read(task.input(role)?)?;
    ensure!(features.rows == images, "`{role}` has {} rows for {images} images", features.rows);
    Ok(features)
}

/// What the images of one view show: `labels`, unless the view mixes images.
fn targets_of(task: &Task<'_>, role: &str, labels: &Targets) -> Result<Targets> {
    labels.of_view(SoftTargets::read(task.input(role)?, labels.len())?)
}

fn evaluate(pack: &HeadPack, features: &Features, targets: &Targets, batch_size: usize) -> Result<Score> {
    let order: Vec<usize> = (0..targets.len()).collect();
    let mut score = [Score::default()];
    for rows in order.chunks(batch_size) {
        pack.evaluate(&gather(features, rows, batch_size)?, &targets.batch(rows, batch_size)?, &mut score)?;
    }
    Ok(score[0])
}

/// Parameters of the backbone's blocks up to its cut.
pub(super) fn parameters_up_to(spec: &BackboneSpec) -> Result<u64> {
    let backbone = backbones::find(&spec.backbone).with_context(|| format!("no backbone `{}`", spec.backbone))?;
    let end = backbone.block_index(&spec.cut).with_context(|| format!("no block `{}`", spec.cut))?;
    Ok(backbone.blocks[..=end].iter().map(Block::parameters).sum())
}

#[cfg(test)]
mod tests;
