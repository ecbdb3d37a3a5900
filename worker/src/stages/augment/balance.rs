//! `balance`: which rows a training view has beyond its images, so that every class has as many as the largest.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rayon::prelude::*;
use thawline::{
    artifact::Image,
    images::resize::{Interpolation, resize},
    rng::Draws,
    stages::augment::Balance,
};

use super::view::{Row, View};

/// SMOTE's k.
const NEIGHBOURS: usize = 5;
/// Most images of a class that neighbours are sought among; drawn where there are more.
const CANDIDATES: usize = 2048;
/// Images are compared at this many pixels a side.
const SIDE: u32 = 16;

/// What is added to `view`: class by class, each image of a class as often as the others or once more.
pub(super) fn rows(view: &View<'_>) -> Result<Vec<Row>> {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (row, image) in view.images().iter().enumerate() {
        classes.entry(image.label).or_default().push(row);
    }
    let most = classes.values().map(Vec::len).max().unwrap_or(0);
    let mut added = Vec::new();
    for (label, members) in classes.into_iter().filter(|(_, members)| members.len() < most) {
        let order =
            Draws::new(view.work().seed, &label.to_string(), view.index(0), "balance").permutation(members.len());
        let copies = (0..most - members.len()).map(|i| Row {
            image: members[order[i % members.len()]],
            copy: (i / members.len()) as u32 + 1,
            toward: None,
        });
        let from = added.len();
        added.extend(copies);
        // A single image has no neighbours: it is copied.
        if view.work().balance == Balance::Synthesize && members.len() > 1 {
            synthesize(view, label, &members, &mut added[from..])?;
        }
    }
    Ok(added)
}

/// Moves each of `rows`, copies of `members`, towards one of its nearest neighbours.
fn synthesize(view: &View<'_>, label: u32, members: &[usize], rows: &mut [Row]) -> Result<()> {
    let mut candidates = members.to_vec();
    if members.len() > CANDIDATES {
        Draws::new(view.work().seed, &label.to_string(), 0, "neighbours").shuffle(&mut candidates);
        candidates.truncate(CANDIDATES);
    }
    let mut looked_at: Vec<usize> = candidates.iter().copied().chain(rows.iter().map(|row| row.image)).collect();
    looked_at.sort_unstable();
    looked_at.dedup();
    let looks: BTreeMap<usize, Vec<u8>> =
        looked_at.into_par_iter().map(|image| Ok((image, look(view, image)?))).collect::<Result<_>>()?;
    rows.par_iter_mut().for_each(|row| {
        let own = &looks[&row.image];
        let others = candidates.iter().filter(|&&other| other != row.image);
        let mut near: Vec<(u64, usize)> = others.map(|&other| (distance(own, &looks[&other]), other)).collect();
        near.sort_unstable();
        near.truncate(NEIGHBOURS);
        let id = &view.images()[row.image].id;
        let mut draws = Draws::new(view.work().seed, id, view.index(row.copy), "synthesize");
        if !near.is_empty() {
            let (_, neighbour) = near[draws.below(near.len() as u64) as usize];
            row.toward = Some((neighbour, draws.uniform()));
        }
    });
    Ok(())
}

/// The whole image, small.
fn look(view: &View<'_>, image: usize) -> Result<Vec<u8>> {
    let image = view.images()[image];
    let small = || resize(&view.decoded(image)?, SIDE, SIDE, Interpolation::Bilinear);
    Ok(small().with_context(|| image.path.clone())?.pixels)
}

/// The squared Euclidean distance.
fn distance(a: &[u8], b: &[u8]) -> u64 {
    let squares = a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)) * u32::from(a.abs_diff(b)));
    u64::from(squares.sum::<u32>())
}

/// A line of what was added: "balance: 40 -> 120 of class x, 80 synthesized".
pub(super) fn note(images: &[&Image], added: &[Row], classes: &[String]) -> Option<String> {
    let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for row in added {
        let (all, synthesized) = counts.entry(images[row.image].label).or_default();
        *all += 1;
        *synthesized += usize::from(row.toward.is_some());
    }
    let say = |(label, (all, synthesized)): (u32, (usize, usize))| {
        let before = images.iter().filter(|image| image.label == label).count();
        let how = if synthesized > 0 { "synthesized" } else { "further copies" };
        format!("{before} -> {} of class {}, {all} {how}", before + all, classes[label as usize])
    };
    let said: Vec<String> = counts.into_iter().map(say).collect();
    (!said.is_empty()).then(|| format!("balance: {}", thawline::stages::dataset::list_some(&said)))
}

#[cfg(test)]
mod tests;
