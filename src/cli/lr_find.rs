//! `thawline lr-find`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::{Map, json};

use super::{
    Common, Failure, Outcome, Target, TextOrJson, device::Placement, output, progress::Reporter, project, text, usage,
};
use crate::{
    artifact::LearningRate,
    engine::{self, Options, Storing},
    plan::Configuration,
    protocol::Limits,
    report,
    spec::{Experiment, Params, Resolved},
    stages::Stage,
    store::Store,
};

/// Most rows of the printed curve.
const ROWS: usize = 12;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// An `lr_find` stage; by default all of them.
    #[arg(value_name = "STAGE")]
    stage: Option<String>,
    /// The plot, an SVG.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The arm of an experiment; by default its first.
    #[arg(long)]
    arm: Option<String>,
    #[command(flatten)]
    placement: Placement,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// Runs `lr_find` stages of the first configuration at the first seed, with what they stand on and nothing else.
pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let experiment = project::check(common, &arguments.target)?;
    let wanted = |name: &str| arguments.arm.as_deref().is_none_or(|arm| arm == name);
    let Some(arm) = experiment.arms.iter().find(|arm| wanted(&arm.name)) else {
        let names: Vec<&str> = experiment.arms.iter().map(|arm| arm.name.as_str()).collect();
        return Err(usage(anyhow!("no such arm; there are: {}", names.join(", "))));
    };
    let resolved = arm.resolve(&arm.first_assignment())?;
    let stages = stages(&resolved, arguments.stage.as_deref())?;
    if arguments.output.is_some() && stages.len() > 1 {
        return Err(usage(anyhow!("a plot is of one stage: name one of {}", stages.join(", "))));
    }
    let configuration = Configuration {
        arm: arm.name.clone(),
        facet: Params::new(),
        resolved: resolved.into(),
        metric_stage: arm.metric_stage.clone(),
        fold: experiment.folds.and_then(|folds| folds.all().next()),
    };
    let seed = experiment.seeds.first().copied().unwrap_or(0);
    let options = Options {
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        force: false,
        keep_going: true,
        storing: Storing::Auto,
        limits: Limits::default(),
        deadline: None,
        max_trials: None,
        only: None,
        device: arguments.placement.device(common)?,
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    let mut store = Store::open(&experiment.root)?;
    let mut reporter = Reporter::new(common, arguments.format == TextOrJson::Json);
    let named = Experiment { name: format!("{}:lr-find", experiment.name), ..experiment.clone() };
    let (finish, made) = engine::make(
        &named,
        &options,
        &mut store,
        &mut |plan, sources| {
            stages.iter().map(|stage| plan.add_lr_find(&configuration, seed, stage, sources)).collect()
        },
        &mut |event| reporter.show(event),
    )?;
    let mut found: Vec<(&str, LearningRate)> = Vec::new();
    for (stage, record) in stages.iter().zip(made) {
        if let Some(record) = record {
            found.push((stage, LearningRate::read(&store.objects().path(&record.digest))?));
        }
    }
    if arguments.format == TextOrJson::Json {
        let all: Map<String, _> = found.iter().map(|(stage, found)| (stage.to_string(), json!(found))).collect();
        output::json(&all)?;
    } else {
        found.iter().for_each(|(stage, found)| output::print(&in_words(stage, found)));
    }
    if let (Some(path), Some((stage, found))) = (&arguments.output, found.first()) {
        let drawn = report::lr_find(stage, found).context("the curve has no points")?;
        std::fs::write(path, drawn).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(ExitCode::from(match finish.status {
        "done" => 0,
        "interrupted" => 130,
        _ => 1,
    }))
}

/// The one of that name, or all.
fn stages(resolved: &Resolved, named: Option<&str>) -> Result<Vec<String>, Failure> {
    let of_kind = resolved.stages.iter().filter(|(_, stage)| matches!(stage, Stage::LrFind(_)));
    let known: Vec<String> = of_kind.map(|(name, _)| name.clone()).collect();
    if known.is_empty() {
        return Err(usage(anyhow!("no stage is an `lr_find`: add `find: {{ lr_find: {{ features: ... }} }}`")));
    }
    match named {
        None => Ok(known),
        Some(name) if known.iter().any(|stage| stage == name) => Ok(vec![name.to_owned()]),
        Some(name) => Err(usage(anyhow!("`{name}` is no `lr_find` stage; there are: {}", known.join(", ")))),
    }
}

/// Both suggestions, and some points of the curve with the rows nearest to them marked.
fn in_words(stage: &str, found: &LearningRate) -> String {
    let places: Vec<usize> = (0..found.curve.len()).step_by(found.curve.len().div_ceil(ROWS).max(1)).collect();
    let nearest = |lr: f64| {
        let distance = |&place: &usize| (found.curve[place].lr / lr).ln().abs();
        places.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    let marks = [(nearest(found.steepest), "steepest"), (nearest(found.minimum), "minimum / 10")];
    let row = |&place: &usize| {
        let point = found.curve[place];
        let named: Vec<&str> = marks.iter().filter(|(at, _)| *at == Some(place)).map(|(_, name)| *name).collect();
        let (loss, smoothed) = (format!("{:.4}", point.loss), format!("{:.4}", point.smoothed));
        vec![format!("{:.2e}", point.lr), loss, smoothed, named.join(", ")]
    };
    let table = text::table(&["lr", "loss", "smoothed", "near"], places.iter().map(row).collect(), &[0, 1, 2]);
    format!(
        "{stage}: suggestion {:.3e}  (steepest {:.3e}, minimum / 10 {:.3e}, {})\n{table}",
        found.suggestion,
        found.steepest,
        found.minimum,
        text::plural(found.curve.len(), "step")
    )
}
