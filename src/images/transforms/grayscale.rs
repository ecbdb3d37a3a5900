//! `grayscale`: alone, or `{ grayscale: { p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Luma in all three channels, with probability `p`; as torchvision's `RandomGrayscale`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grayscale {
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Grayscale {
    fn default() -> Grayscale {
        Grayscale { p: Probability(0.1) }
    }
}

impl Step for Grayscale {
    fn alone() -> Option<Grayscale> {
        Some(Grayscale::default())
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            colour::grayscale(&mut image);
        }
        Ok(image)
    }
}
