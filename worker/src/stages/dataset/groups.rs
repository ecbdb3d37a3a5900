//! Groups of images that must not be divided, and how they are dealt to splits or folds.

use std::collections::{BTreeMap, HashMap};

use thawline::{artifact::Image, rng::Draws, stages::dataset::Params};

use super::{Seen, duplicates::Near};

/// Which group each image belongs to.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    /// Number of the group by path.
    of: HashMap<String, usize>,
    largest: usize,
    count: usize,
}

/// The groups that `group_by` and `deduplicate` ask for; `None` when neither does. Images are together when they are of one
/// group, or look alike under `deduplicate`, or are joined by others that are.
pub(super) fn of(seen: &[Seen], params: &Params, near: &Near) -> Option<Groups> {
    if params.group_by.is_none() && !params.deduplicate {
        return None;
    }
    let mut sets = Sets((0..seen.len()).collect());
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    for (at, s) in seen.iter().enumerate() {
        if let Some(group) = &s.group {
            sets.join(at, *first_of.entry(group).or_insert(at));
        }
    }
    if params.deduplicate {
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (at, s) in seen.iter().enumerate() {
            sets.join(at, *first.entry(near.look(&s.image.path)).or_insert(at));
        }
        for (at, s) in seen.iter().enumerate() {
            near.like(&s.image.path).filter_map(|look| first.get(&look)).for_each(|&other| sets.join(at, other));
        }
    }
    let of: HashMap<String, usize> =
        seen.iter().enumerate().map(|(at, s)| (s.image.path.clone(), sets.root(at))).collect();
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    of.values().for_each(|group| *sizes.entry(*group).or_default() += 1);
    Some(Groups { of, largest: sizes.values().copied().max().unwrap_or(0), count: sizes.len() })
}

impl Groups {
    pub(super) fn note(&self) -> String {
        format!("{} groups stay in one split each; the largest has {} images", self.count, self.largest)
    }

    /// Groups of paths, for tests.
    #[cfg(test)]
    pub(super) fn given(of: HashMap<String, usize>) -> Groups {
        Groups { of, ..Groups::default() }
    }

    fn number(&self, image: &Image) -> usize {
        self.of.get(&image.path).copied().unwrap_or(usize::MAX)
    }
}

/// Deals images to bins whose shares are `weights`, so that no group is divided: the bin of every image.
///
/// Groups are dealt one after another, large ones first and equal ones in an order drawn from (seed, the group's first id,
/// purpose). Each goes to the bin that it brings nearest to its target, where the distance is the sum over classes of
/// (images - target)^2 / (images of the class)^2; without `stratify` all images count as one class. So of one class no bin
/// gets as many as the largest group more than its share.
pub(super) fn deal(images: &[Image], groups: &Groups, weights: &[f64], params: &Params, purpose: &str) -> Vec<usize> {
    let class = |image: &Image| if params.stratify { image.label as usize } else { 0 };
    let classes = images.iter().map(class).max().map_or(0, |most| most + 1);
    let mut totals = vec![0.0; classes];
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, image) in images.iter().enumerate() {
        totals[class(image)] += 1.0;
        members.entry(groups.number(image)).or_default().push(at);
    }
    let order_of = |group: &Vec<usize>| {
        let first = group.iter().map(|&at| (&images[at].id, &images[at].path)).min();
        let drawn = first.map(|(id, _)| Draws::new(params.seed, id, 0, purpose).bits64());
        (std::cmp::Reverse(group.len()), drawn, first)
    };
    let mut dealt: Vec<Vec<usize>> = members.into_values().collect();
    dealt.sort_by(|a, b| order_of(a).cmp(&order_of(b)));

    let sum: f64 = weights.iter().sum();
    let mut missing: Vec<Vec<f64>> =
        weights.iter().map(|weight| totals.iter().map(|total| total * weight / sum).collect()).collect();
    let mut bins = vec![0; images.len()];
    for group in dealt {
        let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
        group.iter().for_each(|&at| *counts.entry(class(&images[at])).or_default() += 1.0);
        let gain =
            |bin: usize| -> f64 { counts.iter().map(|(&c, n)| n * missing[bin][c] / (totals[c] * totals[c])).sum() };
        let open = (0..weights.len()).filter(|&bin| weights[bin] > 0.0);
        // The first of equals.
        let bin = open.rev().max_by(|&a, &b| gain(a).total_cmp(&gain(b))).unwrap_or(0);
        counts.iter().for_each(|(&c, n)| missing[bin][c] -= n);
        group.iter().for_each(|&at| bins[at] = bin);
    }
    bins
}

/// Disjoint sets of positions; the smaller root wins, so that the result does not depend on the order of joining.
struct Sets(Vec<usize>);

impl Sets {
    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
