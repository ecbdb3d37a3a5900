//! `invert`: alone, or `{ invert: { p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Inverts all channels, with probability `p`; as torchvision's `RandomInvert`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Invert {
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Invert {
    fn default() -> Invert {
        Invert { p: Probability::HALF }
    }
}

impl Step for Invert {
    fn alone() -> Option<Invert> {
        Some(Invert::default())
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            colour::invert(&mut image);
        }
        Ok(image)
    }
}
