//! `trivial_augment_wide`: alone, or `{ trivial_augment_wide: { interpolation: bilinear } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    policy::{self, ALL, Geometry, Space, Translation},
};
use crate::{
    images::{
        Rgb,
        warp::{Fill, Sampling},
    },
    rng::Draws,
};

/// One operation of fourteen, at a magnitude drawn from a wide range: TrivialAugment (Mueller and Hutter 2021), as
/// torchvision's `TrivialAugmentWide`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrivialAugmentWide {
    /// Steps that magnitudes are divided into.
    #[schemars(range(min = 2, max = 1000))]
    num_magnitude_bins: u32,
    interpolation: Sampling,
    fill: Fill,
}

impl Default for TrivialAugmentWide {
    fn default() -> TrivialAugmentWide {
        TrivialAugmentWide { num_magnitude_bins: 31, interpolation: Sampling::Nearest, fill: Fill::default() }
    }
}

const WIDE: Space =
    Space { shear: 0.99, translate: Translation::Pixels(32.0), rotate: 135.0, factor: 0.99, posterize: (8, 6) };

impl Step for TrivialAugmentWide {
    fn alone() -> Option<TrivialAugmentWide> {
        Some(TrivialAugmentWide::default())
    }

    fn check(&self) -> Result<(), String> {
        let bins = self.num_magnitude_bins;
        if bins < 2 { Err(format!("`num_magnitude_bins` is {bins}; there are at least 2")) } else { Ok(()) }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let geometry = Geometry { interpolation: self.interpolation, fill: self.fill };
        let op = ALL[draws.below(ALL.len() as u64) as usize];
        let bins = u64::from(self.num_magnitude_bins);
        let bin = (draws.below(bins) as usize, bins as usize);
        Ok(policy::apply(op, image, &WIDE, bin, geometry, draws))
    }
}
