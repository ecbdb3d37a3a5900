//! `random_crop`: alone (the stage's size), `{ random_crop: 200 }`, or with padding: `{ random_crop: { size: 32, padding: 4 } }`.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::ShortForm, resize::Size};
use crate::{
    images::{
        MAX_PIXELS, Rgb,
        warp::{Fill, window},
    },
    rng::Draws,
};

/// A part of a fixed size at a random place, as torchvision's `RandomCrop`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RandomCrop {
    /// The side of a square, or [height, width], in pixels; by default the stage's `size`.
    size: Option<Size>,
    /// Pixels added on every side before.
    #[schemars(range(min = 0, max = 4096))]
    padding: u32,
    /// Whether smaller images are padded; else they are an error.
    pad_if_needed: bool,
    fill: Fill,
}

impl Step for RandomCrop {
    fn alone() -> Option<RandomCrop> {
        Some(RandomCrop::default())
    }

    fn short() -> Option<ShortForm> {
        ShortForm::of::<Size>("size")
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, size: u32, draws: &mut Draws) -> Result<Rgb> {
        let (width, height) = match self.size {
            Some(Size::Exact([height, width])) => (width, height),
            Some(Size::Shorter(side)) => (side, side),
            None => (size, size),
        };
        ensure!(u64::from(width) * u64::from(height) <= MAX_PIXELS, "{width} x {height} pixels are over {MAX_PIXELS}");
        // The first pixel of the whole, padding included, and how far the part may move in it.
        let place = |side: u32, crop: u32, name: &str| {
            let padded = i64::from(side) + 2 * i64::from(self.padding);
            let missing = i64::from(crop) - padded;
            ensure!(
                missing <= 0 || self.pad_if_needed,
                "the image is {padded} pixels {name}, less than the {crop} of the crop: \
                 `resize` it before, or set `pad_if_needed: true`"
            );
            // As there, what is missing is added on both sides.
            let more = missing.max(0);
            Ok((-i64::from(self.padding) - more, (padded + 2 * more - i64::from(crop)) as u64))
        };
        let (top, room_y) = place(image.height, height, "high")?;
        let (left, room_x) = place(image.width, width, "wide")?;
        let top = top + draws.below(room_y + 1) as i64;
        let left = left + draws.below(room_x + 1) as i64;
        Ok(window(&image, (left, top), (width, height), self.fill))
    }
}
