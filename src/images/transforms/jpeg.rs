//! `jpeg`: `{ jpeg: 75 }` or `{ jpeg: [30, 95] }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{Exact, Range, ShortForm},
};
use crate::{
    images::{Rgb, jpeg},
    rng::Draws,
};

/// Compresses as JPEG (4:2:0) at a quality drawn from `quality`, and decodes again, as torchvision's `JPEG`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jpeg {
    /// In 1..100; whole numbers are drawn.
    quality: Range<Exact>,
}

impl Step for Jpeg {
    fn short() -> Option<ShortForm> {
        ShortForm::of::<Range<Exact>>("quality")
    }

    fn check(&self) -> Result<(), String> {
        self.quality.within("quality", 1.0, 100.0)?;
        let whole = self.quality.low.fract() == 0.0 && self.quality.high.fract() == 0.0;
        if whole { Ok(()) } else { Err("`quality` is a whole number".into()) }
    }

    fn draws(&self) -> bool {
        self.quality.low < self.quality.high
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let choices = (self.quality.high - self.quality.low) as u64 + 1;
        jpeg::recompress(&image, self.quality.low as u8 + draws.below(choices) as u8)
    }
}
