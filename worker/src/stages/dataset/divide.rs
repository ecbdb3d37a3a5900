//! Which split each image goes to, and which images are kept: exact counts, and an order that depends only on (seed, image
//! id), so that it is the same however the files are listed.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use thawline::{
    artifact::{Image, Split},
    rng::Draws,
    stages::dataset::{Fold, Fractions, Params, Work, largest_remainder},
};

use super::groups::{Groups, deal};

/// Draws the `sample`, divides it by `split` or into folds, and keeps the training subset that `fraction` and `per_class` ask
/// for. `fixed` says that the images already have their split. No group is divided. Returns them in path order.
pub(super) fn divide(work: &Work, images: Vec<Image>, fixed: bool, groups: Option<&Groups>) -> Result<Vec<Image>> {
    let params = &work.params;
    let mut images = images;
    if let Some(sample) = params.sample {
        images = draw_sample(params, images, usize::try_from(sample)?)?;
    }
    if let Some(most) = params.at_most {
        let sample = images.len().min(usize::try_from(most)?);
        images = draw_sample(params, images, sample)?;
    }
    match (work.fold, params.split) {
        (Some(_), _) if fixed => bail!("folds choose the test images themselves, but the files already say the splits"),
        (Some(fold), Some(fractions)) => assign_fold(params, &mut images, fold, fractions, groups)?,
        (None, Some(fractions)) if fixed => {
            // What is given as test stays; val is taken from train.
            let (mut train, rest): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|i| i.split == Split::Train);
            assign_splits(params, &mut train, fractions, groups)?;
            images = rest;
            images.append(&mut train);
        }
        (None, Some(fractions)) => assign_splits(params, &mut images, fractions, groups)?,
        (_, None) => {}
    }
    images = keep_subset(params, images);
    images.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(images)
}

/// Images by group, each group in the order of its draws. Files of equal content have equal draws; their paths break ties.
fn groups<K: Ord>(seed: u64, purpose: &str, images: Vec<Image>, key: impl Fn(&Image) -> K) -> BTreeMap<K, Vec<Image>> {
    let mut drawn: Vec<(u64, Image)> =
        images.into_iter().map(|image| (Draws::new(seed, &image.id, 0, purpose).bits64(), image)).collect();
    drawn.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.path.cmp(&y.path)));
    let mut groups: BTreeMap<K, Vec<Image>> = BTreeMap::new();
    for (_, image) in drawn {
        groups.entry(key(&image)).or_default().push(image);
    }
    groups
}

fn draw_sample(params: &Params, images: Vec<Image>, sample: usize) -> Result<Vec<Image>> {
    ensure!(sample <= images.len(), "`sample` is {sample}, but there are {} images", images.len());
    let stratum = |image: &Image| params.stratify.then_some((image.label, image.split));
    let groups = groups(params.seed, "sample", images, stratum);
    let weights: Vec<f64> = groups.values().map(|group| group.len() as f64).collect();
    let counts = largest_remainder(sample, &weights);
    Ok(groups.into_values().zip(counts).flat_map(|(group, count)| group.into_iter().take(count)).collect())
}

fn assign_splits(
    params: &Params,
    images: &mut Vec<Image>,
    fractions: Fractions,
    together: Option<&Groups>,
) -> Result<()> {
    let weights = [fractions.train, fractions.val, fractions.test];
    if let Some(together) = together {
        let bins = deal(images, together, &weights, params, "split");
        images.iter_mut().zip(bins).for_each(|(image, bin)| image.split = Split::ALL[bin]);
    } else {
        let strata =
            groups(params.seed, "split", std::mem::take(images), |image| params.stratify.then_some(image.label));
        for mut stratum in strata.into_values() {
            let mut rest = stratum.as_mut_slice();
            for (split, count) in Split::ALL.into_iter().zip(largest_remainder(rest.len(), &weights)) {
                let (now, later) = rest.split_at_mut(count);
                now.iter_mut().for_each(|image| image.split = split);
                rest = later;
            }
            images.append(&mut stratum);
        }
    }
    for (split, weight) in Split::ALL.into_iter().zip(weights) {
        let some = weight == 0.0 || images.iter().any(|image| image.split == split);
        ensure!(some, "split: {weight} of {} images leaves none for {}", images.len(), split.name());
    }
    Ok(())
}

