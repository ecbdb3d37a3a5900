//! Against torchvision v2, Pillow, scipy and Keras; scripts/reference/transforms.py wrote the files.

use std::{fs, path::PathBuf};

use serde_json::{Value, from_value};

use super::{DrawKey, Transform};
use crate::{
    artifact::Reading,
    images::{Rgb, decode::decode},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/transforms")
}

/// Parts of three photographs, 64 x 48 pixels.
pub fn parts() -> [Rgb; 3] {
    ["chelsea", "coffee", "rocket"].map(|name| expected(&format!("part_{name}")))
}

pub fn cases(name: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(folder().join(name)).unwrap()).unwrap()
}

/// The pixels of `<name>.png`.
pub fn expected(name: &str) -> Rgb {
    decode(&fs::read(folder().join(format!("{name}.png"))).unwrap(), &Reading::default()).unwrap().image
}

/// Largest and mean difference of a channel.
pub fn difference(found: &Rgb, expected: &Rgb) -> (u8, f64) {
    assert_eq!((found.width, found.height), (expected.width, expected.height));
    let all = found.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = all.clone().map(u64::from).sum();
    (all.max().unwrap_or(0), sum as f64 / found.pixels.len() as f64)
}

/// Everything below each other.
pub fn stacked(images: &[Rgb]) -> Rgb {
    let height = images.iter().map(|image| image.height).sum();
    Rgb { width: images[0].width, height, pixels: images.iter().flat_map(|image| image.pixels.clone()).collect() }
}

fn apply(transforms: &[Transform], image: &Rgb, view: u32) -> Rgb {
    let mut image = image.clone();
    let key = DrawKey { seed: 0, image: "reference", view: view.into() };
    for transform in transforms {
        image = super::step(transform, image, 0, key, transform.name()).unwrap();
    }
    image
}

#[test]
fn without_chance_they_give_the_pixels_of_the_reference() {
    let parts = parts();
    let mut failures = Vec::new();
    for case in cases("exact.json") {
        let name = case["name"].as_str().unwrap();
        let transforms: Vec<Transform> = from_value(case["transforms"].clone()).unwrap();
        let found = stacked(&parts.each_ref().map(|part| apply(&transforms, part, 0)));
        let (most, mean) = difference(&found, &expected(name));
        println!("{name}: at most {most}, mean {mean:.3}");
        let within = case["within"].as_u64().unwrap();
        if u64::from(most) > within || mean > if within > 2 { 0.75 } else { 0.1 } {
            failures.push(format!("{name} differs by {most}, mean {mean:.3}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Mean of each channel, deviation of all values, mean step between neighbours in a row.
pub fn statistics(image: &Rgb) -> [f64; 5] {
    let values = |channel: usize| image.pixels.iter().skip(channel).step_by(3).map(|&level| f64::from(level));
    let count = f64::from(image.width * image.height);
    let means: [f64; 3] = std::array::from_fn(|c| values(c).sum::<f64>() / count);
    let mean = means.iter().sum::<f64>() / 3.0;
    let variance = image.pixels.iter().map(|&level| (f64::from(level) - mean).powi(2)).sum::<f64>() / (3.0 * count);
    let steps = |row: &[u8]| (3..row.len()).map(|i| f64::from(row[i].abs_diff(row[i - 3]))).sum::<f64>();
    let steps = image.pixels.chunks_exact(image.stride()).map(steps).sum::<f64>();
    let [r, g, b] = means;
    [r, g, b, variance.sqrt(), steps / (f64::from(image.height * (image.width - 1)) * 3.0)]
}

/// Means within five standard errors of their difference and a rounding (`within`: a twentieth of a level, for JPEG, whose
/// encoders differ, 0.4), deviations within a sixth.
#[test]
fn over_a_thousand_draws_they_are_distributed_as_the_reference() {
    const DRAWS: u32 = 1000;
    let [part, ..] = parts();
    let mut failures = Vec::new();
    for case in cases("random.json") {
        let name = case["name"].as_str().unwrap();
        let transforms: Vec<Transform> = from_value(case["transforms"].clone()).unwrap();
        assert!(transforms.iter().all(Transform::draws), "{name} draws");
        let drawn: Vec<[f64; 5]> = (0..DRAWS).map(|view| statistics(&apply(&transforms, &part, view))).collect();
        for i in 0..5 {
            let mean = drawn.iter().map(|s| s[i]).sum::<f64>() / f64::from(DRAWS);
            let deviation = (drawn.iter().map(|s| (s[i] - mean).powi(2)).sum::<f64>() / f64::from(DRAWS)).sqrt();
            let reference = |key: &str| case[key][i].as_f64().unwrap();
            let error = (deviation.powi(2) + reference("deviation").powi(2)).sqrt() / f64::from(DRAWS).sqrt();
            if (mean - reference("mean")).abs() > 5.0 * error + case["within"].as_f64().unwrap() {
                failures.push(format!("{name}, statistic {i}: mean {mean:.3}, there {}", case["mean"][i]));
            }
            let ratio = (deviation + 0.02) / (reference("deviation") + 0.02);
            if !(6.0 / 7.0..7.0 / 6.0).contains(&ratio) {
                failures
                    .push(format!("{name}, statistic {i}: deviation {deviation:.3}, there {}", case["deviation"][i]));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
