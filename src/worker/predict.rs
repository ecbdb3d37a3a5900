//! `thawline predict`, on the worker's side: one request on standard input, one answer on standard output. Not cached.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    backbones::{self, Preprocessing},
    images::{
        decode::decode,
        resize::{Interpolation, center_crop, resize, shorter_side},
    },
    stages::predict::{Prediction, predict},
};

/// What to classify with what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub backbone: String,
    pub weights: PathBuf,
    pub images: Vec<PathBuf>,
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A list of [`Prediction`]s as JSON.
    Predictions(serde_json::Value),
    Error(String),
}

/// Answers a request.
pub fn answer(request: &Request) -> Answer {
    let predictions = predictions(request).and_then(|list| Ok(serde_json::to_value(list)?));
    predictions.map_or_else(|error| Answer::Error(format!("{error:#}")), Answer::Predictions)
}

fn predictions(request: &Request) -> Result<Vec<Prediction>> {
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