/// Marks fold `fold.index` as test, and takes val from the rest in the proportion of val to train in `fractions`.
fn assign_fold(
    params: &Params,
    images: &mut Vec<Image>,
    fold: Fold,
    fractions: Fractions,
    together: Option<&Groups>,
) -> Result<()> {
    let purpose = format!("fold {}", fold.repeat);
    let (of, total) = (fold.of as usize, images.len());
    let (mut test, mut rest) = (Vec::new(), Vec::new());
    match together {
        Some(together) => {
            let bins = deal(images, together, &vec![1.0; of], params, &purpose);
            for (image, bin) in images.drain(..).zip(bins) {
                if bin == fold.index as usize { &mut test } else { &mut rest }.push(image);
            }
        }
        // Round and round, through one class after the other: sizes differ by one at most, in all and in every class.
        None => {
            let strata = groups(params.seed, &purpose, std::mem::take(images), |i| params.stratify.then_some(i.label));
            for (at, image) in strata.into_values().flatten().enumerate() {
                if at % of == fold.index as usize { &mut test } else { &mut rest }.push(image);
            }
        }
    }
    ensure!(!test.is_empty(), "{of} folds of {total} images: fold {} has none", fold.index);
    test.iter_mut().for_each(|image| image.split = Split::Test);
    assign_splits(params, &mut rest, Fractions { test: 0.0, ..fractions }, together)?;
    images.append(&mut test);
    images.append(&mut rest);
    Ok(())
}

