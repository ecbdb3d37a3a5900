//! PNG of every kind; of an animation the first frame.

use std::io::Cursor;

use anyhow::{Context, Result, bail};
use png::{BitDepth, ColorType, Transformations};

use super::{
    Rgb,
    orientation::{of_exif, upright},
    raster::{self, Colour, Numbers},
};
use crate::artifact::reading::Reading;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().context("PNG header")?;
    let (width, height) = header.size();
    let kind = match (header.color_type, header.bit_depth) {
        (ColorType::Indexed, _) => "palette".to_string(),
        (colour, BitDepth::Sixteen) => colour_of(colour)?.with_bits(16),
        (ColorType::Grayscale, BitDepth::One) => "black and white".to_string(),
        (colour, _) => colour_of(colour)?.name().to_string(),
    };
    // Four channels of two bytes, and three bytes of RGB.
    reading.limits.check(u64::from(width), u64::from(height), 11)?;
    let mut reader = decoder.read_info().context("PNG header")?;
    let mut samples = vec![0; reader.output_buffer_size().context("PNG too large for this machine")?];
    let frame = reader.next_frame(&mut samples).context("PNG data")?;
    samples.truncate(frame.buffer_size());
    reader.finish().context("PNG data")?;
    let orientation = reader.info().exif_metadata.as_deref().map_or(1, of_exif);
    let colour = colour_of(frame.color_type)?;
    if frame.bit_depth == BitDepth::Sixteen {
        let values = samples.as_chunks().0.iter().map(|&pair| f64::from(u16::from_be_bytes(pair)));
        samples = raster::to_bytes(values, colour, Numbers::Integer { bits: 16, signed: false }, reading)?;
    }
    Ok((upright(raster::rgb(width, height, colour, samples, reading)?, orientation), kind))
}

fn colour_of(colour: ColorType) -> Result<Colour> {
    Ok(match colour {
        ColorType::Grayscale => Colour::Grey,
        ColorType::GrayscaleAlpha => Colour::GreyAlpha,
        ColorType::Rgb => Colour::Rgb,
        ColorType::Rgba => Colour::Rgba,
        ColorType::Indexed => bail!("PNG palette was not expanded"),
    })
}
