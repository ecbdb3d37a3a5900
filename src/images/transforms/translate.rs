//! `translate`: `{ translate: [0.1, 0.2] }`, or `{ translate: { fraction: [0.1, 0], fill: wrap } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, affine::shift, parameter::ShortForm};
use crate::{
    images::{
        Rgb,
        warp::{Affine, Fill, Motion, Sampling},
    },
    rng::Draws,
};

/// Moves the image by whole pixels, as the `translate` of torchvision's `RandomAffine`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Translate {
    /// Most horizontal and vertical shift, as fractions of width and height.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    fraction: [f64; 2],
    #[serde(default)]
    interpolation: Sampling,
    #[serde(default)]
    fill: Fill,
}

impl Step for Translate {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<[f64; 2]>("fraction")
    }

    fn check(&self) -> Result<(), String> {
        super::affine::check_fractions("fraction", self.fraction)
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let sides = (image.width, image.height);
        let motion = Motion { translate: shift(self.fraction, sides, draws), ..Motion::NONE };
        Ok(Affine::new(motion, sides, None).apply(&image, self.fill, self.interpolation))
    }
}
