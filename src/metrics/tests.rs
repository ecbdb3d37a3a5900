use proptest::prelude::*;

use super::*;

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    classes: usize,
    labels: Vec<u32>,
    probabilities: Vec<f64>,
    metrics: BTreeMap<String, f64>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<u64>,
    confusion: Vec<Vec<u64>>,
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-12, "{what}: {found:?}, expected {expected:?}");
    }
}

/// `scripts/reference/metrics.py` wrote the cases.
#[test]
fn agrees_with_scikit_learn() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../tests/reference/metrics/cases.json")).expect("the committed cases");
    assert!(cases.len() >= 11);
    for case in cases {
        let classified = Classified::new(&case.labels, &case.probabilities, case.classes).unwrap();
        let found = classified.metrics(&[2, 5], 15);
        let names = |metrics: &BTreeMap<String, f64>| metrics.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&case.metrics), "{}", case.name);
        for (name, expected) in &case.metrics {
            close(&[found[name]], &[*expected], &format!("{}, {name}", case.name));
        }
        let confusion = classified.confusion();
        assert_eq!(confusion.counts, case.confusion, "{}", case.name);
        let per_class = confusion.per_class();
        close(&per_class.iter().map(|c| c.precision).collect::<Vec<_>>(), &case.precision, &case.name);
        close(&per_class.iter().map(|c| c.recall).collect::<Vec<_>>(), &case.recall, &case.name);
        close(&per_class.iter().map(|c| c.f1).collect::<Vec<_>>(), &case.f1, &case.name);
        assert_eq!(per_class.iter().map(|c| c.support).collect::<Vec<_>>(), case.support, "{}", case.name);
    }
}

#[test]
fn nothing_is_defined_on_no_images() {
    assert_eq!(Classified::new(&[], &[], 3).unwrap().metrics(&[2], 15), BTreeMap::new());
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let error = |labels: &[u32], probabilities: &[f64], classes| {
        Classified::new(labels, probabilities, classes).expect_err("it does not fit").to_string()
    };
    assert_eq!(error(&[0, 1], &[0.5; 3], 2), "3 probabilities do not fit 2 images and 2 classes");
    assert_eq!(error(&[2], &[0.5; 2], 2), "label 2 is none of the 2 classes (they count from 0)");
    let words = error(&[0, 1], &[0.5, 0.5, f64::NAN, 0.5], 2);
    assert_eq!(words, "image 2 of 2 has the probability NaN for class 0: not a number between 0 and 1");
}

#[test]
fn losses_are_better_small() {
    assert!(smaller_is_better("val/log_loss") && smaller_is_better("ece") && smaller_is_better("score.val/loss"));
    assert!(!smaller_is_better("val/accuracy") && !smaller_is_better("test/auroc"));
}

/// Labels and probabilities in multiples of 1/16 (ties are common) of 2 to 5 classes.
fn predictions() -> impl Strategy<Value = (usize, Vec<u32>, Vec<f64>)> {
    (2usize..6, 1usize..30).prop_flat_map(|(classes, n)| {
        let row = prop::collection::vec(0u32..16, classes).prop_map(|weights| {
            let sum = weights.iter().sum::<u32>();
            weights.iter().map(|&w| if sum == 0 { 0.0 } else { f64::from(w) / f64::from(sum) }).collect::<Vec<_>>()
        });
        let labels = prop::collection::vec(0..classes as u32, n);
        (Just(classes), labels, prop::collection::vec(row, n).prop_map(|rows| rows.concat()))
    })
}

fn all(classes: usize, labels: &[u32], probabilities: &[f64]) -> BTreeMap<String, f64> {
    Classified::new(labels, probabilities, classes).unwrap().metrics(&[1, 2, 3], 10)
}

