//! `thawline compare`: two experiments, two revisions of one, or two trials.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{Common, Failure, Outcome, TextOrJson, output, project, usage};
use crate::{
    report::{self, Seal, Study},
    store::{Store, runs::RunRecord},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// An experiment, an experiment at a commit (`elpv-demo@1a2b3c`), or a trial.
    a: String,
    /// What is compared with it, of the same kind.
    b: String,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// What a word on the command line means.
enum Side {
    Run(Box<RunRecord>),
    Trial(Box<RunRecord>, String),
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, Some(&arguments.a))?;
    let [a, b] = [&arguments.a, &arguments.b].map(|word| find(&store, word));
    let (a, b) = (a?, b?);
    let names = [arguments.a.clone(), arguments.b.clone()].map(|word| project::experiment_name(&word));
    if names[0] == names[1] {
        return Err(usage(anyhow!("`{}` is compared with itself: name two that differ", names[0])));
    }
    let by_arm = match (&a, &b) {
        (Side::Run(_), Side::Run(_)) => true,
        (Side::Trial(..), Side::Trial(..)) => false,
        _ => return Err(usage(anyhow!("compare two experiments or two trials, not one with the other"))),
    };
    let [name, other] = &names;
    let joined = report::against([study(&store, a)?, study(&store, b)?], names.clone(), by_arm);
    if joined.rows.is_empty() {
        return Err(usage(anyhow!("`{name}` and `{other}` have no arm in common: arms are compared by their names")));
    }
    let root = store.dir().parent().context("the store lies in a project")?;
    let folder = format!("{name}--{other}").replace(|c: char| !(c.is_alphanumeric() || "-_.@".contains(c)), "_");
    let (summary, written) = report::write(&joined, &root.join("reports/compare").join(folder))?;
    match arguments.format {
        TextOrJson::Json => output::json(&summary)?,
        TextOrJson::Text => {
            output::print(&report::terminal(&summary, output::screen()));
            let differing = report::differing(&joined);
            if !differing.rows.is_empty() {
                output::print(&format!("\nparameters that differ:\n{}\n", differing.plain()));
            }
            output::print(&format!("report: {}\n        {}", written.markdown.display(), written.html.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn study(store: &Store, side: Side) -> Result<Study, Failure> {
    Ok(match side {
        Side::Run(run) => report::load(store, &run, Seal::Kept)?,
        Side::Trial(run, trial) => report::load_trial(store, &run, &trial)?,
    })
}

/// A trial of that name, or the latest run of the experiment, at a commit where one is given.
fn find(store: &Store, word: &str) -> Result<Side, Failure> {
    if let Some(run) = store.run_of_trial(word)? {
        let run = store.runs(None, usize::MAX >> 1)?.into_iter().find(|record| record.id == run);
        let run = run.with_context(|| format!("the run of trial `{word}` is not on record"))?;
        return Ok(Side::Trial(Box::new(run), word.to_owned()));
    }
    let Some((name, revision)) = word.split_once('@') else {
        return Ok(Side::Run(Box::new(project::latest_run(store, word)?)));
    };
    let runs = store.runs(Some(name), usize::MAX >> 1)?;
    if runs.is_empty() {
        project::latest_run(store, name)?;
    }
    let at = |run: &&RunRecord| !revision.is_empty() && run.commit.as_ref().is_some_and(|c| c.starts_with(revision));
    if let Some(run) = runs.iter().find(at) {
        return Ok(Side::Run(Box::new(run.clone())));
    }
    let mut known: Vec<&str> =
        runs.iter().filter_map(|run| run.commit.as_deref()).map(|c| &c[..c.len().min(12)]).collect();
    known.dedup();
    Err(usage(anyhow!("`{name}` was not run at a commit `{revision}`. It was at: {}", known.join(", "))))
}
