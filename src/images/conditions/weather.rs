//! Fog, rain, snow and frost.

use anyhow::Result;

use super::{blur::smeared, floored};
use crate::{
    images::{Rgb, filter::Plane},
    rng::Draws,
};

/// A height map in 0..=1 by the diamond-square algorithm on a torus of `side` (a power of two); amplitudes fall by `decay`
/// squared an octave.
fn plasma(side: usize, decay: f64, draws: &mut Draws) -> Vec<f64> {
    let mut map = vec![0.0; side * side];
    let (mut step, mut wibble) = (side, 100.0);
    while step >= 2 {
        let half = step / 2;
        let mut shaken = |sum: f64| sum / 4.0 + wibble * draws.between(-wibble, wibble);
        let at = |x: usize, y: usize| (y % side) * side + x % side;
        for y in (0..side).step_by(step) {
            for x in (0..side).step_by(step) {
                let sum = map[at(x, y)] + map[at(x + step, y)] + map[at(x, y + step)] + map[at(x + step, y + step)];
                map[at(x + half, y + half)] = shaken(sum);
            }
        }
        for y in (0..side).step_by(step) {
            for x in (0..side).step_by(step) {
                let corner = map[at(x, y)];
                let centre = map[at(x + half, y + half)];
                let across = corner + map[at(x + step, y)] + centre + map[at(x + half, y + side - half)];
                let down = corner + map[at(x, y + step)] + centre + map[at(x + side - half, y + half)];
                map[at(x + half, y)] = shaken(across);
                map[at(x, y + half)] = shaken(down);
            }
        }
        step = half;
        wibble /= decay;
    }
    let (low, high) = map.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    let range = if high > low { high - low } else { 1.0 };
    map.iter_mut().for_each(|value| *value = (*value - low) / range);
    map
}

pub fn fog(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let (density, decay) = [(1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)][level];
    let side = (image.width.max(image.height) as usize).next_power_of_two();
    let map = plasma(side, decay, draws);
    let most = f64::from(image.pixels.iter().copied().max().unwrap_or(0)) / 255.0;
    let width = image.width as usize;
    let mut plane = Plane::from(image);
    for (i, value) in plane.values.iter_mut().enumerate() {
        let (x, y) = (i / 3 % width, i / 3 / width);
        let foggy = f64::from(*value) / 255.0 + density * map[y * side + x];
        *value = (foggy * most / (most + density) * 255.0) as f32;
    }
    Ok(floored(&plane))
}

/// Flakes: normal noise of `mean` and `deviation`, enlarged by `zoom`, what is below `threshold` removed.
fn flakes(image: &Rgb, (mean, deviation): (f64, f64), zoom: f64, threshold: f64, draws: &mut Draws) -> Plane {
    let (width, height) = (image.width as usize, image.height as usize);
    let part = |side: usize| ((side as f64 / zoom).ceil() as usize).max(1);
    let (small_width, small_height) = (part(width), part(height));
    let noise: Vec<f64> = (0..small_width * small_height).map(|_| mean + deviation * draws.normal()).collect();
    // From one of `side` pixels to one of `small`, first to first and last to last.
    let place = |at: usize, small: usize| {
        let large = (small as f64 * zoom).round().max(1.0);
        let place = if large > 1.0 { at as f64 * (small as f64 - 1.0) / (large - 1.0) } else { 0.0 };
        let low = (place as usize).min(small - 1);
        (low, (low + 1).min(small - 1), place - low as f64)
    };
    let mut layer = Plane::new(width, height, 1);
    for (i, value) in layer.values.iter_mut().enumerate() {
        let (x0, x1, fx) = place(i % width, small_width);
        let (y0, y1, fy) = place(i / width, small_height);
        let row = |y: usize| (1.0 - fx) * noise[y * small_width + x0] + fx * noise[y * small_width + x1];
        let found = (1.0 - fy) * row(y0) + fy * row(y1);
        *value = if found < threshold { 0.0 } else { found.min(1.0) as f32 };
    }
    layer
}

/// Under a layer in 0..=1 and the same turned by 180 degrees.
fn under(image: &Rgb, layer: &Plane, change: impl Fn([f32; 3]) -> [f32; 3]) -> Rgb {
    let mut plane = Plane::from(image);
    let last = layer.values.len().saturating_sub(1);
    for (i, pixel) in plane.values.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let more = 255.0 * (layer.values[i] + layer.values[last - i]);
        *pixel = change(*pixel).map(|value| value + more);
    }
    floored(&plane)
}

pub fn snow(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let (mean, zoom, threshold, radius, sigma, kept) = [
        (0.1, 3.0, 0.5, 10, 4.0, 0.8),
        (0.2, 2.0, 0.5, 12, 4.0, 0.7),
        (0.55, 4.0, 0.9, 12, 8.0, 0.7),
        (0.55, 4.5, 0.85, 12, 8.0, 0.65),
        (0.55, 2.5, 0.85, 12, 12.0, 0.55),
    ][level];
    let layer = flakes(image, (mean, 0.3), zoom, threshold, draws);
    let mut layer = smeared(&layer, radius, sigma, draws.between(-135.0, -45.0));
    layer.values.iter_mut().for_each(|value| *value = (*value * 255.0).round_ties_even() / 255.0);
    Ok(under(image, &layer, |pixel| {
        let white = 1.5 * (0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]) + 127.5;
        pixel.map(|value| kept * value + (1.0 - kept) * value.max(white))
    }))
}

/// Not of ImageNet-C: snow's way with small drops, long steep streaks, and a darker image of less contrast.
pub fn rain(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let (mean, radius, kept) =
        [(0.05, 8, 0.9), (0.1, 10, 0.85), (0.15, 12, 0.8), (0.2, 14, 0.7), (0.25, 16, 0.6)][level];
    let drops = flakes(image, (mean, 0.3), 1.2, 0.6, draws);
    let layer = smeared(&drops, radius, 3.0 * radius as f64, draws.between(-105.0, -75.0));
    Ok(under(image, &layer, |pixel| pixel.map(|value| kept * value + (1.0 - kept) * 60.0)))
}

/// Mean and deviation of the photographs of frost that ImageNet-C lays over images; ours is drawn: ridges of three plasmas.
const FROST: [(f64, f64); 3] = [(120.0, 30.0), (145.0, 29.0), (157.0, 29.0)];

pub fn frost(image: &Rgb, level: usize, draws: &mut Draws) -> Result<Rgb> {
    let (kept, share) = [(1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)][level];
    let (width, height) = (image.width as usize, image.height as usize);
    let side = width.max(height).next_power_of_two();
    let layers: Vec<Vec<f64>> = (0..3).map(|_| plasma(side, 1.35, draws)).collect();
    // Crystals are sharp lines: where a map crosses its middle.
    let ridges: Vec<f64> = (0..width * height)
        .map(|i| {
            let at = i / width * side + i % width;
            layers.iter().map(|map| 1.0 - (2.0 * map[at] - 1.0).abs().sqrt()).sum()
        })
        .collect();
    let count = ridges.len().max(1) as f64;
    let mean = ridges.iter().sum::<f64>() / count;
    let deviation = (ridges.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-9);
    let mut plane = Plane::from(image);
    for (i, pixel) in plane.values.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        for (value, (base, spread)) in pixel.iter_mut().zip(FROST) {
            let ice = (base + spread * (ridges[i] - mean) / deviation).clamp(0.0, 255.0);
            *value = (kept * f64::from(*value) + share * ice) as f32;
        }
    }
    Ok(floored(&plane))
}
