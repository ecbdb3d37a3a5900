//! `sharpness`: alone, or `{ sharpness: { factor: 3, p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, filter},
    rng::Draws,
};

/// Smooths (`factor` 0) or sharpens (2); 1 is the image, with probability `p`; as torchvision's `RandomAdjustSharpness`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sharpness {
    /// At least 0.
    #[schemars(range(min = 0.0, max = 1000.0))]
    factor: f64,
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Sharpness {
    fn default() -> Sharpness {
        Sharpness { factor: 2.0, p: Probability::HALF }
    }
}

impl Step for Sharpness {
    fn alone() -> Option<Sharpness> {
        Some(Sharpness::default())
    }

    fn check(&self) -> Result<(), String> {
        let sound = (0.0..=1000.0).contains(&self.factor);
        if sound { Ok(()) } else { Err(format!("`factor` is {}; it lies in 0..1000", self.factor)) }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            image = filter::adjust_sharpness(&image, self.factor);
        }
        Ok(image)
    }
}
