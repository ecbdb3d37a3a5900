//! Convolutions: blurs and sharpening, in f32.

use super::Rgb;

/// Three channels of f32 in [0, 255], [height, width, 3], where bytes would round too early.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    pub width: usize,
    pub height: usize,
    /// Values of a pixel.
    pub channels: usize,
    pub values: Vec<f32>,
}

impl Plane {
    pub fn new(width: usize, height: usize, channels: usize) -> Plane {
        Plane { width, height, channels, values: vec![0.0; width * height * channels] }
    }

    /// Rounded to the nearest byte. Only of three channels.
    pub fn to_rgb(&self) -> Rgb {
        let pixels = self.values.iter().map(|value| (value + 0.5) as u8).collect();
        Rgb { width: self.width as u32, height: self.height as u32, pixels }
    }
}

impl From<&Rgb> for Plane {
    fn from(image: &Rgb) -> Plane {
        let values = image.pixels.iter().copied().map(f32::from).collect();
        Plane { width: image.width as usize, height: image.height as usize, channels: 3, values }
    }
}

/// The mirror image of an index outside `0..length`, without the edge itself (dcb|abcd|cba).
pub fn mirrored(index: i64, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as i64 - 1);
    let at = index.rem_euclid(period);
    at.min(period - at) as usize
}

/// Weights of a Gaussian of `size` values (odd) that sum to 1.
pub fn gaussian_kernel(size: usize, sigma: f64) -> Vec<f32> {
    let middle = (size / 2) as f64;
    let raw: Vec<f64> = (0..size).map(|i| (-((i as f64 - middle) / sigma).powi(2) / 2.0).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// Convolves rows with `across` and columns with `down` (both of odd length), mirrored at the edges.
pub fn separable(plane: &Plane, across: &[f32], down: &[f32]) -> Plane {
    let Plane { width, height, channels, .. } = *plane;
    let stride = width * channels;
    let mut rows = Plane::new(width, height, channels);
    let half = across.len() / 2;
    // Where the whole kernel lies inside the row, each of its weights is one pass over the row.
    let inside = half.min(width)..width.saturating_sub(half).max(half.min(width));
    for (from, to) in plane.values.chunks_exact(stride.max(1)).zip(rows.values.chunks_exact_mut(stride.max(1))) {
        for x in (0..inside.start).chain(inside.end..width) {
            for (k, &weight) in across.iter().enumerate() {
                let at = mirrored(x as i64 + k as i64 - half as i64, width) * channels;
                (0..channels).for_each(|c| to[x * channels + c] += weight * from[at + c]);
            }
        }
        for (k, &weight) in across.iter().enumerate().filter(|_| !inside.is_empty()) {
            let to = &mut to[inside.start * channels..inside.end * channels];
            let from = &from[(inside.start + k - half) * channels..];
            to.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    let mut out = Plane::new(width, height, channels);
    let half = down.len() as i64 / 2;
    for (y, to) in out.values.chunks_exact_mut(stride.max(1)).enumerate() {
        for (k, &weight) in down.iter().enumerate() {
            let at = mirrored(y as i64 + k as i64 - half, height) * stride;
            to.iter_mut().zip(&rows.values[at..at + stride]).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    out
}

/// torchvision's `gaussian_blur`.
pub fn gaussian_blur(image: &Rgb, size: [usize; 2], sigma: f64) -> Rgb {
    separable(&image.into(), &gaussian_kernel(size[0], sigma), &gaussian_kernel(size[1], sigma)).to_rgb()
}

/// Correlates with a square kernel of `size` x `size` weights, mirrored at the edges.
pub fn correlate(plane: &Plane, kernel: &[f32], size: usize) -> Plane {
    let Plane { width, height, channels, .. } = *plane;
    let half = (size / 2) as i64;
    let mut out = Plane::new(width, height, channels);
    let taps: Vec<(i64, i64, f32)> = (kernel.iter().enumerate())
        .filter(|(_, weight)| **weight != 0.0)
        .map(|(i, &weight)| ((i % size) as i64 - half, (i / size) as i64 - half, weight))
        .collect();
    for y in 0..height {
        for &(dx, dy, weight) in &taps {
            let from = mirrored(y as i64 + dy, height) * width;
            for x in 0..width {
                let (to, at) = ((y * width + x) * channels, (from + mirrored(x as i64 + dx, width)) * channels);
                (0..channels).for_each(|c| out.values[to + c] += weight * plane.values[at + c]);
            }
        }
    }
    out
}

/// torchvision's `adjust_sharpness`: 0 is smoothed, 1 the image, 2 sharpened. The outermost pixels stay.
pub fn adjust_sharpness(image: &Rgb, factor: f64) -> Rgb {
    let (width, height, stride) = (image.width as usize, image.height as usize, image.stride());
    let mut out = image.clone();
    if width <= 2 || height <= 2 {
        return out;
    }
    for y in 1..height - 1 {
        for at in y * stride + 3..(y + 1) * stride - 3 {
            let row = |at: usize| [at - 3, at, at + 3].iter().map(|&at| u32::from(image.pixels[at])).sum::<u32>();
            let value = f32::from(image.pixels[at]);
            let sum = row(at - stride) + row(at) + row(at + stride) + 4 * u32::from(image.pixels[at]);
            let smooth = (sum as f32 / 13.0).round_ties_even();
            out.pixels[at] = (value + (1.0 - factor as f32) * (smooth - value)) as u8;
        }
    }
    out
}
