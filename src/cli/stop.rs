//! `thawline stop` and `thawline cancel`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{Common, Outcome, output, project, text, usage};
use crate::store::{Store, runs::RunRecord};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment's name or YAML; by default everything that runs in this project.
    experiment: Option<String>,
    /// Do not wait until it has stopped.
    #[arg(long)]
    no_wait: bool,
}

/// How a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Epochs under way are finished and saved.
    AfterTheEpoch,
    /// Epochs under way are lost.
    AtOnce,
}

pub fn run(common: &Common, arguments: &Arguments, way: Way) -> Outcome {
    let store = project::existing_store(common, arguments.experiment.as_deref())?;
    let name = arguments.experiment.as_deref().map(project::experiment_name);
    if let Some(experiment) = &arguments.experiment {
        project::latest_run(&store, experiment)?;
    }
    let running: Vec<RunRecord> =
        store.runs(name.as_deref(), 200)?.into_iter().filter(|run| run.state() == "running").collect();
    if running.is_empty() {
        let of = name.map_or(String::new(), |name| format!(" of `{name}`"));
        return Err(usage(anyhow!("no run{of} is under way. `thawline status` shows the latest ones")));
    }
    let signal = match way {
        Way::AfterTheEpoch => Signal::TERM,
        Way::AtOnce => Signal::QUIT,
    };
    for run in &running {
        let pid = i32::try_from(run.pid).ok().and_then(Pid::from_raw).context("a run has a process")?;
        kill_process(pid, signal).with_context(|| format!("signalling process {}", run.pid))?;
    }
    if arguments.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    for run in &running {
        let ended = wait(&store, run)?;
        output::print(&format!(
            "{}: {} after {}; go on with `thawline run {}`",
            run.experiment,
            ended.state(),
            text::seconds(ended.finished.unwrap_or_else(crate::store::now) - ended.started),
            run.path
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits until a run is over. One that ended has its report a moment later: its process is waited for too.
fn wait(store: &Store, run: &RunRecord) -> anyhow::Result<RunRecord> {
    let started = Instant::now();
    let mut said = false;
    while run.is_alive() {
        if !said && started.elapsed() > Duration::from_secs(2) {
            output::remark(&format!("{}: waiting for epochs under way; Ctrl-C stops the waiting only", run.experiment));
            said = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    store.run(run.id)
}
