//! `thawline predict`.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::{Serialize, de::DeserializeOwned};

use super::{Common, Outcome, TextOrJson, output, project, usage};
use crate::{
    backbones::{self, weights, weights::WeightsLocation},
    engine::pool,
    protocol::{PredictAnswer, PredictRequest, Prediction, Top},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A name of `thawline models`.
    #[arg(long)]
    backbone: String,
    /// `imagenet`, or the path of a checkpoint with its ImageNet classifier.
    #[arg(long)]
    weights: String,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let backbone = backbones::named(&arguments.backbone).map_err(usage)?;
    // A path on the command line is relative to where the person stands.
    let here = if Path::new(&arguments.weights).is_file() { PathBuf::from(".") } else { project::root(common)? };
    let weights = match weights::locate(backbone, &arguments.weights, &here).map_err(usage)? {
        WeightsLocation::Random => return Err(usage(anyhow!("random weights predict nothing: name a checkpoint"))),
        WeightsLocation::File { path, published } => {
            if let Some(published) = published {
                weights::verify_published(published, &path).map_err(usage)?;
            }
            path
        }
    };
    let missing: Vec<String> =
        arguments.images.iter().filter(|i| !i.is_file()).map(|i| i.display().to_string()).collect();
    if !missing.is_empty() {
        return Err(usage(anyhow!("no such image: {}", missing.join(", "))));
    }
    let request = PredictRequest { backbone: arguments.backbone.clone(), weights, images: arguments.images.clone() };
    let predictions = match ask("predict", &request)? {
        PredictAnswer::Predictions(list) => list,
        PredictAnswer::Error(error) => return Err(anyhow!(error).into()),
    };
    match arguments.format {
        TextOrJson::Json => output::json(&predictions)?,
        TextOrJson::Text => predictions.iter().for_each(|p| output::print(&lines(p))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Has a worker answer one request of the kind that `argument` names.
pub(super) fn ask<A: DeserializeOwned>(argument: &str, request: &impl Serialize) -> Result<A> {
    let program = pool::program()?;
    let mut child = Command::new(&program)
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    serde_json::to_writer(child.stdin.take().context("the worker's input")?, request)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the worker failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("reading the worker's answer")
}

fn lines(prediction: &Prediction) -> String {
    let mut out = prediction.image.display().to_string();
    for Top { index, class, score } in &prediction.top {
        out.push_str(&format!("\n  {score:.3}  {class} ({index})"));
    }
    out
}
