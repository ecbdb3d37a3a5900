//! Published weights load right.

use std::path::PathBuf;

use thawline::backbones::{imagenet_classes, weights};

use crate::support::Project;

#[test]
fn photographs_are_what_they_show() {
    let photos: PathBuf = weights::cache_folder().unwrap().join("testdata/photos");
    let project = Project::new();
    for (file, classes) in [
        ("coffee.png", vec!["espresso"]),
        ("chelsea.png", vec!["tabby", "tiger cat", "Egyptian cat"]),
        ("rocket.jpg", vec!["missile", "projectile"]),
    ] {
        let image = photos.join(file);
        assert!(image.is_file(), "{} is missing: run `make fetch`", image.display());
        let image = image.to_str().unwrap();
        let arguments =
            ["predict", "--backbone", "efficientnet_lite0", "--weights", "imagenet", "--format", "jsonl", image];
        // One line is one document.
        let prediction = project.json(&arguments);
        assert_eq!(prediction["image"], image);
        let top = prediction["top"].as_array().unwrap();
        assert_eq!(top.len(), 5);
        let best = top[0]["class"].as_str().unwrap();
        assert!(classes.contains(&best), "{file}: {best}");
        let index = top[0]["index"].as_u64().unwrap() as usize;
        assert_eq!(imagenet_classes()[index], best);
        let scores: Vec<f64> = top.iter().map(|class| class["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] <= 1.0, "{scores:?}");
    }
}
