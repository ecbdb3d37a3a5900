//! Published weights load right, and new images are read as those that a model knows.

use std::path::PathBuf;

use png::{BitDepth, ColorType};
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

/// A picture of one colour, 24 x 24.
fn plain(colour: ColorType, depth: BitDepth, pixel: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 24, 24);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(&pixel.repeat(24 * 24)).unwrap();
    file
}

#[test]
fn new_images_are_decoded_as_those_of_the_dataset() {
    let project = Project::new();
    let divided = "split: { train: 0.5, val: 0.25, test: 0.25 }";
    let settings = format!("{divided}, background: [0, 0, 255], levels: {{ low: 0, high: 1000 }}");
    project.edit("pipelines/features.yaml", divided, &settings);
    assert!(project.thawline(&["run", "pipelines/features.yaml", "-q"]).status.success());
    let trial = project.index("SELECT trial FROM trials")[0].clone();
    project.write("clear.png", plain(ColorType::Rgba, BitDepth::Eight, &[255, 255, 255, 0]));
    project.write("blue.png", plain(ColorType::Rgb, BitDepth::Eight, &[0, 0, 255]));
    project.write("white.png", plain(ColorType::Rgb, BitDepth::Eight, &[255; 3]));
    project.write("thousand.png", plain(ColorType::Grayscale, BitDepth::Sixteen, &1000u16.to_be_bytes()));
    let top = |image: &str| project.json(&["predict", &trial, image, "--format", "jsonl"])["top"].clone();
    assert_eq!(top("clear.png"), top("blue.png"));
    assert_eq!(top("thousand.png"), top("white.png"));
    assert_ne!(top("blue.png"), top("white.png"));
}
