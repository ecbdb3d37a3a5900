//! `equalize`: alone, or `{ equalize: { p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Evens out each channel's histogram, with probability `p`; as torchvision's `RandomEqualize`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Equalize {
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Equalize {
    fn default() -> Equalize {
        Equalize { p: Probability::HALF }
    }
}

impl Step for Equalize {
    fn alone() -> Option<Equalize> {
        Some(Equalize::default())
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            colour::equalize(&mut image);
        }
        Ok(image)
    }
}
