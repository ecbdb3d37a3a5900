//! What changes pixels one by one, with the numbers (and the rounding down) of torchvision's kernels on bytes.

use super::Rgb;

/// Luma of a pixel, rounded down.
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    (0.2989 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) as u8
}

fn each(image: &mut Rgb, change: impl Fn([u8; 3]) -> [u8; 3]) {
    image.pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = change(*pixel));
}

fn each_level(image: &mut Rgb, change: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|level| change(level as u8));
    image.pixels.iter_mut().for_each(|level| *level = table[*level as usize]);
}

/// `share` of `a` and the rest of `b`; casts to bytes round down and stay in 0..=255.
fn blend(a: u8, b: f32, share: f32) -> u8 {
    (f32::from(a) * share + b * (1.0 - share)) as u8
}

pub fn grayscale(image: &mut Rgb) {
    each(image, |pixel| [luma(pixel); 3]);
}

/// 0 is black, 1 the image.
pub fn adjust_brightness(image: &mut Rgb, factor: f64) {
    each_level(image, |level| (f32::from(level) * factor as f32) as u8);
}

/// 0 is the mean luma, 1 the image.
pub fn adjust_contrast(image: &mut Rgb, factor: f64) {
    let pixels = image.pixels.as_chunks::<3>().0;
    let mean = pixels.iter().map(|&pixel| u64::from(luma(pixel))).sum::<u64>() as f64 / pixels.len().max(1) as f64;
    each_level(image, |level| blend(level, mean as f32, factor as f32));
}

/// 0 is grey, 1 the image.
pub fn adjust_saturation(image: &mut Rgb, factor: f64) {
    each(image, |pixel| {
        let grey = f32::from(luma(pixel));
        pixel.map(|level| blend(level, grey, factor as f32))
    });
}

/// Turns the hue by that part of the whole circle.
pub fn adjust_hue(image: &mut Rgb, turn: f64) {
    each(image, |pixel| {
        let [h, s, v] = to_hsv(pixel.map(|level| f32::from(level) / 255.0));
        let turned = h + turn as f32;
        let part = turned - whole(turned);
        to_rgb([if part < 0.0 { part + 1.0 } else { part }, s, v]).map(|value| (value * 255.999) as u8)
    });
}

/// What stands before the point, of small numbers. `f32::trunc` and its like are function calls on the processors that every binary
/// must run on.
fn whole(x: f32) -> f32 {
    x as i32 as f32
}

/// Red, green, blue in 0..=1 as hue (0..1), saturation and value.
pub fn to_hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (low, high) = (r.min(g).min(b), r.max(g).max(b));
    if low == high {
        return [0.0, 0.0, high];
    }
    let from = |channel: f32| (high - channel) / (high - low);
    let sixth = match high {
        _ if high == r => from(b) - from(g),
        _ if high == g => 2.0 + from(r) - from(b),
        _ => 4.0 + from(g) - from(r),
    };
    // Of -1..=5, so that it is positive.
    let turns = sixth / 6.0 + 1.0;
    [turns - whole(turns), (high - low) / high, high]
}

/// The way back; the hue is not negative.
pub fn to_rgb([h, s, v]: [f32; 3]) -> [f32; 3] {
    let sector = whole(h * 6.0);
    let part = h * 6.0 - sector;
    let [p, q, t] = [1.0 - s, 1.0 - s * part, 1.0 - s * (1.0 - part)].map(|x| (x * v).clamp(0.0, 1.0));
    match sector as i32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

pub fn invert(image: &mut Rgb) {
    each_level(image, |level| !level);
}

/// Keeps the `bits` highest of each byte.
pub fn posterize(image: &mut Rgb, bits: u32) {
    let mask = if bits >= 8 { 0xff } else { !(0xff >> bits) };
    each_level(image, |level| level & mask);
}

/// Inverts what is at least `threshold`.
pub fn solarize(image: &mut Rgb, threshold: f64) {
    each_level(image, |level| if f64::from(level) >= threshold { !level } else { level });
}

/// A table a channel.
fn through(image: &mut Rgb, tables: &[[u8; 256]; 3]) {
    each(image, |pixel| std::array::from_fn(|c| tables[c][pixel[c] as usize]));
}

fn histograms(image: &Rgb) -> [[u64; 256]; 3] {
    let mut counts = [[0; 256]; 3];
    for pixel in image.pixels.as_chunks::<3>().0 {
        (0..3).for_each(|c| counts[c][pixel[c] as usize] += 1);
    }
    counts
}

/// Stretches each channel to 0..=255.
pub fn autocontrast(image: &mut Rgb) {
    let tables = histograms(image).map(|counts| {
        let low = counts.iter().position(|&n| n > 0).unwrap_or(0) as f32;
        let high = counts.iter().rposition(|&n| n > 0).unwrap_or(0) as f32;
        let (low, scale) = if low == high { (0.0, 1.0) } else { (low, (high - low) * (1.0 / 255.0)) };
        std::array::from_fn(|level| ((level as f32 - low) / scale) as u8)
    });
    through(image, &tables);
}

/// Evens out each channel's histogram, by Pillow's `ImageOps.equalize`.
pub fn equalize(image: &mut Rgb) {
    let tables = histograms(image).map(|counts| {
        let last = counts.iter().rposition(|&n| n > 0).unwrap_or(0);
        let step = (counts.iter().sum::<u64>() - counts[last]) / 255;
        let mut below = 0;
        std::array::from_fn(|level| {
            let equal = (below + step / 2).checked_div(step).map_or(level as u64, |equal| equal.min(255));
            below += counts[level];
            equal as u8
        })
    });
    through(image, &tables);
}
