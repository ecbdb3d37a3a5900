//! `evaluate`: scores a model on one split.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use tch::Tensor;
use thawline::{
    artifact::{
        Activations, Dataset, Features, Model, Predictions, Scores, Split, Views, model::HeadSpec, probabilities,
        scores::PerClass,
    },
    backbones,
    images::conditions::SEVERITIES,
    metrics::Classified,
    protocol::{Answer, Outcome},
    stages::evaluate::{Work, condition_role},
};

use crate::{
    nn::{
        Divided, Head, Images,
        checkpoint::{self, Tensors},
        to_data,
    },
    task::{Stopped, Task},
    trained,
};

/// Scores what a model said of one split. `probabilities`: row-major [images, classes], in `Dataset::rows` order.
///
/// # Errors
/// When the split has no images, or the probabilities do not fit it or are not numbers.
fn score(work: &Work, dataset: &Dataset, split: Split, probabilities: Vec<f64>) -> Result<(Scores, Predictions)> {
    let rows = dataset.rows(split);
    ensure!(!rows.is_empty(), "the {} split has no images: there is nothing to evaluate", split.name());
    let labels: Vec<u32> = rows.iter().map(|image| image.label).collect();
    let classified = Classified::new(&labels, &probabilities, dataset.classes.len())
        .with_context(|| format!("the model's output on the {} split cannot be scored", split.name()))?;
    let confusion = classified.confusion();
    let per_class = confusion.per_class();
    let per_class = dataset.classes.iter().zip(per_class).map(|(class, counts)| PerClass {
        class: class.clone(),
        precision: counts.precision,
        recall: counts.recall,
        f1: counts.f1,
        support: counts.support,
    });
    let scores = Scores {
        metrics: classified.metrics(&work.top_k, work.calibration_bins),
        per_class: per_class.collect(),
        confusion: confusion.counts,
    };
    let predictions = Predictions {
        classes: dataset.classes.clone(),
        ids: rows.iter().map(|image| image.id.clone()).collect(),
        paths: rows.iter().map(|image| image.path.clone()).collect(),
        predicted: classified.predicted(),
        labels,
        probabilities,
    };
    Ok((scores, predictions))
}

/// The classes of the model and of the images must be the same, in the same order.
fn check_classes(model: &[String], images: &[String]) -> Result<()> {
    let list = |classes: &[String]| {
        let shown = classes.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        if classes.len() > 10 { format!("{shown}, ... {} in all", classes.len()) } else { shown }
    };
    ensure!(
        model == images,
        "the model tells apart the classes [{}], but the images have [{}]: a model can only be evaluated on images of its \
         own classes, in the same order",
        list(model),
        list(images)
    );
    Ok(())
}

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let dataset = Dataset::read(task.input("dataset")?)?;
    if let Some(said) = task.inputs.get("predictions") {
        return of_program(work, &dataset, said, &task.out);
    }
    let folder = task.input("model")?;
    let model = Model::read(folder)?;
    check_classes(&model.classes, &dataset.classes)?;
    let tensors = checkpoint::read(&folder.join(Model::WEIGHTS))?;
    let head = ExactHead::new(&tensors, &model.head)?;
    let features = features(&model, &tensors, task, ["features", "views"])?;
    let images = dataset.rows(work.split).len();
    ensure!(
        features.rows == images,
        "{} images went through the backbone, but the {} split has {images}",
        features.rows,
        work.split.name()
    );
    let (scores, predictions) = score(work, &dataset, work.split, head.probabilities(&features)?)?;
    let mut scores = scores;
    if !work.conditions.is_empty() {
        let labels = dataset.labels(work.split);
        scores.metrics.extend(under_conditions(work, &model, &tensors, &head, &labels, task)?);
        let error = |role: &str| scores.metrics.get(role).map(|accuracy| 1.0 - accuracy);
        let roles = work.conditions.iter().flat_map(|&c| SEVERITIES.map(move |severity| condition_role(c, severity)));
        let errors: Vec<f64> = roles.filter_map(|role| error(&role)).collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let clean = error("accuracy").unwrap_or_default();
        scores.metrics.insert("corruption_error".into(), mean);
        scores.metrics.insert("relative_corruption_error".into(), mean - clean);
    }
    scores.write(&task.out)?;
    predictions.write(&task.out)?;
    Ok(Outcome {
        metrics: scores.metrics,
        images_seen: images as u64,
        total_parameters: backbone_parameters(&model)? + model.head.parameters(),
        ..Outcome::default()
    })
}

/// Scores what a program of the user's said.
fn of_program(work: &Work, dataset: &Dataset, said: &Path, out: &Path) -> Result<Outcome> {
    let images = dataset.rows(work.split).len();
    let said = probabilities::read(said, images, dataset.classes.len())?;
    let (scores, predictions) = score(work, dataset, work.split, said)?;
    scores.write(out)?;
    predictions.write(out)?;
    Ok(Outcome { metrics: scores.metrics, images_seen: images as u64, ..Outcome::default() })
}

