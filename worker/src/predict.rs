//! `thawline predict`, on the worker's side: classes of images, by a published network or by a trained model. Nothing is
//! stored.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use tch::Kind;
use thawline::{
    artifact::{Features, Image, Reading, model::Normalization},
    backbones::{self, Preprocessing},
    images::{
        decode::decode,
        resize::{Interpolation, center_crop, resize, shorter_side},
        transforms::{self, DrawKey},
    },
    protocol::{Prediction, Top, TrainedModel},
    stages::augment,
};

use crate::{
    nn::{BATCH, Classifier, Extractor, Network, checkpoint},
    stages::evaluate::ExactHead,
    trained::Trained,
};

/// Pixels of an image, u8 RGB row-major, or why there are none.
type Prepared = Result<Vec<u8>>;

/// The classes of images as a trained model sees them: decoded as those of its dataset, through the transforms that it was
/// evaluated with.
pub fn trained(
    of: &TrainedModel,
    views: &augment::Work,
    reading: &Reading,
    images: &[PathBuf],
    top: usize,
) -> Result<Vec<Prediction>> {
    let trained = Trained::open(of)?;
    let (extractor, head) = (trained.extractor()?, ExactHead::new(&trained.tensors, &trained.model.head)?);
    let side = views.size as usize;
    let mut predictions = Vec::new();
    for images in images.chunks(BATCH) {
        let prepared: Vec<Prepared> = images.par_iter().map(|path| transformed(path, views, reading)).collect();
        let pixels: Vec<u8> = prepared.iter().flatten().flatten().copied().collect();
        let mut rows = Vec::new();
        if !pixels.is_empty() {
            let features = extractor.rows(&pixels, side, side)?;
            let width = features.size()[1] as usize;
            let values = Vec::<f32>::try_from(&features.f_contiguous()?.f_view([-1])?)?;
            let features = Features { rows: values.len() / width, width, values };
            rows = head.probabilities(&features)?.chunks(trained.model.classes.len()).map(<[f64]>::to_vec).collect();
        }
        let mut rows = rows.into_iter();
        for (path, prepared) in images.iter().zip(prepared) {
            predictions.push(match prepared {
                Ok(_) => {
                    let row = rows.next().context("an image without a row")?;
                    prediction(path, best(&row, &trained.model.classes, top))
                }
                Err(error) => unreadable(path, &error),
            });
        }
    }
    Ok(predictions)
}

fn transformed(path: &Path, views: &augment::Work, reading: &Reading) -> Prepared {
    let bytes = std::fs::read(path).context("cannot be read")?;
    // Evaluation draws nothing: the key is never asked.
    let id = Image::id_of(&bytes);
    let key = DrawKey { seed: views.seed, image: &id, view: 0 };
    let decoded = decode(&bytes, reading).context("is no image that can be read")?;
    Ok(transforms::prepare(decoded.image, &views.transforms, views.size, key)?.pixels)
}

/// The most probable classes; of equal ones the first.
fn best(probabilities: &[f64], classes: &[String], top: usize) -> Vec<Top> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let class = |index: usize| Top { index, class: classes[index].clone(), score: probabilities[index] };
    order.into_iter().take(top).map(class).collect()
}

fn prediction(image: &Path, top: Vec<Top>) -> Prediction {
    Prediction { image: image.to_path_buf(), top, error: None }
}

fn unreadable(image: &Path, error: &anyhow::Error) -> Prediction {
    Prediction { image: image.to_path_buf(), top: Vec::new(), error: Some(format!("{error:#}")) }
}

/// The ImageNet classes of images, through the network's own preprocessing.
pub fn published(backbone: &str, weights: &Path, images: &[PathBuf], top: usize) -> Result<Vec<Prediction>> {
    let preprocessing = &backbones::named(backbone)?.preprocessing;
    let prepare = |path: &PathBuf| (path.clone(), prepare(path, preprocessing));
    let inputs: Vec<(PathBuf, Prepared)> = images.par_iter().map(prepare).collect();
    predict(backbone, weights, &inputs, top)
}

/// The backbone's own preprocessing: shorter side to `resize`, then the middle.
fn prepare(path: &Path, preprocessing: &Preprocessing) -> Prepared {
    let bytes = std::fs::read(path).context("cannot be read")?;
    let image = decode(&bytes, &Reading::default()).context("is no image that can be read")?.image;
    let (width, height) = shorter_side(image.width, image.height, preprocessing.resize);
    let interpolation =
        if preprocessing.interpolation == "bicubic" { Interpolation::Bicubic } else { Interpolation::Bilinear };
    let resized = resize(&image, width, height, interpolation)?;
    Ok(center_crop(&resized, preprocessing.crop, preprocessing.crop).pixels)
}

