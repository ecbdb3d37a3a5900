//! Too little light, too much, and too little contrast.

use anyhow::Result;

use super::each;
use crate::{
    images::{Rgb, colour},
    rng::Draws,
};

/// Gamma 2, then the scale: not of ImageNet-C; in the manner of 3D Common Corruptions (Kar et al. 2022), without sensor noise.
pub fn low_light(image: &Rgb, level: usize, _draws: &mut Draws) -> Result<Rgb> {
    let scale = [0.6, 0.5, 0.4, 0.3, 0.2][level];
    Ok(each(image, |value| scale * value * value))
}

/// More of HSV's value.
pub fn over_exposure(image: &Rgb, level: usize, _draws: &mut Draws) -> Result<Rgb> {
    let more = [0.1, 0.2, 0.3, 0.4, 0.5][level];
    let mut out = image.clone();
    for pixel in out.pixels.as_chunks_mut::<3>().0 {
        let [h, s, v] = colour::to_hsv(pixel.map(|level| f32::from(level) / 255.0));
        *pixel = colour::to_rgb([h, s, (v + more).min(1.0)]).map(|value| (value * 255.0) as u8);
    }
    Ok(out)
}

/// Towards each channel's mean.
pub fn contrast(image: &Rgb, level: usize, _draws: &mut Draws) -> Result<Rgb> {
    let factor = [0.4, 0.3, 0.2, 0.1, 0.05][level];
    let mut out = image.clone();
    for channel in 0..3 {
        let values = image.pixels.iter().skip(channel).step_by(3);
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), &v| (sum + f64::from(v), count + 1.0));
        let mean: f64 = sum / f64::max(count, 1.0);
        let changed = out.pixels.iter_mut().skip(channel).step_by(3);
        changed.for_each(|level| *level = ((f64::from(*level) - mean) * factor + mean) as u8);
    }
    Ok(out)
}
