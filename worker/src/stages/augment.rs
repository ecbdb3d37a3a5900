//! `augment`: decodes, resizes and augments the images of one split, once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use thawline::{
    artifact::{Dataset, Image, Reading, SoftTargets, views::ViewsWriter},
    images::{
        Rgb,
        source::Source,
        transforms::{self, DrawKey, Transform},
    },
    protocol::{Answer, Outcome},
    rng::Draws,
    stages::augment::Work,
};

use crate::task::{Stopped, Task};

/// Most bytes of prepared images that wait to be written.
const CHUNK_BYTES: usize = 64 << 20;

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let dataset = Dataset::read(task.input("dataset")?)?;
    let source = Source::new(task.source("root")?, dataset.reading.limits);
    let rows = dataset.rows(work.split);
    let side = work.size as usize;
    let mut writer = ViewsWriter::create(&task.out, rows.len(), side, side)?;
    let chunk = (CHUNK_BYTES / (side * side * 3).max(1)).clamp(1, 256);
    let mixes = transforms::split_mixing(&work.transforms).1.is_some();
    let mut targets = SoftTargets::default();
    let numbers: Vec<usize> = (0..rows.len()).collect();
    let mut done = 0;
    for chunk in numbers.chunks(chunk) {
        let prepared: Vec<Result<Prepared>> =
            chunk.par_iter().map(|&row| prepare(work, &source, &dataset.reading, &rows, row)).collect();
        for (prepared, &row) in prepared.into_iter().zip(chunk) {
            let Prepared { image, mixed } = prepared?;
            writer.push(&image.pixels)?;
            let (partner, share) = mixed.unwrap_or((row, 1.0));
            targets.push(rows[row].label, rows[partner].label, share);
        }
        done += chunk.len();
        if task.link.progress(done as u64, rows.len() as u64) != Answer::Continue {
            return Err(Stopped.into());
        }
    }
    writer.finish()?;
    if mixes {
        targets.write(&task.out)?;
    }
    let metrics = BTreeMap::from([("images".to_string(), rows.len() as f64)]);
    Ok(Outcome { metrics, images_seen: rows.len() as u64, ..Outcome::default() })
}

/// A row of a view.
pub struct Prepared {
    pub image: Rgb,
    /// The row it was mixed with, and what is left of its own label.
    pub mixed: Option<(usize, f64)>,
}

/// Row `row` of `rows`: transformed, and mixed with another row where the last transform does that. A partner is prepared
/// again for each image that it is mixed into, with its own draws, so that rows need not wait for each other.
pub fn prepare(work: &Work, source: &Source, reading: &Reading, rows: &[&Image], row: usize) -> Result<Prepared> {
    let alone =
        |image: &Image| prepare_alone(work, transforms::split_mixing(&work.transforms).0, source, reading, image);
    let mixing = transforms::split_mixing(&work.transforms).1;
    let own = rows[row];
    let mut image = alone(own)?;
    let drawn = mixing.and_then(|(mixing, name)| {
        let mut draws = Draws::new(work.seed, &own.id, u64::from(work.view.unwrap_or(0)), name);
        mixing.draw(row, rows.len(), work.size, &mut draws)
    });
    let mixed = match drawn {
        Some(mix) => {
            let partner = alone(rows[mix.partner])?;
            Some((mix.partner, mix.apply(&mut image, &partner)))
        }
        None => None,
    };
    Ok(Prepared { image, mixed })
}

