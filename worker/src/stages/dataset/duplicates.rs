//! Images that are there more than once, equal byte by byte or to the eye, and what that does to the splits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thawline::{
    artifact::{Dataset, Split, dataset::Dropped},
    images::similar::{self, Fingerprint},
    stages::dataset::list_some,
};

use super::Seen;

/// Which images look like which. Images of equal fingerprints are one look.
pub(super) struct Near {
    looks: HashMap<String, usize>,
    /// By look, the others that are near.
    neighbours: Vec<Vec<usize>>,
    complete: bool,
}

pub(super) fn near(seen: &[Seen]) -> Near {
    let prints: Vec<&Fingerprint> = seen.iter().map(|s| &s.fingerprint).collect::<BTreeSet<_>>().into_iter().collect();
    let similar::Near { pairs, complete } = similar::near(&prints);
    let mut neighbours = vec![Vec::new(); prints.len()];
    for (a, b) in pairs {
        neighbours[a].push(b);
        neighbours[b].push(a);
    }
    let position: HashMap<&Fingerprint, usize> = prints.into_iter().zip(0..).collect();
    let looks = seen.iter().map(|s| (s.image.path.clone(), position[&s.fingerprint])).collect();
    Near { looks, neighbours, complete }
}

impl Near {
    /// The number of an image's look.
    pub(super) fn look(&self, path: &str) -> usize {
        self.looks.get(path).copied().unwrap_or(usize::MAX)
    }

    /// The looks that are like an image's, its own included.
    pub(super) fn like(&self, path: &str) -> impl Iterator<Item = usize> {
        let own = self.look(path);
        std::iter::once(own).chain(self.neighbours.get(own).into_iter().flatten().copied())
    }
}

/// Equal contents under different labels: at least one of them is wrong.
pub(super) fn note_conflicts(seen: &[Seen], near: &Near, classes: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut by_id: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    seen.iter().for_each(|s| by_id.entry(&s.image.id).or_default().push(s));
    let copies = seen.len() - by_id.len();
    if copies > 0 {
        notes.push(format!("{copies} images are exact copies of another"));
    }
    let say = |s: &Seen| format!("{} ({})", s.image.path, classes[s.image.label as usize]);
    let differ = |same: &&Vec<&Seen>| same.iter().any(|s| s.image.label != same[0].image.label);
    let conflicts: Vec<String> =
        by_id.values().filter(differ).map(|same| same.iter().map(|s| say(s)).collect::<Vec<_>>().join(" = ")).collect();
    if !conflicts.is_empty() {
        notes.push(format!(
            "WARNING: {} images are in several classes with equal content: {}",
            conflicts.len(),
            list_some(&conflicts)
        ));
    }

    // Of every look the first image of each class.
    let mut by_look: HashMap<usize, BTreeMap<u32, &Seen>> = HashMap::new();
    for s in seen {
        by_look.entry(near.look(&s.image.path)).or_default().entry(s.image.label).or_insert(s);
    }
    let mut alike: Vec<String> = Vec::new();
    for s in seen {
        let others = near.like(&s.image.path).filter_map(|look| by_look.get(&look)).flat_map(BTreeMap::values);
        let other =
            others.filter(|o| o.image.label != s.image.label && o.image.id != s.image.id).min_by_key(|o| &o.image.path);
        if let Some(other) = other.filter(|other| s.image.path < other.image.path) {
            alike.push(format!("{} ~ {}", say(s), say(other)));
        }
    }
    if !alike.is_empty() {
        notes.push(format!(
            "{} pairs of images look alike but are of different classes: {}",
            alike.len(),
            list_some(&alike)
        ));
    }
    if !near.complete {
        notes.push("so many images look alike that near-duplicates were not searched to the end".to_string());
    }
    notes
}

/// Of images with equal content keeps the first by path, those of test before val before train, so that the held-out images
/// stay. Contents under several labels go altogether: which label is right cannot be known.
pub(super) fn remove(seen: &mut Vec<Seen>) -> Vec<Dropped> {
    let mut by_id: HashMap<&str, Vec<&Seen>> = HashMap::new();
    seen.iter().for_each(|s| by_id.entry(&s.image.id).or_default().push(s));
    let mut removed: BTreeMap<String, String> = BTreeMap::new();
    for mut same in by_id.into_values().filter(|same| same.len() > 1) {
        same.sort_by_key(|s| (std::cmp::Reverse(s.image.split), &s.image.path));
        if same.iter().any(|s| s.image.label != same[0].image.label) {
            let reason = |s: &Seen| (s.image.path.clone(), "its content is in several classes".to_string());
            removed.extend(same.iter().map(|s| reason(s)));
        } else {
            let reason = format!("a copy of {}", same[0].image.path);
            removed.extend(same[1..].iter().map(|s| (s.image.path.clone(), reason.clone())));
        }
    }
    seen.retain(|s| !removed.contains_key(&s.image.path));
    removed.into_iter().map(|(path, reason)| Dropped { path, reason }).collect()
}

pub(super) fn note_removed(removed: &[Dropped]) -> Option<String> {
    let listed: Vec<String> = removed.iter().map(|d| format!("{} ({})", d.path, d.reason)).collect();
    (!listed.is_empty()).then(|| format!("`deduplicate` left out {} images: {}", listed.len(), list_some(&listed)))
}

/// Files of equal content in two splits make scores look better than they are, and so do images that look alike.
pub(super) fn note_leaks(dataset: &Dataset, near: &Near) -> Vec<String> {
    let mut notes = Vec::new();
    let mut splits: BTreeMap<&str, BTreeSet<Split>> = BTreeMap::new();
    for image in &dataset.images {
        splits.entry(&image.id).or_default().insert(image.split);
    }
    let is_equal = |id: &str| splits.get(id).is_some_and(|splits| splits.len() > 1);
    let equal: Vec<&String> = dataset.images.iter().filter(|i| is_equal(&i.id)).map(|i| &i.path).collect();
    if !equal.is_empty() {
        notes.push(format!(
            "WARNING: {} files have the same content as one in another split: {}",
            equal.len(),
            list_some(&equal)
        ));
    }

    // Of every look the first training image.
    let mut in_train: HashMap<usize, &str> = HashMap::new();
    for image in dataset.rows(Split::Train) {
        in_train.entry(near.look(&image.path)).or_insert(&image.path);
    }
    for held_out in [Split::Test, Split::Val] {
        let alike: Vec<String> = dataset
            .rows(held_out)
            .into_iter()
            .filter(|image| !is_equal(&image.id))
            .filter_map(|image| {
                let twin = near.like(&image.path).filter_map(|look| in_train.get(&look)).min()?;
                Some(format!("{} ~ {twin}", image.path))
            })
            .collect();
        if !alike.is_empty() {
            notes.push(format!(
                "WARNING: {} {} images look like a training image: {}; `deduplicate: true` or `group_by` keeps such images \
                 in one split",
                alike.len(),
                held_out.name(),
                list_some(&alike)
            ));
        }
    }
    notes
}
