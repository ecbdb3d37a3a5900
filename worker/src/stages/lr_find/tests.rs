use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use super::*;
use crate::{stages::train_head::tests::write_inputs, task::recorder::Recorder};

fn curve(losses: &[f64]) -> Vec<Point> {
    let point = |(i, loss): (usize, &f64)| Point { lr: 10f64.powi(i as i32 - 6), loss: *loss, smoothed: *loss };
    losses.iter().enumerate().map(point).collect()
}

#[test]
fn suggestions_are_read_off_the_curve() {
    // Central differences fall fastest at 1e-3 (from 0.95 to 0.5), and the loss is smallest at 1e-1.
    let (steepest, minimum) = suggestions(&curve(&[1.0, 1.0, 0.95, 0.8, 0.5, 0.4, 0.7, 3.0])).unwrap();
    assert!((steepest / 1e-3 - 1.0).abs() < 1e-12, "{steepest}");
    assert!((minimum / 1e-2 - 1.0).abs() < 1e-12, "{minimum}");
    // Falls after the minimum and in the first tenth do not count.
    let mut losses = vec![9.0, 5.0, 4.9, 4.8, 4.7, 4.6, 4.5, 4.4, 4.3, 4.0, 3.0, 8.0, 3.5];
    let (steepest, _) = suggestions(&curve(&losses)).unwrap();
    assert!((steepest / 1e-5 - 1.0).abs() < 1e-12, "the second of 13 is beyond the first tenth: {steepest}");
    losses.splice(0..0, [9.0; 10]);
    let (steepest, _) = suggestions(&curve(&losses)).unwrap();
    assert!((steepest / 1e5 - 1.0).abs() < 1e-9, "{steepest}");
}

#[test]
fn a_curve_that_does_not_fall_suggests_nothing() {
    assert_eq!(suggestions(&[]), None);
    assert_eq!(suggestions(&curve(&[1.0; 10])), None);
    assert_eq!(suggestions(&curve(&[1.0, 1.1, 1.2, 1.3, 2.0])), None);
}

#[test]
fn a_curve_that_hardly_falls_is_told() {
    assert_eq!(doubt(&curve(&[1.0, 0.9, 0.5, 2.0])), None);
    let told = doubt(&curve(&[1.0, 0.998, 0.995, 2.0])).unwrap();
    assert!(told.contains("falls by only 0.50 %"), "{told}");
}

#[test]
fn the_average_is_unbiased_and_ends_when_it_explodes() {
    let mut curve = Curve::default();
    assert!(curve.add(0.1, 2.0));
    assert!((curve.points[0].smoothed - 2.0).abs() < 1e-12);
    assert!(curve.add(0.2, 1.0));
    // (0.98 * 0.02 * 2 + 0.02 * 1) / (1 - 0.98^2)
    assert!((curve.points[1].smoothed - 0.0592 / 0.0396).abs() < 1e-12);
    assert!(!curve.add(0.3, 1000.0));
    assert_eq!(curve.points.len(), 3);
    assert!(!curve.add(0.4, f64::NAN));
    assert_eq!(curve.points.len(), 3);
}

fn test(dir: &Path, inputs: &BTreeMap<String, std::path::PathBuf>, params: serde_json::Value) -> Result<Outcome> {
    tch::set_num_threads(1);
    let mut work = json!({
        "trains": { "head": {
            "training": { "optimizer": { "sgd": { "momentum": 0.9 } } },
            "views": 1,
            "backbone": {
                "backbone": "resnet18", "weights": { "random": { "seed": 0 } }, "cut": "layer4", "pooling": "avg",
                "normalization": { "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5] },
            },
        } },
        "min": 1e-6, "max": 100.0, "steps": 100, "suggestion": "steepest",
    });
    work.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    let mut recorder = Recorder::default();
    let mut task = Task {
        inputs: inputs.clone(),
        sources: BTreeMap::new(),
        seed: 3,
        limits: Default::default(),
        out: dir.to_path_buf(),
        checkpoint: dir.to_path_buf(),
        link: &mut recorder,
    };
    let outcome = run(&serde_json::from_value(work).unwrap(), &mut task)?;
    let lrs: Vec<f64> = recorder.curve.iter().map(|epoch| epoch.metrics["lr"]).collect();
    assert!(lrs.len() > 10 && lrs.is_sorted(), "{lrs:?}");
    Ok(outcome)
}

#[test]
fn the_loss_of_a_head_falls_then_rises_the_same_way_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = write_inputs(dir.path(), [75, 40], 24, 1.0);
    let outcome = test(dir.path(), &inputs, json!({})).unwrap();
    let found = LearningRate::read(dir.path()).unwrap();
    let (first, last) = (found.curve.first().unwrap(), found.curve.last().unwrap());
    let lowest = found.curve.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
    assert!(lowest < 0.95 * first.smoothed && last.smoothed > 1.5 * lowest, "{first:?} {lowest} {last:?}");
    assert!(first.lr == 1e-6 && last.lr > 0.1, "{first:?} {last:?}");
    assert!(found.suggestion == found.steepest && found.suggestion == outcome.metrics["suggestion"]);
    assert!((1e-4..10.0).contains(&found.steepest) && (1e-4..10.0).contains(&found.minimum), "{outcome:?}");
    assert_eq!(outcome.trained_parameters, 50);

    test(dir.path(), &inputs, json!({ "suggestion": "minimum" })).unwrap();
    let again = LearningRate::read(dir.path()).unwrap();
    assert_eq!(again, LearningRate { suggestion: found.minimum, ..found });
}

#[test]
fn learning_rates_at_which_nothing_falls_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = write_inputs(dir.path(), [75, 40], 24, 1.0);
    let error = test(dir.path(), &inputs, json!({ "min": 1e4, "max": 1e5 })).unwrap_err().to_string();
    assert!(error.contains("does not fall anywhere between the learning rates 10000 and 100000"), "{error}");
}
