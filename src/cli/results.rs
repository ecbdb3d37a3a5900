//! `thawline results`.

use std::process::ExitCode;

use clap::Args;

use super::{Common, Outcome, output, project, usage};
use crate::report::{Format, metric, rows, table};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment's name or YAML.
    experiment: String,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// A metric, a parameter or a cost: `val/accuracy`, `lr`, `seconds`. The best metric comes first.
    #[arg(long, value_name = "KEY")]
    sort_by: Option<String>,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, Some(&arguments.experiment))?;
    let run = project::latest_run(&store, &arguments.experiment)?;
    let rows = rows(&store, &run)?;
    output::print(&table(&rows, &metric(&run), arguments.format, arguments.sort_by.as_deref()).map_err(usage)?);
    Ok(ExitCode::SUCCESS)
}