/// The accuracy under every condition at every severity, by the role of its input.
fn under_conditions(
    work: &Work,
    model: &Model,
    tensors: &Tensors,
    head: &ExactHead,
    labels: &[i64],
    task: &mut Task<'_>,
) -> Result<BTreeMap<String, f64>> {
    let stored = task.inputs.contains_key("features");
    let mut accuracies = BTreeMap::new();
    for role in work.conditions.iter().flat_map(|&c| SEVERITIES.map(move |severity| condition_role(c, severity))) {
        let roles = if stored { [role.as_str(), ""] } else { ["", role.as_str()] };
        let features = features(model, tensors, task, roles)?;
        ensure!(features.rows == labels.len(), "`{role}` has {} images, not {}", features.rows, labels.len());
        let probabilities = head.probabilities(&features)?;
        let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let classified = Classified::new(&labels, &probabilities, model.classes.len())
            .with_context(|| format!("the model's output under `{role}` cannot be scored"))?;
        let accuracy = classified.metrics(&[], 1).get("accuracy").copied();
        accuracies.insert(role, accuracy.context("accuracy is always defined")?);
    }
    Ok(accuracies)
}

/// What the model's backbone makes of the images in the input `stored` or `views`: features already, or pixels for the
/// kernel that `extract_features` uses.
fn features(model: &Model, tensors: &Tensors, task: &mut Task<'_>, [stored, views]: [&str; 2]) -> Result<Features> {
    if task.inputs.contains_key(stored) {
        ensure!(
            model.changed_blocks.is_empty(),
            "the model trained its blocks {}: features of the backbone it started from are not its own",
            model.changed_blocks.join(", ")
        );
        return Features::read(task.input(stored)?);
    }
    let clean = views == "views";
    let views = Views::open(task.input(views)?)?;
    let network = trained::network(model, tensors, task.sources.get("weights").map(PathBuf::as_path))?;
    let changed =
        model.changed_blocks.first().map(|name| network.backbone().block_index(name).context("a known block"));
    let line = changed.transpose()?.unwrap_or(network.cut(&model.backbone)? + 1);
    // Stored activations are those of the images as they are.
    let stored = task.inputs.get("activations").filter(|_| clean).map(|dir| Activations::open(dir)).transpose()?;
    let extractor = Divided::new(&network, line, &model.backbone)?;
    extractor.features(&Images::new(views, stored)?, |done, total| match task.link.progress(done, total) {
        Answer::Continue => Ok(()),
        Answer::Checkpoint | Answer::Stop => Err(Stopped.into()),
    })
}

/// Of the blocks up to the cut.
fn backbone_parameters(model: &Model) -> Result<u64> {
    let backbone = backbones::named(&model.backbone.backbone)?;
    let used = backbone.block_index(&model.backbone.cut).map_or(0, |cut| cut + 1);
    Ok(backbone.blocks.iter().take(used).map(backbones::Block::parameters).sum())
}

/// A trained head as plain f64 arithmetic: equal bits for any number of threads or rows, which libtorch does not promise.
#[derive(Debug)]
pub struct ExactHead {
    layers: Vec<Linear>,
}

/// `weight`: row-major [outputs, inputs].
#[derive(Debug)]
struct Linear {
    inputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl ExactHead {
    pub fn new(tensors: &Tensors, spec: &HeadSpec) -> Result<ExactHead> {
        let head = Head::load(spec, tensors)?;
        let values = |tensor: &Tensor| Ok::<_, anyhow::Error>(bytemuck::pod_collect_to_vec(&to_data(tensor)?.bytes));
        let layer = |((weight, bias), (inputs, _)): (&(Tensor, Tensor), (usize, usize))| {
            Ok(Linear { inputs, weight: values(weight)?, bias: values(bias)? })
        };
        Ok(ExactHead { layers: head.layers.iter().zip(spec.layers()).map(layer).collect::<Result<_>>()? })
    }

    /// Softmax of the logits: row-major [rows, classes].
    pub fn probabilities(&self, features: &Features) -> Result<Vec<f64>> {
        let inputs = self.layers.first().map_or(0, |layer| layer.inputs);
        ensure!(
            features.width == inputs,
            "the features are {} wide, but the model's head takes {inputs}: they are not of its backbone, block and pooling",
            features.width
        );
        let rows: Vec<Vec<f64>> = features.values.par_chunks(inputs).map(|row| self.row(row)).collect();
        Ok(rows.concat())
    }

    fn row(&self, features: &[f32]) -> Vec<f64> {
        let mut values: Vec<f64> = features.iter().copied().map(f64::from).collect();
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                values.iter_mut().for_each(|value| *value = value.max(0.0));
            }
            values = layer.apply(&values);
        }
        softmax(values)
    }
}

impl Linear {
    fn apply(&self, inputs: &[f64]) -> Vec<f64> {
        let output = |(weights, &bias): (&[f32], &f32)| {
            let products = weights.iter().zip(inputs).map(|(&weight, &input)| f64::from(weight) * input);
            f64::from(bias) + products.sum::<f64>()
        };
        self.weight.chunks_exact(self.inputs).zip(&self.bias).map(output).collect()
    }
}

fn softmax(mut logits: Vec<f64>) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - highest).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|logit| *logit /= sum);
    logits
}

#[cfg(test)]
mod tests;
