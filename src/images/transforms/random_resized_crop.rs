//! `random_resized_crop`: alone, or `{ random_resized_crop: { scale: [0.5, 1], ratio: [1, 1] } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    images::{
        Rgb,
        resize::{self, Interpolation},
    },
    rng::Draws,
};

/// A random part of the image, resized to a square, as torchvision's `RandomResizedCrop`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
pub struct RandomResizedCrop {
    /// `None` for the stage's own size.
    pub size: Option<u32>,
    /// Least and most size, as a factor.
    pub scale: [f64; 2],
    pub ratio: [f64; 2],
    pub interpolation: Interpolation,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Written {
    /// Height and width in pixels; by default the stage's `size`.
    #[schemars(range(min = 1, max = 16384))]
    size: Option<u32>,
    /// Least and most area of the part, as fractions of the image's.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    scale: [f64; 2],
    /// Least and most width / height of the part.
    #[schemars(inner(range(min = 0.0)))]
    ratio: [f64; 2],
    interpolation: Interpolation,
}

impl Default for Written {
    fn default() -> Written {
        Written {
            size: None,
            scale: [0.08, 1.0],
            ratio: [3.0 / 4.0, 4.0 / 3.0],
            interpolation: Interpolation::Bilinear,
        }
    }
}

impl TryFrom<Written> for RandomResizedCrop {
    type Error = String;

    fn try_from(Written { size, scale, ratio, interpolation }: Written) -> Result<RandomResizedCrop, String> {
        for (name, [low, high]) in [("scale", scale), ("ratio", ratio)] {
            if !(low > 0.0 && low <= high && high.is_finite()) {
                return Err(format!("`{name}` is [{low}, {high}]; it must be [least, most], above 0"));
            }
        }
        if scale[1] > 1.0 {
            return Err(format!("`scale` is [{}, {}]; no part is larger than the image (1)", scale[0], scale[1]));
        }
        if size == Some(0) {
            return Err("`size` is 0; it must be at least 1 pixel".into());
        }
        Ok(RandomResizedCrop { size, scale, ratio, interpolation })
    }
}

impl Step for RandomResizedCrop {
    fn alone() -> Option<RandomResizedCrop> {
        RandomResizedCrop::try_from(Written::default()).ok()
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, size: u32, draws: &mut Draws) -> Result<Rgb> {
        let [left, top, width, height] = self.part(image.width, image.height, draws);
        let part = resize::crop(&image, i64::from(left), i64::from(top), width, height);
        let side = self.size.unwrap_or(size);
        resize::resize(&part, side, side, self.interpolation)
    }
}

impl RandomResizedCrop {
    /// `[left, top, width, height]` inside an image: ten tries at a random area and ratio, then the largest centred part of
    /// an allowed ratio.
    fn part(&self, width: u32, height: u32, draws: &mut Draws) -> [u32; 4] {
        let (full_width, full_height) = (f64::from(width), f64::from(height));
        let [least, most] = self.ratio;
        for _ in 0..10 {
            let area = full_width * full_height * draws.between(self.scale[0], self.scale[1]);
            let ratio = draws.between(least.ln(), most.ln()).exp();
            let w = (area * ratio).sqrt().round_ties_even() as u32;
            let h = (area / ratio).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&w) && (1..=height).contains(&h) {
                let top = draws.below(u64::from(height - h) + 1) as u32;
                let left = draws.below(u64::from(width - w) + 1) as u32;
                return [left, top, w, h];
            }
        }
        let side = |length: f64, limit: u32| (length.round_ties_even() as u32).clamp(1, limit);
        let (w, h) = match full_width / full_height {
            ratio if ratio < least => (width, side(full_width / least, height)),
            ratio if ratio > most => (side(full_height * most, width), height),
            _ => (width, height),
        };
        [(width - w) / 2, (height - h) / 2, w, h]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn crop(scale: [f64; 2], ratio: [f64; 2]) -> RandomResizedCrop {
        RandomResizedCrop { size: None, scale, ratio, interpolation: Interpolation::Bilinear }
    }

    proptest! {
        #[test]
        fn parts_lie_inside_and_keep_scale_and_ratio(width in 1u32..600, height in 1u32..600, seed: u64) {
            let step = crop([0.08, 1.0], [0.75, 4.0 / 3.0]);
            let [left, top, w, h] = step.part(width, height, &mut Draws::new(seed, "", 0, "part"));
            prop_assert!(w >= 1 && h >= 1 && left + w <= width && top + h <= height);
            if width.min(height) > 100 && width.max(height) < 2 * width.min(height) {
                let (area, ratio) = (f64::from(w * h) / f64::from(width * height), f64::from(w) / f64::from(h));
                prop_assert!(area > 0.075 && (0.73..1.37).contains(&ratio), "{area} {ratio}");
            }
        }
    }

    #[test]
    fn impossible_ratios_fall_back_to_the_centre() {
        let part = crop([1.0, 1.0], [1.0, 1.0]).part(300, 100, &mut Draws::new(0, "", 0, "part"));
        assert_eq!(part, [100, 0, 100, 100]);
    }

    #[test]
    fn areas_are_uniform_and_positions_centred() {
        let step = crop([0.2, 0.6], [1.0, 1.0]);
        let parts: Vec<_> = (0..4000).map(|view| step.part(400, 400, &mut Draws::new(0, "x", view, "part"))).collect();
        let mean = |f: &dyn Fn(&[u32; 4]) -> f64| parts.iter().map(f).sum::<f64>() / parts.len() as f64;
        let area = mean(&|&[_, _, w, h]| f64::from(w * h) / 160_000.0);
        let centre = mean(&|&[left, _, w, _]| (f64::from(left) + f64::from(w) / 2.0) / 400.0);
        assert!((area - 0.4).abs() < 0.01 && (centre - 0.5).abs() < 0.01, "{area} {centre}");
    }
}
