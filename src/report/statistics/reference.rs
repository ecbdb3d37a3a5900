//! `scripts/reference/statistics.py` wrote the cases.

use serde::Deserialize;

use super::{student::quantile, *};

#[derive(Deserialize)]
struct Cases {
    t_quantiles: Vec<(f64, f64)>,
    t_tests: Vec<Test>,
    mcnemar: Vec<(u64, u64, f64)>,
    holm: Vec<Adjusted>,
    ranks: Vec<Ranked>,
    components: Vec<Crossing>,
    expected_best: Best,
}

/// Every triple is (low, high, p).
#[derive(Deserialize)]
struct Test {
    a: Vec<f64>,
    b: Vec<f64>,
    welch: [f64; 3],
    paired: Option<[f64; 3]>,
    corrected: Option<Corrected>,
    hedges: Option<f64>,
}

#[derive(Deserialize)]
struct Corrected {
    train: u64,
    test: u64,
    values: [f64; 3],
}

#[derive(Deserialize)]
struct Adjusted {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

#[derive(Deserialize)]
struct Ranked {
    scores: Vec<Vec<f64>>,
    mean: Vec<f64>,
    chi_squared: f64,
    p: f64,
    critical_difference: f64,
}

/// `a` and `b`: [repeats, images], 1 where the model is right.
#[derive(Deserialize)]
struct Crossing {
    a: Vec<Vec<f64>>,
    b: Vec<Vec<f64>>,
    images: f64,
    repeats: f64,
    interaction: f64,
    freedom: f64,
    interval: [f64; 2],
}

#[derive(Deserialize)]
struct Best {
    scores: Vec<f64>,
    max: Vec<f64>,
    min: Vec<f64>,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("../../../tests/reference/statistics/tests.json")).expect("the committed cases")
}

/// The largest deviation, relative where the figures are above 1; it is printed and must be below `limit`.
fn agree(what: &str, pairs: &[(f64, f64)], limit: f64) {
    let deviation = |(found, expected): &(f64, f64)| (found - expected).abs() / expected.abs().max(1.0);
    let largest = pairs.iter().map(deviation).fold(0.0, f64::max);
    println!("{what}: {} figures, largest deviation {largest:.1e}", pairs.len());
    assert!(!pairs.is_empty() && largest < limit, "{what}: {pairs:?}");
}

fn triple(found: T, expected: [f64; 3]) -> [(f64, f64); 3] {
    let [low, high] = found.interval();
    [(low, expected[0]), (high, expected[1]), (found.p(), expected[2])]
}

#[test]
fn t_agrees_with_scipy() {
    let cases = cases();
    let quantiles: Vec<_> = cases.t_quantiles.iter().map(|&(df, expected)| (quantile(0.975, df), expected)).collect();
    agree("quantiles of t", &quantiles, 1e-9);
    let (mut unpaired, mut pairs, mut corrected, mut effects) = (vec![], vec![], vec![], vec![]);
    for case in &cases.t_tests {
        let [a, b] = [&case.a, &case.b].map(|values| Estimate::of(values).expect("not empty"));
        unpaired.extend(triple(welch(a, b).expect("more than one"), case.welch));
        let differences: Vec<f64> = case.a.iter().zip(&case.b).map(|(a, b)| a - b).collect();
        if let Some(expected) = case.paired {
            pairs.extend(triple(paired(&differences).expect("more than one"), expected));
        }
        if let Some(Corrected { train, test, values }) = case.corrected {
            corrected.extend(triple(corrected_resampled(&differences, train, test).expect("more than one"), values));
        }
        effects.extend(case.hedges.map(|expected| (hedges(&differences).expect("more than two"), expected)));
    }
    agree("Welch", &unpaired, 1e-9);
    agree("paired t", &pairs, 1e-9);
    agree("corrected resampled t", &corrected, 1e-9);
    agree("Hedges' g", &effects, 1e-9);
}

