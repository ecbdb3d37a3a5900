//! A trial as the store and the report know it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use serde_json::{Map, Value, json};

use super::scheduler::{Scheduler, State};
use crate::{
    artifact::Split,
    plan::{Plan, TrialId},
    spec::Fold,
    store::{NodeRecord, Store, runs::TrialRecord},
};

/// Row of a trial as it stands.
pub fn trial(plan: &Plan, id: TrialId, scheduler: &Scheduler, store: &Store) -> TrialRecord {
    let trial = &plan.trials()[id];
    let states: Vec<State> = trial.evaluations.iter().map(|e| scheduler.state(e.node)).collect();
    let failure = trial.evaluations.iter().find_map(|e| scheduler.failure(e.node));
    let status = match failure {
        Some(_) => "failed",
        None if states.iter().all(|s| *s == State::Done) => "done",
        None => "pending",
    };
    let nodes = plan.trial_nodes(id);
    let key = |node: NodeIndex| scheduler.keys().known(node).unwrap_or_default().to_string();
    TrialRecord {
        trial: trial.name.clone(),
        arm: trial.configuration.arm.clone(),
        facet: trial.configuration.facet.clone(),
        configuration: trial.configuration.digest(),
        fold: trial.configuration.fold.map(Fold::number),
        seed: trial.seed,
        params: trial.configuration.resolved.params.clone(),
        status: status.to_string(),
        error: failure.map(str::to_string),
        selected: trial.selection.is_some(),
        metrics: metrics(plan, id, scheduler),
        cost: cost(plan, &nodes, scheduler, store),
        nodes: nodes.iter().map(|&node| (plan.node(node).label.clone(), key(node))).collect(),
    }
}

/// `val/accuracy` for the stage that selects, `<stage>.val/accuracy` for the others.
fn metrics(plan: &Plan, id: TrialId, scheduler: &Scheduler) -> Map<String, Value> {
    let trial = &plan.trials()[id];
    let mut out = Map::new();
    for evaluation in &trial.evaluations {
        let Some(record) = scheduler.record(evaluation.node) else { continue };
        for (name, value) in &record.outcome.metrics {
            let split = evaluation.split.name();
            let name = if evaluation.stage == trial.configuration.metric_stage {
                format!("{split}/{name}")
            } else {
                format!("{}.{split}/{name}", evaluation.stage)
            };
            out.insert(name, json!(value));
        }
    }
    out
}

/// What computing this trial alone takes: the sum over its nodes up to validation, whether or not they were shared or
/// cached. Memory is the largest node's.
fn cost(plan: &Plan, nodes: &[NodeIndex], scheduler: &Scheduler, store: &Store) -> Value {
    let test = json!(Split::Test.name());
    let records: Vec<NodeRecord> = nodes
        .iter()
        .filter(|&&node| plan.node(node).work.get("split") != Some(&test))
        .filter_map(|&node| match scheduler.record(node) {
            Some(record) => Some(record.clone()),
            None => store.node_record(scheduler.keys().known(node)?).ok().flatten(),
        })
        .collect();
    let sum = |of: fn(&NodeRecord) -> f64| records.iter().map(of).sum::<f64>();
    let max = |of: fn(&NodeRecord) -> u64| records.iter().map(of).max().unwrap_or(0);
    json!({
        "seconds": sum(|r| r.usage.wall),
        "cpu_seconds": sum(|r| r.usage.cpu),
        "peak_memory_bytes": max(|r| r.usage.memory),
        "trained_parameters": max(|r| r.outcome.trained_parameters),
        "total_parameters": max(|r| r.outcome.total_parameters),
        "epochs": records.iter().map(|r| u64::from(r.outcome.epochs)).sum::<u64>(),
        "images_seen": records.iter().filter(|record| trains(record)).map(|r| r.outcome.images_seen).sum::<u64>(),
    })
}

/// Whether images went through it to train, if only to find a learning rate.
fn trains(record: &NodeRecord) -> bool {
    record.outcome.epochs > 0 || record.kind == "lr_find"
}

/// A line a dataset: what there is, and what was left out.
pub fn data_lines(plan: &Plan, scheduler: &Scheduler, store: &Store) -> Vec<String> {
    let (mut lines, mut said) = (BTreeMap::new(), BTreeSet::new());
    for (index, node) in plan.nodes().filter(|(_, node)| node.kind.name == "dataset") {
        let Some(record) = record_of(index, scheduler, store) else { continue };
        let count = |name: &str| record.outcome.metrics.get(name).copied().unwrap_or(0.0);
        let mut line = format!(
            "`{}`: {} images of {} classes (train {}, val {}, test {})",
            node.label,
            count("images"),
            count("classes"),
            count("train"),
            count("val"),
            count("test")
        );
        // The folds of a dataset are of the same images, of which most notes are.
        for note in record.outcome.notes.iter().filter(|note| said.insert((*note).clone())) {
            line.push_str("; ");
            line.push_str(note);
        }
        lines.insert(index, line);
    }
    let mut lines: Vec<String> = lines.into_values().collect();
    lines.dedup();
    lines.extend(balance_lines(plan, scheduler, store));
    lines
}

/// A line an `augment` stage whose views hold more than the training images.
fn balance_lines(plan: &Plan, scheduler: &Scheduler, store: &Store) -> BTreeSet<String> {
    let views = plan.nodes().filter(|(_, node)| node.kind.name == "augment");
    let lines = views.flat_map(|(index, node)| {
        let notes = record_of(index, scheduler, store).map(|record| record.outcome.notes).unwrap_or_default();
        let stage = node.label.split('[').next().unwrap_or(&node.label);
        notes.into_iter().map(move |note| format!("`{stage}`: {note}"))
    });
    lines.collect()
}

/// Of a node that ran now or before.
fn record_of(index: NodeIndex, scheduler: &Scheduler, store: &Store) -> Option<NodeRecord> {
    match (scheduler.record(index), scheduler.keys().known(index)) {
        (Some(record), _) => Some(record.clone()),
        (None, Some(key)) => store.node_record(key).ok().flatten(),
        (None, None) => None,
    }
}
