//! A study from the store: its rows, its context, and the evidence that lies in artifacts.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Context, Cost, Evidence, Goal, Provenance, Row, Status, Study,
    curves::Curves,
    evidence::{self, Node},
    looks::{self, How, Look},
};
use crate::{
    artifact::{Predictions, Split},
    store::{
        NodeBrief, Store,
        runs::{RunRecord, TrialRecord},
    },
};

/// Whether test scores of a run that has not ended are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// They are withheld.
    Kept,
    /// They are shown, and that is recorded as a look.
    Opened,
}

/// Everything that a report of this run is made from; looks go on record.
///
/// # Errors
/// When the index or the file of looks cannot be read. An artifact that cannot is a note in the evidence.
pub fn load(store: &Store, run: &RunRecord, seal: Seal) -> Result<Study> {
    let root = store.dir().parent().context("the store lies in a project")?;
    let mut trials = store.trials(run.id)?;
    let tested = |trial: &TrialRecord| -> Vec<String> {
        trial.nodes.iter().filter(|(label, _)| label.ends_with("[test]")).map(|(_, key)| key.clone()).collect()
    };
    let digests = test_splits(store, run, trials.iter().filter(|trial| trial.selected).flat_map(tested))?;
    let open = !is_over(run) && trials.iter().any(|trial| trial.metrics.keys().any(|name| is_test(name)));
    let looks =
        looks::add(&looks::path(&root.join("reports")), seen(store, run, &trials, &digests, open, seal)?, &digests)?;
    let sealed = (open && seal == Seal::Kept).then(|| {
        trials.iter_mut().for_each(|trial| trial.metrics.retain(|name, _| !is_test(name)));
        format!(
            "The run is {}, so test scores stay sealed; `--unseal` shows them and is recorded as a look.",
            run.status
        )
    });
    order(&mut trials, run);
    let evidence = gather(store, &trials, sealed.is_some())?;
    let rows: Vec<Row> = trials.iter().map(row).collect();
    let mut context = context(store, run, root, &trials)?;
    let left = rows.iter().filter(|row| row.status == Status::Pending).count();
    if run.status == "stopped" && left > 0 {
        context.notices.push(format!(
            "The run stopped in time, before {left} of {} trials: configurations were chosen from what there was, by as many seeds as every arm had.",
            rows.len()
        ));
    }
    context.looks = looks;
    context.sealed = sealed;
    context.provenance.test_splits = digests;
    Ok(Study { context, rows, evidence, records: trials })
}

/// One trial of a run as a study of its own, whether or not validation chose it.
///
/// # Errors
/// As [`load`].
pub fn load_trial(store: &Store, run: &RunRecord, name: &str) -> Result<Study> {
    let root = store.dir().parent().context("the store lies in a project")?;
    let mut trials = store.trials(run.id)?;
    trials.retain(|trial| trial.trial == name);
    let sealed = !is_over(run);
    for trial in &mut trials {
        trial.selected = true;
        trial.facet.clear();
        if sealed {
            trial.metrics.retain(|name, _| !is_test(name));
        }
    }
    let evidence = gather(store, &trials, sealed)?;
    let context = context(store, run, root, &trials)?;
    Ok(Study { context, rows: trials.iter().map(row).collect(), evidence, records: Vec::new() })
}

/// The trials of a run as reports read them, with test scores that are sealed left out.
pub fn rows(store: &Store, run: &RunRecord) -> Result<Vec<Row>> {
    let mut trials = store.trials(run.id)?;
    if !is_over(run) {
        trials.iter_mut().for_each(|trial| trial.metrics.retain(|name, _| !is_test(name)));
    }
    order(&mut trials, run);
    Ok(trials.iter().map(row).collect())
}

/// What configurations are chosen by, as rows name it: without the stage, which is the one that selects.
pub fn metric(run: &RunRecord) -> String {
    let written = run.context["metric"].as_str().unwrap_or("val/accuracy");
    let of_stage = written.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.starts_with("val/"));
    of_stage.unwrap_or(written).to_owned()
}

/// Interrupted runs go on another time. One that stopped in time has selected from what there was, and tested that.
fn is_over(run: &RunRecord) -> bool {
    ["done", "failed", "stopped"].contains(&run.status.as_str())
}

fn is_test(metric: &str) -> bool {
    metric.contains("test/")
}

