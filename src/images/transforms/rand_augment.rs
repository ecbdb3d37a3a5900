//! `rand_augment`: alone, or `{ rand_augment: { num_ops: 2, magnitude: 9 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    policy::{self, ALL, Geometry, STANDARD},
};
use crate::{
    images::{
        Rgb,
        warp::{Fill, Sampling},
    },
    rng::Draws,
};

/// `num_ops` operations drawn from fourteen, all at one magnitude: RandAugment (Cubuk et al. 2020), as torchvision's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// Transforms applied to each image.
    #[schemars(range(min = 0, max = 100))]
    num_ops: u32,
    /// From 0, below `num_magnitude_bins`.
    #[schemars(range(min = 0, max = 999))]
    magnitude: u32,
    /// Steps that magnitudes are divided into.
    #[schemars(range(min = 2, max = 1000))]
    num_magnitude_bins: u32,
    interpolation: Sampling,
    fill: Fill,
}

impl Default for RandAugment {
    fn default() -> RandAugment {
        RandAugment {
            num_ops: 2,
            magnitude: 9,
            num_magnitude_bins: 31,
            interpolation: Sampling::Nearest,
            fill: Fill::default(),
        }
    }
}

impl Step for RandAugment {
    fn alone() -> Option<RandAugment> {
        Some(RandAugment::default())
    }

    fn check(&self) -> Result<(), String> {
        let (magnitude, bins) = (self.magnitude, self.num_magnitude_bins);
        if bins < 2 {
            return Err(format!("`num_magnitude_bins` is {bins}; there are at least 2"));
        }
        if magnitude < bins { Ok(()) } else { Err(format!("`magnitude` is {magnitude}; it is below the {bins} bins")) }
    }

    fn draws(&self) -> bool {
        self.num_ops > 0
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let geometry = Geometry { interpolation: self.interpolation, fill: self.fill };
        let bin = (self.magnitude as usize, self.num_magnitude_bins as usize);
        for _ in 0..self.num_ops {
            let op = ALL[draws.below(ALL.len() as u64) as usize];
            image = policy::apply(op, image, &STANDARD, bin, geometry, draws);
        }
        Ok(image)
    }
}
