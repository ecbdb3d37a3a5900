//! `mixup`: alone, or `{ mixup: { alpha: 0.2 } }`.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    mixing::{self, Mixing},
    parameter::{Probability, ShortForm},
};
use crate::{images::Rgb, rng::Draws};

/// Adds another training image, and its label, in a drawn share: Mixup (Zhang et al. 2018), as torchvision's `MixUp`, but
/// partner and share are drawn for each (image, view) and not for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mixup {
    /// Both parameters of the Beta distribution that the share is drawn from; above 0.
    #[schemars(range(min = 0.0, max = 1000.0))]
    alpha: f64,
    /// The probability that an image is mixed at all.
    p: Probability,
}

impl Default for Mixup {
    fn default() -> Mixup {
        Mixup { alpha: 1.0, p: Probability(1.0) }
    }
}

impl Step for Mixup {
    fn alone() -> Option<Mixup> {
        Some(Mixup::default())
    }

    fn short() -> Option<ShortForm> {
        ShortForm::of::<f64>("alpha")
    }

    fn check(&self) -> Result<(), String> {
        mixing::check(&[("alpha", self.alpha)])
    }

    fn draws(&self) -> bool {
        true
    }

    fn mixing(&self) -> Option<Mixing> {
        Some(Mixing { p: self.p.0, mixup: 1.0, mixup_alpha: self.alpha, cutmix_alpha: self.alpha })
    }

    fn apply(&self, _image: Rgb, _size: u32, _draws: &mut Draws) -> Result<Rgb> {
        bail!("needs another image, which only a training view has")
    }
}
