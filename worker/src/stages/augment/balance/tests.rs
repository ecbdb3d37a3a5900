use std::{collections::BTreeSet, fs, path::Path};

use serde_json::json;
use thawline::{
    artifact::{Dataset, Image, Reading, Split},
    images::source::Source,
    stages::augment::Work,
};

use super::*;

/// A grey image of one level, as a file.
fn flat(folder: &Path, name: &str, level: u8, label: u32, split: Split) -> Image {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&[level; 64]).unwrap();
    fs::write(folder.join(name), &file).unwrap();
    Image { id: Image::id_of(&file), path: name.to_string(), label, split }
}

/// 20 images of the first class, 7 of the second (levels 100, 110, ... 160), one of the third, and two to validate.
fn dataset(folder: &Path) -> Dataset {
    let mut images: Vec<Image> =
        (0..20).map(|i| flat(folder, &format!("a{i:02}.png"), i * 3, 0, Split::Train)).collect();
    images.extend((0..7).map(|i| flat(folder, &format!("b{i}.png"), 100 + 10 * i, 1, Split::Train)));
    images.push(flat(folder, "c.png", 255, 2, Split::Train));
    images.extend((0..2).map(|i| flat(folder, &format!("v{i}.png"), 200 + i, 1, Split::Val)));
    let classes = ["common", "rare", "single"].map(str::to_string).into();
    Dataset { classes, images, dropped: Vec::new(), reading: Reading::default() }
}

fn work(balance: &str, view: u32) -> Work {
    serde_json::from_value(json!({
        "split": "train", "view": view, "size": 8, "transforms": ["horizontal_flip"], "balance": balance, "seed": 3
    }))
    .unwrap()
}

#[test]
fn every_class_has_as_many_rows_as_the_largest() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let source = Source::new(folder.path(), dataset.reading.limits);
    for (balance, how) in [("oversample", "further copies"), ("synthesize", "synthesized")] {
        let work = work(balance, 0);
        let view = View::new(&work, &source, &dataset).unwrap();
        assert_eq!((view.len(), view.shows_its_labels()), (60, false));
        let counts = [0, 1, 2].map(|label| (0..60).filter(|&row| view.label(row) == label).count());
        assert_eq!(counts, [20, 20, 20]);
        // 7 images, 13 more: each twice or three times.
        for member in 0..7 {
            let path = format!("b{member}.png");
            let times = (0..60).filter(|&row| view.image(row).path == path).count();
            assert!((2..=3).contains(&times), "{path}: {times}");
        }
        let said = format!("balance: 7 -> 20 of class rare, 13 {how}, 1 -> 20 of class single, 19 further copies");
        assert_eq!(view.note(&dataset.classes).unwrap(), said);
        let again = View::new(&work, &source, &dataset).unwrap();
        assert!((0..60).all(|row| view.prepare(row).unwrap().image == again.prepare(row).unwrap().image));
    }
    // Validation images stay as they are.
    let work = Work { split: Split::Val, view: None, ..work("none", 0) };
    let view = View::new(&work, &source, &dataset).unwrap();
    assert_eq!((view.len(), view.note(&dataset.classes)), (2, None));
}

/// Images of one level have their neighbours beside them: of 7 in a row of distance 10 the 5 nearest leave out one.
#[test]
fn synthesized_images_lie_between_an_image_and_a_near_one_of_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path());
    let source = Source::new(folder.path(), dataset.reading.limits);
    let mut made = BTreeSet::new();
    for number in 0..20 {
        let work = work("synthesize", number);
        let view = View::new(&work, &source, &dataset).unwrap();
        for row in rows(&view).unwrap().into_iter().filter(|row| view.images()[row.image].label == 1) {
            let (neighbour, far) = row.toward.unwrap();
            assert!((0.0..1.0).contains(&far) && neighbour != row.image);
            assert_eq!(view.images()[neighbour].label, 1);
            // From an end of the row the other end is the farthest of six.
            assert!(row.image.abs_diff(neighbour) < 6, "{row:?}");
        }
        for row in (28..60).filter(|&row| view.label(row) == 1) {
            let own = 100 + 10 * (view.image(row).path[1..2].parse::<i32>().unwrap());
            let pixels = view.prepare(row).unwrap().image.pixels;
            let level = i32::from(pixels[0]);
            assert!(pixels.iter().all(|&other| i32::from(other) == level));
            assert!((100..=160).contains(&level) && (level - own).abs() <= 50, "{level} from {own}");
            made.insert(level);
        }
    }
    assert!(made.len() > 40, "levels that no image has are made: {made:?}");
}

#[test]
fn copies_and_views_have_their_own_draws() {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = dataset(folder.path());
    // Its 19 copies differ by their flips alone.
    let left = flat(folder.path(), "c.png", 0, 2, Split::Train);
    let mut encoded = Vec::new();
    let mut encoder = png::Encoder::new(&mut encoded, 8, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[0, 10, 20, 30, 40, 50, 60, 70]).unwrap();
    fs::write(folder.path().join("c.png"), &encoded).unwrap();
    dataset.images[27] = Image { id: Image::id_of(&encoded), ..left };
    let source = Source::new(folder.path(), dataset.reading.limits);
    let flips = |number| -> Vec<bool> {
        let work = Work {
            transforms: serde_json::from_value(json!([{ "resize": [8, 8] }, "horizontal_flip"])).unwrap(),
            ..work("oversample", number)
        };
        let view = View::new(&work, &source, &dataset).unwrap();
        let single = (0..view.len()).filter(|&row| view.label(row) == 2);
        single.map(|row| view.prepare(row).unwrap().image.pixels[0] != 0).collect()
    };
    let (first, second) = (flips(0), flips(1));
    assert_eq!((first.len(), second.len()), (20, 20));
    assert!(first.contains(&true) && first.contains(&false) && first != second, "{first:?} {second:?}");
}
