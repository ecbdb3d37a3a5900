//! Nodes that take too long, and workers that die.

use std::{collections::HashMap, time::Instant};

use anyhow::Result;
use petgraph::graph::NodeIndex;

use super::Coordinator;
use crate::{
    engine::{event::Event, pool::Assignment},
    protocol::{Limits, pause_after},
};

/// How many times a node is started again whose worker died, unless somebody says otherwise: memory that was short, and a machine that
/// hiccuped, are over by then.
const RETRIES: u32 = 1;

/// Attempts at nodes whose workers died.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: HashMap<NodeIndex, u32>,
    due: HashMap<NodeIndex, Instant>,
}

impl Attempts {
    /// Whether the node may start: not while it pauses after a failure.
    pub fn is_due(&self, node: NodeIndex) -> bool {
        self.due.get(&node).is_none_or(|due| *due <= Instant::now())
    }
}

impl Coordinator<'_> {
    /// What a node may cost: what its stage says, then the command line, then the experiment.
    pub(super) fn limits(&self, node: NodeIndex) -> Limits {
        self.plan.node(node).limits.or(self.options.limits).or(self.experiment.limits)
    }

    /// Ends workers whose nodes take longer or fill more memory than they may.
    pub(super) fn end_excessive(&mut self) {
        let timeout = |node: NodeIndex| self.limits(node).timeout;
        let late =
            self.pool.overdue(timeout).into_iter().map(|(worker, limit)| {
                (worker, format!("it took longer than its `timeout` of {limit} s, and was ended"))
            });
        let memory = |node: NodeIndex| self.limits(node).max_memory;
        let large = self.pool.larger_than(memory).into_iter().map(|(worker, used, limit)| {
            (worker, format!("it filled {used} bytes of memory, its `max_memory` is {limit}, and was ended"))
        });
        for (worker, reason) in late.chain(large).collect::<Vec<_>>() {
            self.pool.end(worker, reason);
        }
    }

    /// A worker is gone, and these nodes with it.
    pub(super) fn lost(&mut self, pack: &[Assignment], reason: &str, ended: bool) -> Result<()> {
        // Which of a pack it was is not known: all but a lone node get another chance, in halves.
        if self.is_ending() || pack.len() > 1 {
            self.packs.halve(pack.iter().map(|assignment| assignment.node));
            return pack.iter().try_for_each(|assignment| self.stopped(assignment));
        }
        for assignment in pack {
            let failed = self.attempts.failed.entry(assignment.node).or_insert(0);
            *failed += 1;
            let attempt = *failed;
            let retries = self.limits(assignment.node).retries.unwrap_or(RETRIES);
            if ended || attempt > retries {
                self.fail(assignment, reason.to_string())?;
                continue;
            }
            self.attempts.due.insert(assignment.node, Instant::now() + pause_after(attempt));
            self.log(&assignment.key, &format!("{reason}: attempt {} of {} follows", attempt + 1, retries + 1))?;
            self.store.finish_node_run(assignment.node_run, "stopped", Some(reason))?;
            self.scheduler.returned(&self.plan, assignment.node);
            let label = self.plan.node(assignment.node).label.clone();
            self.emit(Event::NodeRetried { label, key: assignment.key.clone(), error: reason.to_string() });
        }
        Ok(())
    }
}
