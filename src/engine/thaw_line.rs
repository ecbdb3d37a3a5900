//! Stored or streamed: whether what lies below a thaw line is computed once and kept, or again in every epoch. A decision about
//! time and disk, never about results.

use std::{collections::HashMap, path::Path};

use anyhow::Result;
use petgraph::graph::NodeIndex;

use super::scheduler::{Scheduler, State};
use crate::{
    backbones,
    plan::Plan,
    stages::{activations, augment},
    store::Store,
};

/// Multiply-adds a second and worker before any were measured here.
const RATE: f64 = 2e10;

/// Bytes a second, read in order for the first time: when an artifact's digest is checked.
const COLD: f64 = 5e8;

/// Bytes a second, gathered at random from memory, and from a disk when memory does not hold them.
const WARM: f64 = 2e9;
const SCATTERED: f64 = 2.6e7;

/// Seconds that a node of its own costs: a manifest, a digest, a commit.
const NODE: f64 = 0.1;

/// Most bytes of activations in a store, unless the disk is small.
const CAP: u64 = 20 << 30;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Storing {
    /// The cheaper way by prediction.
    #[default]
    Auto,
    /// Store whatever is read more than once, as far as the disk allows.
    Always,
    /// Store nothing.
    Never,
}

/// What is known before deciding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    pub images: u64,
    /// Of one image.
    pub bytes: u64,
    /// Of one image through the frozen blocks.
    pub multiply_adds: u64,
    /// Nodes that would read it, and the times that they would, summed.
    pub readers: u64,
    pub reads: u64,
    /// Multiply-adds a second.
    pub rate: f64,
    /// Memory for cached files, in bytes.
    pub memory: u64,
    /// Bytes that may still be stored.
    pub budget: u64,
}

/// Which of the two, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    pub stored: bool,
    pub bytes: u64,
    /// Predicted seconds of either way.
    pub stored_seconds: f64,
    pub streamed_seconds: f64,
}

/// The cheaper way; a tie streams.
pub fn decide(costs: &Costs) -> Decision {
    let once = costs.images as f64 * costs.multiply_adds as f64 / costs.rate;
    let bytes = costs.images * costs.bytes;
    let gathered = if bytes <= costs.memory { WARM } else { SCATTERED };
    let reading = costs.readers as f64 * bytes as f64 / COLD + costs.reads as f64 * bytes as f64 / gathered;
    let stored_seconds = NODE + once + bytes as f64 / COLD + reading;
    let streamed_seconds = costs.reads as f64 * once;
    Decision {
        stored: bytes <= costs.budget && stored_seconds < streamed_seconds,
        bytes,
        stored_seconds,
        streamed_seconds,
    }
}

/// The decisions of a run.
#[derive(Debug)]
pub struct ThawLines {
    storing: Storing,
    rate: f64,
    memory: u64,
    budget: u64,
    /// Once something is to be stored it stays so: its first reader may be done before the others come.
    decided: HashMap<NodeIndex, Decision>,
}

impl ThawLines {
    pub fn new(storing: Storing, store: &Store) -> Result<ThawLines> {
        let free = free_bytes(store.dir()).unwrap_or(0);
        let stored = store.bytes_of_kind(activations::KIND.name)?;
        Ok(ThawLines {
            storing,
            rate: store.mean_metric("multiply_adds_per_second")?.unwrap_or(RATE),
            memory: available_memory() / 2,
            budget: CAP.min(free / 10).saturating_sub(stored),
            decided: HashMap::new(),
        })
    }

    /// Whether `aid` is to be stored, for its readers that still have work to do; `None` while its images are not known.
    pub fn decide(&mut self, plan: &Plan, scheduler: &Scheduler, aid: NodeIndex) -> Option<Decision> {
        if let Some(decision) = self.decided.get(&aid) {
            return Some(*decision);
        }
        let costs = self.costs(plan, scheduler, aid)?;
        let mut decision = decide(&costs);
        match self.storing {
            Storing::Auto => {}
            Storing::Always => decision.stored = decision.bytes <= costs.budget && costs.reads > 1,
            Storing::Never => decision.stored = false,
        }
        if decision.stored {
            self.budget = self.budget.saturating_sub(decision.bytes);
            self.decided.insert(aid, decision);
        }
        Some(decision)
    }

    fn costs(&self, plan: &Plan, scheduler: &Scheduler, aid: NodeIndex) -> Option<Costs> {
        let work: activations::Work = serde_json::from_value(plan.node(aid).work.clone()).ok()?;
        let (_, views) = plan.inputs(aid).into_iter().find(|(role, _)| *role == "views")?;
        let images = scheduler.record(views)?.outcome.images_seen;
        let size = serde_json::from_value::<augment::Work>(plan.node(views).work.clone()).ok()?.size as usize;
        let backbone = backbones::find(&work.backbone)?;
        let (shape, multiply_adds) = *backbone.outputs(size, size).ok()?.get(backbone.block_index(&work.cut)?)?;
        let open = |node| matches!(scheduler.state(node), State::Waiting | State::Ready | State::Learning);
        let reads: Vec<u64> =
            plan.aided(aid).filter(|(reader, _)| open(*reader)).map(|(_, reads)| u64::from(reads)).collect();
        Some(Costs {
            images,
            bytes: 4 * shape.values() as u64,
            multiply_adds,
            readers: reads.len() as u64,
            reads: reads.iter().sum(),
            rate: self.rate,
            memory: self.memory,
            budget: self.budget,
        })
    }
}

/// Bytes free on the disk that holds `dir`.
fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

/// `MemAvailable` in bytes.
fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last stage of ResNet-18 at 224 px, for 600 images.
    fn costs(reads: u64) -> Costs {
        Costs {
            images: 600,
            bytes: 4 * 256 * 14 * 14,
            multiply_adds: 1_400_000_000,
            readers: 1,
            reads,
            rate: 4e10,
            memory: 8 << 30,
            budget: 20 << 30,
        }
    }

    #[test]
    fn what_is_read_often_is_stored() {
        assert!(decide(&costs(10)).stored);
        assert!(!decide(&costs(1)).stored, "one reader gains nothing");
        let shallow = Costs { multiply_adds: 1_000_000, ..costs(10) };
        assert!(!decide(&shallow).stored, "computing it is cheaper than reading it");
        assert!(!decide(&Costs { budget: 1 << 20, ..costs(10) }).stored, "no room");
        let crowded = Costs { memory: 1 << 20, multiply_adds: 200_000_000, ..costs(10) };
        assert!(!decide(&crowded).stored, "a disk that is read at random is slower than the processor");
    }
}
