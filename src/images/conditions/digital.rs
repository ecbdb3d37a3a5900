//! What storing does to images.

use anyhow::Result;

use crate::{
    images::{Rgb, jpeg::recompress},
    rng::Draws,
};

pub fn jpeg(image: &Rgb, level: usize, _draws: &mut Draws) -> Result<Rgb> {
    recompress(image, [25, 18, 15, 10, 7][level])
}

/// Means of boxes, as large as the pixels they stand in: Pillow's `BOX` down and `NEAREST` up.
pub fn pixelate(image: &Rgb, level: usize, _draws: &mut Draws) -> Result<Rgb> {
    let part = [0.6, 0.5, 0.4, 0.3, 0.25][level];
    let small = |side: u32| ((f64::from(side) * part) as u32).max(1);
    let (width, height) = (small(image.width), small(image.height));
    let rows = boxed(image, width, true);
    let boxes = boxed(&rows, height, false);
    let mut out = Rgb::black(image.width, image.height);
    let from = |at: usize, small: u32, side: u32| {
        ((at as f64 + 0.5) * f64::from(small) / f64::from(side)).min(f64::from(small - 1)) as usize
    };
    for (i, pixel) in out.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i % image.width as usize, i / image.width as usize);
        let at = from(y, height, image.height) * boxes.stride() + from(x, width, image.width) * 3;
        pixel.copy_from_slice(&boxes.pixels[at..at + 3]);
    }
    Ok(out)
}

/// Rows (or columns) shrunk to `length` pixels, each the mean of those whose centres it covers.
fn boxed(image: &Rgb, length: u32, across: bool) -> Rgb {
    let (width, height) = if across { (length, image.height) } else { (image.width, length) };
    let side = f64::from(if across { image.width } else { image.height });
    let scale = side / f64::from(length);
    let covered = |at: usize| {
        let from = (at as f64 * scale + 0.5) as usize;
        let to = (((at + 1) as f64 * scale + 0.5) as usize).min(side as usize);
        from..to.max(from + 1)
    };
    let mut out = Rgb::black(width, height);
    for (i, pixel) in out.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (i % width as usize, i / width as usize);
        let range = covered(if across { x } else { y });
        let count = range.len() as u32;
        let place = |along: usize| if across { y * image.stride() + along * 3 } else { along * image.stride() + x * 3 };
        *pixel = std::array::from_fn(|c| {
            let sum: u32 = range.clone().map(|along| u32::from(image.pixels[place(along) + c])).sum();
            ((sum + count / 2) / count) as u8
        });
    }
    out
}
