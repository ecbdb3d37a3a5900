//! `thawline status`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome, TextOrJson, output, project, text};
use crate::store::{
    Store, now,
    runs::{NodeRun, RunRecord},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment's name or YAML; by default the latest runs of all.
    experiment: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, arguments.experiment.as_deref())?;
    let runs = match &arguments.experiment {
        Some(experiment) => vec![project::latest_run(&store, experiment)?],
        None => latest_of_each(&store)?,
    };
    if arguments.format == TextOrJson::Json {
        let all: anyhow::Result<Vec<_>> = runs
            .iter()
            .map(|run| Ok(json!({ "run": run, "state": state(run), "running": running(&store, run)? })))
            .collect();
        output::json(&all?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for run in &runs {
        output::print(&line(run));
        for node in running(&store, run)? {
            let epoch = node.epoch.zip(node.epochs).map_or(String::new(), |(e, n)| format!(", epoch {e}/{n}"));
            output::print(&format!("  running {}{epoch}, for {}", node.label, text::seconds(now() - node.started)));
        }
        if state(run) == "failed" {
            for node in store.node_runs(Some(run.id), None)?.iter().filter(|n| n.status == "failed") {
                output::print(&format!(
                    "  failed {}: {}",
                    node.label,
                    node.error.as_deref().unwrap_or("no reason given")
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn latest_of_each(store: &Store) -> anyhow::Result<Vec<RunRecord>> {
    let mut seen = std::collections::HashSet::new();
    Ok(store.runs(None, 200)?.into_iter().filter(|run| seen.insert(run.experiment.clone())).collect())
}

/// Its status; a run that was killed never said that it ended.
fn state(run: &RunRecord) -> &str {
    let alive = std::path::Path::new("/proc").join(run.pid.to_string()).is_dir();
    if run.status == "running" && !alive { "killed" } else { &run.status }
}

fn running(store: &Store, run: &RunRecord) -> anyhow::Result<Vec<NodeRun>> {
    if state(run) != "running" {
        return Ok(Vec::new());
    }
    Ok(store.node_runs(Some(run.id), None)?.into_iter().filter(|node| node.status == "running").collect())
}

fn line(run: &RunRecord) -> String {
    let p = run.progress;
    let state = state(run);
    let nodes = format!("{} of {} nodes ({} cached, {} failed)", p.cached + p.done, p.total, p.cached, p.failed);
    let time = text::seconds(run.finished.unwrap_or_else(now) - run.started);
    let tail = match (state, run.eta) {
        ("running", Some(eta)) => format!("for {time}, about {} to go", text::seconds(eta)),
        ("killed", _) => format!("it was killed; go on with `thawline run {}`", run.path),
        ("interrupted", _) => format!("after {time}; go on with `thawline run {}`", run.path),
        _ => format!("in {time}"),
    };
    format!("{}  run {}  {state}  {nodes}  {tail}", run.experiment, run.id)
}
