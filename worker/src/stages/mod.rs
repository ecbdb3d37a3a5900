//! What each stage kind computes: one `run` a kind, from files to files. What a kind *is* (parameters, work, `VERSION`)
//! stands in thawline's own `stages`, under the same name.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;
use thawline::{protocol::Outcome, stages::PACKED};

use crate::task::Task;

mod activations;
mod augment;
mod command;
mod dataset;
mod epochs;
pub mod evaluate;
mod extract_features;
mod fine_tune;
mod train_head;

pub use augment::prepare;

/// Runs one node. `work` is the kind's `Work`.
pub fn run(kind: &str, work: Value, task: &mut Task<'_>) -> Result<Outcome> {
    match kind {
        "dataset" => dataset::run(&serde_json::from_value(work)?, task),
        "activations" => activations::run(&serde_json::from_value(work)?, task),
        "augment" => augment::run(&serde_json::from_value(work)?, task),
        "command" => command::run(&serde_json::from_value(work)?, task),
        "extract_features" => extract_features::run(&serde_json::from_value(work)?, task),
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
    let works = works.into_iter().map(serde_json::from_value).collect::<Result<Vec<_>, _>>()?;
    train_head::run(&works, outs, task)
}