/// Arms in the order of the YAML; configurations and seeds inside.
fn order(trials: &mut [TrialRecord], run: &RunRecord) {
    let arms = strings(&run.context["arms"]);
    let at: HashMap<&str, usize> = arms.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let at = |arm: &str| at.get(arm).copied().unwrap_or(arms.len());
    trials.sort_by(|a, b| {
        (at(&a.arm), &a.configuration, a.fold, a.seed).cmp(&(at(&b.arm), &b.configuration, b.fold, b.seed))
    });
}

/// Digests of the test splits, also of a run that has not ended and has not written them down; `tested`: keys of nodes.
fn test_splits(store: &Store, run: &RunRecord, tested: impl Iterator<Item = String>) -> Result<Vec<String>> {
    let mut found: BTreeSet<String> = strings(&run.context["test_digests"]).into_iter().collect();
    if found.is_empty() {
        for key in tested {
            found.extend(store.test_split_of(&key)?);
        }
    }
    Ok(found.into_iter().collect())
}

/// The looks that this report is.
fn seen(
    store: &Store,
    run: &RunRecord,
    trials: &[TrialRecord],
    digests: &[String],
    open: bool,
    seal: Seal,
) -> Result<BTreeSet<Look>> {
    let mut seen = BTreeSet::new();
    for digest in digests {
        for (model, experiment, arm) in store.looks(digest)? {
            seen.insert(Look { test_split: digest.clone(), experiment, arm, model, how: How::Selection });
        }
    }
    if open && seal == Seal::Opened {
        for trial in trials.iter().filter(|trial| trial.metrics.keys().any(|name| is_test(name))) {
            for (_, key) in trial.nodes.iter().filter(|(label, _)| label.ends_with("[test]")) {
                let Some(test_split) = store.test_split_of(key)? else { continue };
                seen.insert(Look {
                    test_split,
                    experiment: run.experiment.clone(),
                    arm: trial.arm.clone(),
                    model: key.clone(),
                    how: How::Unsealed,
                });
            }
        }
    }
    Ok(seen)
}

fn row(trial: &TrialRecord) -> Row {
    let number = |name: &str| trial.cost[name].as_f64().unwrap_or(0.0);
    let whole = |name: &str| trial.cost[name].as_u64().unwrap_or(0);
    Row {
        facet: trial.facet.clone().into_iter().collect(),
        status: match trial.status.as_str() {
            "done" => Status::Done,
            "failed" => Status::Failed,
            _ => Status::Pending,
        },
        metrics: trial.metrics.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect(),
        cost: Cost {
            seconds: number("seconds"),
            cpu_seconds: number("cpu_seconds"),
            peak_memory_bytes: whole("peak_memory_bytes"),
            trained_parameters: whole("trained_parameters"),
            total_parameters: whole("total_parameters"),
            epochs: whole("epochs"),
            images_seen: whole("images_seen"),
        },
        trial: trial.trial.clone(),
        arm: trial.arm.clone(),
        seed: trial.seed,
        fold: trial.fold,
        configuration: trial.configuration.clone(),
        params: trial.params.clone(),
        error: trial.error.clone(),
        selected: trial.selected,
    }
}

/// Predictions of the chosen trials, all curves, and the nodes behind all trials.
fn gather(store: &Store, trials: &[TrialRecord], sealed: bool) -> Result<Evidence> {
    let briefs = store.nodes_in_brief()?;
    let mut evidence = Evidence::default();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (label, key) in trials.iter().flat_map(|trial| &trial.nodes) {
        let Some(brief) = briefs.get(key) else { continue };
        let at = *known.entry(key).or_insert_with(|| {
            let (label, kind, key) = (label.clone(), brief.kind.clone(), key.clone());
            evidence.nodes.push(Node { label, kind, key, seconds: brief.seconds, epochs: brief.epochs, trials: 0 });
            evidence.nodes.len() - 1
        });
        evidence.nodes[at].trials += 1;
    }
    let trains = |(_, key): &&(String, String)| briefs.get(key).is_some_and(|node| node.epochs > 0);
    let trained = |trial: &TrialRecord| trial.nodes.iter().filter(trains).cloned().collect::<Vec<_>>();
    let by_trial = trials.iter().map(|trial| (trial.trial.clone(), trained(trial))).collect();
    evidence.curves = Curves::read(store, by_trial)?;
    let mut read: HashMap<&str, Arc<Predictions>> = HashMap::new();
    for trial in trials.iter().filter(|trial| trial.selected && trial.status == "done") {
        for split in [Split::Val, Split::Test] {
            if sealed && split == Split::Test {
                continue;
            }
            let Some(node) = scored(trial, split).and_then(|key| briefs.get(key)) else { continue };
            let predictions = match read.get(node.digest.as_str()) {
                Some(known) => known.clone(),
                None => match Predictions::read(&store.objects().path(&node.digest)) {
                    Ok(predictions) => {
                        picture(store, trial, split, &briefs, &predictions.paths, &mut evidence);
                        Arc::new(evidence::aligned(&predictions))
                    }
                    Err(error) => {
                        let what = format!("No predictions of `{}` on {}: {error:#}", trial.trial, split.name());
                        evidence.notes.push(what);
                        continue;
                    }
                },
            };
            read.insert(&node.digest, predictions.clone());
            evidence.predictions.insert((trial.trial.clone(), split), predictions);
        }
    }
    Ok(evidence)
}

