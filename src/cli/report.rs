//! `thawline report`, and the end of every `run`.

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;

use super::{Common, Outcome, TextOrJson, output, project, usage};
use crate::{
    report::{self, Seal, Study, Summary, Written},
    store::{Store, runs::RunRecord},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment's name or YAML; of several, one report with their arms side by side.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    /// Show test scores though the run has not ended; recorded as a look at the test split.
    #[arg(long)]
    unseal: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, arguments.experiments.first().map(String::as_str))?;
    let seal = if arguments.unseal { Seal::Opened } else { Seal::Kept };
    let mut runs = Vec::new();
    for experiment in &arguments.experiments {
        let run = project::latest_run(&store, experiment)?;
        if runs.iter().any(|known: &RunRecord| known.id == run.id) {
            return Err(usage(anyhow!("`{}` is named twice", run.experiment)));
        }
        runs.push(run);
    }
    let (summary, written) = match runs.as_slice() {
        [run] => write(&store, run, seal)?,
        _ => {
            let studies = runs.iter().map(|run| report::load(&store, run, seal)).collect::<Result<Vec<Study>>>()?;
            let joined = report::side_by_side(studies);
            report::write(&joined, &reports(&store)?.join(joined.context.experiment.replace(" + ", "+")))?
        }
    };
    match arguments.format {
        TextOrJson::Json => output::json(&summary)?,
        TextOrJson::Text => {
            output::print(&report::terminal(&summary, output::screen()));
            output::print(&format!("report: {}\n        {}", written.markdown.display(), written.html.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the report of a run to `reports/<experiment>/`.
pub fn write(store: &Store, run: &RunRecord, seal: Seal) -> Result<(Summary, Written)> {
    report::write(&report::load(store, run, seal)?, &reports(store)?.join(&run.experiment))
}

fn reports(store: &Store) -> Result<std::path::PathBuf> {
    Ok(store.dir().parent().context("the store lies in a project")?.join("reports"))
}