#[test]
fn tests_on_counts_and_ranks_agree_with_scipy_and_statsmodels() {
    let cases = cases();
    let exact = |&(only_first, only_second, p): &(u64, u64, f64)| (mcnemar(Discordant { only_first, only_second }), p);
    agree("McNemar", &cases.mcnemar.iter().map(exact).collect::<Vec<_>>(), 1e-9);
    let adjusted = |case: &Adjusted| holm(&case.p).into_iter().zip(case.adjusted.clone()).collect::<Vec<_>>();
    agree("Holm", &cases.holm.iter().flat_map(adjusted).collect::<Vec<_>>(), 1e-12);
    let (mut ranks, mut tests, mut critical) = (vec![], vec![], vec![]);
    for case in &cases.ranks {
        let found = friedman(&case.scores, true).expect("enough data sets and arms");
        ranks.extend(found.mean.iter().copied().zip(case.mean.iter().copied()));
        tests.extend([(found.chi_squared, case.chi_squared), (found.p, case.p)]);
        critical.push((found.critical_difference, case.critical_difference));
        let negated: Vec<Vec<f64>> = case.scores.iter().map(|row| row.iter().map(|score| -score).collect()).collect();
        assert_eq!(friedman(&negated, false).as_ref(), Some(&found), "a loss is its negative score");
    }
    agree("mean ranks", &ranks, 1e-12);
    agree("Friedman", &tests, 1e-9);
    agree("Nemenyi", &critical, 1e-6);
    assert_eq!(friedman(&[vec![0.1, 0.2, 0.3]], true), None);
}

#[test]
fn the_expected_best_is_that_of_all_draws() {
    let Best { scores, max, min } = cases().expected_best;
    let pairs = |found: Vec<f64>, expected: Vec<f64>| found.into_iter().zip(expected).collect::<Vec<_>>();
    agree("expected best", &pairs(expected_best(&scores, true), max), 1e-12);
    agree("expected best of losses", &pairs(expected_best(&scores, false), min), 1e-12);
    assert!(expected_best(&[], true).is_empty());
}

/// The analysis of variance is exact where the statistic is a mean; the resamples are [`DRAWS`], so they come near it.
#[test]
fn components_agree_with_the_analysis_of_variance() {
    let (mut variances, mut intervals) = (vec![], vec![]);
    for case in cases().components {
        let difference = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let repeats: Vec<Vec<f64>> = case.a.iter().zip(&case.b).map(|(a, b)| difference(a, b)).collect();
        let images = repeats[0].len();
        let under = |times: &[u32]| {
            let one = |d: &Vec<f64>| d.iter().zip(times).map(|(d, &n)| d * f64::from(n)).sum::<f64>() / images as f64;
            Some(repeats.iter().map(one).collect::<Vec<f64>>())
        };
        let observed = under(&vec![1; images]).expect("defined");
        let found = Components::new(&observed, &resampled(images, under), images as u64).expect("enough");
        let between = found.repeats.expect("several repeats") + found.interaction;
        let (scale, estimate) = (case.images + case.repeats + case.interaction, found.estimate());
        variances.extend(
            [(found.images, case.images), (between, case.repeats + case.interaction)]
                .map(|(a, b)| (a / scale, b / scale)),
        );
        let width = (case.interval[1] - case.interval[0]) / 2.0;
        intervals.extend(
            estimate.interval().iter().zip(case.interval).map(|(found, expected)| (found / width, expected / width)),
        );
        assert!((estimate.freedom / case.freedom - 1.0).abs() < 0.2, "{} {}", estimate.freedom, case.freedom);
    }
    agree("variance components, in parts of the variance", &variances, 0.06);
    agree("crossed intervals, in half widths", &intervals, 0.04);
}

#[test]
fn what_cannot_be_estimated_is_none_or_a_point() {
    assert_eq!((paired(&[0.1]), hedges(&[0.1, 0.2]), hedges(&[0.5; 4])), (None, None, None));
    let one = Estimate::of(&[0.1]).expect("not empty");
    assert_eq!((one.std, welch(one, one), Estimate::of(&[])), (None, None, None));
    let same = paired(&[0.5; 3]).expect("three");
    assert_eq!((same.interval(), same.p()), ([0.5, 0.5], 0.0));
    let equal = paired(&[0.0; 3]).expect("three");
    assert_eq!((equal.interval(), equal.p()), ([0.0, 0.0], 1.0));
    assert_eq!(Components::new(&[], &[], 5), None);
    assert_eq!(mcnemar(Discordant { only_first: 0, only_second: 0 }), 1.0);
    assert_eq!((error_reduction(0.9, 1.0), error_reduction(0.75, 0.5)), (None, Some(0.5)));
    assert_eq!(corrected_resampled(&[0.1, 0.2], 0, 10), None);
}
