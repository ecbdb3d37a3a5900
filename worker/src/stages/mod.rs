//! What each stage kind computes: one `run` a kind, from files to files. What a kind *is* (parameters, work, `VERSION`)
//! stands in thawline's own `stages`, under the same name.

use anyhow::Result;
use thawline::protocol::Outcome;

use crate::task::Task;

mod augment;
mod dataset;
mod epochs;
mod evaluate;
mod extract_features;
mod fine_tune;
mod train_head;

pub use augment::prepare;

/// Runs one node: the only way into tch. `work` is the kind's `Work`.
pub fn run(kind: &str, work: serde_json::Value, task: &mut Task<'_>) -> Result<Outcome> {
    match kind {
        "dataset" => dataset::run(&serde_json::from_value(work)?, task),
        "augment" => augment::run(&serde_json::from_value(work)?, task),
        "extract_features" => extract_features::run(&serde_json::from_value(work)?, task),
        "train_head" => train_head::run(&serde_json::from_value(work)?, task),
        "fine_tune" => fine_tune::run(&serde_json::from_value(work)?, task),
        "evaluate" => evaluate::run(&serde_json::from_value(work)?, task),
        other => anyhow::bail!("no stage kind `{other}` runs"),
    }
}
