//! The model of a trial: its artifact, the weights that it started from, and the transforms that it was evaluated with.

use std::path::PathBuf;

use anyhow::{Context, anyhow};

use super::{Failure, project, usage};
use crate::{
    artifact::{Dataset, Model, Reading, model::Weights},
    backbones::weights,
    plan::node::work_of,
    protocol::TrainedModel,
    store::{NodeRecord, Store, runs::TrialRecord},
};

/// A model that a trial trained.
pub struct Trained {
    pub place: TrainedModel,
    pub model: Model,
    /// The `Work` of the `augment` node that it was evaluated on.
    pub views: serde_json::Value,
    /// How the images that it was evaluated on are decoded.
    pub reading: Reading,
}

/// The model that the trial's `evaluate` stage of this name scores; the name may be left out where there is one.
pub fn find(store: &mut Store, name: &str, stage: Option<&str>) -> Result<Trained, Failure> {
    let Some(trial) = project::trial(store, name)? else {
        return Err(usage(anyhow!("no trial is called `{name}`.{}", project::nearest_trial(store, name)?)));
    };
    let records = records(store, &trial)?;
    let evaluation = evaluation(&trial, &records, stage)?;
    let made_by = |record: &NodeRecord, role: &str| {
        let role = format!("input {role}");
        record.inputs.iter().find(|(name, _)| *name == role).map(|(_, value)| value.clone())
    };
    // A numerical input is named by its key, a bitwise one by its content.
    let of_key = |key: String| records.iter().find(|record| record.key == key);
    let model = made_by(evaluation, "model").and_then(of_key).context("the evaluation names no model on record")?;
    let prepared = made_by(evaluation, "views").or_else(|| {
        let features = of_key(made_by(evaluation, "features")?)?;
        made_by(features, "views")
    });
    let prepared = records.iter().find(|r| r.kind == "augment" && Some(&r.digest) == prepared.as_ref());
    let prepared = prepared.context("the views that it was evaluated on are not on record")?;

    let dataset = made_by(prepared, "dataset").context("the views name no dataset")?;
    if !store.objects().verify(&dataset) {
        return Err(anyhow!("the dataset of {name} is gone or damaged: run the experiment again").into());
    }
    let reading = Dataset::read(&store.objects().path(&dataset))?.reading;

    let artifact = store.objects().path(&model.digest);
    if !store.objects().verify(&model.digest) {
        return Err(anyhow!("the model of {name} is gone or damaged: run the experiment again").into());
    }
    let views = work_of(&prepared.inputs);
    let model = Model::read(&artifact)?;
    let weights = match &model.backbone.weights {
        Weights::Random { .. } => None,
        Weights::File { digest, .. } => Some(checkpoint(store, digest)?),
    };
    Ok(Trained { place: TrainedModel { artifact, weights }, model, views, reading })
}

fn records(store: &Store, trial: &TrialRecord) -> anyhow::Result<Vec<NodeRecord>> {
    let found = trial.nodes.iter().map(|(_, key)| store.node_record(key));
    Ok(found.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The finished evaluation on validation.
fn evaluation<'r>(
    trial: &TrialRecord,
    records: &'r [NodeRecord],
    stage: Option<&str>,
) -> Result<&'r NodeRecord, Failure> {
    let stage_of = |record: &'r NodeRecord| record.label.strip_suffix("[val]");
    let all: Vec<&NodeRecord> =
        records.iter().filter(|record| record.kind == "evaluate" && stage_of(record).is_some()).collect();
    let names = all.iter().filter_map(|record| stage_of(record)).collect::<Vec<_>>().join(", ");
    let wanted: Vec<&NodeRecord> =
        all.iter().copied().filter(|record| stage.is_none() || stage_of(record) == stage).collect();
    match wanted.as_slice() {
        [one] => Ok(one),
        [] if all.is_empty() => Err(usage(anyhow!("{} is {}: it has no finished model", trial.trial, trial.status))),
        [] => Err(usage(anyhow!("{} has no such `evaluate` stage; there are: {names}", trial.trial))),
        _ => Err(usage(anyhow!("{} has more than one model: choose one with --stage, of {names}", trial.trial))),
    }
}

/// The checkpoint with this digest, wherever it was last seen.
fn checkpoint(store: &mut Store, digest: &str) -> anyhow::Result<PathBuf> {
    let mut seen = store.files_with_digest(digest)?;
    if let Some(path) = seen.iter().find(|path| path.is_file()) {
        return Ok(path.clone());
    }
    for index in store.files_named(".index.json")? {
        let whole = weights::parts(&index).and_then(|parts| store.file_digests(&parts));
        if whole.is_ok_and(|digests| weights::digest(&digests) == digest) {
            return Ok(index);
        }
        seen.push(index);
    }
    let seen: Vec<String> = seen.iter().map(|path| path.display().to_string()).collect();
    Err(anyhow!(
        "the weights that the model started from (BLAKE3 {digest}) are not where they were seen last: {}",
        if seen.is_empty() { "nowhere".into() } else { seen.join(", ") }
    ))
}
