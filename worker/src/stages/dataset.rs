//! `dataset`: reads every image that was found, says what it saw, and divides the images into splits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use anyhow::{Result, bail, ensure};
use rayon::prelude::*;
use thawline::{
    artifact::{Dataset, Image, Reading, Split, dataset::Dropped},
    images::{decode::Format, similar::Fingerprint, source::Source},
    protocol::{Answer, Outcome},
    stages::dataset::{Candidate, OnUnreadable, Work, join_some, list_some, scan},
};

use crate::task::{Stopped, Task};

mod divide;
mod duplicates;
mod groups;
mod seen;

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let params = &work.params;
    let root = task.source("root")?.to_path_buf();
    let table = params.table.as_ref().map(|_| task.source("table").map(Path::to_path_buf)).transpose()?;
    let found = scan(params, &root, table.as_deref())?;
    let has_splits = found.has_splits();
    let total = found.candidates.len();
    let mut notes = found.notes;

    let reading = params.reading();
    let (mut seen, mut dropped) = read_images(&root, &reading, &found.classes, found.candidates, task)?;
    let unreadable = || list_lines(dropped.iter().map(|d| format!("{}: {}", d.path, d.reason)));
    if !dropped.is_empty() {
        ensure!(
            params.on_unreadable == OnUnreadable::Drop,
            "{} of {total} images cannot be read (`on_unreadable: drop` leaves them out):{}",
            dropped.len(),
            unreadable()
        );
        ensure!(!seen.is_empty(), "none of {total} images can be read:{}", unreadable());
        notes.push(format!("dropped {} of {total} images that cannot be read:{}", dropped.len(), unreadable()));
    }
    notes.extend(seen::notes(&seen, &found.classes));

    let near = duplicates::near(&seen);
    notes.extend(duplicates::note_conflicts(&seen, &near, &found.classes));
    if params.deduplicate {
        let removed = duplicates::remove(&mut seen);
        notes.extend(duplicates::note_removed(&removed));
        dropped.extend(removed);
    }
    let groups = groups::of(&seen, params, &near);
    notes.extend(groups.as_ref().map(groups::Groups::note));
    let images: Vec<Image> = seen.into_iter().map(|s| s.image).collect();
    let images = divide::divide(work, images, has_splits, groups.as_ref())?;
    let dataset = Dataset { images, classes: found.classes, dropped, reading };
    notes.extend(check_classes(&dataset)?);
    notes.extend(duplicates::note_leaks(&dataset, &near));
    dataset.write(&task.out)?;

    let mut metrics = BTreeMap::from([
        ("images".to_string(), dataset.images.len() as f64),
        ("classes".to_string(), dataset.classes.len() as f64),
    ]);
    metrics.extend(Split::ALL.map(|split| (split.name().to_string(), dataset.rows(split).len() as f64)));
    Ok(Outcome { metrics, images_seen: total as u64, notes, ..Outcome::default() })
}

/// An image that was read, and what it turned out to be.
#[derive(Debug, Clone)]
struct Seen {
    image: Image,
    group: Option<String>,
    fingerprint: Fingerprint,
    width: u32,
    height: u32,
    format: Format,
    kind: String,
}

/// Reads, identifies and decodes every candidate. Images without a split yet are marked `train`.
fn read_images(
    root: &Path,
    reading: &Reading,
    classes: &[String],
    candidates: Vec<Candidate>,
    task: &mut Task<'_>,
) -> Result<(Vec<Seen>, Vec<Dropped>)> {
    const CHUNK: usize = 1024;
    let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let source = Source::new(root, reading.limits);
    let read = |candidate: &Candidate| -> Result<Seen> {
        let encoded = source.read(&candidate.path)?;
        let decoded = encoded.decode(reading)?;
        let Some(&label) = labels.get(candidate.label.as_str()) else {
            bail!("it is of class `{}`, which is not among the classes", candidate.label);
        };
        let image = Image {
            id: encoded.id(),
            path: candidate.path.clone(),
            label,
            split: candidate.split.unwrap_or(Split::Train),
        };
        Ok(Seen {
            image,
            group: candidate.group.clone(),
            fingerprint: Fingerprint::of(&decoded.image)?,
            width: decoded.image.width,
            height: decoded.image.height,
            format: decoded.format,
            kind: decoded.kind,
        })
    };
    let (mut seen, mut dropped, mut done) = (Vec::new(), Vec::new(), 0);
    for chunk in candidates.chunks(CHUNK) {
        let images: Vec<Result<Seen>> = chunk.par_iter().map(read).collect();
        for (candidate, image) in chunk.iter().zip(images) {
            match image {
                Ok(image) => seen.push(image),
                Err(reason) => dropped.push(Dropped { path: candidate.path.clone(), reason: format!("{reason:#}") }),
            }
        }
        done += chunk.len();
        if task.link.progress(done as u64, candidates.len() as u64) != Answer::Continue {
            return Err(Stopped.into());
        }
    }
    dropped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((seen, dropped))
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

/// As [`join_some`], every item on a line of its own.
fn list_lines(items: impl Iterator<Item = String>) -> String {
    format!("\n  {}", join_some(&items.collect::<Vec<_>>(), "\n  "))
}

#[cfg(test)]
mod tests;
