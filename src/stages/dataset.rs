//! `dataset`: finds the images, their classes and their splits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{
    Reading, Split,
    reading::{Levels, Limits},
};

pub mod arrays;
mod folder;
mod group;
pub mod parquet;
mod place;
pub mod table;
pub mod tar;

pub use folder::is_image;
pub use group::GroupBy;
use place::matching;
pub use place::{Misplaced, missing_files, sources};

pub const VERSION: u32 = 2;

/// Where the images are and how they are divided. Exactly one of `image_folder`, `table`, `tar`, `parquet` and `arrays`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A folder `root/<class>/*`, or `root/{train,val,test}/<class>/*`; relative to the project's root.
    #[serde(default)]
    pub image_folder: Option<String>,
    /// A CSV, TSV or whitespace-separated file that names the images.
    #[serde(default)]
    pub table: Option<Box<Table>>,
    /// Tar files of images and labels, as WebDataset's shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar: Option<Vec<tar::Part>>,
    /// Parquet files with image bytes, as Hugging Face's datasets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<Vec<parquet::Part>>,
    /// IDX, `.npy` or `.npz` files of images and of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrays: Option<Vec<arrays::Part>>,
    /// Names of the classes 0, 1, ... where `tar`, `parquet` or `arrays` number them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_names: Option<Vec<String>>,
    /// Fractions of the images; they sum to 1. Not with folders or a column that already say the split; where those say only
    /// train and test, `test: 0` takes val from train.
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
    /// Set by smoke tests alone: a sample of this many images, or all where there are fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub at_most: Option<u64>,
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
    /// Images of one group (a patient, a module) stay in one split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<GroupBy>,
    /// Of images with equal content keep one; those that look the same stay in one split.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deduplicate: bool,
    /// RGB that transparent images are composited on, 0 to 255 each; white by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<[u8; 3]>,
    /// What is black and what is white where a sample has more than 8 bits: `type` (the default), `image`, or
    /// `{ low, high }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Levels>,
    /// What decoding one image may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

fn yes() -> bool {
    true
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Params {
    /// The ways of listing images that are given, by name: sound parameters have one.
    pub fn listings(&self) -> Vec<&'static str> {
        let given = [
            ("image_folder", self.image_folder.is_some()),
            ("table", self.table.is_some()),
            ("tar", self.tar.is_some()),
            ("parquet", self.parquet.is_some()),
            ("arrays", self.arrays.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// How the images are decoded.
    pub fn reading(&self) -> Reading {
        let default = Reading::default();
        Reading {
            background: self.background.unwrap_or(default.background),
            levels: self.levels.unwrap_or(default.levels),
            limits: self.limits.unwrap_or(default.limits),
        }
    }

    /// The parameters that say which files are read, so that others may change without looking again.
    pub fn place(&self) -> Result<String> {
        let place = (&self.image_folder, &self.table, &self.tar, &self.parquet, &self.arrays, &self.group_by);
        Ok(serde_json::to_string(&place)?)
    }
}

/// Cross-validation: the test split is fold `index` of `of`; val is taken from the rest, in `split`'s proportion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    pub index: u32,
    pub of: u32,
    /// Which division into folds, from 0.
    pub repeat: u32,
}

impl Fold {
    /// Counted through all divisions.
    pub fn number(self) -> u32 {
        self.repeat * self.of + self.index
    }
}

/// Fractions of the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fractions {
    /// Part of the images to train on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub train: f64,
    /// Part of the images to choose configurations on.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val: f64,
    /// Part of the images that is sealed until a configuration is chosen.
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
    /// Least label value.
    #[serde(default)]
    pub min: Option<f64>,
    /// Largest label value.
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

/// Inputs: none. Sources: `root` (the image folder, the folder that table paths are relative to, or else the project) and
/// `table` (the file).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    #[serde(flatten)]
    pub params: Params,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
}

/// Every file whose content the stage reads, table included: absolute paths, sorted. A node is keyed by these.
///
/// # Errors
/// Those of [`sources`], and whatever is wrong with the folder's layout or the table.
pub fn listing(params: &Params, project_root: &Path) -> Result<Vec<PathBuf>> {
    let sources = sources(params, project_root)?;
    let (root, table) = (&sources["root"], sources.get("table"));
    let found = scan(params, root, table.map(PathBuf::as_path))?;
    let mut files: Vec<PathBuf> = match found.files {
        Some(files) => files.into_iter().collect(),
        None => found.candidates.iter().map(|c| root.join(&c.path)).collect(),
    };
    files.extend(table.cloned());
    files.sort();
    Ok(files)
}

/// A file that may be an image of the dataset, or an image in a file of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Relative to the dataset's root, with `/`; as [`Source`](crate::images::source::Source) reads it.
    pub path: String,
    /// The name of its class.
    pub label: String,
    pub split: Option<Split>,
    /// What keeps it with others in one split.
    pub group: Option<String>,
}

