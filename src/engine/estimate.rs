//! How long what is open will take, by what the like of it took.
//!
//! Nodes that differ only in what does not change their cost (seed, learning rate, which view) are one class: what was measured of
//! some, in this run or before it, holds for the others. A class of which none was measured yet goes by its kind's mean over
//! all runs, and says that it is a guess.

use std::collections::{BTreeMap, HashMap};

use petgraph::graph::NodeIndex;

use crate::plan::{Plan, node::digest};

/// Entries of a node's list that do not change what it costs.
const COSTLESS: [&str; 2] = ["seed", "view"];

/// Measured seconds of nodes.
#[derive(Debug)]
pub struct Estimate {
    /// Of all runs before, by kind.
    kinds: BTreeMap<String, f64>,
    /// By class: how many, and their sum.
    measured: HashMap<blake3::Hash, (u32, f64)>,
    classes: Vec<Option<blake3::Hash>>,
}

/// What is still to do.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Seconds on one worker.
    pub seconds: f64,
    /// Nodes whose like was never measured.
    pub guessed: usize,
}

impl Estimate {
    pub fn new(kinds: BTreeMap<String, f64>) -> Estimate {
        Estimate { kinds, measured: HashMap::new(), classes: Vec::new() }
    }

    /// Mean seconds of a kind in runs before; 0 if there were none.
    pub fn of_kind(&self, kind: &str) -> f64 {
        self.kinds.get(kind).copied().unwrap_or(0.0)
    }

    /// A node took so long.
    pub fn measure(&mut self, plan: &Plan, node: NodeIndex, seconds: f64) {
        let class = self.class(plan, node);
        let (count, sum) = self.measured.entry(class).or_default();
        *count += 1;
        *sum += seconds;
    }

    /// What these nodes will take.
    pub fn of(&mut self, plan: &Plan, nodes: impl Iterator<Item = NodeIndex>) -> Work {
        let mut work = Work::default();
        for node in nodes {
            let class = self.class(plan, node);
            match self.measured.get(&class) {
                Some((count, sum)) => work.seconds += sum / f64::from(*count),
                None => {
                    work.guessed += 1;
                    work.seconds += self.kinds.get(plan.node(node).kind.name).copied().unwrap_or(1.0);
                }
            }
        }
        work
    }

    /// Names the nodes that cost about the same.
    fn class(&mut self, plan: &Plan, node: NodeIndex) -> blake3::Hash {
        if self.classes.len() < plan.len() {
            self.classes.resize(plan.len(), None);
        }
        if let Some(class) = self.classes[node.index()] {
            return class;
        }
        let planned = plan.node(node);
        let costs = |(name, value): &&(String, String)| {
            let last = name.rsplit('.').next().unwrap_or(name);
            // Numbers with a fraction are rates and strengths; whole ones count epochs, images or pixels.
            let is_rate = value.parse::<f64>().is_ok() && value.parse::<i64>().is_err();
            !is_rate && !COSTLESS.contains(&last)
        };
        let own = planned.own.iter().filter(costs).cloned();
        let images =
            images(plan, node).map(|images| ("images".to_string(), plan.node(images).recipe.to_hex().to_string()));
        let class = digest(own.chain(images));
        self.classes[node.index()] = Some(class);
        class
    }
}

/// The dataset that a node stands on: how many images there are decides what it costs.
fn images(plan: &Plan, node: NodeIndex) -> Option<NodeIndex> {
    let mut at = node;
    while plan.node(at).kind.name != "dataset" {
        let inputs = plan.inputs(at);
        at = inputs.iter().find(|(role, _)| *role == "dataset").or(inputs.first())?.1;
    }
    Some(at)
}
