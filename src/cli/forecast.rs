//! What a run would do, without doing it: shared by `plan` and `explain`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use petgraph::graph::NodeIndex;

use crate::{
    device::Device,
    engine::{explain, plan_all, scheduler::Scheduler},
    plan::{
        Plan,
        key::Key,
        sources::{DiskSources, Seen},
    },
    spec::Experiment,
    store::Store,
};

/// An experiment's plan against what is on record.
pub struct Forecast {
    pub plan: Plan,
    pub scheduler: Scheduler,
    /// Every node that some trial needs: on record or not.
    pub needed: BTreeMap<NodeIndex, Expectation>,
    /// Files that are not there, in words.
    pub missing: Vec<String>,
}

/// What will happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    Cached,
    Run,
    /// Its key depends on content that is made first; it runs unless that comes out as before.
    Depends,
}

impl Forecast {
    /// Of a run on `device`.
    pub fn new(experiment: &Experiment, device: &Device, store: &mut Store) -> Result<Forecast> {
        let mut plan = Plan::on(&device.class);
        let mut files = Seen::default();
        let mut sources = DiskSources::new(store, &mut files, &experiment.root).lenient();
        plan_all(experiment, &mut plan, &mut sources)?;
        let missing = sources.missing().to_vec();
        let mut scheduler = Scheduler::new(false);
        let mut needed = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut stack: Vec<NodeIndex> =
            plan.trials().iter().flat_map(|t| t.evaluations.iter().map(|e| e.node)).collect();
        while let Some(node) = stack.pop() {
            if !seen.insert(node) {
                continue;
            }
            let expectation = match scheduler.key(&plan, store, node)? {
                Key::Known(key) if store.node(&key)?.is_some() => Expectation::Cached,
                Key::Known(_) => Expectation::Run,
                Key::Blocked(_) => Expectation::Depends,
            };
            if expectation != Expectation::Cached {
                stack.extend(plan.inputs(node).into_iter().map(|(_, input)| input));
            }
            needed.insert(node, expectation);
        }
        Ok(Forecast { plan, scheduler, needed, missing })
    }

    pub fn count(&self, expectation: Expectation) -> usize {
        self.needed.values().filter(|e| **e == expectation).count()
    }

    /// Why a node is cached or has to run.
    pub fn reason(&mut self, store: &mut Store, node: NodeIndex) -> Result<explain::Reason> {
        explain::explain(&self.plan, &mut self.scheduler, store, node)
    }
}

/// A reason in words, one line each.
pub fn words(reason: &explain::Reason) -> Vec<String> {
    match reason {
        explain::Reason::Cached { ran } if ran.is_empty() => vec!["on record, nothing changed".into()],
        explain::Reason::Cached { ran } => {
            let differed = ran.iter().flat_map(|change| change_words(change, "  "));
            let heading = "it ran because it differs from the nearest before it in".to_string();
            ["on record, nothing changed".to_string(), heading].into_iter().chain(differed).collect()
        }
        explain::Reason::Evicted => vec!["made before, but its artifact is gone".into()],
        explain::Reason::New => vec!["nothing like it was made before".into()],
        explain::Reason::Blocked { on } => vec![format!("depends on what {} turns out to be", on.join(", "))],
        explain::Reason::Changed { changes } => changes.iter().flat_map(|change| change_words(change, "")).collect(),
    }
}

/// `phase.lr: was 0.1, is 0.01`.
pub fn was_is(name: &str, old: &Option<String>, new: &Option<String>) -> String {
    let short = |value: &Option<String>| match value.as_deref().map(|text| text.trim_matches('"')) {
        // Digests and keys tell people nothing beyond that they differ.
        Some(text) if text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) => format!("{}...", &text[..8]),
        _ => value.clone().unwrap_or_else(|| "nothing".into()),
    };
    format!("{name}: was {}, is {}", short(old), short(new))
}

fn change_words(change: &explain::Change, indent: &str) -> Vec<String> {
    let mut lines = match change.because.is_empty() {
        false => vec![format!("{indent}{} is another one", change.name)],
        true => vec![format!("{indent}{}", was_is(&change.name, &change.old, &change.new))],
    };
    let deeper = format!("{indent}  ");
    lines.extend(change.because.iter().flat_map(|cause| change_words(cause, &deeper)));
    lines
}
