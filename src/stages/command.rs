//! `command`: a program of the user's own as a model. It is run once to fit itself to the training images, or to what a
//! backbone makes of them, and once for every split that is evaluated: the test split only after selection, like any other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resources;
use crate::artifact::Split;

pub const VERSION: u32 = 1;

/// Which program, and what it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The program and its arguments, run in the project's root; the path of a JSON manifest is added as the last argument.
    /// Arguments that name files of the project count by their content.
    #[schemars(length(min = 1))]
    pub run: Vec<String>,
    /// What it reads, by names of your choice: stages that make views or features.
    #[schemars(length(min = 1))]
    pub inputs: BTreeMap<String, InputStage>,
    /// Other files of the project that it reads, or patterns (`lib/**/*.py`): it runs again when one of them changes.
    #[serde(default)]
    pub files: Vec<String>,
    /// Handed to the program in its manifest.
    #[serde(default)]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Seconds after which it is killed.
    #[serde(default)]
    #[schemars(range(min = 0.001))]
    pub timeout: Option<f64>,
    /// How many times it is started again when it fails.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    #[serde(default)]
    pub resources: Resources,
}

/// The name of a stage that makes views or features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-stage" = ["views", "features"]))]
pub struct InputStage(pub String);

/// What the program is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Learn from the training images. Inputs: `dataset`, and for every input of the stage `{name}.train.{view}` and
    /// `{name}.val`.
    Fit,
    /// Say how probable every class is for the images of a split. Inputs: `dataset`, `program` (what it wrote when it was
    /// fitted), and `{name}.{split}`.
    Predict(Split),
}

/// A file of the project that a program depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramFile {
    /// Relative to the project's root.
    pub path: String,
    /// BLAKE3 of its bytes, in hex, when the run was planned: the program runs with these or not at all.
    pub digest: String,
}

/// One node. Sources: `root`, the project's root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub task: Task,
    pub run: Vec<String>,
    pub files: Vec<ProgramFile>,
    pub params: serde_json::Map<String, serde_json::Value>,
    pub resources: Resources,
}

/// The files of the project at `root` that a program depends on, in order: arguments that are files, and `files`.
///
/// # Errors
/// When a pattern is malformed, or one of `files` matches nothing.
pub fn files(params: &Params, root: &Path) -> Result<Vec<PathBuf>> {
    let mut found: BTreeSet<PathBuf> =
        params.run.iter().map(|argument| root.join(argument)).filter(|path| path.is_file()).collect();
    for pattern in &params.files {
        let full = root.join(pattern);
        let matches = glob::glob(&full.to_string_lossy()).with_context(|| format!("`files`: `{pattern}`"))?;
        let before = found.len();
        found.extend(matches.flatten().filter(|path| path.is_file()));
        anyhow::ensure!(found.len() > before, "`files`: nothing matches `{pattern}` in {}", root.display());
    }
    Ok(found.into_iter().collect())
}
