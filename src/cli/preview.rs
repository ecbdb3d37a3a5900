//! `thawline preview`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::anyhow;
use clap::Args;

use super::{Common, Failure, Outcome, Target, ask::ask, output, project, usage};
use crate::{
    artifact::Split,
    plan::sources::{DiskSources, Seen, Sources},
    protocol::{Question, Response},
    spec::Resolved,
    stages::{
        Stage,
        augment::{self, Work},
    },
    store::Store,
};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// An `augment` stage.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// The contact sheet, a PNG.
    #[arg(short, long, value_name = "FILE", default_value = "sheet.png")]
    output: PathBuf,
    /// Training images, a row each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    images: u32,
    /// Views, a column each, after the evaluation transform.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    views: u32,
    /// The arm of an experiment; by default its first.
    #[arg(long)]
    arm: Option<String>,
}

/// Draws some training images as the stage prepares them: under the evaluation transform, and as its first views.
pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let experiment = project::load(common, &arguments.target)?;
    let wanted = |name: &str| arguments.arm.as_deref().is_none_or(|arm| arm == name);
    let Some(arm) = experiment.arms.iter().find(|arm| wanted(&arm.name)) else {
        let names: Vec<&str> = experiment.arms.iter().map(|arm| arm.name.as_str()).collect();
        return Err(usage(anyhow!("no such arm; there are: {}", names.join(", "))));
    };
    let resolved = arm.resolve(&arm.first_assignment())?;
    let params = stage(&resolved, &arguments.stage)?;
    let Some(Stage::Dataset(dataset)) = resolved.stage(&params.images) else {
        return Err(usage(anyhow!("`{}` is no dataset", params.images)));
    };
    let mut store = Store::open(&experiment.root)?;
    let files = DiskSources::new(&mut store, &mut Seen::default(), &experiment.root).dataset(dataset)?;
    let views = (0..arguments.views).map(|view| Work::new(params, Split::Train, Some(view), None));
    let columns = std::iter::once(Work::new(params, Split::Train, None, None)).chain(views);
    let to_value = |work: Work| serde_json::to_value(work).map_err(anyhow::Error::from);
    let question = Question::Preview {
        dataset: serde_json::to_value(dataset).map_err(anyhow::Error::from)?,
        sources: files.paths,
        columns: columns.map(to_value).collect::<Result<_, _>>()?,
        images: arguments.images as usize,
        sheet: arguments.output.clone(),
    };
    let Response::Rows(rows) = ask(&question)? else {
        return Err(Failure::Failed(anyhow!("the worker answered another question")));
    };
    output::print(&format!(
        "{}: a row each of {}; columns: evaluation, then views 0 to {}",
        arguments.output.display(),
        rows.join(", "),
        arguments.views - 1
    ));
    Ok(ExitCode::SUCCESS)
}

fn stage<'r>(resolved: &'r Resolved, name: &str) -> Result<&'r augment::Params, Failure> {
    match resolved.stage(name) {
        Some(Stage::Augment(params)) => Ok(params),
        found => {
            let is_augment = |(_, stage): &&(String, Stage)| matches!(stage, Stage::Augment(_));
            let known: Vec<&str> = resolved.stages.iter().filter(is_augment).map(|(name, _)| name.as_str()).collect();
            let what = found
                .map_or("there is no stage".to_owned(), |stage| format!("a {} prepares no images:", stage.kind().name));
            Err(usage(anyhow!("{what} `{name}`; `augment` stages are: {}", known.join(", "))))
        }
    }
}
