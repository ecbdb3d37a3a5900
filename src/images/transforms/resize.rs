//! `resize`: `{ resize: 256 }` (shorter side), `{ resize: [height, width] }`, or with `interpolation`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    images::{
        Rgb,
        resize::{self, Interpolation},
    },
    rng::Draws,
};

/// Resizes the image, as torchvision's `Resize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written")]
pub struct Resize {
    /// Height and width in pixels, or one number for the shorter side.
    pub size: Size,
    pub interpolation: Interpolation,
}

/// The size to reach, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Size {
    /// The shorter side; the proportions stay.
    Shorter(#[schemars(range(min = 1, max = 16384))] u32),
    /// Height and width; the proportions change.
    Exact(#[schemars(inner(range(min = 1, max = 16384)))] [u32; 2]),
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Size(Size),
    Full(Full),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Full {
    /// Height and width in pixels, or one number for the shorter side.
    size: Size,
    #[serde(default)]
    interpolation: Interpolation,
}

impl From<Written> for Resize {
    fn from(written: Written) -> Resize {
        match written {
            Written::Size(size) => Resize { size, interpolation: Interpolation::default() },
            Written::Full(Full { size, interpolation }) => Resize { size, interpolation },
        }
    }
}

impl Step for Resize {
    fn apply(&self, image: Rgb, _size: u32, _draws: &mut Draws) -> Result<Rgb> {
        let (width, height) = match self.size {
            Size::Shorter(size) => resize::shorter_side(image.width, image.height, size),
            Size::Exact([height, width]) => (width, height),
        };
        resize::resize(&image, width, height, self.interpolation)
    }
}
