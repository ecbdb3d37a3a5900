//! `elastic`: alone, or `{ elastic: { alpha: 100, sigma: 8 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    images::{
        Rgb,
        filter::{Plane, gaussian_kernel, separable},
        warp::{Fill, Sampling, warp},
    },
    rng::Draws,
};

/// Moves every pixel by its own smooth random shift, as torchvision's `ElasticTransform`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Elastic {
    /// Size of the shifts: noise in [-1, 1], smoothed, is multiplied by half of it to give pixels.
    #[schemars(range(min = 0.0, max = 10000.0))]
    alpha: f64,
    /// Standard deviation of the smoothing, in pixels.
    #[schemars(range(min = 0.0, max = 100.0))]
    sigma: f64,
    interpolation: Sampling,
    fill: Fill,
}

impl Default for Elastic {
    fn default() -> Elastic {
        Elastic { alpha: 50.0, sigma: 5.0, interpolation: Sampling::default(), fill: Fill::default() }
    }
}

impl Step for Elastic {
    fn alone() -> Option<Elastic> {
        Some(Elastic::default())
    }

    fn check(&self) -> Result<(), String> {
        let sound = (0.0..=10_000.0).contains(&self.alpha) && (0.0..=100.0).contains(&self.sigma);
        let message =
            || format!("`alpha` is {} and `sigma` {}; they lie in 0..10000 and 0..100", self.alpha, self.sigma);
        if sound { Ok(()) } else { Err(message()) }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let shifts = self.shifts(image.width as usize, image.height as usize, draws);
        Ok(displace(&image, &shifts, self.fill, self.interpolation))
    }
}

impl Elastic {
    /// A shift in pixels (x, y) for every pixel.
    fn shifts(&self, width: usize, height: usize, draws: &mut Draws) -> Plane {
        let mut shifts = Plane::new(width, height, 2);
        for channel in 0..2 {
            let each = shifts.values.iter_mut().skip(channel).step_by(2);
            each.for_each(|value| *value = (self.alpha / 2.0 * draws.between(-1.0, 1.0)) as f32);
        }
        if self.sigma == 0.0 {
            return shifts;
        }
        let kernel = gaussian_kernel((8.0 * self.sigma + 1.0) as usize | 1, self.sigma);
        separable(&shifts, &kernel, &kernel)
    }
}

/// Reads each pixel at its place and its shift (x, y) in pixels.
fn displace(image: &Rgb, shifts: &Plane, fill: Fill, sampling: Sampling) -> Rgb {
    warp(image, (image.width, image.height), fill.into(), sampling, |x, y| {
        let at = 2 * (y as usize * shifts.width + x as usize);
        (x + f64::from(shifts.values[at]), y + f64::from(shifts.values[at + 1]))
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::reference_tests::{difference, expected, parts, stacked},
        *,
    };

    /// Shifts as scripts/reference/transforms.py has them.
    #[test]
    fn equals_torchvisions_kernel() {
        let mut shifts = Plane::new(64, 48, 2);
        for (i, shift) in shifts.values.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let (x, y) = ((i % 64) as f32, (i / 64) as f32);
            *shift = [3.0 * (y / 5.0).sin(), 2.0 * (x / 4.0).cos()];
        }
        let moved = |part: &Rgb| displace(part, &shifts, Fill::default(), Sampling::Bilinear);
        let (most, mean) = difference(&stacked(&parts().each_ref().map(moved)), &expected("elastic"));
        assert!(most <= 1, "differs by {most}, mean {mean}");
    }
}
