//! Why a node is on record, or has to run: a typed reason, from the same list of inputs that its key is the digest of.

use anyhow::Result;
use petgraph::graph::NodeIndex;
use serde::Serialize;

use super::scheduler::Scheduler;
use crate::{
    plan::{Plan, key::Key},
    store::{NodeRecord, Store},
};

/// Why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// On record and whole.
    Cached {
        /// Why it ran when it did: what differs from the nearest node of its name that was made before. Empty for the first.
        ran: Vec<Change>,
    },
    /// Its artifact was removed.
    Evicted,
    /// Nothing of its kind was ever made.
    New,
    /// The nearest node on record differs in these.
    Changed { changes: Vec<Change> },
    /// Its key is not known before these are made.
    Blocked { on: Vec<String> },
}

/// One input that differs from the nearest node on record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `phase.lr`, `input model`, ...
    pub name: String,
    pub old: Option<String>,
    pub new: Option<String>,
    /// For an input made by a node: why that one differs.
    pub because: Vec<Change>,
}

/// How many nodes of a kind are looked at for the nearest.
const NEAREST_AMONG: usize = 500;

/// Why `node` is cached or has to run.
pub fn explain(plan: &Plan, scheduler: &mut Scheduler, store: &mut Store, node: NodeIndex) -> Result<Reason> {
    let key = match scheduler.key(plan, store, node)? {
        Key::Known(key) => key,
        Key::Blocked(on) => {
            return Ok(Reason::Blocked { on: on.iter().map(|&n| plan.node(n).label.clone()).collect() });
        }
    };
    if let Some(record) = store.node_record(&key)? {
        let intact = store.is_intact(&key, &record.digest)?;
        if !intact {
            return Ok(Reason::Evicted);
        }
        return Ok(Reason::Cached { ran: why_it_ran(plan, scheduler, store, node, &record)? });
    }
    let inputs = scheduler.keys().inputs(plan, node).unwrap_or_default();
    let relatives = store.recent_nodes(plan.node(node).kind.name, NEAREST_AMONG)?;
    let label = &plan.node(node).label;
    // Equal labels first: people mean the same stage. Then the fewest differences.
    let nearest = relatives.iter().min_by_key(|r| (r.label != *label, differences(&r.inputs, &inputs).len()));
    match nearest {
        Some(record) => Ok(Reason::Changed { changes: changes(store, record, &inputs, plan, scheduler, node)? }),
        None => Ok(Reason::New),
    }
}

/// What differs between a node on record and the nearest of its name that was made before it.
fn why_it_ran(
    plan: &Plan,
    scheduler: &Scheduler,
    store: &Store,
    node: NodeIndex,
    record: &NodeRecord,
) -> Result<Vec<Change>> {
    let relatives = store.recent_nodes(&record.kind, NEAREST_AMONG)?;
    let before = relatives.iter().skip_while(|relative| relative.key != record.key).skip(1);
    let of_its_name = before.filter(|relative| relative.label == record.label);
    match of_its_name.min_by_key(|relative| differences(&relative.inputs, &record.inputs).len()) {
        Some(nearest) => changes(store, nearest, &record.inputs, plan, scheduler, node),
        None => Ok(Vec::new()),
    }
}

type Pairs = [(String, String)];

/// (name, old, new) of what differs.
pub fn differences(old: &Pairs, new: &Pairs) -> Vec<(String, Option<String>, Option<String>)> {
    let find = |pairs: &Pairs, name: &str| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let mut names: Vec<&String> = new.iter().chain(old).map(|(name, _)| name).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    let all = names.into_iter().map(|name| (name.clone(), find(old, name), find(new, name)));
    all.filter(|(_, old, new)| old != new).collect()
}

/// What differs, followed into inputs that nodes on record made.
fn changes(
    store: &Store,
    record: &NodeRecord,
    inputs: &Pairs,
    plan: &Plan,
    scheduler: &Scheduler,
    node: NodeIndex,
) -> Result<Vec<Change>> {
    let mut out = Vec::new();
    for (name, old, new) in differences(&record.inputs, inputs) {
        let role = name.strip_prefix("input ");
        let input =
            role.and_then(|role| plan.inputs(node).into_iter().find(|(r, _)| *r == role)).map(|(_, input)| input);
        let before = old.as_deref().map(|key| store.node_record(key)).transpose()?.flatten();
        let because = match (input, before) {
            (Some(input), Some(before)) => {
                let now = scheduler.keys().inputs(plan, input).unwrap_or_default();
                changes(store, &before, &now, plan, scheduler, input)?
            }
            _ => Vec::new(),
        };
        out.push(Change { name, old, new, because });
    }
    Ok(out)
}
