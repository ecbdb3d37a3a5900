//! Resizing and cropping with the numbers of Pillow and the geometry of torchvision.

use anyhow::{Context, Result, ensure};
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_PIXELS, Rgb};

/// How pixels between pixels are found; both antialias when they shrink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Pillow's `BILINEAR`.
    #[default]
    Bilinear,
    /// Pillow's `BICUBIC` (a = -0.5).
    Bicubic,
}

/// Resizes to exactly `width` x `height`, as Pillow's `Image.resize`.
///
/// # Errors
/// When a side is 0 or the result is over [`MAX_PIXELS`].
pub fn resize(image: &Rgb, width: u32, height: u32, interpolation: Interpolation) -> Result<Rgb> {
    let sides = [width, height, image.width, image.height];
    ensure!(!sides.contains(&0), "cannot resize {} x {} to {width} x {height} pixels", image.width, image.height);
    let pixels = u64::from(width) * u64::from(height.max(image.height));
    ensure!(
        pixels <= MAX_PIXELS,
        "resizing {} x {} to {width} x {height} pixels takes more than {MAX_PIXELS}",
        image.width,
        image.height
    );
    // Rows first, rounded to bytes in between, as Pillow's resize is known (13 does columns first where the height shrinks
    // much more than the width). In one call the crate would always resize columns first, and where bicubic overshoots,
    // the clipped bytes differ by up to 15 levels.
    let rows = resize_once(image, width, image.height, interpolation)?;
    resize_once(&rows, width, height, interpolation)
}

fn resize_once(image: &Rgb, width: u32, height: u32, interpolation: Interpolation) -> Result<Rgb> {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    let source = ImageRef::new(image.width, image.height, &image.pixels, PixelType::U8x3).context("resizing")?;
    let mut resized = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    Resizer::new().resize(&source, &mut resized, &options).context("resizing")?;
    Ok(Rgb { width, height, pixels: resized.into_vec() })
}

/// Width and height after torchvision's `Resize(size)`: the shorter side becomes `size`, the longer is rounded down.
pub fn shorter_side(width: u32, height: u32, size: u32) -> (u32, u32) {
    let longer = |long: u32, short: u32| (u64::from(size) * u64::from(long) / u64::from(short.max(1))) as u32;
    if width <= height { (size, longer(height, width)) } else { (longer(width, height), size) }
}

/// The part of `width` x `height` pixels whose first pixel is at (`left`, `top`); what lies outside the image is black.
pub fn crop(image: &Rgb, left: i64, top: i64, width: u32, height: u32) -> Rgb {
    let mut out = Rgb::black(width, height);
    let inside = |start: i64, length: u32, limit: u32| {
        let from = start.clamp(0, i64::from(limit));
        (from, (start + i64::from(length)).clamp(from, i64::from(limit)))
    };
    let (x0, x1) = inside(left, width, image.width);
    let (y0, y1) = inside(top, height, image.height);
    for y in y0..y1 {
        let from = y as usize * image.stride() + x0 as usize * 3;
        let to = (y - top) as usize * out.stride() + (x0 - left) as usize * 3;
        let length = (x1 - x0) as usize * 3;
        out.pixels[to..to + length].copy_from_slice(&image.pixels[from..from + length]);
    }
    out
}

/// torchvision's `CenterCrop((height, width))`: halves are rounded to even, smaller images are padded with black.
pub fn center_crop(image: &Rgb, width: u32, height: u32) -> Rgb {
    let start = |side: u32, crop: u32| {
        if crop > side {
            -i64::from((crop - side) / 2)
        } else {
            (f64::from(side - crop) / 2.0).round_ties_even() as i64
        }
    };
    crop(image, start(image.width, width), start(image.height, height), width, height)
}

/// Left and right exchanged.
pub fn flip_horizontally(image: &mut Rgb) {
    for row in image.pixels.chunks_exact_mut((image.width as usize * 3).max(3)) {
        let (mut left, mut right) = (0, row.len() - 3);
        while left < right {
            for channel in 0..3 {
                row.swap(left + channel, right + channel);
            }
            left += 3;
            right -= 3;
        }
    }
}
