//! What is in a folder or a table of images.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::{
    artifact::{Reading, Split},
    images::{Rgb, source::Source},
    stages::dataset::{self, Candidate, is_image, table},
};

/// Most images that are decoded to learn their sizes; of more, every so-manyth.
const DECODED: usize = 20_000;
/// A class of fewer images cannot be divided into train, val and test with something to say about each.
pub const LEAST: usize = 5;

/// Columns that a person named.
pub struct Columns<'a> {
    pub image: Option<&'a str>,
    pub label: Option<&'a str>,
}

/// Images and what is known of them.
pub struct Seen {
    /// The parameters of the `dataset` stage that list them: `image_folder` or `table`.
    pub listing: Value,
    pub classes: Vec<Class>,
    pub has_splits: bool,
    /// There is no val beside train and test.
    pub lacks_val: bool,
    /// Of those that were decoded.
    pub shorter_sides: Vec<u32>,
    pub decoded: usize,
    /// Every decoded image is grey.
    pub grey: bool,
    /// Images that cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
}

/// A class with its images in train, val, test, and in none of them.
pub struct Class {
    pub name: String,
    pub splits: [usize; 4],
}

impl Class {
    pub fn images(&self) -> usize {
        self.splits.iter().sum()
    }
}

impl Seen {
    pub fn images(&self) -> usize {
        self.classes.iter().map(Class::images).sum()
    }
}

/// Looks at the images that a project in `into` would be about.
pub fn look(images: &Path, into: &Path, columns: &Columns) -> Result<Seen> {
    ensure!(images.exists(), "there is no {}", images.display());
    let written = from_project(images, into)?;
    let listing = if images.is_dir() {
        ensure!(
            columns.image.is_none() && columns.label.is_none(),
            "{} is a folder: `--image` and `--label` name columns of a table",
            images.display()
        );
        json!({ "image_folder": written })
    } else {
        json!({ "table": table_of(images, &written, columns)? })
    };
    let params: dataset::Params = serde_json::from_value(listing.clone())?;
    let sources = dataset::sources(&params, into)?;
    let root = &sources["root"];
    let found = dataset::find(&params, root, sources.get("table").map(PathBuf::as_path))
        .map_err(|error| flat_folder(images).unwrap_or(error))?;
    let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for candidate in &found.candidates {
        let at = candidate.split.and_then(|split| Split::ALL.iter().position(|s| *s == split)).unwrap_or(3);
        counts.entry(&candidate.label).or_default()[at] += 1;
    }
    let class =
        |name: &String| Class { name: name.clone(), splits: counts.get(name.as_str()).copied().unwrap_or_default() };
    let classes: Vec<Class> = found.classes.iter().map(class).collect();
    let has_splits = found.has_splits();
    check(images, &classes, has_splits).map_err(|error| deeper(images, &classes).unwrap_or(error))?;
    let mut seen = Seen {
        listing,
        classes,
        has_splits,
        lacks_val: has_splits && !found.has(Split::Val),
        shorter_sides: Vec::new(),
        decoded: 0,
        grey: true,
        unreadable: Vec::new(),
    };
    decode(root, &found.candidates, &mut seen);
    ensure!(
        !seen.shorter_sides.is_empty(),
        "none of {} images can be read; the first is {}",
        seen.decoded,
        seen.unreadable.first().map(|(path, why)| format!("{path}: {why}")).unwrap_or_default()
    );
    Ok(seen)
}

/// The path as a project in `into` writes it: relative where it lies inside, else absolute.
fn from_project(images: &Path, into: &Path) -> Result<String> {
    // As it was written first: a link inside the project stays one.
    let (written, folder) = (std::path::absolute(images)?, std::path::absolute(into)?);
    let full = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    let (images, into) = (full(images)?, full(into)?);
    let inside = written.strip_prefix(&folder).ok().or_else(|| images.strip_prefix(&into).ok());
    let path = inside.unwrap_or(&images);
    let text = path.to_str().with_context(|| format!("{} is not UTF-8; rename it", path.display()))?;
    Ok(if text.is_empty() { ".".to_owned() } else { text.to_owned() })
}

