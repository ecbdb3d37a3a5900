//! `zoom`: `{ zoom: 0.2 }` or `{ zoom: [0.8, 1.2] }`, or `{ zoom: { scale: [1, 1.5], fill: reflect } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{AroundOne, Range, ShortForm},
};
use crate::{
    images::{
        Rgb,
        warp::{Affine, Fill, Motion, Sampling},
    },
    rng::Draws,
};

/// Enlarges (above 1) or shrinks (below 1) about the centre; the size stays. As the `scale` of torchvision's `RandomAffine`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zoom {
    /// Factors; `0.2` for [0.8, 1.2].
    scale: Range<AroundOne>,
    #[serde(default)]
    interpolation: Sampling,
    #[serde(default)]
    fill: Fill,
}

impl Step for Zoom {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<Range<AroundOne>>("scale")
    }

    fn check(&self) -> Result<(), String> {
        super::affine::check_scale(&self.scale)
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let motion = Motion { scale: self.scale.draw(draws), ..Motion::NONE };
        Ok(Affine::new(motion, (image.width, image.height), None).apply(&image, self.fill, self.interpolation))
    }
}
