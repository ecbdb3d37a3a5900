//! `rotate`: `{ rotate: 30 }`, or `{ rotate: { degrees: [-10, 20], fill: reflect } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{AroundZero, Range, ShortForm},
};
use crate::{
    images::{
        Rgb,
        warp::{Affine, Fill, Motion, Sampling},
    },
    rng::Draws,
};

/// Rotates about the centre by an angle drawn from `degrees`, counter-clockwise, as torchvision's `RandomRotation` (whose
/// default `interpolation` is nearest).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Angles in degrees; `30` for [-30, 30].
    degrees: Range<AroundZero>,
    #[serde(default)]
    interpolation: Sampling,
    #[serde(default)]
    fill: Fill,
}

impl Step for Rotate {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<Range<AroundZero>>("degrees")
    }

    fn check(&self) -> Result<(), String> {
        self.degrees.within("degrees", -360.0, 360.0)
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let motion = Motion { angle: -self.degrees.draw(draws), ..Motion::NONE };
        Ok(Affine::new(motion, (image.width, image.height), None).apply(&image, self.fill, self.interpolation))
    }
}
