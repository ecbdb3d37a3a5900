//! Small pictures of test and validation images for the page, from the views that were prepared for training: no image file is
//! opened, and what is shown is what the model saw.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::Result;

use crate::artifact::{Split, Views};

/// Longer side of a thumbnail, in pixels.
const SIDE: usize = 72;

/// Views by split.
#[derive(Debug, Clone, Default)]
pub struct Pictures(HashMap<Split, Arc<OfSplit>>);

#[derive(Debug)]
struct OfSplit {
    views: Views,
    /// By path.
    rows: HashMap<String, usize>,
}

impl Pictures {
    pub fn has(&self, split: Split) -> bool {
        self.0.contains_key(&split)
    }

    /// Takes the views in `dir`, whose rows are the images at `paths`.
    pub fn add(&mut self, split: Split, dir: &Path, paths: &[String]) -> Result<()> {
        let views = Views::open(dir)?;
        if views.images == paths.len() {
            let rows = paths.iter().cloned().zip(0..).collect();
            self.0.insert(split, Arc::new(OfSplit { views, rows }));
        }
        Ok(())
    }

    /// A data URI of a PNG; `None` of an image that is not there.
    pub fn thumbnail(&self, split: Split, path: &str) -> Option<String> {
        let OfSplit { views, rows } = self.0.get(&split)?.as_ref();
        let (height, width) = (views.height, views.width);
        let pixels = views.pixels().chunks_exact((height * width * 3).max(1)).nth(*rows.get(path)?)?;
        let (small, small_height, small_width) = shrunk(pixels, height, width);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, small_width as u32, small_height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().ok()?.write_image_data(&small).ok()?;
        Some(format!("data:image/png;base64,{}", base64(&file)))
    }
}

/// Means over the boxes of a coarser grid, [height, width, 3]; images that are small already stay.
fn shrunk(pixels: &[u8], height: usize, width: usize) -> (Vec<u8>, usize, usize) {
    let factor = height.max(width).div_ceil(SIDE).max(1);
    let (small_height, small_width) = (height.div_ceil(factor), width.div_ceil(factor));
    let mut small = Vec::with_capacity(small_height * small_width * 3);
    for y in 0..small_height {
        for x in 0..small_width {
            for channel in 0..3 {
                let (mut sum, mut count) = (0u64, 0u64);
                for row in y * factor..((y + 1) * factor).min(height) {
                    for column in x * factor..((x + 1) * factor).min(width) {
                        sum += u64::from(pixels[(row * width + column) * 3 + channel]);
                        count += 1;
                    }
                }
                small.push((sum / count) as u8);
            }
        }
    }
    (small, small_height, small_width)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        let digits = (0..4).map(|i| char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]));
        out.extend(digits.enumerate().map(|(i, digit)| if i <= group.len() { digit } else { '=' }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648.
    #[test]
    fn base64_is_that_of_the_standard() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (text, expected) in vectors {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn thumbnails_are_means_and_never_larger() {
        let flat = vec![7; 200 * 100 * 3];
        let (small, height, width) = shrunk(&flat, 200, 100);
        assert_eq!((height, width), (67, 34));
        assert!(small.len() == 67 * 34 * 3 && small.iter().all(|&p| p == 7));
        let few: Vec<u8> = (0..12).collect();
        assert_eq!(shrunk(&few, 2, 2), (few.clone(), 2, 2));
    }
}
