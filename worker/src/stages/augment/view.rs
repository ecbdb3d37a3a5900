//! One view, or one split under the evaluation transform: which images it holds, and how each is prepared.

use anyhow::{Context, Result, ensure};
use thawline::{
    artifact::{Dataset, Image, Reading},
    images::{
        Rgb,
        source::Source,
        transforms::{
            self, DrawKey, Transform,
            mixing::{How, Mix, Mixing},
        },
    },
    rng::Draws,
    stages::augment::Work,
};

use super::balance;

/// A row of a view: an image of the split, or one more of its class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// In the split's order.
    pub image: usize,
    /// 0 for the image itself, and counted from 1 for what was added: its draws are others.
    pub copy: u32,
    /// An image of the same class that it is moved towards, and how far, in 0..1.
    pub toward: Option<(usize, f64)>,
}

/// A row, prepared.
pub struct Prepared {
    pub image: Rgb,
    /// The row it was mixed with, and what is left of its own label.
    pub mixed: Option<(usize, f64)>,
}

/// The rows of one node's result, and what they are made from.
pub struct View<'a> {
    work: &'a Work,
    source: &'a Source,
    reading: &'a Reading,
    images: Vec<&'a Image>,
    /// The images of the split in order, then what was added.
    rows: Vec<Row>,
    transforms: &'a [Transform],
    mixing: Option<(Mixing, &'static str)>,
}

impl<'a> View<'a> {
    /// # Errors
    /// When an image that is looked at to find its neighbours cannot be read.
    pub fn new(work: &'a Work, source: &'a Source, dataset: &'a Dataset) -> Result<View<'a>> {
        let images = dataset.rows(work.split);
        let (transforms, mixing) = transforms::split_mixing(&work.transforms);
        let rows = (0..images.len()).map(|image| Row { image, copy: 0, toward: None }).collect();
        let mut view = View { work, source, reading: &dataset.reading, images, rows, transforms, mixing };
        if work.balance.tops_up() {
            let added = balance::rows(&view)?;
            view.rows.extend(added);
        }
        Ok(view)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The image that row `row` shows, or that it is a further copy of.
    pub fn image(&self, row: usize) -> &'a Image {
        self.images[self.rows[row].image]
    }

    /// As an index into the classes.
    pub fn label(&self, row: usize) -> u32 {
        self.image(row).label
    }

    /// Whether its rows are the images of the split, each of its own class alone.
    pub fn shows_its_labels(&self) -> bool {
        self.mixing.is_none() && self.rows.len() == self.images.len()
    }

    /// What was added, for the report.
    pub fn note(&self, classes: &[String]) -> Option<String> {
        balance::note(&self.images, &self.rows[self.images.len()..], classes)
    }

    pub(super) fn work(&self) -> &'a Work {
        self.work
    }

    pub(super) fn images(&self) -> &[&'a Image] {
        &self.images
    }

    /// What draws on a copy of an image in this view are numbered by.
    pub(super) fn index(&self, copy: u32) -> u64 {
        u64::from(copy) << 32 | u64::from(self.work.view.unwrap_or(0))
    }

    /// Row `row`: transformed, and mixed with another row where the last transform does that. A partner is prepared again for
    /// each image that it is mixed into, with its own draws, so that rows need not wait for each other.
    pub fn prepare(&self, row: usize) -> Result<Prepared> {
        let mut image = self.alone(row)?;
        let drawn = self.mixing.and_then(|(mixing, name)| {
            let index = self.index(self.rows[row].copy);
            let mut draws = Draws::new(self.work.seed, &self.image(row).id, index, name);
            mixing.draw(row, self.rows.len(), self.work.size, &mut draws)
        });
        let mixed = match drawn {
            Some(mix) => {
                let partner = self.alone(mix.partner)?;
                Some((mix.partner, mix.apply(&mut image, &partner)))
            }
            None => None,
        };
        Ok(Prepared { image, mixed })
    }

    /// Row `row` before it is mixed. A neighbour goes through the same draws as the image that is moved towards it, so that
    /// what is in one place in both stays so.
    fn alone(&self, row: usize) -> Result<Rgb> {
        let Row { image, copy, toward } = self.rows[row];
        let own = self.images[image];
        let key = DrawKey { seed: self.work.seed, image: &own.id, view: self.index(copy) };
        let mut prepared = self.transformed(own, key)?;
        if let Some((neighbour, far)) = toward {
            let neighbour = self.transformed(self.images[neighbour], key)?;
            Mix { partner: row, how: How::Blend { share: 1.0 - far } }.apply(&mut prepared, &neighbour);
        }
        Ok(prepared)
    }

    fn transformed(&self, image: &Image, key: DrawKey<'_>) -> Result<Rgb> {
        let prepare = || transforms::prepare(self.decoded(image)?, self.transforms, self.work.size, key);
        prepare().with_context(|| image.path.clone())
    }

    /// The image as it is.
    pub(super) fn decoded(&self, image: &Image) -> Result<Rgb> {
        let encoded = self.source.read(&image.path)?;
        ensure!(encoded.id() == image.id, "it has changed since the dataset was scanned");
        Ok(encoded.decode(self.reading)?.image)
    }
}