/// Prefixes of one order, so that smaller subsets are contained in larger ones. Rounding is by itself in every group:
/// rounding all groups to one exact total would break that.
fn keep_subset(params: &Params, images: Vec<Image>) -> Vec<Image> {
    let (mut train, mut kept): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|i| i.split == Split::Train);
    if let Some(fraction) = params.fraction {
        let part = |n: usize| ((n as f64 * fraction).round() as usize).clamp(1, n);
        let groups = groups(params.seed, "subset", train, |image| params.stratify.then_some(image.label));
        train = groups
            .into_values()
            .flat_map(|g| {
                let n = part(g.len());
                g.into_iter().take(n)
            })
            .collect();
    }
    if let Some(most) = params.per_class {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let groups = groups(params.seed, "subset", train, |image| image.label);
        train = groups.into_values().flat_map(|group| group.into_iter().take(most)).collect();
    }
    kept.append(&mut train);
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn params() -> Params {
        serde_json::from_value(serde_json::json!({ "image_folder": "x" })).unwrap()
    }

    fn divide(params: &Params, images: Vec<Image>, fixed: bool) -> Result<Vec<Image>> {
        super::divide(&Work { params: params.clone(), fold: None }, images, fixed, None)
    }

    fn images(labels: &[u32]) -> Vec<Image> {
        let image = |(i, &label): (usize, &u32)| Image {
            id: format!("{:032x}", i * 7919),
            path: format!("{label}/{i:04}.png"),
            label,
            split: Split::Train,
        };
        labels.iter().enumerate().map(image).collect()
    }

    fn count(images: &[Image], split: Split, label: u32) -> usize {
        images.iter().filter(|i| i.split == split && i.label == label).count()
    }

    #[test]
    fn remainders_go_to_the_largest() {
        assert_eq!(largest_remainder(10, &[0.6, 0.2, 0.2]), [6, 2, 2]);
        assert_eq!(largest_remainder(15, &[0.6, 0.2, 0.2]), [9, 3, 3]);
        assert_eq!(largest_remainder(3, &[0.6, 0.2, 0.2]), [2, 1, 0]);
        assert_eq!(largest_remainder(7, &[0.5, 0.0, 0.5]), [4, 0, 3]);
        assert_eq!(largest_remainder(1, &[0.5, 0.25, 0.25]), [1, 0, 0]);
    }

    proptest! {
        #[test]
        fn counts_are_exact_and_every_share_within_one(total in 0usize..5000, weights in prop::collection::vec(0.01f64..1.0, 1..6)) {
            let counts = largest_remainder(total, &weights);
            prop_assert_eq!(counts.iter().sum::<usize>(), total);
            let sum: f64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!((*count as f64 - total as f64 * weight / sum).abs() < 1.0 + 1e-6);
            }
        }

        #[test]
        fn divisions_do_not_depend_on_the_order_of_files(
            labels in prop::collection::vec(0u32..4, 20..120), seed: u64, shuffle: u64, stratify: bool, sampled: bool,
        ) {
            let mut params = Params { seed, stratify, ..params() };
            params.split = Some(Fractions { train: 0.6, val: 0.2, test: 0.2 });
            params.sample = sampled.then_some(17);
            let images = images(&labels);
            let mut shuffled = images.clone();
            Draws::new(shuffle, "", 0, "shuffle").shuffle(&mut shuffled);
            let divided = divide(&params, images, false).unwrap();
            prop_assert_eq!(divided.len(), params.sample.map_or(labels.len(), |n| n as usize));
            prop_assert_eq!(divided, divide(&params, shuffled, false).unwrap());
        }

        #[test]
        fn stratified_splits_keep_the_proportions(labels in prop::collection::vec(0u32..3, 40..200), seed: u64) {
            let mut params = Params { seed, ..params() };
            params.split = Some(Fractions { train: 0.5, val: 0.25, test: 0.25 });
            let divided = divide(&params, images(&labels), false).unwrap();
            for label in 0..3 {
                let n = labels.iter().filter(|l| **l == label).count();
                for (split, weight) in [(Split::Train, 0.5), (Split::Val, 0.25), (Split::Test, 0.25)] {
                    prop_assert!((count(&divided, split, label) as f64 - n as f64 * weight).abs() < 1.0);
                }
            }
        }

        #[test]
        fn smaller_subsets_are_contained_in_larger(
            labels in prop::collection::vec(0u32..3, 10..150), seed: u64, a in 0.01f64..1.0, b in 0.01f64..1.0, stratify: bool,
        ) {
            let kept = |fraction, per_class| {
                let params = Params { seed, stratify, fraction, per_class, ..params() };
                let images = divide(&params, images(&labels), true).unwrap();
                images.into_iter().map(|i| i.path).collect::<BTreeSet<_>>()
            };
            prop_assert!(kept(Some(a.min(b)), None).is_subset(&kept(Some(a.max(b)), None)));
            let (few, more) = ((a * 20.0) as u64 + 1, (b * 20.0) as u64 + 1);
            prop_assert!(kept(None, Some(few.min(more))).is_subset(&kept(None, Some(few.max(more)))));
            prop_assert_eq!(kept(Some(1.0), None).len(), labels.len());
        }
    }

    #[test]
    fn subsets_leave_val_and_test_alone() {
        let mut params = params();
        params.split = Some(Fractions { train: 0.6, val: 0.2, test: 0.2 });
        let labels = [0, 1].repeat(50);
        let whole = divide(&params, images(&labels), false).unwrap();
        params.fraction = Some(0.1);
        let part = divide(&params, images(&labels), false).unwrap();
        let held_out =
            |images: &[Image]| images.iter().filter(|i| i.split != Split::Train).cloned().collect::<Vec<_>>();
        assert_eq!(held_out(&whole), held_out(&part));
        assert_eq!((count(&part, Split::Train, 0), count(&part, Split::Train, 1)), (3, 3));
    }

    /// Images whose group is drawn from a few, so that groups are uneven.
    fn grouped(members: &[(u32, usize)]) -> (Vec<Image>, Groups) {
        let images = images(&members.iter().map(|(label, _)| *label).collect::<Vec<_>>());
        let of = images.iter().zip(members).map(|(image, (_, group))| (image.path.clone(), *group)).collect();
        (images, Groups::given(of))
    }

    /// The groups that have images in every split.
    fn groups_by_split(images: &[Image], members: &[(u32, usize)]) -> BTreeMap<Split, BTreeSet<usize>> {
        let mut found: BTreeMap<Split, BTreeSet<usize>> = BTreeMap::new();
        for image in images {
            let at: usize = image.path[image.path.len() - 8..image.path.len() - 4].parse().unwrap();
            found.entry(image.split).or_default().insert(members[at].1);
        }
        found
    }

    fn disjoint(sets: &BTreeMap<Split, BTreeSet<usize>>) -> bool {
        let count: usize = sets.values().map(BTreeSet::len).sum();
        sets.values().flatten().collect::<BTreeSet<_>>().len() == count
    }

    proptest! {
        #[test]
        fn groups_are_never_divided_and_shares_are_kept(
            members in prop::collection::vec((0u32..3, 0usize..12), 40..150), seed: u64, shuffle: u64,
        ) {
            let params = Params { seed, split: Some(Fractions { train: 0.5, val: 0.25, test: 0.25 }), stratify: false, ..params() };
            let work = Work { params, fold: None };
            let (images, groups) = grouped(&members);
            let Ok(divided) = super::divide(&work, images.clone(), false, Some(&groups)) else {
                // Too few groups for three splits.
                return Ok(());
            };
            prop_assert_eq!(divided.len(), members.len());
            prop_assert!(disjoint(&groups_by_split(&divided, &members)));
            let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
            members.iter().for_each(|(_, group)| *sizes.entry(*group).or_default() += 1);
            let largest = sizes.values().copied().max().unwrap() as f64;
            for (split, weight) in [(Split::Train, 0.5), (Split::Val, 0.25), (Split::Test, 0.25)] {
                let found = divided.iter().filter(|i| i.split == split).count() as f64;
                prop_assert!(found < members.len() as f64 * weight + largest, "{found} images, groups of up to {largest}");
            }
            let mut shuffled = images;
            Draws::new(shuffle, "", 0, "shuffle").shuffle(&mut shuffled);
            prop_assert_eq!(divided, super::divide(&work, shuffled, false, Some(&groups)).unwrap());
        }

        #[test]
        fn every_image_is_tested_in_one_fold_of_equal_size_and_balance(
            labels in prop::collection::vec(0u32..3, 30..120), seed: u64, of in 2u32..6, repeat in 0u32..3,
        ) {
            let params = Params { seed, split: Some(Fractions { train: 0.6, val: 0.2, test: 0.2 }), ..params() };
            let mut tested: BTreeMap<String, u32> = BTreeMap::new();
            for index in 0..of {
                let work = Work { params: params.clone(), fold: Some(Fold { index, of, repeat }) };
                let divided = super::divide(&work, images(&labels), false, None).unwrap();
                prop_assert_eq!(divided.len(), labels.len());
                let test: Vec<&Image> = divided.iter().filter(|i| i.split == Split::Test).collect();
                prop_assert!((test.len() as f64 - labels.len() as f64 / f64::from(of)).abs() < 1.0);
                for label in 0..3 {
                    let all = labels.iter().filter(|l| **l == label).count() as f64;
                    prop_assert!((count(&divided, Split::Test, label) as f64 - all / f64::from(of)).abs() < 1.0);
                    let rest = all - count(&divided, Split::Test, label) as f64;
                    prop_assert!((count(&divided, Split::Val, label) as f64 - rest * 0.25).abs() < 1.0);
                }
                test.into_iter().for_each(|image| *tested.entry(image.path.clone()).or_default() += 1);
            }
            prop_assert_eq!(tested.len(), labels.len());
            prop_assert!(tested.values().all(|&times| times == 1));
        }

        #[test]
        fn folds_do_not_divide_groups(
            members in prop::collection::vec((0u32..2, 0usize..15), 60..150), seed: u64,
        ) {
            let params = Params { seed, split: Some(Fractions { train: 0.6, val: 0.2, test: 0.2 }), ..params() };
            let (images, groups) = grouped(&members);
            let mut tested = 0;
            for index in 0..4 {
                let work = Work { params: params.clone(), fold: Some(Fold { index, of: 4, repeat: 0 }) };
                let Ok(divided) = super::divide(&work, images.clone(), false, Some(&groups)) else { return Ok(()) };
                prop_assert!(disjoint(&groups_by_split(&divided, &members)));
                tested += divided.iter().filter(|i| i.split == Split::Test).count();
            }
            prop_assert_eq!(tested, members.len());
        }
    }

    #[test]
    fn repeated_folds_are_other_divisions() {
        let params = Params { split: Some(Fractions { train: 0.6, val: 0.2, test: 0.2 }), ..params() };
        let labels = [0, 1].repeat(30);
        let test = |repeat| {
            let work = Work { params: params.clone(), fold: Some(Fold { index: 0, of: 5, repeat }) };
            let divided = super::divide(&work, images(&labels), false, None).unwrap();
            divided.into_iter().filter(|i| i.split == Split::Test).map(|i| i.path).collect::<BTreeSet<_>>()
        };
        assert_eq!(test(0), test(0));
        assert_ne!(test(0), test(1));
    }

    #[test]
    fn classes_are_balanced_over_groups_of_one_class() {
        // 20 patients of class 0 with 4 images each, 10 of class 1 with 3 each.
        let mut members: Vec<(u32, usize)> = (0..80).map(|i| (0, i / 4)).collect();
        members.extend((0..30).map(|i| (1, 20 + i / 3)));
        let (images, groups) = grouped(&members);
        let params = Params { split: Some(Fractions { train: 0.6, val: 0.2, test: 0.2 }), ..params() };
        let divided = super::divide(&Work { params, fold: None }, images, false, Some(&groups)).unwrap();
        let counts = Split::ALL.map(|split| (count(&divided, split, 0), count(&divided, split, 1)));
        assert_eq!(counts, [(48, 18), (16, 6), (16, 6)]);
    }

    #[test]
    fn val_can_be_taken_from_a_given_train() {
        let params = Params { split: Some(Fractions { train: 0.75, val: 0.25, test: 0.0 }), ..params() };
        let mut given = images(&[0, 1].repeat(20));
        given[..20].iter_mut().for_each(|image| image.split = Split::Test);
        let divided = divide(&params, given.clone(), true).unwrap();
        assert_eq!(Split::ALL.map(|split| count(&divided, split, 0)), [8, 2, 10]);
        let paths = |images: &[Image]| {
            images.iter().filter(|i| i.split == Split::Test).map(|i| i.path.clone()).collect::<BTreeSet<_>>()
        };
        assert_eq!(paths(&divided), paths(&given));
    }

    #[test]
    fn equal_contents_are_neighbours_and_paths_break_their_ties() {
        let mut twins = images(&[0; 10]);
        twins.iter_mut().for_each(|image| image.id = "same".into());
        let params = Params { fraction: Some(0.3), ..params() };
        let kept = divide(&params, twins, true).unwrap();
        assert_eq!(
            kept.iter().map(|i| i.path.as_str()).collect::<Vec<_>>(),
            ["0/0000.png", "0/0001.png", "0/0002.png"]
        );
    }
}
