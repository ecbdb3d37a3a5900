//! `thawline plan --diff REV`: what a change of the YAMLs since a git revision makes anew.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use petgraph::graph::NodeIndex;
use serde_json::json;

use super::{
    Common, Failure, Outcome, Target, TextOrJson,
    forecast::{Expectation, Forecast},
    output, project, text, usage,
};
use crate::{device::Device, engine::git, plan::Plan, spec, spec::Experiment, store::Store};

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
    let known: HashSet<blake3::Hash> = before.plan.nodes().map(|(_, node)| node.recipe).collect();
    let mut changed: BTreeMap<(usize, String), Changed> = BTreeMap::new();
    let mut order: HashMap<String, usize> = HashMap::new();
    let (mut nodes, mut new) = (0, 0);
    for (index, node) in after.plan.nodes().filter(|(_, node)| node.kind.name != "activations") {
        nodes += 1;
        if known.contains(&node.recipe) {
            continue;
        }
        new += 1;
        let next = order.len();
        let place = *order.entry(node.label.clone()).or_insert(next);
        let entry = changed.entry((place, node.label.clone())).or_insert_with(|| Changed {
            count: 0,
            cached: 0,
            why: differences(&before.plan, &after.plan, index),
        });
        entry.count += 1;
        entry.cached += usize::from(after.needed.get(&index) == Some(&Expectation::Cached));
    }
    let current: HashSet<blake3::Hash> = after.plan.nodes().map(|(_, node)| node.recipe).collect();
    let gone =
        before.plan.nodes().filter(|(_, n)| n.kind.name != "activations" && !current.contains(&n.recipe)).count();
    if format == TextOrJson::Json {
        let rows = changed.iter().map(|((_, label), changed)| {
            json!({ "label": label, "nodes": changed.count, "cached": changed.cached, "why": changed.why })
        });
        output::json(&json!({
            "experiment": now.name, "revision": revision, "nodes": nodes, "new": new, "gone": gone,
            "changed": rows.collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if new == 0 && gone == 0 {
        output::print(&format!(
            "{}: nothing to run anew since {revision}: its {} are the same",
            now.name,
            text::plural(nodes, "node")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    output::print(&format!(
        "{}: {new} of {} are not those of {revision}; {} of {revision} are no longer wanted",
        now.name,
        text::plural(nodes, "node"),
        gone
    ));
    let rows = changed.into_iter().map(|((_, label), changed)| {
        let cached = if changed.cached == 0 { String::new() } else { format!("{} on record", changed.cached) };
        vec![label, format!("x{}", changed.count), cached, changed.why.join("; ")]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        output::print(&format!("\n{}", text::table(&["changed", "", "", "why"], rows, &[1])));
    }
    Ok(ExitCode::SUCCESS)
}

/// The same experiment as its files were at `revision`.
fn at(now: &Experiment, target: &Target, revision: &str) -> Result<Experiment, Failure> {
    let files = git::yaml_at(&now.root, revision).map_err(usage)?;
    let folder = scratch(&now.root)?;
    let outcome = (|| {
        for (name, text) in &files {
            let path = folder.join(name);
            let written =
                std::fs::create_dir_all(path.parent().unwrap_or(&folder)).and_then(|()| std::fs::write(&path, text));
            written.with_context(|| format!("writing {}", path.display()))?;
        }
        let own = now.path.strip_prefix(&now.root).unwrap_or(&now.path);
        if !files.iter().any(|(name, _)| Path::new(name) == own) {
            return Err(usage(anyhow!("there was no {} at {revision}", own.display())));
        }
        spec::load(&folder.join(own), &target.set, Some(&folder))
            .map_err(|diagnostics| usage(anyhow!("at {revision} the files were not valid:\n{diagnostics}")))
    })();
    std::fs::remove_dir_all(&folder).ok();
    Ok(Experiment { root: now.root.clone(), ..outcome? })
}

fn scratch(root: &Path) -> anyhow::Result<std::path::PathBuf> {
    let folder = root.join(format!(".thawline/work/diff-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// How a node differs from the one of its label that is most like it.
fn differences(before: &Plan, after: &Plan, index: NodeIndex) -> Vec<String> {
    let node = after.node(index);
    let others = before.nodes().filter(|(_, other)| other.label == node.label && other.kind.name == node.kind.name);
    let values: HashMap<&str, &str> = node.own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let changes = |other: NodeIndex| {
        let own = &before.node(other).own;
        let old: HashMap<&str, &str> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut names: Vec<&str> = old.keys().chain(values.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        let differing = names.into_iter().filter(|name| old.get(name) != values.get(name));
        let word = |value: Option<&&str>| value.map_or("nothing".to_string(), |text| short(text));
        let words = differing.map(|name| format!("{name}: was {}, is {}", word(old.get(name)), word(values.get(name))));
        words.collect::<Vec<_>>()
    };
    let nearest = others.map(|(other, _)| changes(other)).min_by_key(Vec::len);
    let Some(mut changes) = nearest else { return vec!["there was none of this name".into()] };
    let more = changes.len().saturating_sub(SHOWN);
    changes.truncate(SHOWN);
    if more > 0 {
        changes.push(format!("... and {more} more"));
    }
    if changes.is_empty() {
        let known: HashSet<blake3::Hash> = before.nodes().map(|(_, node)| node.recipe).collect();
        let inputs = after.inputs(index).into_iter().filter(|(_, input)| !known.contains(&after.node(*input).recipe));
        let mut labels: Vec<&str> = inputs.map(|(_, input)| after.node(input).label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        labels.truncate(SHOWN);
        changes.push(format!("stands on {}", labels.join(", ")));
    }
    changes
}

/// Digests tell people nothing beyond that they differ.
fn short(text: &str) -> String {
    let digest = text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'"');
    if digest { format!("{}...", &text.trim_matches('"')[..8]) } else { text.to_string() }
}