/// Classifies images that went through the backbone's own preprocessing: u8 RGB [crop, crop, 3] each, with their paths.
///
/// Every image runs alone, so its scores do not depend on the others.
fn predict(backbone: &str, weights: &Path, inputs: &[(PathBuf, Prepared)], top: usize) -> Result<Vec<Prediction>> {
    let backbone = backbones::named(backbone)?;
    let data = checkpoint::read(weights)?;
    let network = Network::load(backbone, &data).with_context(|| format!("loading {}", weights.display()))?;
    let classifier = Classifier::load(backbone, &data)?
        .with_context(|| format!("{} has no ImageNet classifier of {}", weights.display(), backbone.name))?;
    let names = backbones::imagenet_classes();
    ensure!(
        classifier.classes() == names.len(),
        "the classifier in {} has {} classes, not ImageNet's {}: predict knows only those names",
        weights.display(),
        classifier.classes(),
        names.len()
    );
    let preprocessing = &backbone.preprocessing;
    let normalization = Normalization { mean: preprocessing.mean, std: preprocessing.std };
    let extractor = Extractor::new(&network, backbone.blocks.len() - 1, backbone.pooling, normalization, 1)?;
    let crop = preprocessing.crop as usize;

    let mut predictions = Vec::new();
    for (image, prepared) in inputs {
        let pixels = match prepared {
            Ok(pixels) => pixels,
            Err(error) => {
                predictions.push(unreadable(image, error));
                continue;
            }
        };
        let output = extractor.outputs(pixels, crop, crop).with_context(|| image.display().to_string())?;
        let scores = classifier.logits(&output, backbone.pooling)?.f_softmax(1, Kind::Float)?.f_view([-1])?;
        let (scores, indices) = scores.f_topk(top.min(classifier.classes()) as i64, 0, true, true)?;
        let (scores, indices) = (Vec::<f32>::try_from(&scores)?, Vec::<i64>::try_from(&indices)?);
        let found = indices.into_iter().map(|i| i as usize).zip(scores);
        let found = found.map(|(index, score)| Top { index, class: names[index].to_string(), score: score.into() });
        predictions.push(prediction(image, found.collect()));
    }
    Ok(predictions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_weights_classify_and_say_what_is_missing() {
        let backbone = backbones::find("efficientnet_lite0").unwrap();
        let weights = backbones::weights::cached(&backbone.published[0]).unwrap();
        assert!(weights.exists(), "{} is missing: run `make fetch`", weights.display());
        // A dark ball on a light ground, and an image of the wrong size.
        let disc = |y: i32, x: i32| (y - 112).pow(2) + (x - 112).pow(2) < 70 * 70;
        let pixels: Vec<u8> =
            (0..224 * 224).flat_map(|i| if disc(i / 224, i % 224) { [200, 90, 20] } else { [235, 240, 245] }).collect();
        let found = predict(backbone.name, &weights, &[("ball.png".into(), Ok(pixels.clone()))], 5).unwrap();
        assert_eq!(found[0].top.len(), 5);
        // PyTorch, on the same pixels and weights (scripts/reference/backbones.py).
        let text = include_str!("../../tests/reference/backbones/predict.json");
        let expected: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        for (top, expected) in found[0].top.iter().zip(&expected) {
            assert_eq!(
                (top.index as u64, top.class.as_str()),
                (expected["index"].as_u64().unwrap(), expected["class"].as_str().unwrap())
            );
            assert!((top.score - expected["score"].as_f64().unwrap()).abs() < 1e-4, "{top:?} {expected}");
        }
        let error = predict(backbone.name, &weights, &[("ball.png".into(), Ok(pixels[..9].to_vec()))], 5).unwrap_err();
        assert!(format!("{error:#}").contains("ball.png: 9 bytes are not 1 to 1 images of 224 x 224"), "{error:#}");
        let error = predict("resnet18", &weights, &[], 5).unwrap_err();
        let told = "these are not weights of resnet18: this is efficientnet_lite0";
        assert!(format!("{error:#}").contains(told), "{error:#}");
    }
}
