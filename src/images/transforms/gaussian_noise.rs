//! `gaussian_noise`: alone, or `{ gaussian_noise: { sigma: 0.05 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{images::Rgb, rng::Draws};

/// Adds normal noise to every channel of every pixel, where 1 is full, and clips; as torchvision's `GaussianNoise` on bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianNoise {
    /// Mean of the noise, from 0 to 1.
    #[schemars(range(min = -1.0, max = 1.0))]
    mean: f64,
    /// Standard deviation.
    #[schemars(range(min = 0.0, max = 10.0))]
    sigma: f64,
    /// Probability that it is applied.
    p: Probability,
}

impl Default for GaussianNoise {
    fn default() -> GaussianNoise {
        GaussianNoise { mean: 0.0, sigma: 0.1, p: Probability(1.0) }
    }
}

impl Step for GaussianNoise {
    fn alone() -> Option<GaussianNoise> {
        Some(GaussianNoise::default())
    }

    fn check(&self) -> Result<(), String> {
        let sound = (-1.0..=1.0).contains(&self.mean) && (0.0..=10.0).contains(&self.sigma);
        let message = || format!("`mean` is {} and `sigma` {}; they lie in -1..1 and 0..10", self.mean, self.sigma);
        if sound { Ok(()) } else { Err(message()) }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws) {
            for level in &mut image.pixels {
                let noise = 255.0 * (self.mean + self.sigma * draws.normal());
                // Rounded towards zero before it is added, as there.
                *level = (f64::from(*level) + noise.trunc()) as u8;
            }
        }
        Ok(image)
    }
}
