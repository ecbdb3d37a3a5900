//! `evaluate`: scores a model on one split. The test split's node exists only once a selection is on record.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome, Task};
use crate::{
    artifact::{Dataset, Features, Model, Predictions, Scores, Split, model::HeadSpec, scores::PerClass},
    backbones,
    metrics::Classified,
};

pub const VERSION: u32 = 1;

/// Which model, and how its predictions are scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["model"]))]
    pub model: String,
    /// Other images to score it on; by default those it was trained with.
    #[serde(default)]
    #[schemars(extend("x-stage" = ["views"]))]
    pub images: Option<String>,
    /// The k of each `top_k` accuracy.
    #[serde(default = "top_k")]
    pub top_k: Vec<u32>,
    /// Bins of the expected calibration error.
    #[serde(default = "bins")]
    #[schemars(range(min = 1, max = 1000))]
    pub calibration_bins: u32,
}

fn top_k() -> Vec<u32> {
    vec![5]
}

fn bins() -> u32 {
    15
}

/// One node: one split. Inputs: `dataset`, `model`, and `features` (of that split, when the model is a head on features that
/// exist anyway) or else `views`. Sources: `weights` unless they are random or `features` are given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub split: Split,
    pub top_k: Vec<u32>,
    pub calibration_bins: u32,
}

/// Scores what a model said of one split. `probabilities`: row-major [images, classes], in `Dataset::rows` order.
///
/// # Errors
/// When the split has no images, or the probabilities do not fit it or are not numbers.
pub fn score(work: &Work, dataset: &Dataset, split: Split, probabilities: Vec<f64>) -> Result<(Scores, Predictions)> {
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
    let folder = task.input("model")?.to_owned();
    let model = Model::read(&folder)?;
    check_classes(&model.classes, &dataset.classes)?;
    let head = Head::read(&folder, &model.head)?;
    let features = Features::read(task.input("features")?)?;
    let images = dataset.rows(work.split).len();
    ensure!(
        features.rows == images,
        "there are features of {} images, but the {} split has {images}",
        features.rows,
        work.split.name()
    );
    let (scores, predictions) = score(work, &dataset, work.split, head.probabilities(&features)?)?;
    scores.write(&task.out)?;
    predictions.write(&task.out)?;
    let backbone = backbones::find(&model.backbone.backbone).map_or(0, backbones::Backbone::parameters);
    Ok(Outcome {
        metrics: scores.metrics,
        images_seen: images as u64,
        total_parameters: backbone + head.parameters(),
        ..Outcome::default()
    })
}

/// The head of a model, computed in f64 and without libtorch: equal bits for any number of threads or rows.
#[derive(Debug)]
struct Head {
    layers: Vec<Linear>,
}

/// `weight`: row-major [outputs, inputs].
#[derive(Debug)]
struct Linear {
    inputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Head {
    /// `head.{i}.weight` [outputs, inputs] and `head.{i}.bias` [outputs] of every layer, f32, as `spec` says.
    fn read(model: &Path, spec: &HeadSpec) -> Result<Head> {
        let path = model.join(Model::WEIGHTS);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes).with_context(|| format!("reading {}", path.display()))?;
        let tensor = |name: String, shape: &[usize]| -> Result<Vec<f32>> {
            let tensor = file.tensor(&name).with_context(|| format!("{} has no `{name}`", path.display()))?;
            ensure!(
                tensor.dtype() == Dtype::F32 && tensor.shape() == shape,
                "`{name}` is {:?} {:?}, but the model's head needs F32 {shape:?}",
                tensor.dtype(),
                tensor.shape()
            );
            Ok(tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        };
        let widths: Vec<usize> = [&[spec.inputs], &spec.hidden[..], &[spec.classes]].concat();
        let layer = |(i, pair): (usize, &[usize])| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let weight = tensor(format!("head.{i}.weight"), &[outputs, inputs])?;
            Ok(Linear { inputs, weight, bias: tensor(format!("head.{i}.bias"), &[outputs])? })
        };
        Ok(Head { layers: widths.windows(2).enumerate().map(layer).collect::<Result<_>>()? })
    }

    fn parameters(&self) -> u64 {
        self.layers.iter().map(|layer| (layer.weight.len() + layer.bias.len()) as u64).sum()
    }

