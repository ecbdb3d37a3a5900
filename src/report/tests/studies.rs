//! Comparisons that rest on predictions, on studies made up for it.

use std::sync::Arc;

use super::*;
use crate::{
    artifact::{Predictions, Split},
    rng::Draws,
};

const IMAGES: usize = 200;

/// Predictions of two classes; image i is right when `right(i)`.
fn predictions(right: impl Fn(usize) -> bool) -> Predictions {
    let classes = vec!["bright".to_owned(), "dark".to_owned()];
    let labels: Vec<u32> = (0..IMAGES).map(|i| (i % 2) as u32).collect();
    let predicted: Vec<u32> = (0..IMAGES).map(|i| if right(i) { labels[i] } else { 1 - labels[i] }).collect();
    let row = |&class: &u32| if class == 0 { [0.875, 0.125] } else { [0.25, 0.75] };
    Predictions {
        classes,
        ids: (0..IMAGES).map(|i| format!("{i:032x}")).collect(),
        paths: (0..IMAGES).map(|i| format!("photos/{i:03}.png")).collect(),
        probabilities: predicted.iter().flat_map(row).collect(),
        labels,
        predicted,
    }
}

/// Both arms find the same images hard; `arm` is right on `better` more of them, and seeds differ on a few.
fn judged(better: f64, seeds: usize) -> Study {
    let mut rows = super::demo();
    rows.retain(|row| row.selected && (row.seed as usize) < seeds);
    let mut evidence = Evidence::default();
    for row in &mut rows {
        let bonus = if row.arm == "fine_tuning" { better } else { 0.0 };
        let right = |image: usize| {
            let hard = Draws::new(1, "", image as u64, "hard").uniform();
            let luck = Draws::new(row.seed, &row.arm, image as u64, "luck").uniform();
            hard + 0.1 * (luck - 0.5) < 0.7 + bonus
        };
        let found = predictions(right);
        let hits = (0..IMAGES).filter(|&i| found.predicted[i] == found.labels[i]).count();
        row.metrics.insert("test/accuracy".to_owned(), hits as f64 / IMAGES as f64);
        evidence.predictions.insert((row.trial.clone(), Split::Test), Arc::new(found));
    }
    Study { context: Context { margin: None, ..context() }, rows, evidence, records: Vec::new() }
}

fn only(study: &Study) -> Comparison {
    summarize(study).unwrap().comparisons.remove(0)
}

#[test]
fn predictions_make_the_interval_one_over_images_and_seeds() {
    let found = only(&judged(0.2, 3));
    assert_eq!((found.arm.as_str(), found.against.as_str()), ("fine_tuning", "from_scratch"));
    assert_eq!(
        (found.difference.basis, found.difference.images, found.difference.n),
        (Basis::ImagesAndRepeats, 200, 3)
    );
    let [low, high] = found.difference.interval.unwrap();
    let over_seeds = found.difference.over_repeats.unwrap();
    assert!(low > 0.1 && high < 0.3 && low < found.difference.mean && found.difference.mean < high, "{low} {high}");
    assert!(over_seeds != [low, high]);
    assert_eq!(found.verdict, Verdict::Better);
    let points = format!("{:.1}", 100.0 * found.difference.mean);
    let begins = format!("`fine_tuning` beats `from_scratch` by {points} points of test accuracy [");
    assert!(found.sentence.starts_with(&begins), "{}", found.sentence);
    assert!(found.sentence.ends_with("] (3 seeds, 200 test images)."), "{}", found.sentence);
    assert_eq!(only(&judged(0.2, 3)), found, "the same draws every time");
}

#[test]
fn equal_arms_are_inconclusive_and_it_is_said_what_would_settle_it() {
    let found = only(&judged(0.01, 3));
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.outlook.is_some() && found.sentence.contains("inconclusive: "), "{}", found.sentence);
    let mut wide = judged(0.01, 3);
    wide.context.margin = Some(0.2);
    let equivalent = only(&wide);
    assert_eq!(equivalent.verdict, Verdict::Equivalent);
    assert!(
        equivalent.sentence.contains("are equivalent within 20.0 points of test accuracy"),
        "{}",
        equivalent.sentence
    );
}

#[test]
fn two_single_models_are_compared_by_mcnemar_too() {
    let found = only(&judged(0.2, 1));
    assert_eq!((found.difference.basis, found.difference.over_repeats), (Basis::Images, None));
    let test = found.mcnemar.expect("one model an arm");
    let gained = (test.counts.only_first as f64 - test.counts.only_second as f64) / IMAGES as f64;
    assert!((gained - found.difference.mean).abs() < 1e-12 && test.p < 0.001, "{test:?}");
    assert!(found.sentence.contains("other seeds may differ"), "{}", found.sentence);
    assert!(only(&judged(0.2, 3)).mcnemar.is_none());
}

#[test]
fn scores_that_predictions_do_not_give_are_not_resampled() {
    let mut study = judged(0.2, 3);
    study.rows.iter_mut().for_each(|row| *row.metrics.get_mut("test/accuracy").unwrap() -= 0.01);
    assert_eq!(only(&study).difference.basis, Basis::Repeats);
    // Other images: nothing is paired image by image.
    let mut study = judged(0.2, 3);
    let key = (study.rows[0].trial.clone(), Split::Test);
    let mut other = study.evidence.predictions[&key].as_ref().clone();
    other.ids.reverse();
    study.evidence.predictions.insert(key, Arc::new(other));
    assert_eq!(only(&study).difference.basis, Basis::Repeats);
    // Unpaired arms need not share their images.
    let mut study = judged(0.2, 3);
    study.context.paired = false;
    let found = only(&study);
    assert_eq!((found.difference.basis, found.difference.paired), (Basis::ImagesAndRepeats, false));
}

