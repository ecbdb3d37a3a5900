//! GIF: the first frame, on the canvas of the whole.

use anyhow::{Context, Result};
use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::{
    Rgb,
    raster::{self, Colour},
};
use crate::artifact::reading::Reading;

/// The frame's indices, four channels and RGB.
const BYTES_PER_PIXEL: u64 = 8;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.check_frame_consistency(true);
    let limit = reading.limits.bytes().max(1).try_into().context("limits")?;
    options.set_memory_limit(MemoryLimit::Bytes(limit));
    let mut decoder = options.read_info(bytes).context("GIF header")?;
    let (width, height) = (decoder.width(), decoder.height());
    reading.limits.check(u64::from(width), u64::from(height), BYTES_PER_PIXEL)?;
    let frame = decoder.read_next_frame().context("GIF data")?.context("GIF without a frame")?.clone();
    let palette = decoder.palette().context("GIF palette")?;
    let colour = |index: u8| {
        let rgb = palette.as_chunks::<3>().0.get(usize::from(index)).copied().unwrap_or_default();
        [rgb[0], rgb[1], rgb[2], if frame.transparent == Some(index) { 0 } else { 255 }]
    };
    // What the frame leaves open is transparent where there is such a colour and else colour 0, as in Pillow.
    let mut canvas = colour(frame.transparent.unwrap_or(0)).repeat(usize::from(width) * usize::from(height));
    let (left, across) = (usize::from(frame.left), usize::from(frame.width).max(1));
    for (row, indices) in frame.buffer.chunks_exact(across).enumerate() {
        let start = ((usize::from(frame.top) + row) * usize::from(width) + left) * 4;
        for (pixel, &index) in canvas[start..].as_chunks_mut().0.iter_mut().zip(indices) {
            *pixel = colour(index);
        }
    }
    Ok((raster::rgb(width.into(), height.into(), Colour::Rgba, canvas, reading)?, "palette".to_string()))
}
