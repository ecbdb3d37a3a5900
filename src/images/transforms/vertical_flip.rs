//! `vertical_flip`: alone, or `{ vertical_flip: { p: 0.5 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{images::Rgb, rng::Draws};

/// Exchanges top and bottom with probability `p`, as torchvision's `RandomVerticalFlip`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerticalFlip {
    /// Probability that it is applied.
    p: Probability,
}

impl Default for VerticalFlip {
    fn default() -> VerticalFlip {
        VerticalFlip { p: Probability::HALF }
    }
}

impl Step for VerticalFlip {
    fn alone() -> Option<VerticalFlip> {
        Some(VerticalFlip::default())
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            flip(&mut image);
        }
        Ok(image)
    }
}

/// Top and bottom exchanged.
pub fn flip(image: &mut Rgb) {
    let stride = image.stride();
    let (height, half) = (image.height as usize, image.height as usize / 2);
    for y in 0..half {
        let (upper, lower) = image.pixels.split_at_mut((height - 1 - y) * stride);
        upper[y * stride..(y + 1) * stride].swap_with_slice(&mut lower[..stride]);
    }
}
