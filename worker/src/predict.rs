//! `thawline predict`, on the worker's side: ImageNet classes of images, by a backbone's published classifier. Nothing is
//! stored.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use tch::Kind;
use thawline::{
    artifact::model::Normalization,
    backbones::{self, Preprocessing},
    images::{
        decode::decode,
        resize::{Interpolation, center_crop, resize, shorter_side},
    },
    protocol::{PredictAnswer, PredictRequest, Prediction, Top},
};

use crate::nn::{Classifier, Extractor, Network, checkpoint};

/// Classes listed for an image.
const TOP: i64 = 5;

/// Answers a request.
pub fn answer(request: &PredictRequest) -> PredictAnswer {
    predictions(request).map_or_else(|error| PredictAnswer::Error(format!("{error:#}")), PredictAnswer::Predictions)
}

fn predictions(request: &PredictRequest) -> Result<Vec<Prediction>> {
    let preprocessing = &backbones::named(&request.backbone)?.preprocessing;
    let prepare = |path: &PathBuf| Ok((path.clone(), prepare(path, preprocessing)?));
    let inputs: Vec<(PathBuf, Vec<u8>)> = request.images.par_iter().map(prepare).collect::<Result<_>>()?;
    predict(&request.backbone, &request.weights, &inputs)
}

/// The backbone's own preprocessing: shorter side to `resize`, then the middle.
fn prepare(path: &Path, preprocessing: &Preprocessing) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let image = decode(&bytes).with_context(|| format!("{} is no image that can be read", path.display()))?;
    let (width, height) = shorter_side(image.width, image.height, preprocessing.resize);
    let interpolation =
        if preprocessing.interpolation == "bicubic" { Interpolation::Bicubic } else { Interpolation::Bilinear };
    let resized = resize(&image, width, height, interpolation)?;
    Ok(center_crop(&resized, preprocessing.crop, preprocessing.crop).pixels)
}

/// Classifies images that went through the backbone's own preprocessing: u8 RGB [crop, crop, 3] each, with their paths.
///
/// Every image runs alone, so its scores do not depend on the others.
fn predict(backbone: &str, weights: &Path, inputs: &[(PathBuf, Vec<u8>)]) -> Result<Vec<Prediction>> {
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
    for (image, pixels) in inputs {
        let output = extractor.outputs(pixels, crop, crop).with_context(|| image.display().to_string())?;
        let scores = classifier.logits(&output, backbone.pooling)?.f_softmax(1, Kind::Float)?.f_view([-1])?;
        let (scores, indices) = scores.f_topk(TOP, 0, true, true)?;
        let (scores, indices) = (Vec::<f32>::try_from(&scores)?, Vec::<i64>::try_from(&indices)?);
        let top = indices.into_iter().map(|i| i as usize).zip(scores);
        let top = top.map(|(index, score)| Top { index, class: names[index].to_string(), score }).collect();
        predictions.push(Prediction { image: image.clone(), top });
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
        let found = predict(backbone.name, &weights, &[("ball.png".into(), pixels.clone())]).unwrap();
        assert_eq!(found[0].top.len(), 5);
        // PyTorch, on the same pixels and weights (scripts/reference/backbones.py).
        let text = include_str!("../../tests/reference/backbones/predict.json");
        let expected: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        for (top, expected) in found[0].top.iter().zip(&expected) {
            assert_eq!(
                (top.index as u64, top.class.as_str()),
                (expected["index"].as_u64().unwrap(), expected["class"].as_str().unwrap())
            );
            assert!((f64::from(top.score) - expected["score"].as_f64().unwrap()).abs() < 1e-4, "{top:?} {expected}");
        }
        let error = predict(backbone.name, &weights, &[("ball.png".into(), pixels[..9].to_vec())]).unwrap_err();
        assert!(format!("{error:#}").contains("ball.png: 9 bytes are not 1 to 1 images of 224 x 224"), "{error:#}");
        let error = predict("resnet18", &weights, &[]).unwrap_err();
        assert!(format!("{error:#}").contains("`layer4.1.bn2.running_var` [512] is missing"), "{error:#}");
    }
}
