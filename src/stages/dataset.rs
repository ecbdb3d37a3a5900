//! `dataset`: finds the images, their classes and their splits.

use std::collections::BTreeMap;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome, Task};

pub const VERSION: u32 = 1;

/// Where the images are and how they are divided. Exactly one of `image_folder` and `table`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A folder `root/<class>/*`, or `root/{train,val,test}/<class>/*`; relative to the project's root.
    #[serde(default)]
    pub image_folder: Option<String>,
    /// A CSV, TSV or whitespace-separated file that names the images.
    #[serde(default)]
    pub table: Option<Table>,
    /// Fractions of the images; they sum to 1. Not with folders or a column that already say the split.
    #[serde(default)]
    pub split: Option<Fractions>,
    /// Keep the class proportions in every split and subset.
    #[serde(default = "yes")]
    pub stratify: bool,
    /// Of the division into splits and subsets; a literal, never the trial's seed.
    #[serde(default)]
    pub seed: u64,
    /// Work on this many images in all, drawn before the division.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub sample: Option<u64>,
    /// Keep this part of the training split. Smaller subsets are contained in larger ones.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: Option<f64>,
    /// Keep at most this many training images a class.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub per_class: Option<u64>,
    #[serde(default)]
    pub on_unreadable: OnUnreadable,
}

fn yes() -> bool {
    true
}

/// Fractions of the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fractions {
    #[schemars(range(min = 0.0, max = 1.0))]
    pub train: f64,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val: f64,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub test: f64,
}

/// What to do with a file that does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum OnUnreadable {
    /// List them all and fail.
    #[default]
    Error,
    /// Leave them out; the report counts them.
    Drop,
}

/// A file that names the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Relative to the project's root.
    pub file: String,
    /// What the image paths are relative to; by default the table's own folder.
    #[serde(default)]
    pub images: Option<String>,
    /// Column of the image path: its name, or its number from 1.
    pub image: Column,
    /// Column of the label.
    pub label: Column,
    /// Column that holds `train`, `val` or `test`.
    #[serde(default)]
    pub split: Option<Column>,
    /// Class name to the label value or values it stands for; without it every distinct label is a class.
    #[serde(default)]
    pub classes: Option<BTreeMap<String, LabelMatch>>,
    /// Labels whose images are left out on purpose.
    #[serde(default)]
    pub drop: Vec<LabelMatch>,
    #[serde(default)]
    pub separator: Separator,
    /// Whether the first line names the columns; by default it does when a column is given by name.
    #[serde(default)]
    pub header: Option<bool>,
}

/// A column by name, or by number from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Column {
    Number(u32),
    Name(String),
}

/// What a label must be. Numbers compare as numbers (within 1e-6), everything else as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LabelMatch {
    Number(f64),
    Text(String),
    /// `{ min, max }`, both included; either may be left out.
    Range(Range),
    Any(Vec<LabelMatch>),
}

/// A range of label values, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub max: Option<f64>,
}

/// What stands between the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Separator {
    /// By the file's ending and first line.
    #[default]
    Auto,
    Comma,
    Tab,
    Semicolon,
    Whitespace,
}

/// The node's work is the parameters. Inputs: none. Sources: `root` (the image folder, or the folder that table paths are
/// relative to) and `table` (the file).
pub type Work = Params;

pub fn run(_work: &Work, _task: &mut Task<'_>) -> Result<Outcome> {
    todo!()
}
