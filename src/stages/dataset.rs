//! `dataset`: finds the images, their classes and their splits.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Split;

mod folder;
mod table;

pub use folder::is_image;

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

/// Where the stage reads: `root`, and `table` if there is one, as absolute paths.
///
/// # Errors
/// When the parameters name both or neither of `image_folder` and `table`, or something that is not there.
pub fn sources(params: &Params, project_root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let project = std::path::absolute(project_root)?;
    let folder = |written: &str| {
        let path = project.join(written);
        ensure!(path.is_dir(), "there is no folder {}", path.display());
        Ok(path)
    };
    match (&params.image_folder, &params.table) {
        (Some(root), None) => Ok(BTreeMap::from([("root".into(), folder(root)?)])),
        (None, Some(table)) => {
            let file = project.join(&table.file);
            ensure!(file.is_file(), "there is no table {}", file.display());
            let root = match &table.images {
                Some(images) => folder(images)?,
                None => file.parent().context("the table's path has no folder")?.to_path_buf(),
            };
            Ok(BTreeMap::from([("root".into(), root), ("table".into(), file)]))
        }
        (Some(_), Some(_)) => bail!("both `image_folder` and `table`; keep one"),
        (None, None) => bail!("neither `image_folder` nor `table`; say where the images are"),
    }
}

/// Every file whose content the stage reads, table included: absolute paths, sorted. A node is keyed by these.
///
/// # Errors
/// Those of [`sources`], and whatever is wrong with the folder's layout or the table.
pub fn listing(params: &Params, project_root: &Path) -> Result<Vec<PathBuf>> {
    let sources = sources(params, project_root)?;
    let (root, table) = (&sources["root"], sources.get("table"));
    let found = scan(params, root, table.map(PathBuf::as_path))?;
    let mut files: Vec<PathBuf> = found.candidates.iter().map(|c| root.join(&c.path)).collect();
    files.extend(table.cloned());
    files.sort();
    Ok(files)
}

/// A file that may be an image of the dataset.
pub struct Candidate {
    /// Relative to the dataset's root, with `/`.
    pub path: String,
    /// The name of its class.
    pub label: String,
    pub split: Option<Split>,
}

/// What a folder or a table says.
pub struct Found {
    pub classes: Vec<String>,
    pub candidates: Vec<Candidate>,
    /// What a person should know: files that are ignored, rows that are dropped.
    pub notes: Vec<String>,
}

impl Found {
    pub fn has_splits(&self) -> bool {
        self.candidates.iter().any(|c| c.split.is_some())
    }
}

/// Checks what can be wrong in the parameters alone.
fn check(params: &Params) -> Result<()> {
    if let Some(Fractions { train, val, test }) = params.split {
        for (name, value) in [("train", train), ("val", val), ("test", test)] {
            ensure!((0.0..=1.0).contains(&value), "split: `{name}` is {value}; fractions lie between 0 and 1");
        }
        let sum = train + val + test;
        ensure!((sum - 1.0).abs() < 1e-6, "split: {train} + {val} + {test} is {sum}; the fractions must sum to 1");
        ensure!(train > 0.0, "split: `train` is 0; there must be training images");
    }
    if let Some(fraction) = params.fraction {
        ensure!(fraction > 0.0 && fraction <= 1.0, "`fraction` is {fraction}; it lies above 0, and is at most 1");
    }
    ensure!(params.sample != Some(0), "`sample` is 0; it must be at least 1");
    ensure!(params.per_class != Some(0), "`per_class` is 0; it must be at least 1");
    Ok(())
}

/// Finds the candidates without reading any image: `root` and `table` are those of [`sources`].
pub fn scan(params: &Params, root: &Path, table: Option<&Path>) -> Result<Found> {
    check(params)?;
    let found = match (&params.table, table) {
        (Some(columns), Some(file)) => table::scan(columns, file, root)?,
        _ => folder::scan(root)?,
    };
    match (params.split.is_some(), found.has_splits()) {
        (true, true) => bail!("{} already says the splits; leave `split` out", root.display()),
        (false, false) => bail!("nothing says the splits; add `split: {{ train: 0.6, val: 0.2, test: 0.2 }}`"),
        _ => Ok(found),
    }
}

/// The split that a folder or a field of that name stands for.
fn split_name(name: &str) -> Option<Split> {
    match name {
        "train" => Some(Split::Train),
        "val" | "valid" | "validation" => Some(Split::Val),
        "test" => Some(Split::Test),
        _ => None,
    }
}

/// Most items that an error or a note lists.
const LISTED: usize = 20;

/// The first [`LISTED`] items, and how many more there are.
pub fn list_some<T: Display>(items: &[T]) -> String {
    join_some(items, ", ")
}

/// As [`list_some`], with another separator.
pub fn join_some<T: Display>(items: &[T], separator: &str) -> String {
    let mut listed: Vec<String> = items.iter().take(LISTED).map(T::to_string).collect();
    if items.len() > LISTED {
        listed.push(format!("and {} more", items.len() - LISTED));
    }
    listed.join(separator)
}
