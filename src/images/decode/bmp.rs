//! BMP: palettes, run lengths, 16, 24 and 32 bits.

use std::io::Cursor;

use anyhow::{Context, Result, bail};
use image::{ColorType, ImageDecoder, codecs::bmp::BmpDecoder};

use super::{
    Rgb,
    raster::{self, Colour},
};
use crate::artifact::reading::Reading;

/// Four channels and RGB.
const BYTES_PER_PIXEL: u64 = 7;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).context("BMP header")?;
    let (width, height) = decoder.dimensions();
    reading.limits.check(u64::from(width), u64::from(height), BYTES_PER_PIXEL)?;
    let colour = match decoder.color_type() {
        ColorType::L8 => Colour::Grey,
        ColorType::Rgb8 => Colour::Rgb,
        ColorType::Rgba8 => Colour::Rgba,
        other => bail!("BMP colours {other:?} are not read"),
    };
    let mut samples = vec![0; width as usize * height as usize * colour.channels()];
    decoder.read_image(&mut samples).context("BMP data")?;
    Ok((raster::rgb(width, height, colour, samples, reading)?, colour.name().to_string()))
}