    /// Softmax of the logits: row-major [rows, classes].
    fn probabilities(&self, features: &Features) -> Result<Vec<f64>> {
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
mod tests {
    use super::*;
    use crate::artifact::Image;

    fn dataset() -> Dataset {
        let image = |i: u32| Image {
            id: format!("{i:032x}"),
            path: format!("{i}.png"),
            label: i % 3,
            split: if i < 6 { Split::Val } else { Split::Train },
        };
        let classes = ["cat", "dog", "fox"].map(String::from).to_vec();
        Dataset { classes, images: (0..9).map(image).collect(), dropped: Vec::new() }
    }

    fn work() -> Work {
        Work { split: Split::Val, top_k: vec![2, 5], calibration_bins: 15 }
    }

    #[test]
    fn scores_carry_the_names_of_the_classes() {
        let certain_of = |c: usize| (0..3).map(move |k| if k == c { 0.8 } else { 0.1 });
        // Images 0 to 5 are cat, dog, fox, cat, dog, fox; the last is taken for a dog.
        let probabilities = [0, 1, 2, 0, 1, 1].into_iter().flat_map(certain_of).collect();
        let (scores, predictions) = score(&work(), &dataset(), Split::Val, probabilities).unwrap();
        let names: Vec<&str> = scores.metrics.keys().map(String::as_str).collect();
        assert_eq!(names, ["accuracy", "auroc", "balanced_accuracy", "ece", "log_loss", "macro_f1", "top_2"]);
        assert_eq!(scores.metrics["accuracy"], 5.0 / 6.0);
        assert_eq!(scores.confusion, [[2, 0, 0], [0, 2, 0], [0, 1, 1]]);
        let fox = &scores.per_class[2];
        assert_eq!((fox.class.as_str(), fox.precision, fox.recall, fox.support), ("fox", 1.0, 0.5, 2));
        assert_eq!(predictions.predicted, [0, 1, 2, 0, 1, 1]);
        assert_eq!(predictions.paths[5], "5.png");
    }

    #[test]
    fn what_cannot_be_scored_is_said() {
        let empty = score(&work(), &dataset(), Split::Test, Vec::new()).unwrap_err();
        assert_eq!(empty.to_string(), "the test split has no images: there is nothing to evaluate");
        let diverged = score(&work(), &dataset(), Split::Val, vec![f64::NAN; 18]).unwrap_err();
        assert!(format!("{diverged:#}").contains("image 1 of 6 has the probability NaN"), "{diverged:#}");
    }

    #[test]
    fn other_classes_or_another_order_are_refused() {
        let names = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        assert!(check_classes(&names(&["a", "b"]), &names(&["a", "b"])).is_ok());
        let error = check_classes(&names(&["a", "b"]), &names(&["b", "a"])).unwrap_err().to_string();
        assert!(error.contains("[a, b]") && error.contains("[b, a]"), "{error}");
    }

    fn linear(inputs: usize, weight: &[f32], bias: &[f32]) -> Linear {
        Linear { inputs, weight: weight.to_vec(), bias: bias.to_vec() }
    }

    #[test]
    fn an_mlp_head_applies_relu_between_its_layers_only() {
        let head = Head {
            layers: vec![linear(2, &[1.0, 0.0, 0.0, 1.0], &[0.0, 0.5]), linear(2, &[1.0, 1.0, -1.0, 2.0], &[0.0, 0.0])],
        };
        // (-1, 1) -> (-1, 1.5) -> relu (0, 1.5) -> (1.5, 3): the softmax of a difference of 1.5.
        let found = head.probabilities(&Features { rows: 1, width: 2, values: vec![-1.0, 1.0] }).unwrap();
        let second = 1.0 / (1.0 + (-1.5f64).exp());
        assert!((found[1] - second).abs() < 1e-15 && (found[0] + found[1] - 1.0).abs() < 1e-15, "{found:?}");
        assert_eq!(head.parameters(), 12);
        let error = head.probabilities(&Features { rows: 1, width: 3, values: vec![0.0; 3] }).unwrap_err();
        assert!(error.to_string().contains("3 wide, but the model's head takes 2"), "{error}");
    }

    #[test]
    fn softmax_survives_large_logits() {
        assert_eq!(softmax(vec![1000.0, 1000.0, -1000.0]), [0.5, 0.5, 0.0]);
    }
}
