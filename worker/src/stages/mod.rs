//! What each stage kind computes: one `run` a kind, from files to files. What a kind *is* (parameters, work, `VERSION`)
//! stands in thawline's own `stages`, under the same name.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use thawline::{
    artifact::LearningRate,
    protocol::Outcome,
    stages::{PACKED, lr_find::Found},
};

use crate::task::Task;

mod activations;
mod augment;
mod command;
mod dataset;
mod epochs;
pub mod evaluate;
mod extract_features;
mod fine_tune;
mod lr_find;
mod train_head;

pub use augment::View;

/// Runs one node. `work` is the kind's `Work`.
pub fn run(kind: &str, work: Value, task: &mut Task<'_>) -> Result<Outcome> {
    let work = filled(work, task)?;
    match kind {
        "dataset" => dataset::run(&serde_json::from_value(work)?, task),
        "activations" => activations::run(&serde_json::from_value(work)?, task),
        "augment" => augment::run(&serde_json::from_value(work)?, task),
        "command" => command::run(&serde_json::from_value(work)?, task),
        "extract_features" => extract_features::run(&serde_json::from_value(work)?, task),
        "lr_find" => lr_find::run(&serde_json::from_value(work)?, task),
        "fine_tune" => fine_tune::run(&serde_json::from_value(work)?, task),
        "evaluate" => evaluate::run(&serde_json::from_value(work)?, task),
        other => bail!("no stage kind `{other}` runs"),
    }
}

/// Runs nodes that [`thawline::stages::pack_key`] lets run side by side, each into its own folder of `outs`; `task` is what they
/// share. What became of each, in order.
///
/// # Errors
/// When none of them can run.
pub fn run_pack(kind: &str, works: Vec<Value>, outs: &[PathBuf], task: &mut Task<'_>) -> Result<Vec<Result<Outcome>>> {
    if kind != PACKED {
        bail!("nodes of kind `{kind}` run one at a time");
    }
    let works = works.into_iter().map(|work| Ok(serde_json::from_value(filled(work, task)?)?));
    let works = works.collect::<Result<Vec<_>>>()?;
    train_head::run(&works, outs, task)
}

/// A work with the figures that it takes from inputs where they belong.
fn filled(mut work: Value, task: &Task<'_>) -> Result<Value> {
    let Some(list) = work.get("found") else { return Ok(work) };
    let found: Vec<Found> = serde_json::from_value(list.clone()).context("reading `found`")?;
    for Found { at, role, field } in found {
        let figure = field.of(&LearningRate::read(task.input(&role)?)?);
        let place = work.pointer_mut(&format!("/{}", at.replace('.', "/")));
        *place.with_context(|| format!("the work has no `{at}`"))? = figure.into();
    }
    Ok(work)
}
