//! `dataset`: reads every image that was found, and divides them into splits.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Result, bail, ensure};
use rayon::prelude::*;
use thawline::{
    artifact::{Dataset, Image, Split, dataset::Dropped},
    images::decode,
    protocol::{Answer, Outcome},
    stages::dataset::{Candidate, OnUnreadable, Work, join_some, list_some, scan},
};

use crate::task::{Stopped, Task};

mod divide;

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

/// As [`join_some`], every item on a line of its own.
fn list_lines(items: impl Iterator<Item = String>) -> String {
    format!("\n  {}", join_some(&items.collect::<Vec<_>>(), "\n  "))
}

#[cfg(test)]
mod tests;
