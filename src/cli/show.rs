//! `thawline show`.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};

use super::{Common, Outcome, TextOrJson, output, project, text, usage};
use crate::store::{NodeRecord, Store, runs::TrialRecord};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A trial's name, or the first digits of a node's key.
    #[arg(value_name = "TRIAL|KEY")]
    what: String,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, None)?;
    let json = arguments.format == TextOrJson::Json;
    if let Some(trial) = project::trial(&store, &arguments.what)? {
        if json {
            output::json(&trial_json(&store, &trial)?)?;
        } else {
            output::print(&trial_text(&store, &trial)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let nodes = store.nodes_with_prefix(&arguments.what, 2)?;
    match nodes.as_slice() {
        [node] if json => output::json(&node_json(&store, node)?)?,
        [node] => output::print(&node_text(&store, node)?),
        [] => return Err(usage(unknown(&store, &arguments.what)?)),
        _ => return Err(usage(anyhow!("`{}` begins more than one node's key", arguments.what))),
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(store: &Store, what: &str) -> anyhow::Result<anyhow::Error> {
    let hint = project::nearest_trial(store, what)?;
    Ok(anyhow!("no trial is called `{what}`, and no finished node's key begins with it.{hint}"))
}

fn trial_text(store: &Store, trial: &TrialRecord) -> anyhow::Result<String> {
    let mut out = format!("{}: {}", trial.trial, trial.status);
    if trial.selected {
        out.push_str(", selected on validation");
    }
    if let Some(error) = &trial.error {
        out.push_str(&format!("\n  {error}"));
    }
    let pairs = |map: &serde_json::Map<String, Value>| {
        map.iter().map(|(name, value)| vec![format!("  {name}"), value.to_string()]).collect::<Vec<_>>()
    };
    out.push_str(&format!("\n\n{}", text::table(&["parameter", "value"], pairs(&trial.params), &[])));
    let metrics =
        trial.metrics.iter().map(|(n, v)| vec![format!("  {n}"), format!("{:.4}", v.as_f64().unwrap_or(f64::NAN))]);
    out.push_str(&format!("\n\n{}", text::table(&["metric", "value"], metrics.collect(), &[1])));
    let mut rows = Vec::new();
    for (label, key) in &trial.nodes {
        let row = match store.node_record(key)? {
            Some(node) => vec![
                format!("  {label}"),
                key.chars().take(12).collect(),
                text::seconds(node.usage.wall),
                text::seconds(node.usage.cpu),
                text::bytes(node.usage.memory),
                node.outcome.epochs.to_string(),
                text::count(node.outcome.images_seen),
                text::count(node.outcome.trained_parameters),
                text::count(node.outcome.total_parameters),
            ],
            None => vec![format!("  {label}"), "not made".into()],
        };
        rows.push(row);
    }
    let header = ["node", "key", "wall", "cpu", "memory", "epochs", "images", "trained", "parameters"];
    out.push_str(&format!("\n\n{}", text::table(&header, rows, &[2, 3, 4, 5, 6, 7, 8])));
    Ok(out)
}

fn trial_json(store: &Store, trial: &TrialRecord) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(trial)?;
    let mut nodes = Vec::new();
    for (label, key) in &trial.nodes {
        let node = store.node_record(key)?.map(|node| node_json(store, &node)).transpose()?;
        nodes.push(node.unwrap_or_else(|| json!({ "label": label, "key": key })));
    }
    value["nodes"] = Value::Array(nodes);
    Ok(value)
}

fn node_json(store: &Store, node: &NodeRecord) -> anyhow::Result<Value> {
    Ok(json!({
        "label": node.label,
        "key": node.key,
        "kind": node.kind,
        "artifact": store.objects().path(&node.digest),
        "bytes": node.bytes,
        "inputs": node.inputs,
        "outcome": node.outcome,
        "usage": node.usage,
        "curve": store.epochs(&node.key)?,
        "log": store.log_path(&node.key),
    }))
}

fn node_text(store: &Store, node: &NodeRecord) -> anyhow::Result<String> {
    let mut out = format!("{} ({})\n  key {}\n", node.label, node.kind, node.key);
    out.push_str(&format!(
        "  artifact {} ({})\n",
        store.objects().path(&node.digest).display(),
        text::bytes(node.bytes)
    ));
    out.push_str(&format!(
        "  wall {}, cpu {}, peak memory {}, {}\n",
        text::seconds(node.usage.wall),
        text::seconds(node.usage.cpu),
        text::bytes(node.usage.memory),
        text::plural(node.usage.threads, "thread")
    ));
    out.push_str(&format!(
        "  {} epochs, {} images seen, {} of {} parameters trained\n",
        node.outcome.epochs,
        text::count(node.outcome.images_seen),
        text::count(node.outcome.trained_parameters),
        text::count(node.outcome.total_parameters)
    ));
    let inputs = node.inputs.iter().map(|(name, value)| vec![format!("  {name}"), value.clone()]).collect();
    out.push_str(&format!("\n{}\n", text::table(&["made from", ""], inputs, &[])));
    let log = std::fs::read_to_string(store.log_path(&node.key)).unwrap_or_default();
    out.push_str(&format!("\nlog ({})\n", store.log_path(&node.key).display()));
    log.lines().for_each(|line| out.push_str(&format!("  {line}\n")));
    Ok(out)
}
