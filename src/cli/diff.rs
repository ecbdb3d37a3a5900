//! `thawline plan --diff REV`: what a change of the YAMLs since a git revision makes anew.

use std::{collections::HashSet, path::Path, process::ExitCode};

use anyhow::{Context, anyhow};
use petgraph::graph::NodeIndex;
use serde_json::json;

use super::{
    Common, Failure, Outcome, Target, TextOrJson,
    forecast::{self, Expectation, Forecast},
    output, project,
    scratch::Scratch,
    text, usage,
};
use crate::{
    device::Device,
    engine::{explain, git},
    plan::{Plan, node::Node},
    spec::{self, Experiment},
    stages,
    store::Store,
};

/// Most differences that are shown of one node.
const SHOWN: usize = 4;

/// Nodes of one label that the other revision does not have.
struct Changed {
    count: usize,
    cached: usize,
    /// `phase.lr: was 0.1, is 0.01`.
    why: Vec<String>,
}

pub fn show(common: &Common, target: &Target, device: &Device, revision: &str, format: TextOrJson) -> Outcome {
    let now = project::check(common, target)?;
    let then = at(&now, target, revision)?;
    let mut store = Store::open(&now.root)?;
    let before = Forecast::new(&then, device, &mut store)?;
    let after = Forecast::new(&now, device, &mut store)?;
    let (old, new) = (recipes(&before.plan), recipes(&after.plan));
    let is_other = |node: &Node, than: &HashSet<blake3::Hash>| !than.contains(&node.recipe);
    let gone = written(&before.plan).filter(|(_, node)| is_other(node, &new)).count();
    let nodes = written(&after.plan).count();
    // A row a label, in the order of the plan.
    let mut rows: Vec<(&str, Changed)> = Vec::new();
    for (index, node) in written(&after.plan).filter(|(_, node)| is_other(node, &old)) {
        let at = rows.iter().position(|(label, _)| *label == node.label).unwrap_or_else(|| {
            let why = differences(&before.plan, &after.plan, index, &old);
            rows.push((&node.label, Changed { count: 0, cached: 0, why }));
            rows.len() - 1
        });
        rows[at].1.count += 1;
        rows[at].1.cached += usize::from(after.needed.get(&index) == Some(&Expectation::Cached));
    }
    let changed: usize = rows.iter().map(|(_, row)| row.count).sum();
    if format == TextOrJson::Json {
        let rows = rows
            .iter()
            .map(|(label, row)| json!({ "label": label, "nodes": row.count, "cached": row.cached, "why": row.why }));
        output::json(&json!({
            "experiment": now.name, "revision": revision, "nodes": nodes, "new": changed, "gone": gone,
            "changed": rows.collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if changed == 0 && gone == 0 {
        output::print(&format!(
            "{}: nothing to run anew since {revision}: its {} are the same",
            now.name,
            text::plural(nodes, "node")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    output::print(&format!(
        "{}: {changed} of {} are not those of {revision}; {} of {revision} are no longer wanted",
        now.name,
        text::plural(nodes, "node"),
        gone
    ));
    let cells = |(label, row): (&str, Changed)| {
        let cached = if row.cached == 0 { String::new() } else { format!("{} on record", row.cached) };
        vec![label.to_string(), format!("x{}", row.count), cached, row.why.join("; ")]
    };
    let rows: Vec<_> = rows.into_iter().map(cells).collect();
    if !rows.is_empty() {
        output::print(&format!("\n{}", text::table(&["changed", "", "", "why"], rows, &[1])));
    }
    Ok(ExitCode::SUCCESS)
}

/// The same experiment as its files were at `revision`.
fn at(now: &Experiment, target: &Target, revision: &str) -> Result<Experiment, Failure> {
    let files = git::yaml_at(&now.root, revision).map_err(usage)?;
    let scratch = Scratch::new(&now.root, "diff")?;
    for (name, text) in &files {
        let path = scratch.folder.join(name);
        let folder = path.parent().unwrap_or(&scratch.folder);
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.with_context(|| format!("writing {}", path.display()))?;
    }
    let own = now.path.strip_prefix(&now.root).unwrap_or(&now.path);
    if !files.iter().any(|(name, _)| Path::new(name) == own) {
        return Err(usage(anyhow!("there was no {} at {revision}", own.display())));
    }
    let then = spec::load(&scratch.folder.join(own), &target.set, Some(&scratch.folder))
        .map_err(|diagnostics| usage(anyhow!("at {revision} the files were not valid:\n{diagnostics}")))?;
    Ok(Experiment { root: now.root.clone(), ..then })
}

/// The nodes that stages ask for: not those that only save work.
fn written(plan: &Plan) -> impl Iterator<Item = (NodeIndex, &Node)> {
    plan.nodes().filter(|(_, node)| stages::kind(node.kind.name).is_some())
}

fn recipes(plan: &Plan) -> HashSet<blake3::Hash> {
    plan.nodes().map(|(_, node)| node.recipe).collect()
}

/// How a node differs from the one of its label that is most like it; `old` are the recipes of `before`.
fn differences(before: &Plan, after: &Plan, index: NodeIndex, old: &HashSet<blake3::Hash>) -> Vec<String> {
    let node = after.node(index);
    let others = before.nodes().filter(|(_, other)| other.label == node.label && other.kind.name == node.kind.name);
    let nearest = others.map(|(_, other)| explain::differences(&other.own, &node.own)).min_by_key(Vec::len);
    let Some(nearest) = nearest else { return vec!["there was none of this name".into()] };
    if nearest.is_empty() {
        let inputs = after.inputs(index).into_iter().map(|(_, input)| after.node(input));
        let mut labels: Vec<&str> =
            inputs.filter(|input| !old.contains(&input.recipe)).map(|input| input.label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        labels.truncate(SHOWN);
        return vec![format!("stands on {}", labels.join(", "))];
    }
    let mut words: Vec<String> = nearest.iter().map(|(name, old, new)| forecast::was_is(name, old, new)).collect();
    let more = words.len().saturating_sub(SHOWN);
    words.truncate(SHOWN);
    words.extend((more > 0).then(|| format!("... and {more} more")));
    words
}
