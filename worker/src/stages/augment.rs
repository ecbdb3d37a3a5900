//! `augment`: decodes, resizes and augments the images of one split, once.

use std::collections::BTreeMap;

use anyhow::Result;
use rayon::prelude::*;
use thawline::{
    artifact::{Dataset, SoftTargets, views::ViewsWriter},
    images::source::Source,
    protocol::{Answer, Outcome},
    stages::augment::Work,
};

use crate::task::{Stopped, Task};

mod balance;
mod view;

pub use view::{Prepared, View};

/// Most bytes of prepared images that wait to be written.
const CHUNK_BYTES: usize = 64 << 20;

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let dataset = Dataset::read(task.input("dataset")?)?;
    let source = Source::new(task.source("root")?, dataset.reading.limits);
    let view = View::new(work, &source, &dataset)?;
    let count = view.len();
    let side = work.size as usize;
    let mut writer = ViewsWriter::create(&task.out, count, side, side)?;
    let chunk = (CHUNK_BYTES / (side * side * 3).max(1)).clamp(1, 256);
    let mut targets = SoftTargets::default();
    let numbers: Vec<usize> = (0..count).collect();
    let mut done = 0;
    for chunk in numbers.chunks(chunk) {
        let prepared: Vec<Result<Prepared>> = chunk.par_iter().map(|&row| view.prepare(row)).collect();
        for (prepared, &row) in prepared.into_iter().zip(chunk) {
            let Prepared { image, mixed } = prepared?;
            writer.push(&image.pixels)?;
            let (partner, share) = mixed.unwrap_or((row, 1.0));
            targets.push(view.label(row), view.label(partner), share);
        }
        done += chunk.len();
        if task.link.progress(done as u64, count as u64) != Answer::Continue {
            return Err(Stopped.into());
        }
    }
    writer.finish()?;
    if !view.shows_its_labels() {
        targets.write(&task.out)?;
    }
    let metrics = BTreeMap::from([("images".to_string(), count as f64)]);
    let notes = view.note(&dataset.classes).into_iter().collect();
    Ok(Outcome { metrics, notes, images_seen: count as u64, ..Outcome::default() })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use serde_json::json;

    use thawline::{
        artifact::{Image, Reading, Split, Views},
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
            let image = |work: &Work, row| View::new(work, &source, &dataset).unwrap().prepare(row).unwrap();
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
