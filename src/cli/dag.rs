//! `thawline dag`.

use std::{collections::BTreeSet, process::ExitCode};

use clap::{Args, ValueEnum};
use petgraph::graph::NodeIndex;

use super::{Common, Outcome, Target, output, project, usage};
use crate::{
    plan::{
        Configuration, Plan,
        sources::{DiskSources, Seen},
    },
    spec::Params,
    store::Store,
};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Only this arm.
    #[arg(long)]
    arm: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Mermaid,
    Dot,
}

/// Draws the nodes of each arm's first configuration at the first seed: what all others are variations of.
pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let experiment = project::load(common, &arguments.target)?;
    let mut store = Store::open(&experiment.root)?;
    let mut plan = Plan::default();
    let mut seen = Seen::default();
    let mut sources = DiskSources::new(&mut store, &mut seen, &experiment.root).lenient();
    let wanted = |name: &str| arguments.arm.as_deref().is_none_or(|arm| arm == name);
    for arm in experiment.arms.iter().filter(|arm| wanted(&arm.name)) {
        let configuration = Configuration {
            arm: arm.name.clone(),
            facet: Params::new(),
            resolved: arm.resolve(&arm.first_assignment())?.into(),
            metric_stage: arm.metric_stage.clone(),
            fold: experiment.folds.and_then(|folds| folds.all().next()),
        };
        let seed = experiment.seeds.first().copied().unwrap_or(0);
        plan.add(&configuration.into(), seed, &mut sources)?;
    }
    if plan.is_empty() {
        let names: Vec<&str> = experiment.arms.iter().map(|arm| arm.name.as_str()).collect();
        return Err(usage(anyhow::anyhow!("no such arm; there are: {}", names.join(", "))));
    }
    output::print(&match arguments.format {
        Format::Text => tree(&plan),
        Format::Mermaid => mermaid(&plan),
        Format::Dot => dot(&plan),
    });
    Ok(ExitCode::SUCCESS)
}

/// Evaluations on validation, whose test halves are drawn as sealed.
fn sealed(plan: &Plan) -> BTreeSet<NodeIndex> {
    plan.trials().iter().flat_map(|t| t.evaluations.iter().map(|e| e.node)).collect()
}

/// Each evaluation with what it stands on below it; what was shown before is only named.
fn tree(plan: &Plan) -> String {
    fn branch(
        plan: &Plan,
        node: NodeIndex,
        role: &str,
        depth: usize,
        seen: &mut BTreeSet<NodeIndex>,
        out: &mut String,
    ) {
        let indent = "  ".repeat(depth);
        let planned = plan.node(node);
        let role = if role.is_empty() { String::new() } else { format!("{role}: ") };
        let again = !seen.insert(node) && !plan.inputs(node).is_empty();
        let above = if again { "  (as above)" } else { "" };
        out.push_str(&format!("{indent}{role}{}  [{}]{above}\n", planned.label, planned.kind.name));
        if !again {
            for (role, input) in plan.inputs(node) {
                branch(plan, input, role, depth + 1, seen, out);
            }
        }
    }
    let mut out = String::new();
    let mut seen = BTreeSet::new();
    for trial in plan.trials() {
        out.push_str(&format!("{}\n", trial.configuration.arm));
        for evaluation in &trial.evaluations {
            branch(plan, evaluation.node, "", 1, &mut seen, &mut out);
            out.push_str(&format!("  {}[test]  [evaluate]  (sealed until validation selects)\n", evaluation.stage));
        }
    }
    out
}

fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    for (index, node) in plan.nodes() {
        out.push_str(&format!("  n{}[\"{}<br/><small>{}</small>\"]\n", index.index(), node.label, node.kind.name));
    }
    for (index, _) in plan.nodes() {
        for (role, input) in plan.inputs(index) {
            out.push_str(&format!("  n{} -->|{role}| n{}\n", input.index(), index.index()));
        }
    }
    for node in sealed(plan) {
        let i = node.index();
        out.push_str(&format!("  n{i} -.->|selection| t{i}([\"test half, sealed\"])\n"));
    }
    out
}

fn dot(plan: &Plan) -> String {
    let mut out = String::from("digraph thawline {\n  rankdir=LR;\n  node [shape=box];\n");
    for (index, node) in plan.nodes() {
        out.push_str(&format!("  n{} [label=\"{}\\n{}\"];\n", index.index(), node.label, node.kind.name));
    }
    for (index, _) in plan.nodes() {
        for (role, input) in plan.inputs(index) {
            out.push_str(&format!("  n{} -> n{} [label=\"{role}\"];\n", input.index(), index.index()));
        }
    }
    for node in sealed(plan) {
        let i = node.index();
        out.push_str(&format!(
            "  t{i} [label=\"test half, sealed\", style=dashed];\n  n{i} -> t{i} [style=dashed, label=\"selection\"];\n"
        ));
    }
    out.push_str("}\n");
    out
}
