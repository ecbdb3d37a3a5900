//! `fine_tune`: trains backbone blocks and head by a freeze schedule; one node a phase.

mod checkpoint;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use tch::Tensor;
use thawline::{
    artifact::{Activations, Dataset, Model, SoftTargets, Split, Views, model::HeadSpec},
    protocol::Outcome,
    rng::Draws,
    stages::{
        fine_tune::{VERSION, Work},
        freeze_schedule::Phase,
        optimizer::Metrics,
    },
};

use self::checkpoint::{Checkpoint, Snapshot};
use super::epochs;
use crate::{
    nn::{
        Head, Images, Network, Score, Targets, Trainer,
        checkpoint::{Tensors, read as read_tensors, write as write_tensors},
        class_weights, from_data,
    },
    task::Task,
};

/// A checkpoint in the task's folder is gone on with, bit for bit; its epochs are reported again.
///
/// # Errors
/// When the inputs do not fit together or the settings cannot work, when the loss diverges, and [`Stopped`] when told to.
///
/// [`Stopped`]: crate::task::Stopped
pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let data = Data::open(work, task)?;
    let start = Start::open(work, task, &data)?;
    let digest = digest(work, task)?;
    let mut done = match Checkpoint::read(&task.checkpoint, &digest) {
        Ok(found) => found,
        Err(error) => {
            task.link.log(&format!("starting over: {error:#}"));
            None
        }
    };
    let changed = work.phase.changed_blocks(start.network.backbone(), &work.backbone.cut)?;
    let (network, mut head, mut kept) = (start.network, start.head, start.kept);
    if let Some(done) = &done {
        task.link.log(&format!("going on after epoch {}", done.curve.len()));
        network.overwrite(&changed, &done.last.weights)?;
        head = Head::load(&head.spec, &done.last.weights)?;
        kept = load_state(&done.last.state)?;
    }
    let mut trainer = Trainer::new(network, head, &work.backbone, &work.phase, &work.training, &kept)?;
    let (curve, last, best) = match done.take() {
        Some(done) => (done.curve, done.last, done.best),
        None => (Vec::new(), Snapshot::default(), None),
    };
    let mut so_far = Checkpoint { work: digest, curve, last, best };

    for (i, metrics) in so_far.curve.iter().enumerate() {
        epochs::report(task, i as u32 + 1, work.phase.epochs, metrics)?;
    }
    while !is_over(work, &so_far) {
        let metrics = train_epoch(work, task, &data, &mut trainer, so_far.curve.len() as u32)?;
        so_far.last = Snapshot { weights: trainer.weights()?, state: trainer.state()? };
        let epoch = so_far.curve.len() as u32 + 1;
        if let Some(stopping) = &work.phase.early_stopping {
            let best = so_far.best.as_ref().map(|(best, _)| *best);
            if let Some(improved) = stopping.improved(best, epoch, &metrics)? {
                so_far.best = Some((improved, so_far.last.clone()));
            }
        }
        so_far.curve.push(metrics.clone());
        so_far.write(&task.checkpoint)?;
        epochs::report(task, epoch, work.phase.epochs, &metrics)?;
    }

    let epochs = so_far.curve.len() as u32;
    let head = trainer.head().spec.clone();
    let mut outcome = Outcome {
        notes: start.notes,
        epochs,
        images_seen: u64::from(epochs) * data.rows() as u64,
        trained_parameters: trainer.trained_parameters(),
        total_parameters: head.parameters() + trainer.network().parameters(trainer.network().cut(&work.backbone)?),
        ..Outcome::default()
    };
    let (emitted, chosen) = match (so_far.best, &work.phase.early_stopping) {
        (Some((best, snapshot)), Some(stopping)) => {
            if best.epoch < epochs {
                outcome.notes.push(stopping.note(best, epochs));
            }
            (best.epoch, snapshot)
        }
        _ => (epochs, so_far.last),
    };
    outcome.metrics = so_far.curve.get(emitted as usize - 1).cloned().unwrap_or_default();
    write(work, task, data.classes, &trainer, head, start.changed, chosen)?;
    Ok(outcome)
}

