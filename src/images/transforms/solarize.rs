//! `solarize`: alone, or `{ solarize: { threshold: 192, p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Inverts what is at least `threshold`, with probability `p`; as torchvision's `RandomSolarize`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Solarize {
    /// A level in 0..255.
    #[schemars(range(min = 0.0, max = 255.0))]
    threshold: f64,
    /// Probability that it is applied.
    p: Probability,
}

impl Default for Solarize {
    fn default() -> Solarize {
        Solarize { threshold: 128.0, p: Probability::HALF }
    }
}

impl Step for Solarize {
    fn alone() -> Option<Solarize> {
        Some(Solarize::default())
    }

    fn check(&self) -> Result<(), String> {
        let sound = (0.0..=255.0).contains(&self.threshold);
        if sound { Ok(()) } else { Err(format!("`threshold` is {}; it lies in 0..255", self.threshold)) }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            colour::solarize(&mut image, self.threshold);
        }
        Ok(image)
    }
}
