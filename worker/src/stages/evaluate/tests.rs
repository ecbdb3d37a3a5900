use std::{collections::BTreeMap, path::Path};

use thawline::{
    artifact::{
        Image,
        model::{BackboneSpec, Normalization, Pooling, Weights},
        views::ViewsWriter,
    },
    backbones::Role,
    protocol::Epoch,
    rng::Draws,
};

use super::*;
use crate::{
    nn::{BATCH, Extractor, Network, checkpoint::TensorData},
    task::Link,
};

fn dataset() -> Dataset {
    let image = |i: u32| Image {
        id: format!("{i:032x}"),
        path: format!("{i}.png"),
        label: i % 3,
        split: if i < 6 { Split::Val } else { Split::Train },
    };
    let classes = ["cat", "dog", "fox"].map(String::from).to_vec();
    Dataset { classes, images: (0..9).map(image).collect(), dropped: Vec::new(), reading: Default::default() }
}

fn work() -> Work {
    Work { split: Split::Val, top_k: vec![2, 5], calibration_bins: 15, conditions: Vec::new() }
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
    let head = ExactHead {
        layers: vec![linear(2, &[1.0, 0.0, 0.0, 1.0], &[0.0, 0.5]), linear(2, &[1.0, 1.0, -1.0, 2.0], &[0.0, 0.0])],
    };
    // (-1, 1) -> (-1, 1.5) -> relu (0, 1.5) -> (1.5, 3): the softmax of a difference of 1.5.
    let found = head.probabilities(&Features { rows: 1, width: 2, values: vec![-1.0, 1.0] }).unwrap();
    let second = 1.0 / (1.0 + (-1.5f64).exp());
    assert!((found[1] - second).abs() < 1e-15 && (found[0] + found[1] - 1.0).abs() < 1e-15, "{found:?}");
    let error = head.probabilities(&Features { rows: 1, width: 3, values: vec![0.0; 3] }).unwrap_err();
    assert!(error.to_string().contains("3 wide, but the model's head takes 2"), "{error}");
}

#[test]
fn softmax_survives_large_logits() {
    assert_eq!(softmax(vec![1000.0, 1000.0, -1000.0]), [0.5, 0.5, 0.0]);
}

/// The checkpoint that the test model starts from.
const BASE: &str = "base.safetensors";

struct Silent;

impl Link for Silent {
    fn log(&mut self, _line: &str) {}
    fn progress(&mut self, _done: u64, _total: u64) -> Answer {
        Answer::Continue
    }
    fn epochs(&mut self, _epochs: Vec<(usize, Epoch)>) -> Answer {
        Answer::Continue
    }
}

fn draws(count: usize, purpose: &str) -> Vec<f32> {
    let mut draws = Draws::new(0, "", 0, purpose);
    (0..count).map(|_| draws.normal() as f32 / 8.0).collect()
}

/// A ResNet-18 whose weights are cheap to make: uniform in ±sqrt(6 / fan-in), its norms the identity.
fn weights(seed: u64) -> Tensors {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut tensors = Tensors::new();
    for spec in backbones::named("resnet18").unwrap().blocks.iter().flat_map(|block| block.tensors()) {
        let count: usize = spec.shape.iter().product();
        let values: Vec<f32> = match spec.role {
            Role::ConvWeight => {
                let bound = (6.0 * spec.shape[0] as f32 / count as f32).sqrt();
                (0..count).map(|_| bound * uniform()).collect()
            }
            Role::NormWeight | Role::RunningVar => vec![1.0; count],
            Role::NormBias | Role::RunningMean => vec![0.0; count],
            other => panic!("no {other:?} in resnet18"),
        };
        tensors.insert(spec.name, TensorData::from_f32(spec.shape, &values));
    }
    tensors
}

fn network(seed: u64) -> Network {
    Network::load(backbones::named("resnet18").unwrap(), &weights(seed)).unwrap()
}

/// `base.safetensors` and on it a model with a linear head, whose `layer4` is that of other weights where `changed`.
fn write_model(dir: &Path, changed: bool) -> Model {
    let base = dir.join(BASE);
    checkpoint::write(&base, &weights(0)).unwrap();
    let digest = blake3::hash(&std::fs::read(&base).unwrap()).to_hex().to_string();
    let backbone = BackboneSpec {
        backbone: "resnet18".to_owned(),
        weights: Weights::File { digest, fill: None },
        cut: "layer4".to_owned(),
        pooling: Pooling::Avg,
        normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
    };
    let mut tensors: Tensors = BTreeMap::from([
        ("head.0.weight".to_owned(), TensorData::from_f32(vec![3, 512], &draws(3 * 512, "weight"))),
        ("head.0.bias".to_owned(), TensorData::from_f32(vec![3], &draws(3, "bias"))),
    ]);
    if changed {
        tensors.extend(weights(1).into_iter().filter(|(name, _)| name.starts_with("layer4.")));
    }
    checkpoint::write(&dir.join(Model::WEIGHTS), &tensors).unwrap();
    let model = Model {
        backbone,
        head: HeadSpec { inputs: 512, hidden: Vec::new(), classes: 3 },
        classes: dataset().classes,
        changed_blocks: if changed { vec!["layer4".to_owned()] } else { Vec::new() },
    };
    model.write(dir).unwrap();
    model
}

