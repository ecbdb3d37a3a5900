//! `thawline preview`, on the worker's side: prepares some training images as an `augment` stage would. Nothing is stored.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use thawline::{
    artifact::{Dataset, Split},
    images::{Rgb, sheet},
    protocol::{Answer, Epoch, PreviewAnswer, PreviewRequest},
    stages::augment::Work,
};

use crate::{
    stages::{self, prepare},
    task::{Link, Task},
};

/// Answers a request.
pub fn answer(request: &PreviewRequest) -> PreviewAnswer {
    preview(request).map_or_else(|error| PreviewAnswer::Error(format!("{error:#}")), PreviewAnswer::Rows)
}

/// Nobody listens, nobody stops it.
struct Silent;

impl Link for Silent {
    fn log(&mut self, _line: &str) {}

    fn progress(&mut self, _done: u64, _total: u64) -> Answer {
        Answer::Continue
    }

    fn epoch(&mut self, _epoch: &Epoch) -> Answer {
        Answer::Continue
    }
}

fn preview(request: &PreviewRequest) -> Result<Vec<String>> {
    let folder = std::env::temp_dir().join(format!("thawline-preview-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let dataset = find(request, &folder);
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    let dataset = dataset?;
    let root = request.sources.get("root").context("no source `root`")?;
    let columns: Vec<Work> =
        request.columns.iter().map(|work| Ok(serde_json::from_value(work.clone())?)).collect::<Result<_>>()?;
    let side = columns.first().context("nothing to show")?.size;
    let rows = dataset.rows(Split::Train);
    ensure!(!rows.is_empty(), "there are no training images");
    // Spread over the split, so that all classes have a chance.
    let count = request.images.min(rows.len());
    let chosen: Vec<usize> = (0..count).map(|i| i * rows.len() / count).collect();
    let tiles = |&row: &usize| -> Result<Vec<Rgb>> {
        columns.iter().map(|work| Ok(prepare(work, root, &rows, row)?.image)).collect()
    };
    let sheet: Vec<Vec<Rgb>> = chosen.par_iter().map(tiles).collect::<Result<_>>()?;
    sheet::write(&sheet, side, &request.sheet)?;
    Ok(chosen.iter().map(|&row| rows[row].path.clone()).collect())
}

/// The dataset, as its stage finds it.
fn find(request: &PreviewRequest, folder: &std::path::Path) -> Result<Dataset> {
    let mut task = Task {
        inputs: BTreeMap::new(),
        sources: request.sources.clone(),
        seed: 0,
        out: folder.to_path_buf(),
        checkpoint: folder.to_path_buf(),
        link: &mut Silent,
    };
    stages::run("dataset", request.dataset.clone(), &mut task)?;
    Dataset::read(folder)
}
