//! `thawline import`: trials from the records that a report leaves, as a run of their own.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Common, Outcome, output, project, text, usage};
use crate::{
    report,
    store::{Store, runs::NewRun},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The report's folder: `reports/<experiment>`.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let imported = report::records(&arguments.dir).map_err(usage)?;
    let root = project::root(common)?;
    let mut store = Store::open(&root)?;
    let run = store.begin_run(&NewRun {
        experiment: imported.experiment.clone(),
        path: arguments.dir.to_string_lossy().into_owned(),
        root: root.to_string_lossy().into_owned(),
        jobs: 0,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        commit: None,
        diff: None,
        sources: Vec::new(),
        context: imported.context,
    })?;
    store.put_trials(run, &imported.trials)?;
    store.finish_run(run, "done")?;
    if !common.quiet {
        imported.notices.iter().for_each(|notice| output::remark(&format!("notice: {notice}")));
    }
    let count = text::plural(imported.trials.len(), "trial");
    output::print(&format!("{count} of `{0}`: see `thawline report {0}`", imported.experiment));
    Ok(ExitCode::SUCCESS)
}
