//! A study in, one comparison out: what each arm reaches with the configuration that validation chose, how far arms are apart
//! and how sure that is, what it costs, and what else the data holds. Knows nothing of the plan and the engine.
//!
//! `load` reads a [`Study`] from the store: rows, a [`Context`] and [`Evidence`]. From there on everything is pure: `pairs`
//! compares arms by `statistics`, `verdict` says it, `findings` looks further, and `compare` reduces it all to a [`Summary`].
//! `page` says that in sections, which `document` and `html` write as `report.md` and `report.html`; `terminal` and `results`
//! print, `tables` leaves files to compute with. Together with `artifact::predictions` the only user of Polars.

mod compare;
mod curves;
mod document;
mod evidence;
mod figures;
mod findings;
mod frame;
mod html;
mod join;
mod load;
mod looks;
mod lr_find;
mod outlook;
mod page;
mod pairs;
mod parameters;
mod pictures;
mod records;
mod results;
mod statistics;
mod tables;
mod terminal;
mod text;
mod verdict;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{spec::Folds, store::runs::TrialRecord};

pub use compare::{differing, summarize};
pub use evidence::{Computed, Evidence};
pub use findings::Findings;
pub use join::{against, side_by_side};
pub use load::{Seal, load, load_trial, metric, rows};
pub use looks::Looks;
pub use lr_find::plot as lr_find;
pub use outlook::Outlook;
pub use pairs::{Basis, Comparison, Difference};
pub use records::{Imported, read as records};
pub use results::{Format, table};
pub use statistics::{Estimate, Ranks};
pub use terminal::{Screen, terminal};
pub use verdict::Verdict;

/// All that a report is made from.
#[derive(Debug, Clone)]
pub struct Study {
    pub context: Context,
    /// In the order of the YAML's arms.
    pub rows: Vec<Row>,
    pub evidence: Evidence,
    /// The same trials as the store keeps them, to be written down as records; empty where several runs are joined.
    pub records: Vec<TrialRecord>,
}

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
    pub looks: Looks,
    /// Images in the test split.
    pub test_images: u64,
    /// Why test scores are withheld.
    pub sealed: Option<String>,
    pub provenance: Provenance,
}

/// Where the figures come from.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Provenance {
    pub command: String,
    /// The YAMLs as they were run: (path, text).
    pub sources: Vec<(String, String)>,
    /// What differed from the commit.
    pub diff: Option<String>,
    pub thawline: String,
    pub libtorch: Option<String>,
    /// Class of processor.
    pub device: Option<String>,
    /// Digests of the test splits.
    pub test_splits: Vec<String>,
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
    /// Every arm in every facet value: facet values in their own order, arms in the order in which they first occur.
    pub arms: Vec<ArmSummary>,
    /// Every pair of arms, by facet value.
    pub comparisons: Vec<Comparison>,
    /// Of joined experiments: the arms that all of them have, by rank.
    pub ranks: Option<ArmRanks>,
    pub findings: Findings,
    /// Every configuration that was tried, in the order of `arms`, within an arm the best on validation first.
    pub configurations: Vec<Configuration>,
    pub failed: Vec<Failure>,
    pub notices: Vec<String>,
    /// Why test scores are withheld, where they are.
    pub sealed: Option<String>,
    /// Wall time of the run.
    pub wall_seconds: f64,
    /// What all finished trials would take computed one by one, sharing nothing.
    pub alone_seconds: f64,
    pub alone_epochs: u64,
    /// What was really computed, each node once.
    pub computed: Computed,
    pub looks: Looks,
    pub test_images: u64,
}

/// Arms over several experiments, each of which is a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmRanks {
    pub arms: Vec<String>,
    #[serde(flatten)]
    pub ranks: Ranks,
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
    /// By [`Summary::metric`], the expected best of 1, 2, ... of them.
    pub expected_best: Vec<f64>,
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

/// Where the files of a report lie.
#[derive(Debug, Clone)]
pub struct Written {
    pub markdown: PathBuf,
    pub html: PathBuf,
}

/// Writes `report.md` with its figures, `report.html`, the tables and the records of trials into `dir`, which is made if need be.
///
/// # Errors
/// When a file cannot be written.
pub fn write(study: &Study, dir: &Path) -> Result<(Summary, Written)> {
    let summary = summarize(study)?;
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let put = |name: &str, text: &str| -> Result<PathBuf> {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    };
    let sections = page::sections(study, &summary);
    let figures: Vec<&document::Figure> = sections.iter().flat_map(document::Section::figures).collect();
    // A figure that is no longer made would stand beside a page that does not mention it.
    for name in figures::NAMES.iter().filter(|name| !figures.iter().any(|figure| figure.name == **name)) {
        let stale = dir.join(format!("{name}.svg"));
        if stale.exists() {
            std::fs::remove_file(&stale).with_context(|| format!("removing {}", stale.display()))?;
        }
    }
    for figure in figures {
        put(&format!("{}.svg", figure.name), &figures::file(&figure.svg))?;
    }
    let markdown = put("report.md", &page::markdown(study, &sections))?;
    let html = put("report.html", &html::page(study, &summary, &sections))?;
    tables::write(study, dir)?;
    if !study.records.is_empty() {
        records::write(&study.records, &study.context, dir)?;
    }
    Ok((summary, Written { markdown, html }))
}

#[cfg(test)]
mod tests;