fn prepare_alone(
    work: &Work,
    transforms: &[Transform],
    source: &Source,
    reading: &Reading,
    image: &Image,
) -> Result<Rgb> {
    let prepare = || -> Result<Rgb> {
        let encoded = source.read(&image.path)?;
        ensure!(encoded.id() == image.id, "it has changed since the dataset was scanned");
        let decoded = encoded.decode(reading)?;
        let key = DrawKey { seed: work.seed, image: &image.id, view: work.view.unwrap_or(0) };
        transforms::prepare(decoded.image, transforms, work.size, key)
    };
    prepare().with_context(|| image.path.clone())
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use serde_json::json;

    use thawline::{
        artifact::{Split, Views},
        protocol::Epoch,
    };

    use super::*;
    use crate::task::Link;

    /// Answers `stop` from the given call on.
    struct Until(u64);

    impl Link for Until {
        fn log(&mut self, _line: &str) {}

        fn progress(&mut self, _done: u64, _total: u64) -> Answer {
            self.0 -= 1;
            if self.0 == 0 { Answer::Stop } else { Answer::Continue }
        }

        fn epochs(&mut self, _epochs: Vec<(usize, Epoch)>) -> Answer {
            Answer::Continue
        }
    }

    /// A dataset of some reference images, `order` saying which; and where everything lies.
    fn project(order: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/images");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dataset")).unwrap();
        let image = |name: &&str| Image {
            id: Image::id_of(&fs::read(root.join(name)).unwrap()),
            path: name.to_string(),
            label: 0,
            split: Split::Train,
        };
        let images = order.iter().map(image).collect();
        let dataset = Dataset { classes: vec!["one".into()], images, dropped: Vec::new(), reading: Reading::default() };
        dataset.write(&folder.path().join("dataset")).unwrap();
        (folder, root)
    }

    fn augment(folder: &Path, root: &Path, view: u32, calls: u64) -> Result<Vec<u8>> {
        let work: Work = serde_json::from_value(json!({
            "split": "train", "view": view, "size": 24, "transforms": ["random_resized_crop", "horizontal_flip"], "seed": 7
        }))?;
        let out = tempfile::tempdir()?;
        let mut link = Until(calls);
        let mut task = Task {
            inputs: BTreeMap::from([("dataset".into(), folder.join("dataset"))]),
            sources: BTreeMap::from([("root".into(), root.to_path_buf())]),
            seed: 0,
            limits: Default::default(),
            out: out.path().to_path_buf(),
            checkpoint: out.path().to_path_buf(),
            link: &mut link,
        };
        let outcome = run(&work, &mut task)?;
        let views = Views::open(out.path())?;
        assert_eq!((views.images as u64, views.height, views.width), (outcome.images_seen, 24, 24));
        Ok(views.pixels().to_vec())
    }

    #[test]
    fn pixels_depend_on_image_and_view_but_not_on_order_or_threads() {
        let (folder, root) = project(&["rgb_png.png", "tall.png", "baseline_420.jpg"]);
        let (reversed, _) = project(&["baseline_420.jpg", "tall.png", "rgb_png.png"]);
        let pixels = augment(folder.path(), &root, 0, u64::MAX).unwrap();
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let mut other: Vec<Vec<u8>> = one_thread
            .install(|| augment(reversed.path(), &root, 0, u64::MAX).unwrap())
            .chunks(24 * 24 * 3)
            .map(<[u8]>::to_vec)
            .collect();
        other.reverse();
        assert_eq!(pixels, other.concat());
        assert_ne!(pixels, augment(folder.path(), &root, 1, u64::MAX).unwrap());
    }

    /// The pixels are those of the two images, mixed in the shares that the targets name.
    #[test]
    fn mixed_views_carry_soft_targets() {
        let (folder, root) = project(&["wide.png", "tall.png", "rgb_png.png"]);
        let dataset = Dataset::read(&folder.path().join("dataset")).unwrap();
        let rows = dataset.rows(Split::Train);
        let work = |transforms: serde_json::Value| -> Work {
            serde_json::from_value(json!({
                "split": "train", "view": 4, "size": 24, "transforms": transforms, "seed": 7
            }))
            .unwrap()
        };
        let alone = work(json!(["random_resized_crop", "horizontal_flip"]));
        let mixed = work(json!(["random_resized_crop", "horizontal_flip", { "mixup": 0.4 }]));
        for row in 0..3 {
            let source = Source::new(&root, dataset.reading.limits);
            let image = |work: &Work, row| prepare(work, &source, &dataset.reading, &rows, row).unwrap();
            let found = image(&mixed, row);
            let (partner, share) = found.mixed.unwrap();
            assert_ne!(partner, row);
            let (own, other) = (image(&alone, row).image, image(&alone, partner).image);
            for ((found, own), other) in found.image.pixels.iter().zip(&own.pixels).zip(&other.pixels) {
                let expected = share * f64::from(*own) + (1.0 - share) * f64::from(*other);
                assert!((f64::from(*found) - expected).abs() <= 0.5);
            }
        }
    }

    #[test]
    fn changed_files_are_noticed() {
        let (folder, root) = project(&["rgb_png.png"]);
        let moved = tempfile::tempdir().unwrap();
        fs::copy(root.join("tall.png"), moved.path().join("rgb_png.png")).unwrap();
        let error = format!("{:#}", augment(folder.path(), moved.path(), 0, u64::MAX).unwrap_err());
        assert_eq!(error, "rgb_png.png: it has changed since the dataset was scanned");
    }

    #[test]
    fn stops_when_told_to() {
        let (folder, root) = project(&["rgb_png.png"]);
        assert!(augment(folder.path(), &root, 0, 1).unwrap_err().is::<Stopped>());
    }
}
