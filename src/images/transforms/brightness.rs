//! `brightness`: `{ brightness: 0.4 }` or `{ brightness: [0.8, 1.5] }`.

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

/// Multiplies by a factor: 0 is black, 1 the image, as the `brightness` of torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brightness {
    /// Factors, at least 0; `0.4` for [0.6, 1.4].
    factor: Range<AroundOne>,
}

impl Step for Brightness {
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
        colour::adjust_brightness(&mut image, self.factor.draw(draws));
        Ok(image)
    }
}