/// The images and labels of a phase.
pub(super) struct Data {
    pub classes: Vec<String>,
    /// By view, with what its images show; only those that some epoch of the phase reads.
    pub views: BTreeMap<u32, (Images, Targets)>,
    /// `None` without validation images, and for who does not read them.
    val: Option<(Images, Targets)>,
}

impl Data {
    pub fn open(work: &Work, task: &Task<'_>) -> Result<Data> {
        let dataset = Dataset::read(task.input("dataset")?)?;
        let classes = dataset.classes.len();
        let labels = dataset.labels(Split::Train);
        ensure!(!labels.is_empty(), "there are no training images");
        let weights = class_weights(work.training.class_weights, &labels, classes);
        let train = Targets::new(labels, weights, work.training.label_smoothing)?;
        let open = |of: &str| {
            let views = Views::open(task.input(&format!("views.{of}"))?)?;
            let stored = task.inputs.get(&format!("activations.{of}")).map(|dir| Activations::open(dir)).transpose()?;
            Images::new(views, stored)
        };
        let mut views = BTreeMap::new();
        for epoch in 0..work.phase.epochs.min(work.views) {
            let view = (work.first_epoch + epoch) % work.views;
            let images = open(&format!("train.{view}"))?;
            let soft = SoftTargets::read(task.input(&format!("views.train.{view}"))?, images.count())?;
            let targets = train.of_view(soft, images.count()).with_context(|| format!("`views.train.{view}`"))?;
            views.insert(view, (images, targets));
        }
        let val = Targets::plain(dataset.labels(Split::Val), classes)?;
        let val = if val.is_empty() || !task.inputs.contains_key("views.val") {
            None
        } else {
            let images = open("val")?;
            ensure!(
                images.count() == val.len(),
                "`views.val` has {} images, the dataset {}",
                images.count(),
                val.len()
            );
            Some((images, val))
        };
        Ok(Data { classes: dataset.classes, views, val })
    }

    /// Images an epoch, the same in every view.
    fn rows(&self) -> usize {
        self.views.values().next().map_or(0, |(_, targets)| targets.len())
    }

    /// Height and width of every image.
    fn size(&self) -> (usize, usize) {
        self.views.values().next().map_or((0, 0), |(images, _)| images.size())
    }
}

/// What a phase starts from.
pub(super) struct Start {
    pub network: Network,
    pub head: Head,
    /// Blocks that already differ from the weights, by index.
    changed: Vec<usize>,
    /// Optimiser state of the phase before, if it is kept.
    pub kept: BTreeMap<String, Tensor>,
    /// What a person should know of the weights, and of training them.
    notes: Vec<String>,
}

impl Start {
    pub fn open(work: &Work, task: &Task<'_>, data: &Data) -> Result<Start> {
        let network = Network::open(&work.backbone, task.sources.get("weights").map(PathBuf::as_path))?;
        let (height, width) = data.size();
        let backbone = network.backbone();
        let mut notes = Vec::new();
        if !work.phase.changed_blocks(backbone, &work.backbone.cut)?.is_empty() {
            notes = network.check_trainable(height, width)?;
        }
        let classes = &data.classes;
        let Some(dir) = task.inputs.get("model") else {
            let inputs = network.features(&work.backbone, height, width)?;
            let spec = HeadSpec { inputs, hidden: work.hidden.clone(), classes: classes.len() };
            let head = Head::random(&spec, task.seed)?;
            notes.extend_from_slice(network.notes());
            return Ok(Start { network, head, changed: Vec::new(), kept: BTreeMap::new(), notes });
        };
        let model = Model::read(dir)?;
        ensure!(
            model.classes == *classes,
            "the model to start from knows the classes {:?}, these images have {classes:?}",
            model.classes
        );
        ensure!(
            model.backbone == work.backbone,
            "the model to start from stands on {:?}, this phase on {:?}",
            model.backbone,
            work.backbone
        );
        let tensors = read_tensors(&dir.join(Model::WEIGHTS))?;
        let index = |name: &String| backbone.block_index(name).with_context(|| format!("no block `{name}`"));
        let changed = model.changed_blocks.iter().map(index).collect::<Result<Vec<_>>>()?;
        network.overwrite(&changed, &tensors)?;
        let head = Head::load(&model.head, &tensors)?;
        let state = dir.join(Model::OPTIMIZER);
        // Only a phase of this schedule hands its state on; a model that someone starts from does not.
        let keeps = work.first_epoch > 0 && work.phase.keep_optimizer_state && state.exists();
        let kept = if keeps { load_state(&read_tensors(&state)?)? } else { BTreeMap::new() };
        Ok(Start { network, head, changed, kept, notes })
    }
}

