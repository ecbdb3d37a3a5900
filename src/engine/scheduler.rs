//! Which nodes may run: one state a node, and one function that moves it. No processes, no clocks.
//!
//! ```text
//! Dormant -> Learning -> Done                    (its key is known, and on record)
//!                     -> Waiting -> Done         (an input came out as before: early cut-off)
//!                                -> Ready -> Running -> Done | Failed
//! ```
//!
//! Demand goes downwards: a node is wanted because a trial scores it, or because a wanted reader is not on record. What
//! nobody wants stays dormant, whether or not it was evicted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use petgraph::graph::NodeIndex;

use crate::{
    plan::{
        Plan,
        key::{Key, Keys},
    },
    store::{NodeRecord, Store, runs::Progress},
};

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody wants it.
    Dormant,
    /// Wanted; its key waits for the content of bitwise inputs.
    Learning,
    /// Not on record; its inputs are being made.
    Waiting,
    Ready,
    Running,
    Done,
    Failed,
}

/// The states of a plan's nodes.
#[derive(Debug, Default)]
pub struct Scheduler {
    states: Vec<State>,
    keys: Keys,
    records: HashMap<NodeIndex, NodeRecord>,
    failures: HashMap<NodeIndex, String>,
    /// Who waits for whose content to learn its key.
    learners: BTreeMap<NodeIndex, BTreeSet<NodeIndex>>,
    ready: BTreeSet<NodeIndex>,
    /// Nodes that became Done or Failed since they were last taken.
    settled: Vec<NodeIndex>,
    /// Artifacts that were found broken, with their node's label, since they were last taken.
    broken: Vec<(String, String)>,
    /// With `force`, what this run made; nothing else counts as on record.
    fresh: Option<HashSet<String>>,
    progress: Progress,
}

impl Scheduler {
    /// `force`: nothing that earlier runs made counts.
    pub fn new(force: bool) -> Scheduler {
        Scheduler { fresh: force.then(HashSet::new), ..Scheduler::default() }
    }

    pub fn state(&self, node: NodeIndex) -> State {
        self.states.get(node.index()).copied().unwrap_or(State::Dormant)
    }

    pub fn record(&self, node: NodeIndex) -> Option<&NodeRecord> {
        self.records.get(&node)
    }

    pub fn failure(&self, node: NodeIndex) -> Option<&str> {
        self.failures.get(&node).map(String::as_str)
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Nodes that became Done or Failed since the last call.
    pub fn take_settled(&mut self) -> Vec<NodeIndex> {
        std::mem::take(&mut self.settled)
    }

    /// (label, digest) of artifacts that were found broken since the last call.
    pub fn take_broken(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.broken)
    }

    /// Nodes that may run, earliest first.
    pub fn ready(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.ready.iter().copied()
    }

    /// Nodes that are wanted and not settled.
    pub fn open(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        let open = |s: &State| matches!(s, State::Learning | State::Waiting | State::Ready | State::Running);
        self.states.iter().enumerate().filter(move |(_, s)| open(s)).map(|(i, _)| NodeIndex::new(i))
    }

    fn set(&mut self, plan: &Plan, node: NodeIndex, state: State) {
        self.states.resize(plan.len(), State::Dormant);
        let old = std::mem::replace(&mut self.states[node.index()], state);
        if old == State::Ready {
            self.ready.remove(&node);
        }
        if state == State::Ready {
            self.ready.insert(node);
        }
        if matches!(state, State::Done | State::Failed) {
            self.settled.push(node);
        }
    }

    /// What is on record of a key, if it counts.
    fn recorded(fresh: &Option<HashSet<String>>, store: &Store, key: &str) -> Result<Option<NodeRecord>> {
        if fresh.as_ref().is_some_and(|fresh| !fresh.contains(key)) {
            return Ok(None);
        }
        store.node_record(key)
    }

    /// The key of a node as far as it can be known.
    pub fn key(&mut self, plan: &Plan, store: &Store, node: NodeIndex) -> Result<Key> {
        let fresh = &self.fresh;
        self.keys.key(plan, node, &mut |key| Ok(Self::recorded(fresh, store, key)?.map(|record| record.digest)))
    }

    /// Wants a node: it will be Done or Failed in the end.
    pub fn want(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex) -> Result<()> {
        if self.state(node) != State::Dormant {
            return Ok(());
        }
        self.set(plan, node, State::Learning);
        self.progress.total += 1;
        self.settle(plan, store, node)
    }

