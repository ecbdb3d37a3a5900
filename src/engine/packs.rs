//! Which ready nodes go to a worker together.

use std::collections::HashMap;

use petgraph::graph::NodeIndex;

use super::scheduler::Scheduler;
use crate::{plan::Plan, stages};

/// Heads are not spread over workers below this many: a product of the least width costs the same for fewer.
const LEAST: usize = 32;

/// Most heads in a pack: with the widest features their weights and optimiser state stay under a gigabyte.
const MOST: usize = 1024;

/// What is known of nodes as members of packs.
#[derive(Debug, Default)]
pub struct Packs {
    /// Equal for nodes that may run side by side; `None` for those that run alone.
    keys: HashMap<NodeIndex, Option<String>>,
    /// Of nodes whose pack lost its worker: half its size.
    limits: HashMap<NodeIndex, usize>,
}

impl Packs {
    /// `node`, and the ready nodes that run with it when `workers` workers are free: the pack's bits do not depend on its size.
    pub fn gather(&mut self, plan: &Plan, scheduler: &Scheduler, node: NodeIndex, workers: usize) -> Vec<NodeIndex> {
        let Some(key) = self.key(plan, node) else { return vec![node] };
        let mut pack: Vec<NodeIndex> = Vec::new();
        for other in scheduler.ready() {
            if self.key(plan, other).as_ref() == Some(&key) {
                pack.push(other);
            }
        }
        let share = pack.len().div_ceil(workers.max(1)).clamp(LEAST, MOST);
        let limit = self.limits.get(&node).copied().unwrap_or(MOST);
        // One that was in a lost pack goes with its like, so that halving comes to an end.
        pack.retain(|other| self.limits.get(other).copied().unwrap_or(MOST) == limit);
        pack.truncate(share.min(limit));
        pack
    }

    /// The pack of these nodes lost its worker: they run again in packs of half the size.
    pub fn halve(&mut self, pack: impl Iterator<Item = NodeIndex>) {
        let pack: Vec<NodeIndex> = pack.collect();
        for node in &pack {
            self.limits.insert(*node, pack.len().div_ceil(2));
        }
    }

    fn key(&mut self, plan: &Plan, node: NodeIndex) -> Option<String> {
        let key = self.keys.entry(node).or_insert_with(|| {
            let planned = plan.node(node);
            let key = stages::pack_key(planned.kind.name, &planned.work)?;
            Some(format!("{:?} {} {:?} {key}", planned.seed, planned.threads, plan.inputs(node)))
        });
        key.clone()
    }
}
