//! Blurs of the camera.

use anyhow::Result;

use super::floored;
use crate::{
    images::{
        Rgb,
        filter::{Plane, correlate, gaussian_kernel, separable},
    },
    rng::Draws,
};

pub fn defocus(image: &Rgb, level: usize, _draws: &mut Draws) -> Result<Rgb> {
    let (radius, smoothing) = [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)][level];
    let half: i32 = if radius <= 8 { 8 } else { radius };
    let size = (2 * half + 1) as usize;
    let inside = |i: usize| {
        let (x, y) = ((i % size) as i32 - half, (i / size) as i32 - half);
        x * x + y * y <= radius * radius
    };
    let count = (0..size * size).filter(|&i| inside(i)).count() as f32;
    let values = (0..size * size).map(|i| if inside(i) { 1.0 / count } else { 0.0 }).collect();
    let smooth = gaussian_kernel(if radius <= 8 { 3 } else { 5 }, smoothing);
    let disk = separable(&Plane { width: size, height: size, channels: 1, values }, &smooth, &smooth);
    Ok(floored(&correlate(&image.into(), &disk.values, size)))
}

pub fn motion(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let (radius, sigma) = [(10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)][level];
    Ok(floored(&smeared(&image.into(), radius, sigma, draws.between(-45.0, 45.0))))
}

/// Smeared to one side at `angle` degrees, over 2 * `radius` + 1 pixels with the weights of half a Gaussian; edges repeat.
pub fn smeared(plane: &Plane, radius: usize, sigma: f64, angle: f64) -> Plane {
    let Plane { width, height, channels, .. } = *plane;
    let raw: Vec<f64> = (0..=2 * radius).map(|i| (-(i as f64 / sigma).powi(2) / 2.0).exp()).collect();
    let sum: f64 = raw.iter().sum();
    let (sin, cos) = angle.to_radians().sin_cos();
    let mut out = Plane::new(width, height, channels);
    for (i, weight) in raw.into_iter().enumerate() {
        let weight = (weight / sum) as f32;
        let step = |part: f64| -((i as f64 * part - 0.5).ceil() as i64);
        let (dx, dy) = (step(cos), step(sin));
        if dx.unsigned_abs() as usize >= width || dy.unsigned_abs() as usize >= height {
            break;
        }
        for y in 0..height {
            let from = (y as i64 - dy).clamp(0, height as i64 - 1) as usize * width;
            for x in 0..width {
                let at = (from + (x as i64 - dx).clamp(0, width as i64 - 1) as usize) * channels;
                let to = (y * width + x) * channels;
                (0..channels).for_each(|c| out.values[to + c] += weight * plane.values[at + c]);
            }
        }
    }
    out
}
