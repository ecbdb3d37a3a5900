//! Published weights load right.

use std::path::PathBuf;

use thawline::backbones::weights;

use crate::support::Project;

#[test]
fn coffee_is_espresso() {
    let image: PathBuf = weights::cache_folder().unwrap().join("testdata/photos/coffee.png");
    assert!(image.is_file(), "{} is missing: run `make fetch`", image.display());
    let image = image.to_str().unwrap();
    let arguments =
        ["predict", "--backbone", "efficientnet_lite0", "--weights", "imagenet", "--format", "jsonl", image];
    // One line is one document.
    let prediction = Project::new().json(&arguments);
    assert_eq!(prediction["image"], image);
    let top = prediction["top"].as_array().unwrap();
    assert_eq!(top.len(), 5);
    assert_eq!((&top[0]["index"], &top[0]["class"]), (&967.into(), &"espresso".into()));
    let scores: Vec<f64> = top.iter().map(|class| class["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0, "{scores:?}");
}
