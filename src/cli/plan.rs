//! `thawline plan`, and `run --dry-run`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use clap::Args;
use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use super::{
    Common, Outcome, Target, TextOrJson,
    device::Placement,
    diff,
    forecast::{self, Expectation, Forecast},
    output, project, text,
};
use crate::{
    backbones,
    spec::Experiment,
    stages::{Stage, freeze_schedule},
    store::Store,
};

/// Labels listed under "will run".
const LISTED: usize = 30;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    placement: Placement,
    /// Compare with the YAML files of a git revision: what has to run anew because of what was changed since.
    #[arg(long, value_name = "REV")]
    diff: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    if let Some(revision) = &arguments.diff {
        let device = arguments.placement.device(common)?;
        return diff::show(common, &arguments.target, &device, revision, arguments.format);
    }
    show(common, &arguments.target, arguments.placement, arguments.format)
}

/// Shows what running `target` would do.
pub fn show(common: &Common, target: &Target, placement: Placement, format: TextOrJson) -> Outcome {
    let experiment = project::check(common, target)?;
    let device = placement.device(common)?;
    let mut store = Store::open(&experiment.root)?;
    let mut forecast = Forecast::new(&experiment, &device, &mut store)?;
    match format {
        TextOrJson::Json => output::json(&as_json(&experiment, &forecast))?,
        TextOrJson::Text => {
            for notice in experiment.notices.iter().filter(|_| !common.quiet) {
                output::remark(&format!("notice: {notice}"));
            }
            output::print(&overview(&experiment, &forecast));
            let reasons = reasons(&mut forecast, &mut store)?;
            if !reasons.is_empty() {
                output::print(&format!("\n{reasons}"));
            }
            for table in schedules(&experiment, &forecast) {
                output::print(&format!("\n{table}"));
            }
            for missing in &forecast.missing {
                output::print(&format!("\nmissing: {missing}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// (configurations, trials) of each arm.
fn counts(experiment: &Experiment, forecast: &Forecast) -> Vec<(String, usize, usize)> {
    let trials = forecast.plan.trials();
    let of = |arm: &str| trials.iter().filter(|t| t.configuration.arm == arm).collect::<Vec<_>>();
    let arms = experiment.arms.iter().map(|arm| {
        let trials = of(&arm.name);
        let configurations: BTreeSet<String> = trials.iter().map(|t| t.configuration.digest()).collect();
        (arm.name.clone(), configurations.len(), trials.len())
    });
    arms.collect()
}

fn overview(experiment: &Experiment, forecast: &Forecast) -> String {
    let counts = counts(experiment, forecast);
    let trials = forecast.plan.trials().len();
    let configurations = counts.iter().map(|(_, n, _)| n).sum();
    let head = format!(
        "{}: {}, {}, {}",
        experiment.name,
        text::plural(counts.len(), "arm"),
        text::plural(configurations, "configuration"),
        text::plural(trials, "trial")
    );
    let rows = counts.iter().map(|(arm, c, t)| vec![arm.clone(), c.to_string(), t.to_string()]).collect();
    let arms = text::table(&["arm", "configurations", "trials"], rows, &[1, 2]);

    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (&node, &expectation) in &forecast.needed {
        let row = kinds.entry(forecast.plan.node(node).kind.name).or_default();
        row[0] += 1;
        row[if expectation == Expectation::Cached { 1 } else { 2 }] += 1;
    }
    let in_order = crate::stages::KINDS.iter().filter_map(|kind| Some((kind.name, kinds.get(kind.name)?)));
    let rows = in_order.map(|(kind, n)| [kind.to_string()].into_iter().chain(n.iter().map(usize::to_string)).collect());
    let nodes = text::table(&["nodes", "distinct", "cached", "will run"], rows.collect(), &[1, 2, 3]);
    let shared = shared(forecast);
    let depends = forecast.count(Expectation::Depends);
    let depends = if depends == 0 {
        String::new()
    } else {
        format!("\n{depends} of them only if what they stand on comes out differently from before.")
    };
    let learning = experiment.arms.iter().filter(|arm| arm.sweep.method.learns() && !arm.sweep.parameters.is_empty());
    let learning: String = learning
        .filter_map(|arm| {
            let (method, cap) = (arm.sweep.method.name(), arm.sweep.run_cap?);
            Some(format!(
                "\n`{}` searches by {method}: the later of up to {cap} configurations follow from results.",
                arm.name
            ))
        })
        .collect();
    format!(
        "{head}\n\n{arms}\n\n{nodes}\n\n{} will run, {} cached; {} if every trial ran alone.{depends}{learning}\n\
         Test halves are sealed: they are planned once validation has selected a configuration of every arm.",
        text::plural(forecast.needed.len() - forecast.count(Expectation::Cached), "node"),
        forecast.count(Expectation::Cached),
        text::plural(shared, "node"),
    )
}

/// How many nodes would run if no trial shared any.
fn shared(forecast: &Forecast) -> usize {
    (0..forecast.plan.trials().len()).map(|trial| forecast.plan.trial_nodes(trial).len()).sum()
}

/// What will run and why, a line a label, in topological order.
fn reasons(forecast: &mut Forecast, store: &mut Store) -> anyhow::Result<String> {
    let mut labels: Vec<(String, NodeIndex, usize)> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for (&node, &expectation) in &forecast.needed {
        if expectation == Expectation::Cached {
            continue;
        }
        let label = forecast.plan.node(node).label.clone();
        match at.get(&label) {
            Some(&i) => labels[i].2 += 1,
            None => {
                at.insert(label.clone(), labels.len());
                labels.push((label, node, 1));
            }
        }
    }
    let mut rows = Vec::new();
    for (label, node, n) in labels.iter().take(LISTED) {
        let mut why = forecast::words(&forecast.reason(store, *node)?);
        let more = why.len().saturating_sub(4);
        why.truncate(4);
        if more > 0 {
            why.push(format!("... and {more} more"));
        }
        rows.push(vec![label.clone(), format!("x{n}"), why.join("; ")]);
    }
    if labels.len() > LISTED {
        rows.push(vec![format!("... and {} more", labels.len() - LISTED), String::new(), String::new()]);
    }
    Ok(if rows.is_empty() { String::new() } else { text::table(&["will run", "", "why"], rows, &[1]) })
}

/// Each arm's freeze schedules as tables, for its first configuration.
fn schedules(experiment: &Experiment, forecast: &Forecast) -> Vec<String> {
    let mut tables = Vec::new();
    for arm in &experiment.arms {
        let Some(trial) = forecast.plan.trials().iter().find(|t| t.configuration.arm == arm.name) else { continue };
        let resolved = &trial.configuration.resolved;
        for (name, stage) in &resolved.stages {
            let Stage::FineTune(params) = stage else { continue };
            let (Some(Stage::FreezeSchedule(schedule)), Some(choice)) =
                (resolved.stage(&params.schedule), resolved.backbone_of(name))
            else {
                continue;
            };
            let Some(backbone) = backbones::find(&choice.backbone) else { continue };
            let Ok(phases) = freeze_schedule::resolve(schedule, backbone, &choice.cut, params.optimizer) else {
                continue;
            };
            let rows = phases.iter().map(|(phase_name, phase)| {
                let trained = freeze_schedule::trained_parameters(phase, backbone, 0);
                let head = if phase.head { " + head" } else { "" };
                let decay =
                    if phase.layer_decay == 1.0 { String::new() } else { format!(" x {}/block", phase.layer_decay) };
                vec![
                    phase_name.clone(),
                    blocks(phase, backbone),
                    format!("{}{head}", text::count(trained)),
                    phase.epochs.to_string(),
                    format!("{}{decay}", phase.lr),
                ]
            });
            let header = ["phase", "trained blocks", "trained parameters", "epochs", "lr"];
            let table = text::table(&header, rows.collect(), &[2, 3]);
            tables.push(format!("{}: {name} by {} ({})\n{table}", arm.name, params.schedule, backbone.name));
        }
    }
    tables
}

/// `blocks.12 .. top, head`, or `norms of stem .. top`.
fn blocks(phase: &freeze_schedule::Phase, backbone: &backbones::Backbone) -> String {
    let ranges = |norms_only: bool| {
        let mut out: Vec<(usize, usize)> = Vec::new();
        let trained = phase.trained.iter().filter(|t| t.norms_only == norms_only);
        for index in trained.filter_map(|t| backbone.block_index(&t.block)) {
            match out.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => out.push((index, index)),
            }
        }
        let name = |i: usize| backbone.blocks[i].name.as_str();
        out.into_iter()
            .map(|(a, b)| if a == b { name(a).to_string() } else { format!("{} .. {}", name(a), name(b)) })
            .collect()
    };
    let mut parts: Vec<String> = ranges(false);
    let norms: Vec<String> = ranges(true);
    parts.extend(norms.into_iter().map(|range| format!("norms of {range}")));
    if phase.head {
        parts.push("head".into());
    }
    parts.join(", ")
}

fn as_json(experiment: &Experiment, forecast: &Forecast) -> Value {
    let arms = counts(experiment, forecast);
    let will_run: Vec<Value> = forecast
        .needed
        .iter()
        .filter(|(_, e)| **e != Expectation::Cached)
        .map(
            |(&node, _)| json!({ "label": forecast.plan.node(node).label, "kind": forecast.plan.node(node).kind.name }),
        )
        .collect();
    json!({
        "experiment": experiment.name,
        "arms": arms.iter().map(|(arm, c, t)| json!({"arm": arm, "configurations": c, "trials": t})).collect::<Vec<_>>(),
        "trials": forecast.plan.trials().len(),
        "nodes": { "distinct": forecast.needed.len(), "cached": forecast.count(Expectation::Cached), "unshared": shared(forecast) },
        "will_run": will_run,
        "missing": forecast.missing,
        "notices": experiment.notices,
    })
}