fn load_state(state: &Tensors) -> Result<BTreeMap<String, Tensor>> {
    state.iter().map(|(name, data)| Ok((name.clone(), from_data(data)?))).collect()
}

/// What a checkpoint must be of to be gone on with.
fn digest(work: &Work, task: &Task<'_>) -> Result<String> {
    let identity = serde_json::to_vec(&(VERSION, task.seed, work))?;
    Ok(blake3::hash(&identity).to_hex().to_string())
}

fn is_over(work: &Work, so_far: &Checkpoint) -> bool {
    let epochs = so_far.curve.len() as u32;
    let best = so_far.best.as_ref().map(|(best, _)| *best);
    epochs >= work.phase.epochs || work.phase.early_stopping.is_some_and(|stopping| stopping.is_over(best, epochs))
}

/// Epoch `epoch` of the phase, from 0.
fn train_epoch(work: &Work, task: &mut Task<'_>, data: &Data, trainer: &mut Trainer, epoch: u32) -> Result<Metrics> {
    let Phase { lr, lr_schedule, lr_span: (before, spanned), epochs, .. } = &work.phase;
    let overall = work.first_epoch + epoch;
    let view = overall % work.views;
    let (images, targets) = data.views.get(&view).with_context(|| format!("view {view} was not opened"))?;
    let order = Draws::new(task.seed, "", u64::from(overall), "batch_order").permutation(targets.len());
    let mut dropout = Draws::new(task.seed, "", u64::from(overall), "dropout");
    let batches = trainer.batches(&order);
    let steps = batches.len() as u64;
    let mut score = Score::default();
    let mut rate = *lr;
    for (i, rows) in batches.into_iter().enumerate() {
        let step = u64::from(before + epoch) * steps + i as u64;
        rate = lr * lr_schedule.factor(step, u64::from(*spanned) * steps, steps);
        trainer.step(images, targets, rows, rate, &mut dropout, &mut score)?;
        let done = u64::from(epoch) * steps + i as u64 + 1;
        // Whoever wants it to stop is asked again at the end of the epoch, where nothing is lost.
        task.link.progress(done, u64::from(*epochs) * steps);
    }
    let val = data.val.as_ref().map(|(images, targets)| trainer.evaluate(images, targets)).transpose()?;
    epochs::metrics(&score, val.as_ref(), rate, epoch + 1)
}

/// The artifact: `chosen` over what the trainer holds, as the blocks that differ from the weights.
fn write(
    work: &Work,
    task: &Task<'_>,
    classes: Vec<String>,
    trainer: &Trainer,
    head: HeadSpec,
    changed_before: Vec<usize>,
    chosen: Snapshot,
) -> Result<()> {
    let network = trainer.network();
    let changed_now = work.phase.changed_blocks(network.backbone(), &work.backbone.cut)?;
    let changed: BTreeSet<usize> = changed_before.into_iter().chain(changed_now.iter().copied()).collect();
    let mut weights = chosen.weights;
    for &block in changed.iter().filter(|block| !changed_now.contains(block)) {
        weights.extend(network.export(block)?);
    }
    write_tensors(&task.out.join(Model::WEIGHTS), &weights)?;
    write_tensors(&task.out.join(Model::OPTIMIZER), &chosen.state)?;
    let names = changed.iter().map(|&block| network.backbone().blocks[block].name.clone()).collect();
    Model { backbone: work.backbone.clone(), head, classes, changed_blocks: names }.write(&task.out)
}

#[cfg(test)]
mod tests;
