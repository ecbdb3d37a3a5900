//! `perspective`: alone, or `{ perspective: { distortion_scale: 0.3, p: 1 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{
        Rgb,
        warp::{self, Fill, Sampling},
    },
    rng::Draws,
};

/// A random projection: each corner moves inwards, with probability `p`; as torchvision's `RandomPerspective`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Perspective {
    /// How far corners move, as a fraction of half the sides.
    #[schemars(range(min = 0.0, max = 1.0))]
    distortion_scale: f64,
    /// Probability that it is applied.
    p: Probability,
    interpolation: Sampling,
    fill: Fill,
}

impl Default for Perspective {
    fn default() -> Perspective {
        Perspective {
            distortion_scale: 0.5,
            p: Probability::HALF,
            interpolation: Sampling::default(),
            fill: Fill::default(),
        }
    }
}

impl Step for Perspective {
    fn alone() -> Option<Perspective> {
        Some(Perspective::default())
    }

    fn check(&self) -> Result<(), String> {
        let scale = self.distortion_scale;
        if (0.0..=1.0).contains(&scale) {
            Ok(())
        } else {
            Err(format!("`distortion_scale` is {scale}; it lies in 0..1"))
        }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if !self.p.happens(draws) {
            return Ok(image);
        }
        let (from, to) = self.corners(image.width, image.height, draws);
        // Corners on one line (of tiny images) have no projection.
        Ok(warp::perspective(&image, from, to, self.fill, self.interpolation).unwrap_or(image))
    }
}

impl Perspective {
    /// Upper left, upper right, lower right and lower left, before and after.
    fn corners(&self, width: u32, height: u32, draws: &mut Draws) -> ([[f64; 2]; 4], [[f64; 2]; 4]) {
        let mut inwards = |side: u32| draws.below((self.distortion_scale * f64::from(side / 2)) as u64 + 1) as f64;
        let (right, bottom) = (f64::from(width) - 1.0, f64::from(height) - 1.0);
        let from = [[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]];
        let to = from.map(|[x, y]| {
            let (dx, dy) = (inwards(width), inwards(height));
            [if x == 0.0 { dx } else { x - dx }, if y == 0.0 { dy } else { y - dy }]
        });
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::reference_tests::{difference, expected, parts, stacked},
        *,
    };

    /// Corners as scripts/reference/transforms.py has them.
    #[test]
    fn equals_torchvisions_kernel() {
        let from = [[0.0, 0.0], [63.0, 0.0], [63.0, 47.0], [0.0, 47.0]];
        let to = [[5.0, 7.0], [58.0, 3.0], [60.0, 40.0], [9.0, 44.0]];
        let moved =
            |part: &Rgb| warp::perspective(part, from, to, Fill::Constant([50; 3]), Sampling::Bilinear).unwrap();
        let (most, mean) = difference(&stacked(&parts().each_ref().map(moved)), &expected("perspective"));
        assert!(most <= 1, "differs by {most}, mean {mean}");
    }
}
