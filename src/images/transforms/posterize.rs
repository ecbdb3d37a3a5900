//! `posterize`: alone, or `{ posterize: { bits: 3, p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Keeps the `bits` highest bits of each channel, with probability `p`; as torchvision's `RandomPosterize`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Posterize {
    /// Bits that stay.
    #[schemars(range(min = 0, max = 8))]
    bits: u32,
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Posterize {
    fn default() -> Posterize {
        Posterize { bits: 4, p: Probability::HALF }
    }
}

impl Step for Posterize {
    fn alone() -> Option<Posterize> {
        Some(Posterize::default())
    }

    fn check(&self) -> Result<(), String> {
        if self.bits <= 8 { Ok(()) } else { Err(format!("`bits` is {}; a byte has 8", self.bits)) }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            colour::posterize(&mut image, self.bits);
        }
        Ok(image)
    }
}
