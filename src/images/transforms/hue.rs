//! `hue`: `{ hue: 0.1 }` or `{ hue: [-0.1, 0.3] }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{AroundZero, Range, ShortForm},
};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Turns the hue, as the `hue` of torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hue {
    /// Parts of the whole circle, in -0.5..0.5; `0.1` for [-0.1, 0.1].
    turn: Range<AroundZero>,
}

impl Step for Hue {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<Range<AroundZero>>("turn")
    }

    fn check(&self) -> Result<(), String> {
        self.turn.within("turn", -0.5, 0.5)
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        colour::adjust_hue(&mut image, self.turn.draw(draws));
        Ok(image)
    }
}
