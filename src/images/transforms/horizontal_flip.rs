//! `horizontal_flip`: alone, or `{ horizontal_flip: { p: 0.5 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    images::{Rgb, resize},
    rng::Draws,
};

/// Exchanges left and right with probability `p`, as torchvision's `RandomHorizontalFlip`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
pub struct HorizontalFlip {
    /// Probability that it is applied.
    pub p: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Written {
    /// The probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    p: f64,
}

impl Default for Written {
    fn default() -> Written {
        Written { p: 0.5 }
    }
}

impl TryFrom<Written> for HorizontalFlip {
    type Error = String;

    fn try_from(Written { p }: Written) -> Result<HorizontalFlip, String> {
        if (0.0..=1.0).contains(&p) { Ok(HorizontalFlip { p }) } else { Err(format!("`p` is {p}; it lies in 0..1")) }
    }
}

impl Step for HorizontalFlip {
    fn alone() -> Option<HorizontalFlip> {
        HorizontalFlip::try_from(Written::default()).ok()
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if draws.uniform() < self.p {
            resize::flip_horizontally(&mut image);
        }
        Ok(image)
    }
}
