//! `shear`: `{ shear: 15 }`, `{ shear: [-10, 10, -5, 5] }`, or `{ shear: { degrees: 15, fill: nearest } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, affine::Shears, parameter::ShortForm};
use crate::{
    images::{
        Rgb,
        warp::{Affine, Fill, Motion, Sampling},
    },
    rng::Draws,
};

/// Shears by angles drawn from `degrees`, as the `shear` of torchvision's `RandomAffine`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shear {
    /// Angles in degrees: of x alone (`15` for [-15, 15]), or of x and y.
    degrees: Shears,
    #[serde(default)]
    interpolation: Sampling,
    #[serde(default)]
    fill: Fill,
}

impl Step for Shear {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<Shears>("degrees")
    }

    fn check(&self) -> Result<(), String> {
        self.degrees.check("degrees")
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let motion = Motion { shear: self.degrees.draw(draws), ..Motion::NONE };
        Ok(Affine::new(motion, (image.width, image.height), None).apply(&image, self.fill, self.interpolation))
    }
}