/// What a folder, a table or files of many images say.
#[derive(Default)]
pub struct Found {
    pub classes: Vec<String>,
    pub candidates: Vec<Candidate>,
    /// What a person should know: files that are ignored, rows that are dropped.
    pub notes: Vec<String>,
    /// The files that hold images and labels, where an image is not a file of its own.
    pub files: Option<BTreeSet<PathBuf>>,
}

impl Found {
    pub fn has_splits(&self) -> bool {
        self.candidates.iter().any(|c| c.split.is_some())
    }

    /// Whether some image is said to be of this split.
    pub fn has(&self, split: Split) -> bool {
        self.candidates.iter().any(|c| c.split == Some(split))
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
    if let Some(Levels::Given(levels)) = params.levels {
        ensure!(
            levels.low < levels.high,
            "`levels`: `low` is {}, it must be below `high`, {}",
            levels.low,
            levels.high
        );
    }
    Ok(())
}

/// Finds the candidates without decoding any image: `root` and `table` are those of [`sources`].
pub fn scan(params: &Params, root: &Path, table: Option<&Path>) -> Result<Found> {
    let found = find(params, root, table)?;
    check_split(params, root, &found)?;
    Ok(found)
}

/// As [`scan`], whatever `split` says of how they are divided.
pub fn find(params: &Params, root: &Path, table: Option<&Path>) -> Result<Found> {
    check(params)?;
    let mut found = match (&params.table, table, &params.tar, &params.parquet, &params.arrays) {
        (Some(columns), Some(file), ..) => table::scan(columns, file, root, params.group_by.as_ref())?,
        (_, _, Some(parts), ..) => tar::scan(parts, root, params)?,
        (_, _, _, Some(parts), _) => parquet::scan(parts, root, params)?,
        (_, _, _, _, Some(parts)) => arrays::scan(parts, root, params)?,
        _ => folder::scan(root)?,
    };
    if let Some(by) = &params.group_by {
        by.complete(&mut found.candidates)?;
    }
    Ok(found)
}

/// Either the files say the splits, or `split` does; `split` may also take val from what the files call train.
fn check_split(params: &Params, root: &Path, found: &Found) -> Result<()> {
    match (params.split, found.has_splits()) {
        (Some(split), true) if split.test == 0.0 && found.has(Split::Test) && !found.has(Split::Val) => Ok(()),
        (Some(_), true) => {
            let message = format!("{} already says the splits", root.display());
            Err(Misplaced::at("split", message).help("leave `split` out").into())
        }
        (None, false) => {
            let message = "nothing says the splits";
            Err(Misplaced::at("", message).help("add `split: { train: 0.6, val: 0.2, test: 0.2 }`").into())
        }
        _ => Ok(()),
    }
}

/// The classes that labels are: in the order of numbers where all are.
fn numbered(candidates: &[Candidate]) -> Vec<String> {
    let mut classes: Vec<String> =
        candidates.iter().map(|c| c.label.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    table::sort_labels(&mut classes);
    classes
}

/// Turns labels 0, 1, ... into the names of these classes; labels that are a name already stay.
fn named(candidates: &mut [Candidate], names: &[String]) -> Result<Vec<String>> {
    for candidate in candidates {
        if names.contains(&candidate.label) {
            continue;
        }
        let name = candidate.label.parse().ok().and_then(|number: usize| names.get(number));
        let name = name.with_context(|| {
            format!(
                "{}: label `{}` is none of the {} classes {}",
                candidate.path,
                candidate.label,
                names.len(),
                list_some(names)
            )
        })?;
        candidate.label = name.clone();
    }
    Ok(names.to_vec())
}

/// `total` divided in proportion to `weights` into whole parts that sum to it: every share is rounded down, and what is left
/// goes one each to the largest remainders, earlier parts first (Hamilton's method).
pub fn largest_remainder(total: usize, weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    // A share that is whole but for rounding errors (0.2 of 15) must count as whole.
    let shares: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum + 1e-9).collect();
    let mut counts: Vec<usize> = shares.iter().map(|share| share.floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
    order.sort_by(|&a, &b| shares[b].fract().total_cmp(&shares[a].fract()).then(a.cmp(&b)));
    let left = total.saturating_sub(counts.iter().sum());
    order.into_iter().cycle().take(left).for_each(|i| counts[i] += 1);
    counts
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