proptest! {
    #[test]
    fn metrics_stay_in_their_range((classes, labels, probabilities) in predictions()) {
        for (name, value) in all(classes, &labels, &probabilities) {
            prop_assert!(value >= 0.0 && (value <= 1.0 || name == "log_loss"), "{name} = {value}");
        }
    }

    #[test]
    fn top_k_grows_with_k_from_the_accuracy((classes, labels, probabilities) in predictions()) {
        let metrics = all(classes, &labels, &probabilities);
        prop_assert_eq!(metrics["top_1"], metrics["accuracy"]);
        if let Some(top_2) = metrics.get("top_2") {
            prop_assert!(*top_2 >= metrics["top_1"]);
        }
    }

    #[test]
    fn the_order_of_the_images_does_not_matter((classes, labels, probabilities) in predictions(), seed: u64) {
        let order = crate::rng::Draws::new(seed, "", 0, "order").permutation(labels.len());
        let moved: Vec<u32> = order.iter().map(|&i| labels[i]).collect();
        let rows: Vec<f64> =
            order.iter().flat_map(|&i| &probabilities[i * classes..(i + 1) * classes]).copied().collect();
        let (before, after) = (all(classes, &labels, &probabilities), all(classes, &moved, &rows));
        prop_assert_eq!(before.len(), after.len());
        for (name, value) in before {
            prop_assert!((value - after[&name]).abs() < 1e-12, "{}", name);
        }
    }

    /// Only where no two classes tie for a prediction: a tie goes to the first class, whichever that is.
    #[test]
    fn renaming_the_classes_does_not_matter((classes, labels, probabilities) in predictions(), seed: u64) {
        let distinct = |row: &[f64]| row.iter().enumerate().all(|(i, p)| !row[..i].contains(p));
        prop_assume!(classes > 2);
        let kept: Vec<usize> =
            (0..labels.len()).filter(|&i| distinct(&probabilities[i * classes..(i + 1) * classes])).collect();
        let to = crate::rng::Draws::new(seed, "", 0, "names").permutation(classes);
        let old: Vec<u32> = kept.iter().map(|&i| labels[i]).collect();
        let rows: Vec<f64> =
            kept.iter().flat_map(|&i| &probabilities[i * classes..(i + 1) * classes]).copied().collect();
        let new: Vec<u32> = old.iter().map(|&label| to[label as usize] as u32).collect();
        let mut moved = vec![0.0; rows.len()];
        for (at, &p) in rows.iter().enumerate() {
            moved[at / classes * classes + to[at % classes]] = p;
        }
        let (before, after) = (all(classes, &old, &rows), all(classes, &new, &moved));
        prop_assert_eq!(before.len(), after.len());
        for (name, value) in before {
            prop_assert!((value - after[&name]).abs() < 1e-12, "{}", name);
        }
    }

    /// An image that counts n times is n images.
    #[test]
    fn weighted_metrics_are_those_of_repeated_images(
        (classes, labels, probabilities) in predictions(),
        times in prop::collection::vec(0u32..4, 30),
    ) {
        let times = &times[..labels.len()];
        let drawn: Vec<usize> = (0..labels.len()).flat_map(|i| std::iter::repeat_n(i, times[i] as usize)).collect();
        let few: Vec<u32> = drawn.iter().map(|&i| labels[i]).collect();
        let rows: Vec<f64> =
            drawn.iter().flat_map(|&i| &probabilities[i * classes..(i + 1) * classes]).copied().collect();
        let expected = all(classes, &few, &rows);
        let whole = Classified::new(&labels, &probabilities, classes).unwrap();
        let names = ["accuracy", "balanced_accuracy", "macro_f1", "auroc", "ece", "log_loss", "top_1", "top_2", "top_3"];
        for name in names {
            let found = whole.weighted(name, 10).and_then(|metric| metric.value(times));
            prop_assert_eq!(found.is_some(), expected.contains_key(name), "{}", name);
            if let Some(found) = found {
                prop_assert!((found - expected[name]).abs() < 1e-12, "{}: {} {}", name, found, expected[name]);
            }
        }
    }
}