/// Six images of noise, 32 x 32.
fn write_views(dir: &Path) {
    let mut writer = ViewsWriter::create(dir, 6, 32, 32).unwrap();
    for image in 0..6 {
        let mut draws = Draws::new(0, "", image, "pixels");
        let pixels: Vec<u8> = (0..32 * 32 * 3).map(|_| draws.below(256) as u8).collect();
        writer.push(&pixels).unwrap();
    }
    writer.finish().unwrap();
}

/// Runs the stage on `dataset()` with the given other inputs; what it says and predicts.
fn evaluate(inputs: &[(&str, &Path)]) -> Result<(Outcome, Predictions)> {
    let (images, out) = (tempfile::tempdir()?, tempfile::tempdir()?);
    dataset().write(images.path())?;
    let mut folders: BTreeMap<String, PathBuf> =
        inputs.iter().map(|(role, path)| ((*role).to_owned(), path.to_path_buf())).collect();
    folders.insert("dataset".to_owned(), images.path().to_owned());
    let mut task = Task {
        sources: BTreeMap::from([("weights".to_owned(), folders["model"].join(BASE))]),
        inputs: folders,
        seed: 0,
        limits: Default::default(),
        out: out.path().to_owned(),
        checkpoint: out.path().to_owned(),
        link: &mut Silent,
    };
    let outcome = run(&work(), &mut task)?;
    assert_eq!(Scores::read(out.path())?.metrics, outcome.metrics);
    Ok((outcome, Predictions::read(out.path())?))
}

#[test]
fn stored_features_and_pixels_give_the_same_bits() {
    let [model, views, features] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let spec = write_model(model.path(), false).backbone;
    write_views(views.path());
    let extractor = Extractor::new(&network(0), 4, spec.pooling, spec.normalization, BATCH).unwrap();
    let pixels = Views::open(views.path()).unwrap();
    extractor.features(&pixels, |_, _| Ok(())).unwrap().write(features.path()).unwrap();

    let stored = evaluate(&[("model", model.path()), ("features", features.path())]).unwrap();
    let computed = evaluate(&[("model", model.path()), ("views", views.path())]).unwrap();
    assert_eq!(stored, computed);
    assert_eq!((stored.0.total_parameters, stored.0.images_seen), (11_176_512 + 3 * 513, 6));
}

#[test]
fn changed_blocks_take_the_place_of_those_the_model_started_from() {
    let [model, views] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let spec = write_model(model.path(), true).backbone;
    write_views(views.path());
    let (_, found) = evaluate(&[("model", model.path()), ("views", views.path())]).unwrap();

    // Unfolded, block by block: layer4 of the other weights on top of the rest.
    let [below, above] = [0, 1].map(network);
    let pixels = tch::Tensor::from_slice(Views::open(views.path()).unwrap().pixels()).view([6, 32, 32, 3]);
    let input = crate::nn::pixels::pixels_to_input(&pixels, spec.normalization).unwrap();
    let rows = above.forward(&below.forward(&input, 0..4, |_| false).unwrap(), 4..5, |_| false).unwrap();
    let rows = crate::nn::pixels::pool(&rows, spec.pooling).unwrap();
    let weight = tch::Tensor::from_slice(&draws(3 * 512, "weight")).view([3, 512]);
    let logits = rows.linear(&weight, Some(tch::Tensor::from_slice(&draws(3, "bias"))));
    let expected = Vec::<f32>::try_from(logits.softmax(-1, tch::Kind::Float).view([-1])).unwrap();
    for (found, expected) in found.probabilities.iter().zip(&expected) {
        assert!((found - f64::from(*expected)).abs() < 1e-5, "{found} {expected}");
    }

    let features = tempfile::tempdir().unwrap();
    let error = evaluate(&[("model", model.path()), ("features", features.path())]).unwrap_err().to_string();
    assert!(error.starts_with("the model trained its blocks layer4"), "{error}");
}
