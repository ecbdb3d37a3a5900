//! Rows in, one comparison out: what each arm reaches with the configuration that validation chose, how far it is from the
//! baseline and how sure that is, and what it costs. Knows nothing of the plan, the engine or the store.
//!
//! `frame` makes rows a Polars frame, `compare` reduces that to a [`Summary`], and `markdown`, `terminal` and `results` say
//! it: a page, a few lines, a row a trial. Together with `artifact::predictions` the only user of Polars.

mod compare;
mod frame;
mod markdown;
mod parameters;
mod results;
mod statistics;
mod terminal;
mod text;
mod verdict;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::spec::Folds;

pub use compare::summarize;
pub use results::{Format, table};
pub use statistics::{Difference, Estimate};
pub use terminal::terminal;
pub use verdict::Verdict;

/// One trial as the store knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub trial: String,
    pub arm: String,
    /// Values of the facet axes; empty without facets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    /// The outer fold whose images are the test split, in cross-validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<u32>,
    pub seed: u64,
    /// Short digest of the arm and its parameters without the seed.
    pub configuration: String,
    pub params: Map<String, Value>,
    pub status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `val/accuracy`, ...; `test/accuracy`, ... only where the test split was unsealed.
    pub metrics: BTreeMap<String, f64>,
    /// Whether its configuration is the one that validation chose for its arm (and facet).
    pub selected: bool,
    pub cost: Cost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Done,
    Failed,
    Pending,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Pending => "pending",
        }
    }
}

/// What computing one trial takes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Cost {
    /// Wall time of this trial alone: the sum over its nodes, shared ones included.
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub peak_memory_bytes: u64,
    pub trained_parameters: u64,
    pub total_parameters: u64,
    pub epochs: u64,
    /// With repetition: an image seen in 3 epochs counts 3 times.
    pub images_seen: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Maximize,
    Minimize,
}

/// What the report says beside its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    pub experiment: String,
    /// The experiment's YAML, relative to the project's root.
    pub file: String,
    pub description: Option<String>,
    /// What configurations are chosen by, `val/accuracy` for example.
    pub metric: String,
    pub goal: Goal,
    /// The arm that the others are compared with.
    pub baseline: Option<String>,
    /// Differences within plus or minus this do not matter in practice.
    pub margin: Option<f64>,
    /// Whether trials of equal seed are compared pair by pair.
    pub paired: bool,
    pub commit: Option<String>,
    /// Whether files differed from the commit.
    pub dirty: bool,
    pub seeds: Vec<u64>,
    /// Cross-validation: differences are then over folds as well as seeds, and folds share training images.
    pub folds: Option<Folds>,
    /// A line each: counts of a dataset, dropped images.
    pub data: Vec<String>,
    pub notices: Vec<String>,
    pub wall_seconds: f64,
    /// How often the test split was looked at, over all experiments.
    pub looks: u64,
    /// Images in the test split.
    pub test_images: u64,
}

/// The comparison: everything that the page and the terminal say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub experiment: String,
    /// What configurations were chosen by.
    pub metric: String,
    pub goal: Goal,
    /// What arms are compared by: the same metric on test where that is unsealed, otherwise `metric` itself.
    pub judged_by: String,
    pub baseline: Option<String>,
    pub margin: Option<f64>,
    pub paired: bool,
    pub commit: Option<String>,
    pub dirty: bool,
    pub seeds: Vec<u64>,
    pub trials: Counts,
    /// Every arm in every facet value, by facet value, in the order in which they first occur.
    pub arms: Vec<ArmSummary>,
    /// Every configuration that was tried, in the order of `arms`, within an arm the best on validation first.
    pub configurations: Vec<Configuration>,
    pub failed: Vec<Failure>,
    pub notices: Vec<String>,
    /// Wall time of the run.
    pub wall_seconds: f64,
    /// What all finished trials would take computed one by one, sharing nothing.
    pub alone_seconds: f64,
    pub looks: u64,
    pub test_images: u64,
}

/// Trials by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub done: u64,
    pub failed: u64,
    pub pending: u64,
}

/// One arm, in one facet value where there are facets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    pub arm: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    /// The chosen one; `None` until there is a selection.
    pub configuration: Option<String>,
    /// How many configurations were tried.
    pub configurations: u64,
    pub trials: Counts,
    /// Every metric of the chosen configuration, over its finished seeds.
    pub metrics: BTreeMap<String, Estimate>,
    /// This arm minus the baseline, by [`Summary::judged_by`].
    pub difference: Option<Difference>,
    pub verdict: Verdict,
    /// The verdict in words.
    pub sentence: String,
    /// Of one trial of the chosen configuration.
    pub cost: Option<MeanCost>,
    /// All finished trials of the arm, each computed alone.
    pub search_seconds: f64,
}

/// One configuration of an arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Configuration {
    pub arm: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    pub configuration: String,
    /// Those of its parameters that differ between trials.
    pub params: Map<String, Value>,
    /// Whether validation chose it.
    pub selected: bool,
    pub trials: Counts,
    /// By [`Summary::metric`], over its finished seeds.
    pub estimate: Option<Estimate>,
}

/// [`Cost`] over the seeds of the chosen configuration: means, but maxima of memory and parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanCost {
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub peak_memory_bytes: u64,
    pub trained_parameters: u64,
    pub total_parameters: u64,
    pub epochs: f64,
    pub images_seen: f64,
}

/// A trial that did not finish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub trial: String,
    pub arm: String,
    pub seed: u64,
    pub error: String,
}

/// Writes `report.md`, `trials.csv` and `trials.parquet` into `dir`, which is made if need be.
///
/// # Errors
/// When a file cannot be written.
pub fn write(rows: &[Row], context: &Context, dir: &Path) -> Result<Summary> {
    let summary = summarize(rows, context)?;
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let page = dir.join("report.md");
    std::fs::write(&page, markdown::page(rows, context, &summary)?)
        .with_context(|| format!("writing {}", page.display()))?;
    frame::write(rows, dir)?;
    Ok(summary)
}

#[cfg(test)]
mod tests;
