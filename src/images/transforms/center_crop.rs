//! `center_crop`: `{ center_crop: 224 }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    images::{Rgb, resize},
    rng::Draws,
};

/// The square of that many pixels in the middle, as torchvision's `CenterCrop`; smaller images are padded with black.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CenterCrop(#[schemars(range(min = 1, max = 16384))] pub u32);

impl Step for CenterCrop {
    fn apply(&self, image: Rgb, _size: u32, _draws: &mut Draws) -> Result<Rgb> {
        Ok(resize::center_crop(&image, self.0, self.0))
    }
}
