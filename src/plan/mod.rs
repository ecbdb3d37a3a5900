//! 2: Spec -> Plan. Trials are lowered onto one deduplicated, growing graph of nodes. A node is planned once however many
//! trials need it; what it depends on is its [`Recipe`](node::Node::recipe), known here, before anything has run.
//!
//! The plan knows no files' contents beyond the digests that [`Sources`] gives it, and nothing of what has already run.

pub mod key;
mod lower;
pub mod node;
pub mod sources;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Result;
use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};
use serde_json::{Map, Value};

pub use node::Node;
pub use sources::Sources;

use crate::{artifact::Split, device, spec::Resolved, stages::dataset::Fold, store::runs::SelectionId};

/// A configuration's name and values: an arm with every parameter fixed, at one facet.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub arm: String,
    /// The facet's part of the parameters.
    pub facet: Map<String, Value>,
    pub resolved: Arc<Resolved>,
    /// The `evaluate` stage whose validation metric selects.
    pub metric_stage: String,
    /// The outer fold, in cross-validation. Not part of the digest: a configuration is the same in every fold.
    pub fold: Option<Fold>,
}

impl Configuration {
    /// Six hex digits that name (parameters); equal in every run.
    pub fn digest(&self) -> String {
        // Sorted, so that the order of keys in the YAML does not matter.
        let sorted: std::collections::BTreeMap<_, _> = self.resolved.params.iter().collect();
        let text = serde_json::to_string(&sorted).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex()[..6].to_string()
    }
}

/// Position of a trial in [`Plan::trials`].
pub type TrialId = usize;

/// One configuration at one seed.
#[derive(Debug, Clone)]
pub struct Trial {
    /// `<arm>-<configuration digest>-s<seed>`, with `-f<fold>` before the seed in cross-validation.
    pub name: String,
    pub configuration: Arc<Configuration>,
    pub seed: u64,
    /// What is to be computed for it, so far.
    pub evaluations: Vec<Evaluation>,
    /// The selection that allows its test halves.
    pub selection: Option<SelectionId>,
}

/// One half of an `evaluate` stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    pub stage: String,
    pub split: Split,
    pub node: NodeIndex,
    /// The dataset that it is scored on.
    pub dataset: NodeIndex,
}

/// A node that a reader can do without: stored activations below its thaw line. It is no input, and in no key or recipe: the
/// reader's bits are the same with it and without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aid {
    pub role: String,
    pub node: NodeIndex,
    /// How many times the reader would read it: its epochs on that view.
    pub reads: u32,
}

/// The graph, and the trials that were lowered onto it. Inputs are always added before their readers, so index order is a
/// topological order.
#[derive(Debug)]
pub struct Plan {
    /// Class of the device that numerical nodes are for.
    device: String,
    graph: DiGraph<Node, String>,
    by_recipe: HashMap<blake3::Hash, NodeIndex>,
    trials: Vec<Trial>,
    /// By reader: nodes that would save it work. See [`Aid`].
    aids: BTreeMap<NodeIndex, Vec<Aid>>,
    /// By aid: its readers.
    aided: HashMap<NodeIndex, Vec<NodeIndex>>,
    /// What the configuration lowered last has in common at all its seeds.
    shared: Option<(Arc<Resolved>, Option<Fold>, lower::Shared)>,
}

impl Default for Plan {
    /// For this processor.
    fn default() -> Plan {
        Plan::on(device::cpu_class())
    }
}

impl Plan {
    /// An empty plan for a class of devices.
    pub fn on(device: &str) -> Plan {
        Plan {
            device: device.to_string(),
            graph: DiGraph::new(),
            by_recipe: HashMap::new(),
            trials: Vec::new(),
            aids: BTreeMap::new(),
            aided: HashMap::new(),
            shared: None,
        }
    }

    /// The class of devices that it is for.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Adds the nodes that a trial needs up to its validation scores. Test halves come with [`Plan::unseal`].
    pub fn add(&mut self, configuration: &Arc<Configuration>, seed: u64, sources: &mut dyn Sources) -> Result<TrialId> {
        let fold = configuration.fold.map(|fold| format!("-f{}", fold.number())).unwrap_or_default();
        let name = format!("{}-{}{fold}-s{seed}", configuration.arm, configuration.digest());
        let evaluations = lower::evaluations(self, configuration, seed, Split::Val, sources)?;
        self.trials.push(Trial { name, configuration: Arc::clone(configuration), seed, evaluations, selection: None });
        Ok(self.trials.len() - 1)
    }

