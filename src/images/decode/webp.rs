//! WebP, lossy and lossless; of an animation the first frame.

use std::io::Cursor;

use anyhow::{Context, Result};
use image_webp::WebPDecoder;

use super::{
    Rgb,
    orientation::{of_exif, upright},
    raster::{self, Colour},
};
use crate::artifact::reading::Reading;

/// Two four-channel buffers and RGB.
const BYTES_PER_PIXEL: u64 = 11;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).context("WebP header")?;
    let (width, height) = decoder.dimensions();
    reading.limits.check(u64::from(width), u64::from(height), BYTES_PER_PIXEL)?;
    decoder.set_memory_limit(usize::try_from(reading.limits.bytes()).unwrap_or(usize::MAX));
    let colour = if decoder.has_alpha() { Colour::Rgba } else { Colour::Rgb };
    let mut samples = vec![0; width as usize * height as usize * colour.channels()];
    decoder.read_image(&mut samples).context("WebP data")?;
    let orientation = decoder.exif_metadata().context("WebP metadata")?.map_or(1, |exif| of_exif(&exif));
    Ok((upright(raster::rgb(width, height, colour, samples, reading)?, orientation), colour.name().to_string()))
}
