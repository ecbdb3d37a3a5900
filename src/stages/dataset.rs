//! `dataset`: finds the images, their classes and their splits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Outcome, Stopped, Task};
use crate::{
    artifact::{Dataset, Image, Split, dataset::Dropped},
    images::decode,
};

mod divide;
mod folder;
mod table;

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

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let root = task.source("root")?.to_path_buf();
    let table = work.table.as_ref().map(|_| task.source("table").map(Path::to_path_buf)).transpose()?;
    let found = scan(work, &root, table.as_deref())?;
    let fixed = found.has_splits();
    let total = found.candidates.len();
    let mut notes = found.notes;

    let (images, dropped) = read_images(&root, &found.classes, found.candidates, task)?;
    let unreadable = || list_lines(dropped.iter().map(|d| format!("{}: {}", d.path, d.reason)));
    if !dropped.is_empty() {
        ensure!(
            work.on_unreadable == OnUnreadable::Drop,
            "{} of {total} images cannot be read (`on_unreadable: drop` leaves them out):{}",
            dropped.len(),
            unreadable()
        );
        ensure!(!images.is_empty(), "none of {total} images can be read:{}", unreadable());
        notes.push(format!("dropped {} of {total} images that cannot be read:{}", dropped.len(), unreadable()));
    }

    let dataset = Dataset { images: divide::divide(work, images, fixed)?, classes: found.classes, dropped };
    notes.extend(check_classes(&dataset)?);
    notes.extend(note_leaks(&dataset));
    dataset.write(&task.out)?;

    let mut metrics = BTreeMap::from([
        ("images".to_string(), dataset.images.len() as f64),
        ("classes".to_string(), dataset.classes.len() as f64),
    ]);
    metrics.extend(Split::ALL.map(|split| (split.name().to_string(), dataset.rows(split).len() as f64)));
    Ok(Outcome { metrics, images_seen: total as u64, notes, ..Outcome::default() })
}

/// A file that may be an image of the dataset.
struct Candidate {
    /// Relative to the dataset's root, with `/`.
    path: String,
    /// The name of its class.
    label: String,
    split: Option<Split>,
}

/// What a folder or a table says.
struct Found {
    classes: Vec<String>,
    candidates: Vec<Candidate>,
    notes: Vec<String>,
}

impl Found {
    fn has_splits(&self) -> bool {
        self.candidates.iter().any(|c| c.split.is_some())
    }
}

/// Finds the candidates without reading any image.
fn scan(params: &Params, root: &Path, table: Option<&Path>) -> Result<Found> {
    divide::check(params)?;
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

/// Reads, identifies and decodes every candidate. Images without a split yet are marked `train`.
fn read_images(
    root: &Path,
    classes: &[String],
    candidates: Vec<Candidate>,
    task: &mut Task<'_>,
) -> Result<(Vec<Image>, Vec<Dropped>)> {
    const CHUNK: usize = 256;
    let labels: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let read = |path: &str| -> Result<String> {
        let bytes = std::fs::read(root.join(path))?;
        decode::decode(&bytes)?;
        Ok(Image::id_of(&bytes))
    };
    let (mut images, mut dropped, mut done) = (Vec::new(), Vec::new(), 0);
    for chunk in candidates.chunks(CHUNK) {
        let ids: Vec<Result<String>> = chunk.par_iter().map(|candidate| read(&candidate.path)).collect();
        for (Candidate { path, label, split }, id) in chunk.iter().zip(ids) {
            match (id, labels.get(label.as_str())) {
                (Ok(id), Some(&label)) => {
                    images.push(Image { id, path: path.clone(), label, split: split.unwrap_or(Split::Train) });
                }
                (Err(reason), _) => dropped.push(Dropped { path: path.clone(), reason: format!("{reason:#}") }),
                (Ok(_), None) => bail!("{path} is of class `{label}`, which is not among the classes"),
            }
        }
        done += chunk.len();
        if task.link.progress(done as u64, candidates.len() as u64) != Answer::Continue {
            return Err(Stopped.into());
        }
    }
    dropped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((images, dropped))
}

/// Every class must be in train; where one is absent from val or test, that is worth a note.
fn check_classes(dataset: &Dataset) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for split in Split::ALL {
        let present: BTreeSet<i64> = dataset.labels(split).into_iter().collect();
        let absent: Vec<&String> =
            (0..).zip(&dataset.classes).filter(|(label, _)| !present.contains(label)).map(|(_, name)| name).collect();
        if absent.is_empty() || (present.is_empty() && split != Split::Train) {
            continue;
        }
        ensure!(split != Split::Train, "no training images of class {}", list_some(&absent));
        notes.push(format!("no {} images of class {}", split.name(), list_some(&absent)));
    }
    Ok(notes)
}

/// Files of equal content in two splits make scores look better than they are.
fn note_leaks(dataset: &Dataset) -> Option<String> {
    let mut splits: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
    for image in &dataset.images {
        splits.entry(&image.id).or_default().insert(image.split);
    }
    let leaking = |image: &&Image| splits.get(image.id.as_str()).is_some_and(|splits| splits.len() > 1);
    let paths: Vec<&String> = dataset.images.iter().filter(leaking).map(|image| &image.path).collect();
    (!paths.is_empty())
        .then(|| format!("{} files have the same content as one in another split: {}", paths.len(), list_some(&paths)))
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

fn list_some<T: Display>(items: &[T]) -> String {
    join_some(items, ", ")
}

/// The first [`LISTED`] items, and how many more there are.
fn join_some<T: Display>(items: &[T], separator: &str) -> String {
    let mut listed: Vec<String> = items.iter().take(LISTED).map(T::to_string).collect();
    if items.len() > LISTED {
        listed.push(format!("and {} more", items.len() - LISTED));
    }
    listed.join(separator)
}

/// As [`join_some`], every item on a line of its own.
fn list_lines(items: impl Iterator<Item = String>) -> String {
    format!("\n  {}", join_some(&items.collect::<Vec<_>>(), "\n  "))
}

#[cfg(test)]
mod tests;
