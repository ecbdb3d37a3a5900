//! `autocontrast`: alone, or `{ autocontrast: { p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Stretches each channel to the whole range, with probability `p`; as torchvision's `RandomAutocontrast`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Autocontrast {
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Autocontrast {
    fn default() -> Autocontrast {
        Autocontrast { p: Probability::HALF }
    }
}

impl Step for Autocontrast {
    fn alone() -> Option<Autocontrast> {
        Some(Autocontrast::default())
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            colour::autocontrast(&mut image);
        }
        Ok(image)
    }
}