    /// The one function that moves a node on, as far as it goes.
    fn settle(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex) -> Result<()> {
        if self.state(node) == State::Learning {
            match self.key(plan, store, node)? {
                Key::Known(key) => {
                    if let Some(record) = self.intact(plan, store, node, &key)? {
                        self.progress.cached += 1;
                        return self.done(plan, store, node, record);
                    }
                    self.set(plan, node, State::Waiting);
                    for (_, input) in plan.inputs(node) {
                        self.want(plan, store, input)?;
                    }
                }
                Key::Blocked(on) => {
                    for &blocker in &on {
                        self.learners.entry(blocker).or_default().insert(node);
                    }
                    for &blocker in &on {
                        self.want(plan, store, blocker)?;
                        if self.state(blocker) == State::Failed {
                            return self.inherit_failure(plan, store, node, blocker);
                        }
                    }
                }
            }
        }
        if self.state(node) == State::Waiting {
            let inputs = plan.inputs(node);
            if let Some(&(_, failed)) = inputs.iter().find(|(_, input)| self.state(*input) == State::Failed) {
                return self.inherit_failure(plan, store, node, failed);
            }
            if inputs.iter().all(|(_, input)| self.state(*input) == State::Done) {
                self.set(plan, node, State::Ready);
            }
        }
        Ok(())
    }

    /// The record of a node whose artifact is there and whole. One that is there and broken is thrown away.
    fn intact(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex, key: &str) -> Result<Option<NodeRecord>> {
        let Some(record) = Self::recorded(&self.fresh, store, key)? else { return Ok(None) };
        if store.is_intact(key, &record.digest)? {
            return Ok(Some(record));
        }
        if store.objects().contains(&record.digest) {
            self.broken.push((plan.node(node).label.clone(), record.digest.clone()));
            store.discard(&record.digest)?;
        }
        Ok(None)
    }

    /// Moves on everyone whom a settled node lets move on.
    fn wake(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex) -> Result<()> {
        for learner in self.learners.remove(&node).unwrap_or_default() {
            if self.state(learner) != State::Learning {
                continue;
            }
            if self.state(node) == State::Failed {
                self.inherit_failure(plan, store, learner, node)?;
            } else {
                self.settle(plan, store, learner)?;
            }
        }
        for reader in plan.readers(node) {
            if self.state(reader) == State::Waiting {
                self.settle(plan, store, reader)?;
            }
        }
        Ok(())
    }

    fn done(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex, record: NodeRecord) -> Result<()> {
        self.keys.set_digest(plan, node, record.digest.clone());
        self.records.insert(node, record);
        self.set(plan, node, State::Done);
        self.wake(plan, store, node)
    }

    fn inherit_failure(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex, from: NodeIndex) -> Result<()> {
        let reason = self.failures.get(&from).cloned().unwrap_or_default();
        self.failed(plan, store, node, reason)
    }

    /// A worker took the node.
    pub fn started(&mut self, plan: &Plan, node: NodeIndex) {
        self.set(plan, node, State::Running);
    }

    /// A worker gave it back unfinished.
    pub fn returned(&mut self, plan: &Plan, node: NodeIndex) {
        self.set(plan, node, State::Ready);
    }

    /// It is made and on record.
    pub fn finished(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex, record: NodeRecord) -> Result<()> {
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(record.key.clone());
        }
        self.progress.done += 1;
        self.done(plan, store, node, record)
    }

    /// It, and all that stands on it, cannot be made.
    pub fn failed(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex, reason: String) -> Result<()> {
        self.progress.failed += 1;
        self.failures.insert(node, reason);
        self.set(plan, node, State::Failed);
        self.wake(plan, store, node)
    }

    /// Whether the artifact of a node is there already, whoever wants it.
    pub fn find(&mut self, plan: &Plan, store: &mut Store, node: NodeIndex) -> Result<bool> {
        match self.key(plan, store, node)? {
            Key::Known(key) => Ok(self.intact(plan, store, node, &key)?.is_some()),
            Key::Blocked(_) => Ok(false),
        }
    }

    /// A node that nobody depends on could not be made: no trial fails with it.
    pub fn gave_up(&mut self, plan: &Plan, node: NodeIndex) {
        self.progress.total -= 1;
        self.set(plan, node, State::Failed);
    }

    /// A worker found an input broken: whoever made it makes it again, then `reader` runs.
    pub fn corrupt(&mut self, plan: &Plan, store: &mut Store, reader: NodeIndex, digest: &str) -> Result<()> {
        store.discard(digest)?;
        self.set(plan, reader, State::Waiting);
        let made: Vec<NodeIndex> =
            self.records.iter().filter(|(_, r)| r.digest == digest).map(|(node, _)| *node).collect();
        for node in made {
            self.broken.push((plan.node(node).label.clone(), digest.to_string()));
            self.records.remove(&node);
            self.progress.total += 1;
            self.set(plan, node, State::Waiting);
            for (_, input) in plan.inputs(node) {
                self.want(plan, store, input)?;
            }
            self.settle(plan, store, node)?;
        }
        self.settle(plan, store, reader)
    }

    /// Looks at the artifacts that nobody reads this time, and wants those made again that are broken. Absent ones are left
    /// alone: nothing needs them.
    pub fn check_dormant(&mut self, plan: &Plan, store: &mut Store) -> Result<()> {
        for (node, _) in plan.nodes() {
            if self.state(node) != State::Dormant {
                continue;
            }
            let Some(key) = self.keys.known(node).map(str::to_string) else { continue };
            let before = self.broken.len();
            self.intact(plan, store, node, &key)?;
            if self.broken.len() > before {
                self.want(plan, store, node)?;
            }
        }
        Ok(())
    }
}
