//! `color_jitter`: `{ color_jitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{AroundOne, AroundZero, Range},
};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Brightness, contrast, saturation and hue, in an order drawn anew, as torchvision's `ColorJitter`. What is not given is not
/// done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ColorJitter {
    /// Factors, at least 0; `0.4` for [0.6, 1.4].
    brightness: Option<Range<AroundOne>>,
    /// Strength of the change of contrast.
    contrast: Option<Range<AroundOne>>,
    /// Strength of the change of saturation.
    saturation: Option<Range<AroundOne>>,
    /// Parts of the whole circle, in -0.5..0.5; `0.1` for [-0.1, 0.1].
    hue: Option<Range<AroundZero>>,
}

impl Step for ColorJitter {
    fn check(&self) -> Result<(), String> {
        for (name, range) in
            [("brightness", self.brightness), ("contrast", self.contrast), ("saturation", self.saturation)]
        {
            range.map_or(Ok(()), |range| range.within(name, 0.0, f64::INFINITY))?;
        }
        self.hue.map_or(Ok(()), |range| range.within("hue", -0.5, 0.5))
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let order = draws.permutation(4);
        let factors = [self.brightness, self.contrast, self.saturation].map(|range| range.map(|r| r.draw(draws)));
        let turn = self.hue.map(|range| range.draw(draws));
        for which in order {
            match (which, factors.get(which).copied().flatten(), turn) {
                (0, Some(factor), _) => colour::adjust_brightness(&mut image, factor),
                (1, Some(factor), _) => colour::adjust_contrast(&mut image, factor),
                (2, Some(factor), _) => colour::adjust_saturation(&mut image, factor),
                (3, _, Some(turn)) => colour::adjust_hue(&mut image, turn),
                _ => {}
            }
        }
        Ok(image)
    }
}
