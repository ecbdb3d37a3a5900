//! `thawline predict`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::{Common, Failure, Outcome, ask::ask, output, project, text, trained, usage};
use crate::{
    backbones::{
        self,
        weights::{self, Patience, Wanted, WeightsLocation},
    },
    protocol::{Prediction, Question, Response},
    stages::dataset::is_image,
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Not a trial's model but this published network, a name of `thawline models`.
    #[arg(long, requires = "weights")]
    backbone: Option<String>,
    /// With --backbone: `imagenet`, or a checkpoint with its ImageNet classifier.
    #[arg(long, requires = "backbone")]
    weights: Option<String>,
    /// The `evaluate` stage whose model is meant, where there are several.
    #[arg(long, conflicts_with = "backbone")]
    stage: Option<String>,
    /// Classes listed for an image.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// A trial's name (not with --backbone), then images, or folders of them.
    #[arg(required = true, value_name = "TRIAL|IMAGE|FOLDER")]
    what: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    /// One JSON object a line.
    Jsonl,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let top = usize::from(arguments.top);
    let question = match (&arguments.backbone, &arguments.weights) {
        (Some(backbone), Some(weights)) => Question::Published {
            backbone: backbone.clone(),
            weights: published_weights(common, backbone, weights)?,
            images: images(common, &arguments.what)?,
            top,
        },
        _ => {
            let (trial, paths) = arguments.what.split_first().context("an argument")?;
            if paths.is_empty() {
                return Err(usage(anyhow!("name images or folders after the trial: thawline predict TRIAL IMAGE...")));
            }
            let images = images(common, paths)?;
            let mut store = project::existing_store(common, None)?;
            let found = trained::find(&mut store, &trial.to_string_lossy(), arguments.stage.as_deref())?;
            let reading = serde_json::to_value(found.reading).map_err(anyhow::Error::from)?;
            Question::Trained { model: found.place, views: found.views, reading, images, top }
        }
    };
    let Response::Predictions(predictions) = ask(&question)? else {
        return Err(anyhow!("the worker answered another question").into());
    };
    match arguments.format {
        Format::Table => output::print(&table(&predictions)),
        Format::Csv => output::print(&csv(&predictions)?),
        Format::Jsonl => {
            for prediction in &predictions {
                output::print(&serde_json::to_string(prediction).map_err(anyhow::Error::from)?);
            }
        }
    }
    let mut unreadable = 0;
    for (prediction, error) in predictions.iter().filter_map(|p| Some((p, p.error.as_ref()?))) {
        output::remark(&format!("failed  {}: {error}", prediction.image.display()));
        unreadable += 1;
    }
    if unreadable > 0 {
        output::remark(&format!("{unreadable} of {} could not be read", text::plural(predictions.len(), "image")));
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

fn published_weights(common: &Common, backbone: &str, weights: &str) -> Result<PathBuf, Failure> {
    let backbone = backbones::named(backbone).map_err(usage)?;
    // A path on the command line is relative to where the person stands.
    let here = if Path::new(weights).is_file() { PathBuf::from(".") } else { project::root(common)? };
    match weights::locate(backbone, &Wanted::named(weights), &here).map_err(usage)? {
        WeightsLocation::Random => Err(usage(anyhow!("random weights predict nothing: name a checkpoint"))),
        WeightsLocation::File { path, checksum } => {
            checksum.map_or(Ok(()), |checksum| checksum.verify(&path)).map_err(usage)?;
            Ok(path)
        }
        WeightsLocation::Absent(absent) => {
            let mut say = |line: &str| {
                if !common.quiet {
                    output::remark(line);
                }
            };
            Ok(absent.fetch(Patience::default(), &mut say)?)
        }
    }
}

/// The files that are named, and the images in folders that are, sorted. Other files in folders are counted aloud.
fn images(common: &Common, paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let missing: Vec<String> = paths.iter().filter(|p| !p.exists()).map(|p| p.display().to_string()).collect();
    if !missing.is_empty() {
        return Err(usage(anyhow!("no such image or folder: {}", missing.join(", "))));
    }
    let mut images = Vec::new();
    for path in paths {
        if !path.is_dir() {
            images.push(path.clone());
            continue;
        }
        let mut files = files_below(path)?;
        let all = files.len();
        files.retain(|file| is_image(file));
        if files.is_empty() {
            return Err(usage(anyhow!("there are no images in {}", path.display())));
        }
        if files.len() < all && !common.quiet {
            let others = text::plural(all - files.len(), "file");
            output::remark(&format!("notice: {others} in {} are no images by their ending", path.display()));
        }
        images.append(&mut files);
    }
    Ok(images)
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            // Links to folders are not followed: they may lead around in a circle.
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}

/// (image, rank, class, probability); the image only in its first row.
fn table(predictions: &[Prediction]) -> String {
    let mut rows = Vec::new();
    for prediction in predictions {
        for (rank, top) in prediction.top.iter().enumerate() {
            let image = if rank == 0 { prediction.image.display().to_string() } else { String::new() };
            rows.push(vec![image, top.class.clone(), format!("{:.4}", top.score)]);
        }
    }
    text::table(&["image", "class", "probability"], rows, &[2])
}

fn csv(predictions: &[Prediction]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["image", "rank", "class", "probability"])?;
    for prediction in predictions {
        for (rank, top) in prediction.top.iter().enumerate() {
            let image = prediction.image.to_string_lossy();
            writer.write_record([&*image, &(rank + 1).to_string(), &top.class, &top.score.to_string()])?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