    /// Adds an `lr_find` stage and what it stands on, as the trial at this seed has them.
    pub fn add_lr_find(
        &mut self,
        configuration: &Configuration,
        seed: u64,
        stage: &str,
        sources: &mut dyn Sources,
    ) -> Result<NodeIndex> {
        lower::lr_find(self, configuration, seed, stage, sources)
    }

    /// Marks a trial as one of a selected configuration, where there are no test images.
    pub fn select(&mut self, trial: TrialId, selection: SelectionId) {
        self.trials[trial].selection = Some(selection);
    }

    /// Adds the test halves of a trial. A [`SelectionId`] exists only once a selection is committed to the store.
    pub fn unseal(&mut self, trial: TrialId, selection: SelectionId, sources: &mut dyn Sources) -> Result<()> {
        let (configuration, seed) = (Arc::clone(&self.trials[trial].configuration), self.trials[trial].seed);
        let test = lower::evaluations(self, &configuration, seed, Split::Test, sources)?;
        self.trials[trial].evaluations.extend(test);
        self.select(trial, selection);
        Ok(())
    }

    /// The node with this recipe, added if there is none.
    fn intern(&mut self, node: Node, inputs: &[(String, NodeIndex)]) -> NodeIndex {
        if let Some(&found) = self.by_recipe.get(&node.recipe) {
            return found;
        }
        let recipe = node.recipe;
        let index = self.graph.add_node(node);
        for (role, input) in inputs {
            self.graph.add_edge(*input, index, role.clone());
        }
        self.by_recipe.insert(recipe, index);
        index
    }

    /// What would save `reader` work; said again by every trial that shares the reader, and kept once.
    fn aid(&mut self, reader: NodeIndex, aids: Vec<Aid>) {
        if aids.is_empty() || self.aids.contains_key(&reader) {
            return;
        }
        for aid in &aids {
            self.aided.entry(aid.node).or_default().push(reader);
        }
        self.aids.insert(reader, aids);
    }

    pub fn aids(&self, reader: NodeIndex) -> &[Aid] {
        self.aids.get(&reader).map_or(&[], Vec::as_slice)
    }

    /// Who would read this aid, and how many times.
    pub fn aided(&self, aid: NodeIndex) -> impl Iterator<Item = (NodeIndex, u32)> {
        let readers = self.aided.get(&aid).into_iter().flatten();
        readers.flat_map(move |&reader| {
            self.aids(reader).iter().filter(move |a| a.node == aid).map(move |a| (reader, a.reads))
        })
    }

    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.graph[index]
    }

    /// All nodes in topological order.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.graph.node_indices().map(|index| (index, &self.graph[index]))
    }

    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// (role, node) of what a node reads, by role.
    pub fn inputs(&self, index: NodeIndex) -> Vec<(&str, NodeIndex)> {
        let edges = self.graph.edges_directed(index, Direction::Incoming);
        let mut inputs: Vec<(&str, NodeIndex)> = edges.map(|edge| (edge.weight().as_str(), edge.source())).collect();
        inputs.sort_unstable();
        inputs
    }

    /// The nodes that read a node.
    pub fn readers(&self, index: NodeIndex) -> Vec<NodeIndex> {
        let mut readers: Vec<NodeIndex> = self.graph.neighbors_directed(index, Direction::Outgoing).collect();
        readers.sort_unstable();
        readers.dedup();
        readers
    }

    /// Everything a trial's evaluations stand on, themselves included, in topological order.
    pub fn trial_nodes(&self, trial: TrialId) -> Vec<NodeIndex> {
        let mut seen = std::collections::BTreeSet::new();
        let mut stack: Vec<NodeIndex> = self.trials[trial].evaluations.iter().map(|e| e.node).collect();
        while let Some(index) = stack.pop() {
            if seen.insert(index) {
                stack.extend(self.graph.neighbors_directed(index, Direction::Incoming));
            }
        }
        seen.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
