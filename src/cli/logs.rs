//! `thawline logs`.

use std::{
    collections::HashMap,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use clap::Args;

use super::{Common, Outcome, output, project, usage};
use crate::store::{Store, runs::TrialRecord};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A trial's name.
    trial: String,
    /// Print what comes, until the trial's run is over.
    #[arg(short, long)]
    follow: bool,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, None)?;
    let mut printed = HashMap::new();
    loop {
        let Some(trial) = project::trial(&store, &arguments.trial)? else {
            let hint = project::nearest_trial(&store, &arguments.trial)?;
            return Err(usage(anyhow!("no trial is called `{}`.{hint}", arguments.trial)));
        };
        // Looked at before its logs are read, so that their last lines are not missed.
        let over = trial.status != "pending" || !is_running(&store, &arguments.trial)?;
        print_new(&store, &trial, &mut printed)?;
        if !arguments.follow || over {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn is_running(store: &Store, trial: &str) -> anyhow::Result<bool> {
    let Some(run) = store.run_of_trial(trial)? else { return Ok(false) };
    Ok(store.run(run)?.state() == "running")
}

/// Prints what the logs of a trial's nodes have got since the last call, node by node.
fn print_new(store: &Store, trial: &TrialRecord, printed: &mut HashMap<PathBuf, u64>) -> anyhow::Result<()> {
    for (label, key) in trial.nodes.iter().filter(|(_, key)| !key.is_empty()) {
        let path = store.log_path(key);
        let Ok(mut file) = std::fs::File::open(&path) else { continue };
        let from = printed.entry(path).or_insert(0);
        let mut text = String::new();
        file.seek(SeekFrom::Start(*from))?;
        file.read_to_string(&mut text)?;
        // A line that is still being written comes with the next look.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        *from += whole as u64;
        text[..whole].lines().for_each(|line| output::print(&format!("{label}  {line}")));
    }
    Ok(std::io::stdout().flush()?)
}
