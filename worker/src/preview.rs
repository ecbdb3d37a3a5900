//! `thawline preview`, on the worker's side: prepares some training images as an `augment` stage would. Nothing is stored.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use thawline::{
    artifact::{Dataset, Split},
    images::{Rgb, sheet, source::Source},
    protocol::{Answer, Epoch},
    stages::augment::Work,
};

use crate::{
    stages::{self, View},
    task::{Link, Task},
};

/// Nobody listens, nobody stops it.
struct Silent;

impl Link for Silent {
    fn log(&mut self, _line: &str) {}

    fn progress(&mut self, _done: u64, _total: u64) -> Answer {
        Answer::Continue
    }

    fn epochs(&mut self, _epochs: Vec<(usize, Epoch)>) -> Answer {
        Answer::Continue
    }
}

/// Writes the sheet: a row an image, spread over the training split, and a column for each of `columns`, the augment stage's
/// works. The image of each row, relative to the dataset's root.
pub fn preview(
    dataset: serde_json::Value,
    sources: &BTreeMap<String, PathBuf>,
    columns: Vec<Work>,
    images: usize,
    to: &Path,
) -> Result<Vec<String>> {
    let folder = std::env::temp_dir().join(format!("thawline-preview-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let dataset = find(dataset, sources, &folder);
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    let dataset = dataset?;
    let source = Source::new(sources.get("root").context("no source `root`")?, dataset.reading.limits);
    let side = columns.first().context("nothing to show")?.size;
    let views: Vec<View<'_>> = columns.iter().map(|work| View::new(work, &source, &dataset)).collect::<Result<_>>()?;
    let longest = views.iter().max_by_key(|view| view.len()).context("nothing to show")?;
    ensure!(!longest.is_empty(), "there are no training images");
    // Spread over the split and what balance adds to it, so that all classes have a chance.
    let count = images.min(longest.len());
    let chosen: Vec<usize> = (0..count).map(|i| i * longest.len() / count).collect();
    let number: HashMap<&str, usize> = dataset.rows(Split::Train).iter().map(|i| i.path.as_str()).zip(0..).collect();
    let tiles = |&row: &usize| -> Result<Vec<Rgb>> {
        // Where nothing is added, the image that is added to.
        let own = number[longest.image(row).path.as_str()];
        let tile = |view: &View<'_>| Ok(view.prepare(if row < view.len() { row } else { own })?.image);
        views.iter().map(tile).collect()
    };
    let sheet: Vec<Vec<Rgb>> = chosen.par_iter().map(tiles).collect::<Result<_>>()?;
    sheet::write(&sheet, side, to)?;
    Ok(chosen.iter().map(|&row| longest.image(row).path.clone()).collect())
}

/// The dataset, as its stage finds it.
fn find(work: serde_json::Value, sources: &BTreeMap<String, PathBuf>, folder: &Path) -> Result<Dataset> {
    let mut task = Task {
        inputs: BTreeMap::new(),
        sources: sources.clone(),
        seed: 0,
        limits: Default::default(),
        out: folder.to_path_buf(),
        checkpoint: folder.to_path_buf(),
        link: &mut Silent,
    };
    stages::run("dataset", work, &mut task)?;
    Dataset::read(folder)
}
