//! What `evaluate` makes for one split: metrics, and every prediction they came from.
//!
//! Files: `scores.json` (this struct) and `predictions.parquet` (see [`Predictions`](super::Predictions)).

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Precision and recall of one class; 0 where undefined, as scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerClass {
    pub class: String,
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    pub support: u64,
}

/// `scores.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// `accuracy`, `balanced_accuracy`, `top_5`, ... Metrics that are undefined on this split (AUROC with one class) are absent.
    pub metrics: BTreeMap<String, f64>,
    pub per_class: Vec<PerClass>,
    /// Rows are true classes, columns predicted ones.
    pub confusion: Vec<Vec<u64>>,
}

impl Scores {
    pub fn write(&self, dir: &Path) -> Result<()> {
        Ok(std::fs::write(dir.join("scores.json"), serde_json::to_vec_pretty(self)?)?)
    }

    pub fn read(dir: &Path) -> Result<Scores> {
        let path = dir.join("scores.json");
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}
