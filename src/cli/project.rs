//! Finding the project, its store, and the experiment that a word on the command line means.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::{Common, Failure, Target, output, usage};
use crate::{
    spec::{self, Experiment},
    store::{
        Store,
        runs::{RunRecord, TrialRecord},
    },
};

/// Loads an experiment. Its notices are part of it; errors are diagnostics.
pub fn load(common: &Common, target: &Target) -> Result<Experiment, Failure> {
    let experiment = spec::load(&target.path, &target.set, common.project.as_deref())?;
    say_read(common, &experiment);
    Ok(experiment)
}

/// As [`load`], with the files that stages name looked at before anything starts.
pub fn check(common: &Common, target: &Target) -> Result<Experiment, Failure> {
    let (experiment, _) = spec::check(&target.path, &target.set, common.project.as_deref())?;
    say_read(common, &experiment);
    Ok(experiment)
}

/// With `-v`, the files that were read.
pub fn say_read(common: &Common, experiment: &Experiment) {
    if common.verbose > 0 {
        experiment.sources.iter().for_each(|(path, _)| output::remark(&format!("read  {}", spec::display(path))));
    }
}

/// The root of the project around the working directory.
pub fn root(common: &Common) -> Result<PathBuf, Failure> {
    if let Some(project) = &common.project {
        return Ok(project.clone());
    }
    let here = std::env::current_dir().context("finding the working directory").map_err(usage)?;
    let found = here.ancestors().find(|dir| dir.join(".thawline").is_dir());
    Ok(found.unwrap_or(&here).to_path_buf())
}

/// The store around the working directory, or around the YAML that `experiment` names.
pub fn existing_store(common: &Common, experiment: Option<&str>) -> Result<Store, Failure> {
    let root = match experiment.map(Path::new).filter(|path| path.is_file()) {
        Some(path) => spec::project_root(path, common.project.as_deref()),
        None => root(common)?,
    };
    let store = Store::open_existing(&root)?;
    store.ok_or_else(|| usage(anyhow!("nothing was run here yet: {} has no .thawline. `thawline run EXPERIMENT` makes it; `--project DIR` looks elsewhere", root.display())))
}

/// `elpv-demo`, from itself or from `experiments/elpv-demo.yaml`.
pub fn experiment_name(word: &str) -> String {
    let path = Path::new(word);
    let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let stem = path.file_stem().filter(|_| is_yaml);
    stem.map_or_else(|| word.to_string(), |stem| stem.to_string_lossy().into_owned())
}

/// The latest run of an experiment.
pub fn latest_run(store: &Store, experiment: &str) -> Result<RunRecord, Failure> {
    let name = experiment_name(experiment);
    if let Some(run) = store.runs(Some(&name), 1)?.into_iter().next() {
        return Ok(run);
    }
    let mut known: Vec<String> = store.runs(None, 1000)?.into_iter().map(|run| run.experiment).collect();
    known.sort_unstable();
    known.dedup();
    let near = known.iter().min_by_key(|k| strsim::levenshtein(k, &name));
    let hint = near.map_or(String::new(), |near| format!(" Did you mean `{near}`? Known are: {}.", known.join(", ")));
    Err(usage(anyhow!("experiment `{name}` was not run yet.{hint}")))
}

/// The trial of that name.
pub fn trial(store: &Store, name: &str) -> anyhow::Result<Option<TrialRecord>> {
    let Some(run) = store.run_of_trial(name)? else { return Ok(None) };
    Ok(store.trials(run)?.into_iter().find(|trial| trial.trial == name))
}

/// " Did you mean ...?", where there are trials at all.
pub fn nearest_trial(store: &Store, name: &str) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for run in store.runs(None, 20)? {
        names.extend(store.trials(run.id)?.into_iter().map(|t| t.trial));
    }
    let near = names.iter().min_by_key(|near| strsim::levenshtein(near, name));
    Ok(near.map_or(String::new(), |near| format!(" Did you mean `{near}`?")))
}
