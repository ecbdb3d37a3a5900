//! `thawline explain`.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::anyhow;
use clap::Args;
use petgraph::graph::NodeIndex;
use serde_json::json;

use super::{
    Common, Outcome, Target, TextOrJson,
    device::Placement,
    forecast::{self, Forecast},
    output, project, usage,
};
use crate::store::Store;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    placement: Placement,
    /// A trial's name, a node's label (`tuned.phase2`, `features[val]`) or a part of one; by default every node.
    #[arg(value_name = "NODE|TRIAL")]
    what: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let experiment = project::load(common, &arguments.target)?;
    let device = arguments.placement.device(common)?;
    let mut store = Store::open(&experiment.root)?;
    let mut forecast = Forecast::new(&experiment, &device, &mut store)?;
    let nodes = select(&forecast, arguments.what.as_deref());
    if nodes.is_empty() {
        let what = arguments.what.as_deref().unwrap_or_default();
        let labels = forecast.plan.nodes().map(|(_, node)| node.label.as_str());
        let near = labels.min_by_key(|label| strsim::levenshtein(label, what)).unwrap_or_default();
        return Err(usage(anyhow!("no node or trial is called `{what}`. Did you mean `{near}`?")));
    }
    let mut out = Vec::new();
    for node in nodes {
        let reason = forecast.reason(&mut store, node)?;
        let label = forecast.plan.node(node).label.clone();
        let key = forecast.scheduler.keys().known(node).map(str::to_string);
        match arguments.format {
            TextOrJson::Json => out.push(json!({ "label": label, "key": key, "why": reason })),
            TextOrJson::Text => {
                let mut words = forecast::words(&reason).into_iter();
                output::print(&format!("{label}: {}", words.next().unwrap_or_default()));
                words.for_each(|line| output::print(&format!("{}{line}", " ".repeat(label.len() + 2))));
            }
        }
    }
    if arguments.format == TextOrJson::Json {
        output::json(&out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The nodes that a word means; without one, one of every label.
fn select(forecast: &Forecast, what: Option<&str>) -> Vec<NodeIndex> {
    let plan = &forecast.plan;
    let Some(what) = what else {
        let mut first: BTreeMap<&str, NodeIndex> = BTreeMap::new();
        for (index, node) in plan.nodes() {
            first.entry(&node.label).or_insert(index);
        }
        let mut nodes: Vec<NodeIndex> = first.into_values().collect();
        nodes.sort_unstable();
        return nodes;
    };
    if let Some(trial) = plan.trials().iter().position(|t| t.name == what) {
        return plan.trial_nodes(trial);
    }
    let exact: Vec<NodeIndex> = plan.nodes().filter(|(_, n)| n.label == what).map(|(i, _)| i).collect();
    if exact.is_empty() {
        plan.nodes().filter(|(_, n)| n.label.contains(what)).map(|(i, _)| i).collect()
    } else {
        exact
    }
}
