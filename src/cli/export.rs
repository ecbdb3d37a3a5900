//! `thawline export`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, Outcome, ask::ask, output, project, trained, usage};
use crate::{
    artifact::{Model, model::Pooling},
    backbones,
    protocol::{ExportFormat, Question, Response},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A trial's name.
    trial: String,
    #[arg(long, value_enum, default_value = "safetensors")]
    format: Format,
    /// The `evaluate` stage whose model is meant, where there are several.
    #[arg(long)]
    stage: Option<String>,
    /// By default TRIAL.safetensors or TRIAL.pth; never overwritten.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Safetensors,
    Torch,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let (format, ending) = match arguments.format {
        Format::Safetensors => (ExportFormat::Safetensors, "safetensors"),
        Format::Torch => (ExportFormat::Torch, "pth"),
    };
    let out = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{ending}", arguments.trial)));
    if out.exists() {
        return Err(usage(anyhow!("{} exists: remove it, or name another file with -o", out.display())));
    }
    let mut store = project::existing_store(common, None)?;
    let found = trained::find(&mut store, &arguments.trial, arguments.stage.as_deref())?;
    let script = (found.model.backbone.backbone == backbones::TORCHSCRIPT.name).then(|| found.place.weights.clone());
    let metadata = metadata(&arguments.trial, &found.model, &found.views)?;
    let question = Question::Export { model: found.place, format, metadata, out: out.clone() };
    let Response::Exported(tensors) = ask(&question)? else {
        return Err(anyhow!("the worker answered another question").into());
    };
    output::print(&out.display().to_string());
    if !common.quiet {
        output::remark(&format!("{tensors} tensors of {}", found.model.backbone.backbone));
        if let Some(path) = script.flatten() {
            output::remark(&format!(
                "notice: the network itself stays in {}: `network.` is the state of torch.jit.load(FILE), `head` that of what \
                 stands on its pooled output",
                path.display()
            ));
        }
        differences(&found.model).iter().for_each(|line| output::remark(&format!("notice: {line}")));
    }
    Ok(ExitCode::SUCCESS)
}

/// What travels with the tensors, as JSON.
fn metadata(trial: &str, model: &Model, views: &serde_json::Value) -> anyhow::Result<String> {
    let part = |name: &str| views.get(name).with_context(|| format!("the views on record have no `{name}`"));
    let value = json!({
        "made_by": concat!("thawline ", env!("CARGO_PKG_VERSION")),
        "trial": trial,
        "backbone": model.backbone.backbone,
        "block": model.backbone.cut,
        "pooling": model.backbone.pooling,
        "hidden": model.head.hidden,
        "classes": model.classes,
        "preprocessing": {
            "size": part("size")?,
            "transforms": part("transforms")?,
            "mean": model.backbone.normalization.mean,
            "std": model.backbone.normalization.std,
        },
    });
    Ok(value.to_string())
}

/// Where the network is another than the published one of this name, so that PyTorch needs more than its state.
fn differences(model: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    let backbone = backbones::find(&model.backbone.backbone);
    if backbone.and_then(|b| b.blocks.last()).is_some_and(|last| last.name != model.backbone.cut) {
        lines.push(format!("the network ends at block `{}`: later blocks are not in the file", model.backbone.cut));
    }
    if model.backbone.pooling != Pooling::Avg {
        lines.push("its features are not pooled by their mean, as the published network's are".into());
    }
    if let (false, Some(backbone)) = (model.head.hidden.is_empty(), backbone) {
        lines.push(format!(
            "the head has hidden layers: put a torch.nn.Sequential of Linear and ReLU in place of `{}`",
            backbone.classifier
        ));
    }
    lines
}
