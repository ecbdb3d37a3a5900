//! `saturation`: `{ saturation: 0.4 }` or `{ saturation: [0.8, 1.5] }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{AroundOne, Range, ShortForm},
};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Moves pixels from their own luma by a factor: 0 is grey, 1 the image, as the `saturation` of torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Saturation {
    /// Factors, at least 0; `0.4` for [0.6, 1.4].
    factor: Range<AroundOne>,
}

impl Step for Saturation {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<Range<AroundOne>>("factor")
    }

    fn check(&self) -> Result<(), String> {
        self.factor.within("factor", 0.0, f64::INFINITY)
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        colour::adjust_saturation(&mut image, self.factor.draw(draws));
        Ok(image)
    }
}
