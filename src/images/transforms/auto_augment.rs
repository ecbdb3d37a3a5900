//! `auto_augment`: alone, or `{ auto_augment: { interpolation: bilinear } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    policy::{self, Geometry, Op, STANDARD},
};
use crate::{
    images::{
        Rgb,
        warp::{Fill, Sampling},
    },
    rng::Draws,
};

/// One of the 25 pairs of operations that AutoAugment found on ImageNet (Cubuk et al. 2019), as torchvision's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AutoAugment {
    /// The published policy.
    policy: Policy,
    interpolation: Sampling,
    fill: Fill,
}

/// On what the policy was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum Policy {
    #[default]
    Imagenet,
}

impl Default for AutoAugment {
    fn default() -> AutoAugment {
        AutoAugment { policy: Policy::Imagenet, interpolation: Sampling::Nearest, fill: Fill::default() }
    }
}

use Op::{AutoContrast, Color, Contrast, Equalize, Invert, Posterize, Rotate, Sharpness, ShearX, Solarize};

/// Pairs of (operation, probability, magnitude of 10).
const IMAGENET: [[(Op, f64, usize); 2]; 25] = [
    [(Posterize, 0.4, 8), (Rotate, 0.6, 9)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
    [(Posterize, 0.6, 7), (Posterize, 0.6, 6)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Equalize, 0.4, 0), (Rotate, 0.8, 8)],
    [(Solarize, 0.6, 3), (Equalize, 0.6, 0)],
    [(Posterize, 0.8, 5), (Equalize, 1.0, 0)],
    [(Rotate, 0.2, 3), (Solarize, 0.6, 8)],
    [(Equalize, 0.6, 0), (Posterize, 0.4, 6)],
    [(Rotate, 0.8, 8), (Color, 0.4, 0)],
    [(Rotate, 0.4, 9), (Equalize, 0.6, 0)],
    [(Equalize, 0.0, 0), (Equalize, 0.8, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Rotate, 0.8, 8), (Color, 1.0, 2)],
    [(Color, 0.8, 8), (Solarize, 0.8, 7)],
    [(Sharpness, 0.4, 7), (Invert, 0.6, 0)],
    [(ShearX, 0.6, 5), (Equalize, 1.0, 0)],
    [(Color, 0.4, 0), (Equalize, 0.6, 0)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
];

impl Step for AutoAugment {
    fn alone() -> Option<AutoAugment> {
        Some(AutoAugment::default())
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let geometry = Geometry { interpolation: self.interpolation, fill: self.fill };
        let Policy::Imagenet = self.policy;
        for (op, p, bin) in IMAGENET[draws.below(IMAGENET.len() as u64) as usize] {
            if draws.uniform() < p {
                image = policy::apply(op, image, &STANDARD, (bin, 10), geometry, draws);
            }
        }
        Ok(image)
    }
}