/// Takes the views of a split for pictures, the first that are there; a page without them is no worse in what it says.
fn picture(
    store: &Store,
    trial: &TrialRecord,
    split: Split,
    briefs: &HashMap<String, NodeBrief>,
    paths: &[String],
    evidence: &mut Evidence,
) {
    let suffix = format!("[{}]", split.name());
    let is_view = |(label, key): &&(String, String)| {
        label.ends_with(&suffix) && briefs.get(key).is_some_and(|node| node.kind == "augment")
    };
    if evidence.pictures.has(split) {
        return;
    }
    if let Some(node) = trial.nodes.iter().find(is_view).and_then(|(_, key)| briefs.get(key)) {
        let dir = store.objects().path(&node.digest);
        if let Err(error) = evidence.pictures.add(split, &dir, paths) {
            evidence.notes.push(format!("No pictures of {} images: {error:#}", split.name()));
        }
    }
}

/// Key of the node that scored the trial on a split, in the stage that selects: its metrics bear no stage's name.
fn scored(trial: &TrialRecord, split: Split) -> Option<&str> {
    let suffix = format!("[{}]", split.name());
    let others: HashSet<&str> =
        trial.metrics.keys().filter_map(|name| name.split_once('.').map(|(stage, _)| stage)).collect();
    let scoring = trial.nodes.iter().rev().filter_map(|(label, key)| Some((label.strip_suffix(&suffix)?, key)));
    // Evaluations come last of a trial's nodes on a split.
    scoring.filter(|(stage, _)| !others.contains(stage)).map(|(_, key)| key.as_str()).next()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

fn context(store: &Store, run: &RunRecord, root: &Path, trials: &[TrialRecord]) -> Result<Context> {
    let told = &run.context;
    let text = |name: &str| told[name].as_str().map(str::to_string);
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let relative = |path: &str| {
        let inside = Path::new(path).strip_prefix(&root).map(Path::to_path_buf);
        inside.unwrap_or_else(|_| PathBuf::from(path)).to_string_lossy().into_owned()
    };
    let (sources, diff) = store.run_sources(run.id)?;
    let mut provenance = Provenance {
        command: run.command.clone(),
        sources: sources.into_iter().map(|(path, text)| (relative(&path), text)).collect(),
        diff,
        thawline: env!("CARGO_PKG_VERSION").to_owned(),
        ..Provenance::default()
    };
    let last = trials.iter().find(|trial| trial.status == "done").and_then(|trial| trial.nodes.last());
    if let Some(node) = last.map(|(_, key)| store.node_record(key)).transpose()?.flatten() {
        let input = |name: &str| node.inputs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        (provenance.libtorch, provenance.device) = (input("libtorch"), input("device"));
    }
    Ok(Context {
        experiment: run.experiment.clone(),
        file: relative(&run.path),
        description: text("description"),
        metric: metric(run),
        goal: if told["goal"] == "minimize" { Goal::Minimize } else { Goal::Maximize },
        baseline: text("baseline"),
        margin: told["margin"].as_f64(),
        paired: told["paired"].as_bool().unwrap_or(true),
        commit: run.commit.clone(),
        dirty: run.dirty,
        folds: serde_json::from_value(told["folds"].clone()).ok().flatten(),
        seeds: told["seeds"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        data: strings(&told["data"]),
        notices: strings(&told["notices"]),
        wall_seconds: run.finished.unwrap_or_else(crate::store::now) - run.started,
        looks: super::Looks::default(),
        test_images: told["test_images"].as_u64().unwrap_or(0),
        sealed: None,
        provenance,
    })
}
