//! The end of a run that does not come from having nothing left to do: a deadline, or enough trials.
//!
//! Closing, the run starts no more trials. What validation has told by then selects, with equally many repeats of every arm, and the time that
//! was kept back for it opens the test halves of what was selected. Then it stops.

use std::collections::{BTreeSet, HashSet};

use anyhow::Result;
use petgraph::graph::NodeIndex;

use super::Coordinator;
use crate::{
    engine::{event::Event, experiment::Arms, scheduler::State},
    plan::TrialId,
    protocol::Answer,
};

/// Most of a run's time that is kept back for the end.
const MOST_KEPT_BACK: f64 = 0.25;

/// Seconds that ending takes anyhow: writing rows and the report.
const ENDING: f64 = 2.0;

/// How far a run's end is.
#[derive(Debug, Default)]
pub struct Closing {
    /// Nodes that still start; `None` before the run closes.
    allowed: Option<HashSet<NodeIndex>>,
    /// Nodes that do not start in this run, because only some of its trials were asked for.
    left_out: HashSet<NodeIndex>,
    /// Trials validated by what ran in this run.
    validated: BTreeSet<TrialId>,
    /// Nodes that ran in this run.
    ran: HashSet<NodeIndex>,
}

impl Closing {
    pub fn has_begun(&self) -> bool {
        self.allowed.is_some()
    }

    pub fn allows(&self, node: NodeIndex) -> bool {
        !self.left_out.contains(&node) && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&node))
    }

    pub fn ran(&mut self, node: NodeIndex) {
        self.ran.insert(node);
    }
}

impl Coordinator<'_> {
    /// What a running node is told at its next opportunity.
    pub(super) fn answer(&self, node: NodeIndex) -> Answer {
        if self.stopping.is_some() || !self.closing.allows(node) { Answer::Checkpoint } else { Answer::Continue }
    }

    /// Where only some trials were asked for, what only the others need does not start.
    pub(super) fn leave_out(&mut self, trials: &[TrialId]) {
        let Some(only) = &self.options.only else { return };
        let is_asked = |id: &&TrialId| only.contains(&self.plan.trials()[**id].name);
        let nodes = |id: &TrialId| self.plan.trial_nodes(*id);
        let asked: HashSet<NodeIndex> = trials.iter().filter(is_asked).flat_map(nodes).collect();
        let others = trials.iter().filter(|id| !is_asked(id)).flat_map(nodes);
        self.closing.left_out = others.filter(|node| !asked.contains(node)).collect();
    }

    /// Counts what has been validated, for `--max-trials`.
    pub(super) fn count_validated(&mut self, affected: &[TrialId]) {
        for &id in affected {
            let is_settled = |node| matches!(self.scheduler.state(node), State::Done | State::Failed);
            let evaluations = &self.plan.trials()[id].evaluations;
            let settled = evaluations.iter().all(|evaluation| is_settled(evaluation.node));
            if settled && self.plan.trial_nodes(id).iter().any(|node| self.closing.ran.contains(node)) {
                self.closing.validated.insert(id);
            }
        }
    }

    /// Closes and stops in time.
    pub(super) fn watch_the_time(&mut self, arms: &mut Arms) -> Result<()> {
        let enough = self.options.max_trials.is_some_and(|most| self.closing.validated.len() >= most);
        let left = self.options.deadline.map(|deadline| deadline.left());
        let due = left.is_some_and(|left| left < self.kept_back(arms));
        if (enough || due) && !self.closing.has_begun() && self.stopping.is_none() {
            self.close(arms)?;
        }
        if left.is_some_and(|left| left < self.ending()) && self.stopping.is_none() {
            self.stopping = Some("stopped");
            self.emit(Event::Stopping { running: self.pool.running() });
        }
        // What could not finish its epoch in time loses it.
        if left.is_some_and(|left| left < 0.0) && self.stopping == Some("stopped") {
            self.pool.kill();
        }
        Ok(())
    }

    /// Seconds that the end of this run will take: the epochs under way, then the test halves.
    fn kept_back(&self, arms: &Arms) -> f64 {
        let total = self.options.deadline.map_or(0.0, |deadline| deadline.total());
        let seconds = |kind: &str| self.estimate.of_kind(kind);
        let tested = (arms.selections() * self.experiment.seeds.len()) as f64;
        let test = tested * seconds("evaluate") + seconds("augment") + seconds("extract_features");
        (self.longest_epoch + test / self.options.jobs as f64 + ENDING).min(MOST_KEPT_BACK * total)
    }

    /// Seconds before the end at which what runs is told to stop.
    fn ending(&self) -> f64 {
        let total = self.options.deadline.map_or(0.0, |deadline| deadline.total());
        ENDING.min(0.5 * MOST_KEPT_BACK * total)
    }

    fn close(&mut self, arms: &mut Arms) -> Result<()> {
        self.closing.allowed = Some(HashSet::new());
        self.emit(Event::Closing { running: self.pool.running() });
        if self.experiment.smoke {
            return Ok(());
        }
        let chosen = arms.select_early(&self.plan, &self.scheduler, self.commit.as_deref());
        let trials: Vec<TrialId> = chosen.iter().flat_map(|one| one.trials.clone()).collect();
        self.open(arms, chosen)?;
        let mut allowed = HashSet::new();
        let mut stack: Vec<NodeIndex> =
            trials.iter().flat_map(|&t| self.plan.trials()[t].evaluations.iter().map(|e| e.node)).collect();
        while let Some(node) = stack.pop() {
            if allowed.insert(node) {
                stack.extend(self.plan.inputs(node).into_iter().map(|(_, input)| input));
                stack.extend(self.plan.aids(node).iter().map(|aid| aid.node));
            }
        }
        self.closing.allowed = Some(allowed);
        Ok(())
    }

    /// The status of a run that came to its end, whatever brought it there.
    pub(super) fn status(&self) -> &'static str {
        let open = || self.scheduler.open().next().is_some();
        match self.stopping {
            Some(status) => status,
            None if self.scheduler.progress().failed > 0 => "failed",
            None if open() => "stopped",
            None => "done",
        }
    }
}
