//! `thawline report`, and the end of every `run`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use super::{Common, Outcome, TextOrJson, output, project};
use crate::{
    report::{self, Context, Cost, Goal, Row, Status, Summary},
    store::{
        Store,
        runs::{RunRecord, TrialRecord},
    },
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment's name or YAML.
    experiment: String,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, Some(&arguments.experiment))?;
    let run = project::latest_run(&store, &arguments.experiment)?;
    let (summary, page) = write(&store, &run)?;
    match arguments.format {
        TextOrJson::Json => output::json(&summary)?,
        TextOrJson::Text => {
            output::print(&report::terminal(&summary));
            output::print(&format!("report: {}", page.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the report of a run to `reports/<experiment>/`: the comparison, and where its page lies.
pub fn write(store: &Store, run: &RunRecord) -> Result<(Summary, PathBuf)> {
    let root = store.dir().parent().context("the store lies in a project")?;
    let dir = root.join("reports").join(&run.experiment);
    let rows = rows(store, run)?;
    let summary = report::write(&rows, &context(store, run, root)?, &dir)?;
    Ok((summary, dir.join("report.md")))
}

/// The trials of a run as the report reads them.
pub fn rows(store: &Store, run: &RunRecord) -> Result<Vec<Row>> {
    let mut trials = store.trials(run.id)?;
    // Arms in the order of the YAML; names and seeds inside.
    let order: Vec<String> = strings(&run.context["arms"]);
    let at = |arm: &str| order.iter().position(|name| name == arm).unwrap_or(order.len());
    trials.sort_by(|a, b| {
        (at(&a.arm), &a.configuration, a.fold, a.seed).cmp(&(at(&b.arm), &b.configuration, b.fold, b.seed))
    });
    trials.into_iter().map(row).collect()
}

fn row(trial: TrialRecord) -> Result<Row> {
    let number = |name: &str| trial.cost[name].as_f64().unwrap_or(0.0);
    let whole = |name: &str| trial.cost[name].as_u64().unwrap_or(0);
    Ok(Row {
        facet: trial.facet.into_iter().collect(),
        status: match trial.status.as_str() {
            "done" => Status::Done,
            "failed" => Status::Failed,
            _ => Status::Pending,
        },
        metrics: trial.metrics.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect(),
        cost: Cost {
            seconds: number("seconds"),
            cpu_seconds: number("cpu_seconds"),
            peak_memory_bytes: whole("peak_memory_bytes"),
            trained_parameters: whole("trained_parameters"),
            total_parameters: whole("total_parameters"),
            epochs: whole("epochs"),
            images_seen: whole("images_seen"),
        },
        trial: trial.trial,
        arm: trial.arm,
        fold: trial.fold,
        seed: trial.seed,
        configuration: trial.configuration,
        params: trial.params,
        error: trial.error,
        selected: trial.selected,
    })
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

fn context(store: &Store, run: &RunRecord, root: &Path) -> Result<Context> {
    let told = &run.context;
    let text = |name: &str| told[name].as_str().map(str::to_string);
    let file = Path::new(&run.path);
    let file = root.canonicalize().ok().and_then(|root| file.strip_prefix(root).ok().map(Path::to_path_buf));
    let digests = strings(&told["test_digests"]);
    let looks = digests.iter().map(|digest| store.looks(digest)).sum::<Result<u64>>()?;
    Ok(Context {
        experiment: run.experiment.clone(),
        file: file.unwrap_or_else(|| PathBuf::from(&run.path)).to_string_lossy().into_owned(),
        description: text("description"),
        metric: text("metric").unwrap_or_else(|| "val/accuracy".into()),
        goal: if told["goal"] == "minimize" { Goal::Minimize } else { Goal::Maximize },
        baseline: text("baseline"),
        margin: told["margin"].as_f64(),
        paired: told["paired"].as_bool().unwrap_or(true),
        commit: run.commit.clone(),
        dirty: run.dirty,
        folds: serde_json::from_value(told["folds"].clone()).ok().flatten(),
        seeds: told["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        data: strings(&told["data"]),
        notices: strings(&told["notices"]),
        wall_seconds: run.finished.unwrap_or_else(crate::store::now) - run.started,
        looks,
        test_images: told["test_images"].as_u64().unwrap_or(0),
    })
}
