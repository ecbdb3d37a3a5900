//! Noise, pixel by pixel.

use anyhow::Result;

use super::each;
use crate::{images::Rgb, rng::Draws};

pub fn gaussian(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let deviation = [0.08, 0.12, 0.18, 0.26, 0.38][level];
    Ok(each(image, |value| value + deviation * draws.normal()))
}

pub fn shot(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let photons = [60.0, 25.0, 12.0, 5.0, 3.0][level];
    Ok(each(image, |value| draws.poisson(value * photons) as f64 / photons))
}

pub fn impulse(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let share = [0.03, 0.06, 0.09, 0.17, 0.27][level];
    Ok(each(image, |value| {
        let hit = draws.uniform();
        if hit < share / 2.0 {
            0.0
        } else if hit < share {
            1.0
        } else {
            value
        }
    }))
}
