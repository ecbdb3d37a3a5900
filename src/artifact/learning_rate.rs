//! What `lr_find` makes: the curve of a learning-rate range test, and what it suggests.
//!
//! File: `lr_find.json` (this struct).

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "lr_find.json";

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub lr: f64,
    /// Of the step's batch, before its update.
    pub loss: f64,
    /// The exponential average of the losses so far, its bias corrected.
    pub smoothed: f64,
}

/// `lr_find.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningRate {
    /// That of the two which the stage was asked for.
    pub suggestion: f64,
    /// Where the smoothed loss falls fastest.
    pub steepest: f64,
    /// A tenth of where the smoothed loss is smallest.
    pub minimum: f64,
    /// In the order of the steps, so that the learning rate rises.
    pub curve: Vec<Point>,
}

impl LearningRate {
    pub fn write(&self, dir: &Path) -> Result<()> {
        Ok(std::fs::write(dir.join(FILE), serde_json::to_vec_pretty(self)?)?)
    }

    pub fn read(dir: &Path) -> Result<LearningRate> {
        let path = dir.join(FILE);
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}