#[test]
fn folds_are_compared_by_the_corrected_test() {
    let mut study = study(super::demo(), context());
    study.rows.iter_mut().for_each(|row| row.fold = Some(std::mem::take(&mut row.seed) as u32));
    let found = only(&study);
    assert_eq!(found.difference.basis, Basis::Folds);
    // scipy.stats.t.interval(0.95, 2, 0.15, sqrt((1/3 + 1/2) * 0.02**2)): differences 0.15, 0.17, 0.13 over 3 folds.
    let [low, high] = found.difference.interval.unwrap();
    let half = 4.302652729749462 * (5.0f64 / 6.0).sqrt() * 0.02;
    assert!((low - 0.15 + half).abs() < 1e-9 && (high - 0.15 - half).abs() < 1e-9, "{low} {high}");
}

#[test]
fn images_that_flip_and_mistakes_are_found() {
    let summary = summarize(&judged(0.2, 3)).unwrap();
    let flips = &summary.findings.flips[0];
    assert_eq!((flips.arm.as_str(), flips.images), ("fine_tuning", 200));
    let mean = summary.comparisons[0].difference.mean;
    let net = (flips.fixed.len() as f64 - flips.broken.len() as f64) / IMAGES as f64;
    assert!((net - mean).abs() < 0.05, "{net} {mean}");
    assert!(flips.fixed.iter().all(|image| 2 * image.right <= image.repeats), "described by what was wrong before");
    let arm = summary.findings.arms.iter().find(|arm| arm.arm == "fine_tuning").unwrap();
    let total: f64 = arm.confusion.iter().flatten().sum();
    assert!((total - IMAGES as f64).abs() < 1e-9);
    assert!(arm.mistakes.windows(2).all(|pair| pair[0].confidence >= pair[1].confidence) && !arm.mistakes.is_empty());
}

#[test]
fn a_page_with_everything_is_complete_inert_and_always_the_same() {
    let mut study = judged(0.2, 3);
    let hostile = "<img src=x onerror=alert(1)>";
    study.context.description = Some(hostile.to_owned());
    study.rows.iter_mut().filter(|row| row.arm == "fine_tuning").for_each(|row| row.arm = hostile.to_owned());
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, written) = write(&study, first.path()).unwrap();
    write(&study, second.path()).unwrap();
    let page = std::fs::read_to_string(written.html).unwrap();
    assert!(!page.contains("<img src=x") && page.contains("&lt;img src=x"));
    assert!(!page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org/").count());
    let names = |dir: &std::path::Path| -> Vec<String> {
        let mut found: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        found
    };
    let found = names(first.path());
    for file in
        ["report.md", "report.html", "roc.svg", "predictions.csv", "predictions.parquet", "costs.csv", "curves.parquet"]
    {
        assert!(found.iter().any(|name| name == file), "{file} is missing of {found:?}");
    }
    assert_eq!(found, names(second.path()));
    for name in &found {
        let [a, b] = [&first, &second].map(|dir| std::fs::read(dir.path().join(name)).unwrap());
        assert!(a == b, "{name} differs");
    }
}

#[test]
fn unequal_budgets_are_said() {
    let mut rows = super::demo();
    rows.retain(|row| row.configuration != "from_scratch-0.1");
    let study = study(rows, context());
    let summary = summarize(&study).unwrap();
    assert_eq!(super::arm(&summary, "fine_tuning").expected_best.len(), 2);
    let page = page::markdown(&study, &page::sections(&study, &summary));
    assert!(page.contains("**Unequal budgets**: arms tried 1 to 2 configurations."), "{page}");
    // The mean of 0.88 and 0.85, as either may be the one that is tried.
    assert!(page.contains("`fine_tuning` 0.8650"), "{page}");
}

#[test]
fn joined_experiments_are_ranked_and_compared_inside_each() {
    let one = |name: &str, shift: f64| {
        let mut study = study(super::demo(), Context { experiment: name.to_owned(), ..context() });
        let third: Vec<Row> = study.rows.iter().filter(|row| row.arm == "fine_tuning").cloned().collect();
        study.rows.extend(third.into_iter().map(|mut row| {
            row.arm = "probe".to_owned();
            row.trial = format!("probe-{}", row.trial);
            row.metrics.values_mut().for_each(|value| *value -= shift);
            row
        }));
        study
    };
    let summary = summarize(&side_by_side(vec![one("cells", 0.05), one("leaves", 0.1), one("birds", 0.02)])).unwrap();
    let ranks = summary.ranks.expect("three experiments of three arms");
    assert_eq!(ranks.arms, ["from_scratch", "fine_tuning", "probe"]);
    assert_eq!(ranks.ranks.mean, [3.0, 1.0, 2.0]);
    assert_eq!(summary.comparisons.len(), 9);
    assert!(summary.comparisons.iter().all(|c| c.facet.contains_key("experiment")));
    let two = against([one("cells", 0.05), one("leaves", 0.1)], ["cells".to_owned(), "leaves".to_owned()], true);
    let found = summarize(&two).unwrap().comparisons;
    assert_eq!(found.len(), 3, "a comparison an arm");
    assert!(found.iter().all(|c| (c.arm.as_str(), c.against.as_str()) == ("leaves", "cells")));
    assert!((found[2].difference.mean + 0.05).abs() < 1e-12, "{:?}", found[2]);
}
