//! `random_erasing`: alone, or `{ random_erasing: { p: 0.25, scale: [0.02, 0.2], value: random } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{Exact, Probability, Range},
};
use crate::{images::Rgb, rng::Draws};

/// Overwrites a random rectangle with probability `p`, as torchvision's `RandomErasing` would before `Normalize`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    /// Probability that it is applied.
    p: Probability,
    /// Least and most area, as fractions of the image's.
    scale: Range<Exact>,
    /// Least and most height / width.
    ratio: Range<Exact>,
    /// A level, a colour, or `random`: normal noise with ImageNet's mean and deviation a channel, which is what noise of
    /// deviation 1 after `Normalize` is.
    value: Value,
}

/// What stands in the rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Value {
    Named(Named),
    Level(u8),
    Colour([u8; 3]),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Named {
    Random,
}

impl Default for RandomErasing {
    fn default() -> RandomErasing {
        RandomErasing {
            p: Probability::HALF,
            scale: Range::new(0.02, 0.33),
            ratio: Range::new(0.3, 3.3),
            value: Value::Level(0),
        }
    }
}

const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

impl Step for RandomErasing {
    fn alone() -> Option<RandomErasing> {
        Some(RandomErasing::default())
    }

    fn check(&self) -> Result<(), String> {
        self.scale.within("scale", 0.0, 1.0)?;
        self.ratio.within("ratio", f64::MIN_POSITIVE, f64::INFINITY)
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, mut image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if self.p.happens(draws)
            && let Some([left, top, width, height]) = self.part(image.width, image.height, draws)
        {
            for y in top..top + height {
                for x in left..left + width {
                    let at = y as usize * image.stride() + x as usize * 3;
                    let pixel = match self.value {
                        Value::Level(level) => [level; 3],
                        Value::Colour(colour) => colour,
                        Value::Named(Named::Random) => {
                            std::array::from_fn(|c| (255.0 * (MEAN[c] + DEVIATION[c] * draws.normal())).round() as u8)
                        }
                    };
                    image.pixels[at..at + 3].copy_from_slice(&pixel);
                }
            }
        }
        Ok(image)
    }
}

impl RandomErasing {
    /// `[left, top, width, height]`, strictly smaller than the image; nothing after ten tries in vain.
    fn part(&self, width: u32, height: u32, draws: &mut Draws) -> Option<[u32; 4]> {
        let (least, most) = (self.ratio.low.ln(), self.ratio.high.ln());
        for _ in 0..10 {
            let area = f64::from(width) * f64::from(height) * self.scale.draw(draws);
            let ratio = draws.between(least, most).exp();
            let h = (area * ratio).sqrt().round_ties_even() as u32;
            let w = (area / ratio).sqrt().round_ties_even() as u32;
            if h < height && w < width {
                let top = draws.below(u64::from(height - h) + 1) as u32;
                return Some([draws.below(u64::from(width - w) + 1) as u32, top, w, h]);
            }
        }
        None
    }
}