/// Says so where a folder holds images but no folders of classes.
fn flat_folder(folder: &Path) -> Option<anyhow::Error> {
    let entries: Vec<PathBuf> = folder.read_dir().ok()?.flatten().map(|entry| entry.path()).collect();
    let images = entries.iter().filter(|path| path.is_file() && is_image(path)).count();
    (images > 0 && !entries.iter().any(|path| path.is_dir())).then(|| {
        anyhow!(
            "{} holds {images} images but no folders: put the images of each class into a folder of its own, or give a \
             table of paths and labels",
            folder.display()
        )
    })
}

/// Says so where the folders of classes are one folder further down.
fn deeper(folder: &Path, classes: &[Class]) -> Option<anyhow::Error> {
    let [only] = classes else { return None };
    let inner = folder.join(&only.name);
    let folders = inner.read_dir().ok()?.flatten().filter(|entry| entry.path().is_dir()).count();
    (folders >= 2).then(|| {
        anyhow!(
            "{} has one folder, `{}`, which holds {folders}: did you mean `thawline init {}`?",
            folder.display(),
            only.name,
            inner.display()
        )
    })
}

/// Whether a comparison can be made of these images.
fn check(images: &Path, classes: &[Class], has_splits: bool) -> Result<()> {
    if let [only] = classes {
        bail!(
            "all {} images in {} are of one class, `{}`: a classifier tells at least two apart",
            only.images(),
            images.display(),
            only.name
        );
    }
    let some = |i: usize| classes.iter().any(|class| class.splits[i] > 0);
    if has_splits {
        ensure!(
            some(0) && some(2),
            "{} has no {} images: fill train and test (and perhaps val), or keep one folder a class and let thawline divide",
            images.display(),
            if some(0) { "test" } else { "train" }
        );
        let untrained: Vec<&str> = classes.iter().filter(|c| c.splits[0] == 0).map(|c| c.name.as_str()).collect();
        ensure!(untrained.is_empty(), "no training images of class {}", dataset::list_some(&untrained));
        return Ok(());
    }
    let small: Vec<String> = classes
        .iter()
        .filter(|class| class.images() < LEAST)
        .map(|class| format!("`{}` ({})", class.name, class.images()))
        .collect();
    ensure!(
        small.is_empty(),
        "too few images of class {}: at least {LEAST} each are needed to divide them into train, val and test; add images, \
         or leave the class out",
        dataset::list_some(&small)
    );
    Ok(())
}

/// What one image is like.
struct Look {
    shorter: u32,
    grey: bool,
}

fn decode(root: &Path, candidates: &[Candidate], seen: &mut Seen) {
    let step = candidates.len().div_ceil(DECODED).max(1);
    let reading = Reading::default();
    let source = Source::new(root, reading.limits);
    let chosen: Vec<&Candidate> = candidates.iter().step_by(step).collect();
    let look = |candidate: &&Candidate| -> Result<Look> {
        let decoded = source.read(&candidate.path)?.decode(&reading)?.image;
        Ok(Look { shorter: decoded.width.min(decoded.height), grey: is_grey(&decoded) })
    };
    let looks: Vec<Result<Look>> = chosen.par_iter().map(look).collect();
    seen.decoded = chosen.len();
    for (candidate, look) in chosen.iter().zip(looks) {
        match look {
            Ok(look) => {
                seen.shorter_sides.push(look.shorter);
                seen.grey &= look.grey;
            }
            Err(error) => seen.unreadable.push((candidate.path.clone(), format!("{error:#}"))),
        }
    }
    seen.shorter_sides.sort_unstable();
}

