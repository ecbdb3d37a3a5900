//! `cutmix`: alone, or `{ cutmix: { alpha: 0.2 } }`.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    mixing::{self, Mixing},
    parameter::{Probability, ShortForm},
};
use crate::{images::Rgb, rng::Draws};

/// Pastes a rectangle of another training image, and its share of the label: CutMix (Yun et al. 2019), as torchvision's
/// `CutMix`, but partner and rectangle are drawn for each (image, view) and not for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cutmix {
    /// Both parameters of the Beta distribution that the share is drawn from; above 0.
    #[schemars(range(min = 0.0, max = 1000.0))]
    alpha: f64,
    /// The probability that an image is mixed at all.
    p: Probability,
}

impl Default for Cutmix {
    fn default() -> Cutmix {
        Cutmix { alpha: 1.0, p: Probability(1.0) }
    }
}

impl Step for Cutmix {
    fn alone() -> Option<Cutmix> {
        Some(Cutmix::default())
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
        Some(Mixing { p: self.p.0, mixup: 0.0, mixup_alpha: self.alpha, cutmix_alpha: self.alpha })
    }

    fn apply(&self, _image: Rgb, _size: u32, _draws: &mut Draws) -> Result<Rgb> {
        bail!("needs another image, which only a training view has")
    }
}
