//! JPEG: baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK.

use anyhow::{Context, Result, bail, ensure};
use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::{
    Rgb,
    orientation::{of_exif, upright},
    raster::{self, Colour},
};
use crate::artifact::reading::Reading;

/// Of a progressive image: three 16-bit coefficients and three bytes a pixel.
const BYTES_PER_PIXEL: u64 = 9;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    // Without strict mode zune-jpeg fills what a damaged file lacks with grey, and says so only in its log.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(bytes, options);
    decoder.decode_headers().context("JPEG header")?;
    let (width, height) = decoder.dimensions().context("JPEG header without dimensions")?;
    reading.limits.check(width as u64, height as u64, BYTES_PER_PIXEL)?;
    ensure!(ends(bytes), "truncated JPEG: the end-of-image marker is missing");
    let (width, height) = (u32::try_from(width)?, u32::try_from(height)?);
    let kind = match decoder.get_input_colorspace() {
        Some(ColorSpace::Luma) => "grey",
        Some(ColorSpace::CMYK | ColorSpace::YCCK) => "CMYK",
        _ => "RGB",
    };
    let orientation = decoder.exif().map_or(1, |exif| of_exif(exif));
    let pixels = decoder.decode().context("JPEG data")?;
    let colour = match decoder.get_output_colorspace() {
        Some(ColorSpace::Luma) => Colour::Grey,
        Some(ColorSpace::RGB) => Colour::Rgb,
        other => bail!("JPEG colours {other:?} are not read"),
    };
    let image = raster::rgb(width, height, colour, pixels, reading)?;
    Ok((upright(image, orientation), kind.to_string()))
}

/// Whether an end-of-image marker follows the first scan. Entropy-coded data cannot contain one, a thumbnail in the
/// header can.
fn ends(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    let mut at = 2;
    while let Some(&[a, b, c, d]) = bytes.get(at..at + 4) {
        match (a, b) {
            (0xff, START_OF_SCAN) => return bytes[at..].windows(2).rev().any(|pair| pair == END_OF_IMAGE),
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => at += 2 + usize::from(u16::from_be_bytes([c, d])),
            _ => at += 1,
        }
    }
    false
}