fn is_grey(image: &Rgb) -> bool {
    image.pixels.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2])
}

/// Names of columns that usually hold labels, the likeliest first.
const LABELS: [&str; 10] =
    ["label", "labels", "class", "target", "category", "y", "diagnosis", "species", "class_name", "dx"];
/// Names of columns that usually hold the split.
const SPLITS: [&str; 4] = ["split", "subset", "set", "partition"];

/// The `table` parameter for a file: which columns hold what.
fn table_of(file: &Path, written: &str, columns: &Columns) -> Result<Value> {
    let rows = table::lines(file)?;
    let Some(first) = rows.first() else { bail!("{} is empty", file.display()) };
    let folder = file.parent().unwrap_or(Path::new("."));
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let some: Vec<&Vec<String>> = rows.iter().skip(1).take(200).collect();
    ensure!(!some.is_empty(), "{} has one line: a table has a row for each image", file.display());
    let share = |column: usize, is: &dyn Fn(&str) -> bool| {
        some.iter().filter(|row| row.get(column).is_some_and(|field| is(field))).count() * 2 > some.len()
    };
    let is_file = |field: &str| !field.is_empty() && folder.join(field).is_file();
    let looks_like = |field: &str| is_image(Path::new(field));
    let header = !first.iter().any(|field| is_file(field) || looks_like(field));
    let named = |wanted: &str| -> Result<usize> {
        let by_number = || wanted.parse::<usize>().ok().filter(|n| (1..=width).contains(n)).map(|n| n - 1);
        let by_name = || first.iter().position(|name| header && name == wanted);
        by_name()
            .or_else(by_number)
            .with_context(|| format!("{} has no column `{wanted}`; {}", file.display(), listed(first, header)))
    };
    let image = match columns.image {
        Some(wanted) => named(wanted)?,
        None => (0..width)
            .find(|&column| share(column, &is_file))
            .or_else(|| (0..width).find(|&column| share(column, &looks_like)))
            .with_context(|| {
                format!(
                    "no column of {} holds paths of images below {}; name it with `--image COLUMN`; {}",
                    file.display(),
                    folder.display(),
                    listed(first, header)
                )
            })?,
    };
    let distinct = |column: usize| {
        let values = rows.iter().skip(usize::from(header)).filter_map(|row| row.get(column));
        values.collect::<BTreeSet<&String>>()
    };
    let is_split =
        |value: &&String| ["train", "val", "valid", "validation", "test"].contains(&value.to_lowercase().as_str());
    let split = (0..width).find(|&column| {
        let named = !header || first.get(column).is_some_and(|name| SPLITS.contains(&name.to_lowercase().as_str()));
        column != image && named && distinct(column).iter().all(is_split)
    });
    let label = match columns.label {
        Some(wanted) => named(wanted)?,
        None => {
            let others: Vec<usize> = (0..width).filter(|&c| c != image && Some(c) != split).collect();
            let name = |column: &usize| first.get(*column).map(|name| name.to_lowercase());
            let by_name =
                LABELS.iter().find_map(|label| others.iter().find(|c| header && name(c).as_deref() == Some(label)));
            match (by_name, &others[..]) {
                (Some(column), _) | (None, [column]) => *column,
                _ => bail!(
                    "which column of {} holds the labels? Name it with `--label COLUMN`; {}",
                    file.display(),
                    listed(first, header)
                ),
            }
        }
    };
    let column = |at: usize| if header { json!(first[at]) } else { json!(at + 1) };
    let mut table = json!({ "file": written, "image": column(image), "label": column(label) });
    if let Some(split) = split {
        table["split"] = column(split);
    }
    if header {
        table["header"] = json!(true);
    }
    Ok(table)
}

fn listed(first: &[String], header: bool) -> String {
    if header {
        format!("its columns are {}", dataset::list_some(first))
    } else {
        format!("its first line is {}", dataset::list_some(first))
    }
}
