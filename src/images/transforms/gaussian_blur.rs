//! `gaussian_blur`: `{ gaussian_blur: 5 }`, or `{ gaussian_blur: { kernel_size: 9, sigma: [0.5, 3] } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{Exact, Range, ShortForm},
};
use crate::{
    images::{Rgb, filter},
    rng::Draws,
};

/// A blur whose standard deviation is drawn from `sigma`, as torchvision's `GaussianBlur`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// Pixels of the kernel in each direction; odd.
    #[schemars(range(min = 1, max = 999))]
    kernel_size: u32,
    /// In pixels, above 0.
    #[serde(default = "sigma")]
    sigma: Range<Exact>,
}

fn sigma() -> Range<Exact> {
    Range::new(0.1, 2.0)
}

impl Step for GaussianBlur {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<u32>("kernel_size")
    }

    fn check(&self) -> Result<(), String> {
        if self.kernel_size.is_multiple_of(2) || self.kernel_size > 999 {
            return Err(format!("`kernel_size` is {}; it must be odd, at most 999", self.kernel_size));
        }
        self.sigma.within("sigma", f64::MIN_POSITIVE, 1000.0)
    }

    fn draws(&self) -> bool {
        self.sigma.low < self.sigma.high
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        Ok(filter::gaussian_blur(&image, [self.kernel_size as usize; 2], self.sigma.draw(draws)))
    }
}
