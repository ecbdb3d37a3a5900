//! `mixup_or_cutmix`: alone, or `{ mixup_or_cutmix: { mixup_alpha: 0.8, cutmix_alpha: 1, switch: 0.5 } }`.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    mixing::{self, Mixing},
    parameter::Probability,
};
use crate::{images::Rgb, rng::Draws};

/// [`mixup`](super::mixup) or [`cutmix`](super::cutmix), drawn for each (image, view); as timm's `Mixup` in mode `elem`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixupOrCutmix {
    /// `alpha` of mixup.
    #[schemars(range(min = 0.0, max = 1000.0))]
    mixup_alpha: f64,
    /// `alpha` of cutmix.
    #[schemars(range(min = 0.0, max = 1000.0))]
    cutmix_alpha: f64,
    /// The part of the mixed images that CutMix mixes.
    switch: Probability,
    /// The probability that an image is mixed at all.
    p: Probability,
}

impl Default for MixupOrCutmix {
    fn default() -> MixupOrCutmix {
        MixupOrCutmix { mixup_alpha: 1.0, cutmix_alpha: 1.0, switch: Probability::HALF, p: Probability(1.0) }
    }
}

impl Step for MixupOrCutmix {
    fn alone() -> Option<MixupOrCutmix> {
        Some(MixupOrCutmix::default())
    }

    fn check(&self) -> Result<(), String> {
        mixing::check(&[("mixup_alpha", self.mixup_alpha), ("cutmix_alpha", self.cutmix_alpha)])
    }

    fn draws(&self) -> bool {
        true
    }

    fn mixing(&self) -> Option<Mixing> {
        let MixupOrCutmix { mixup_alpha, cutmix_alpha, .. } = *self;
        Some(Mixing { p: self.p.0, mixup: 1.0 - self.switch.0, mixup_alpha, cutmix_alpha })
    }

    fn apply(&self, _image: Rgb, _size: u32, _draws: &mut Draws) -> Result<Rgb> {
        bail!("needs another image, which only a training view has")
    }
}
