//! The stages of one pipeline as a graph: whether what they name is there and of the right type, and their order.

use std::sync::Arc;

use super::{
    diagnostic::{Fault, quote},
    locate::{NodePath, dotted},
    pipeline::Checked,
};
use crate::stages::ArtifactType;

/// What is wrong between the stages, as (stage, fault), and their topological order, ties in file order; no order when
/// there is a cycle.
pub fn check(stages: &[Arc<Checked>]) -> (Vec<(usize, Fault)>, Option<Vec<usize>>) {
    let mut faults = Vec::new();
    let mut inputs: Vec<Vec<(usize, &NodePath)>> = vec![Vec::new(); stages.len()];
    for (reader, stage) in stages.iter().enumerate() {
        for reference in &stage.references {
            let accepts = |made: ArtifactType| reference.accepts.iter().any(|name| name == made.name());
            let Some(read) = stages.iter().position(|other| other.name == reference.target) else {
                let message = format!("there is no stage {}", quote(&reference.target));
                let fitting = stages.iter().filter(|s| s.kind.is_some_and(|kind| accepts(kind.makes)));
                let names = fitting.map(|stage| stage.name.as_str());
                faults.push((reader, Fault::value(&reference.path, message).suggest(&reference.target, names)));
                continue;
            };
            inputs[reader].push((read, &reference.path));
            if let Some(kind) = stages[read].kind.filter(|kind| !accepts(kind.makes)) {
                let wanted: Vec<&str> = reference.accepts.iter().map(|name| with_article(name)).collect();
                let message = format!(
                    "`{}` needs {}; {} is {}",
                    dotted(&reference.path),
                    wanted.join(" or "),
                    quote(&reference.target),
                    with_article(kind.makes.name()),
                );
                let others = stages.iter().enumerate().filter(|(other, _)| *other != reader).map(|(_, other)| other);
                let fitting = others.filter(|s| s.kind.is_some_and(|kind| accepts(kind.makes)));
                let names: Vec<String> = fitting.map(|stage| quote(&stage.name)).collect();
                let mut fault = Fault::value(&reference.path, message);
                if !names.is_empty() {
                    fault = fault.help(format!("there is {}", names.join(", ")));
                }
                faults.push((reader, fault));
            }
        }
    }
    let order = topological(&inputs);
    if order.is_none() {
        faults.extend(cycles(stages, &inputs));
    }
    (faults, order)
}

fn with_article(artifact: &str) -> &str {
    match artifact {
        "dataset" => "a dataset",
        "schedule" => "a schedule",
        "learning_rate" => "a learning rate",
        "model" => "a model",
        "program" => "a fitted program",
        other => other,
    }
}

fn topological(inputs: &[Vec<(usize, &NodePath)>]) -> Option<Vec<usize>> {
    let mut order = Vec::with_capacity(inputs.len());
    let mut placed = vec![false; inputs.len()];
    while order.len() < inputs.len() {
        let ready = |&i: &usize| !placed[i] && inputs[i].iter().all(|(read, _)| placed[*read]);
        let next = (0..inputs.len()).find(ready)?;
        placed[next] = true;
        order.push(next);
    }
    Some(order)
}

/// One fault a cycle, at the reference that closes it.
fn cycles(stages: &[Arc<Checked>], inputs: &[Vec<(usize, &NodePath)>]) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    let mut done = vec![false; stages.len()];
    for start in 0..stages.len() {
        // Depth first along the references, without recursion: (stage, next input to follow).
        let mut trail = vec![(start, 0)];
        while let Some((stage, next)) = trail.last_mut() {
            let (reader, followed) = (*stage, *next);
            *next += 1;
            let Some((read, path)) = inputs[reader].get(followed).filter(|_| !done[reader]) else {
                done[reader] = true;
                trail.pop();
                continue;
            };
            if let Some(from) = trail.iter().position(|(on_trail, _)| on_trail == read) {
                let around = trail[from..].iter().map(|(i, _)| *i).chain([*read]);
                let names: Vec<&str> = around.map(|i| stages[i].name.as_str()).collect();
                let fault = Fault::value(path, format!("cycle: {}", names.join(" -> ")));
                faults.push((reader, fault.help("a stage cannot need what is made from it")));
            } else if !done[*read] {
                trail.push((*read, 0));
            }
        }
    }
    faults
}
