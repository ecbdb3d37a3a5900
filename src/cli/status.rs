//! `thawline status`.

use std::{io::IsTerminal, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{Common, Outcome, TextOrJson, budget, output, project, text};
use crate::store::{
    Store, now,
    runs::{NodeRun, RunRecord},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment's name or YAML; by default the latest runs of all.
    experiment: Option<String>,
    /// Show it anew every second, until nothing runs any more.
    #[arg(short, long, conflicts_with = "format")]
    watch: bool,
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
            .map(|run| Ok(json!({ "run": run, "state": run.state(), "running": running(&store, run)? })))
            .collect();
        output::json(&all?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.watch {
        output::print(&screen(&store, &runs)?);
        return Ok(ExitCode::SUCCESS);
    }
    watch(&store, runs)
}

/// Shows runs until none of them is under way: on a terminal in place, elsewhere whenever something has changed.
fn watch(store: &Store, mut runs: Vec<RunRecord>) -> Outcome {
    let in_place = std::io::stdout().is_terminal();
    let mut shown = String::new();
    loop {
        let now = screen(store, &runs)?;
        if in_place {
            // Home, and what was there before cleared.
            output::print(&format!("\x1b[H\x1b[2J{now}"));
        } else if now != shown {
            output::print(&now);
        }
        shown = now;
        if !runs.iter().any(|run| run.state() == "running") {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        runs = runs.iter().map(|run| store.run(run.id)).collect::<anyhow::Result<_>>()?;
    }
}

fn screen(store: &Store, runs: &[RunRecord]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for run in runs {
        lines.push(line(run));
        for node in running(store, run)? {
            let epoch = node.epoch.zip(node.epochs).map_or(String::new(), |(e, n)| format!(", epoch {e}/{n}"));
            lines.push(format!("  running {}{epoch}, for {}", node.label, text::seconds(now() - node.started)));
        }
        if run.state() == "failed" {
            for node in store.node_runs(Some(run.id), None)?.iter().filter(|n| n.status == "failed") {
                lines.push(format!("  failed {}: {}", node.label, node.error.as_deref().unwrap_or("no reason given")));
            }
        }
    }
    Ok(lines.join("\n"))
}

fn latest_of_each(store: &Store) -> anyhow::Result<Vec<RunRecord>> {
    let mut seen = std::collections::HashSet::new();
    Ok(store.runs(None, 200)?.into_iter().filter(|run| seen.insert(run.experiment.clone())).collect())
}

fn running(store: &Store, run: &RunRecord) -> anyhow::Result<Vec<NodeRun>> {
    if run.state() != "running" {
        return Ok(Vec::new());
    }
    Ok(store.node_runs(Some(run.id), None)?.into_iter().filter(|node| node.status == "running").collect())
}

fn line(run: &RunRecord) -> String {
    let p = run.progress;
    let state = run.state();
    let nodes = format!("{} of {} nodes ({} cached, {} failed)", p.cached + p.done, p.total, p.cached, p.failed);
    let time = text::seconds(run.finished.unwrap_or_else(now) - run.started);
    let tail = match (state, run.eta) {
        ("running", Some(eta)) => {
            format!("for {time}, about {} to go, until {}", text::seconds(eta), budget::clock_in(eta))
        }
        ("killed", _) => format!("it was killed; go on with `thawline run {}`", run.path),
        ("interrupted" | "stopped" | "cancelled", _) => format!("after {time}; go on with `thawline run {}`", run.path),
        _ => format!("in {time}"),
    };
    format!("{}  run {}  {state}  {nodes}  {tail}", run.experiment, run.id)
}
