//! One small file a trial under `reports/<experiment>/trials/`, named by the trial and the digest of its content, so that two
//! people's results meet in git without conflict; and the way back from such files to trials.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Goal};
use crate::store::runs::TrialRecord;

/// A file. What the experiment is like is repeated in each, so that any of them can stand alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub experiment: String,
    pub metric: String,
    pub goal: String,
    pub baseline: Option<String>,
    pub margin: Option<f64>,
    pub paired: bool,
    #[serde(flatten)]
    pub trial: TrialRecord,
}

/// What records give back.
#[derive(Debug, Clone)]
pub struct Imported {
    pub experiment: String,
    /// As a run keeps it.
    pub context: Value,
    /// By name.
    pub trials: Vec<TrialRecord>,
    /// A line for every trial of which there are several results: the first by name is taken.
    pub notices: Vec<String>,
}

/// Writes what is new into `dir/trials`, and removes earlier states of the same trials. Other people's results stay.
///
/// # Errors
/// When a file cannot be written.
pub fn write(trials: &[TrialRecord], context: &Context, dir: &Path) -> Result<()> {
    let dir = dir.join("trials");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let mut ours: HashMap<String, &TrialRecord> = HashMap::new();
    for trial in trials {
        let record = Record {
            experiment: context.experiment.clone(),
            metric: context.metric.clone(),
            goal: if context.goal == Goal::Maximize { "maximize" } else { "minimize" }.to_owned(),
            baseline: context.baseline.clone(),
            margin: context.margin,
            paired: context.paired,
            trial: trial.clone(),
        };
        let text = serde_json::to_string_pretty(&record)? + "\n";
        let digest = blake3::hash(text.as_bytes()).to_hex();
        let stem = trial.trial.replace(|c: char| !(c.is_alphanumeric() || "-_".contains(c)), "_");
        wanted.insert(format!("{stem}.{}.json", &digest[..12]), text);
        ours.insert(stem, trial);
    }
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if wanted.remove(name).is_some() {
            continue;
        }
        let Some(trial) = name.split_once('.').and_then(|(stem, _)| ours.get(stem)) else { continue };
        if read_one(&path).is_ok_and(|old| is_superseded(&old.trial, trial)) {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    for (name, text) in wanted {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Whether `old` is an earlier state of the same computation: nothing is lost with it. Another person's result is not.
fn is_superseded(old: &TrialRecord, new: &TrialRecord) -> bool {
    old.status != "done" || old.nodes.iter().all(|node| new.nodes.contains(node))
}

fn read_one(path: &Path) -> Result<Record> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no record of a trial", path.display()))
}

/// The records of one experiment, from the `trials` folder of its report.
///
/// # Errors
/// When there are none, one cannot be read, or they are of different experiments.
pub fn read(dir: &Path) -> Result<Imported> {
    let folder = if dir.join("trials").is_dir() { dir.join("trials") } else { dir.to_path_buf() };
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    let mut found: BTreeMap<String, TrialRecord> = BTreeMap::new();
    let (mut first, mut notices) = (None::<Record>, Vec::new());
    for path in &paths {
        let record = read_one(path)?;
        let of = first.get_or_insert_with(|| record.clone());
        if of.experiment != record.experiment {
            bail!("{} is of experiment `{}`, others are of `{}`", path.display(), record.experiment, of.experiment);
        }
        let name = record.trial.trial.clone();
        match found.get(&name) {
            // A finished result stands before one that is not.
            Some(known) if known.status == "done" || record.trial.status != "done" => {
                notices.push(format!("there are several results of `{name}`; {} was left out", path.display()));
            }
            _ => drop(found.insert(name, record.trial)),
        }
    }
    let Some(first) = first else {
        bail!("{} holds no records of trials: name the folder of a report, `reports/<experiment>`", folder.display())
    };
    let trials: Vec<TrialRecord> = found.into_values().collect();
    let mut seeds: Vec<u64> = trials.iter().map(|trial| trial.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let arms = super::parameters::distinct(trials.iter().map(|trial| &trial.arm));
    let context = json!({
        "metric": first.metric, "goal": first.goal, "baseline": first.baseline, "margin": first.margin, "paired": first.paired,
        "seeds": seeds, "arms": arms, "notices": notices,
    });
    Ok(Imported { experiment: first.experiment, context, trials, notices })
}
