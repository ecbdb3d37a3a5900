//! TIFF: the first page; integers of 1 to 32 bits and floats; grey, RGB, CMYK, alpha. Palettes are not read.

use std::io::Cursor;

use anyhow::{Context, Result, bail, ensure};
use tiff::{
    ColorType,
    decoder::{Decoder, DecodingResult, Limits},
    tags::Tag,
};

use super::{
    Rgb,
    orientation::upright,
    raster::{self, Colour, Numbers},
};
use crate::artifact::reading::Reading;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let mut limits = Limits::default();
    let budget = usize::try_from(reading.limits.bytes()).unwrap_or(usize::MAX);
    (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (budget, budget);
    let mut decoder = Decoder::new(Cursor::new(bytes)).context("TIFF header")?.with_limits(limits);
    let (width, height) = decoder.dimensions().context("TIFF header")?;
    let colours = decoder.colortype().context("TIFF header")?;
    // The samples, as bytes, and RGB.
    let bytes_per_pixel = u64::from(colours.num_samples()) * (u64::from(colours.bit_depth()).div_ceil(8) + 1) + 3;
    reading.limits.check(u64::from(width), u64::from(height), bytes_per_pixel)?;
    let planar = decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).context("TIFF header")? == Some(2);
    ensure!(
        !planar || colours.num_samples() == 1,
        "TIFF with a plane a channel is not read: save it with interleaved ones"
    );
    let orientation = decoder.find_tag_unsigned::<u32>(Tag::Orientation).context("TIFF header")?.unwrap_or(1);
    let samples = decoder.read_image().context("TIFF data")?;
    let (image, kind) = plain(width, height, colours, samples, reading)?;
    Ok((upright(image, orientation), kind))
}

fn plain(
    width: u32,
    height: u32,
    colours: ColorType,
    samples: DecodingResult,
    reading: &Reading,
) -> Result<(Rgb, String)> {
    let (colour, bits) = match colours {
        ColorType::Gray(bits) => (Colour::Grey, bits),
        ColorType::GrayA(bits) => (Colour::GreyAlpha, bits),
        // The decoder has made RGB of it.
        ColorType::RGB(bits) | ColorType::YCbCr(bits) => (Colour::Rgb, bits),
        ColorType::RGBA(bits) => (Colour::Rgba, bits),
        ColorType::CMYK(bits) => (Colour::Cmyk, bits),
        ColorType::Multiband { bit_depth, num_samples: 1 } => (Colour::Grey, bit_depth),
        other => bail!("TIFF colours {other:?} are not read: convert to grey or RGB"),
    };
    let is_float = matches!(samples, DecodingResult::F16(_) | DecodingResult::F32(_) | DecodingResult::F64(_));
    let kind = if is_float { format!("{bits}-bit float {}", colour.name()) } else { colour.with_bits(bits.into()) };
    let integer = |bits: u32, signed| Numbers::Integer { bits, signed };
    let bytes = match samples {
        DecodingResult::U8(packed) if bits < 8 => unpack(&packed, width, colour.channels(), bits)?
            .into_iter()
            .map(|value| (u32::from(value) * 255 / ((1 << bits) - 1)) as u8)
            .collect(),
        DecodingResult::U8(bytes) => bytes,
        DecodingResult::U16(v) => raster::to_bytes(v.iter().map(|&x| x.into()), colour, integer(16, false), reading)?,
        DecodingResult::U32(v) => raster::to_bytes(v.iter().map(|&x| x.into()), colour, integer(32, false), reading)?,
        DecodingResult::I8(v) => raster::to_bytes(v.iter().map(|&x| x.into()), colour, integer(8, true), reading)?,
        DecodingResult::I16(v) => raster::to_bytes(v.iter().map(|&x| x.into()), colour, integer(16, true), reading)?,
        DecodingResult::I32(v) => raster::to_bytes(v.iter().map(|&x| x.into()), colour, integer(32, true), reading)?,
        DecodingResult::F16(v) => raster::to_bytes(v.iter().map(|x| x.to_f64()), colour, Numbers::Float, reading)?,
        DecodingResult::F32(v) => raster::to_bytes(v.iter().map(|&x| x.into()), colour, Numbers::Float, reading)?,
        DecodingResult::F64(v) => raster::to_bytes(v.iter().copied(), colour, Numbers::Float, reading)?,
        DecodingResult::U64(_) | DecodingResult::I64(_) => bail!("TIFF of 64-bit integers is not read"),
    };
    Ok((raster::rgb(width, height, colour, bytes, reading)?, kind))
}

/// Samples of fewer than 8 bits, one a byte; rows start at whole bytes.
fn unpack(packed: &[u8], width: u32, channels: usize, bits: u8) -> Result<Vec<u8>> {
    ensure!([1, 2, 4].contains(&bits), "TIFF of {bits} bits is not read");
    let (across, each) = (width as usize * channels, 8 / usize::from(bits));
    let row = |row: &[u8]| {
        let sample = |i: usize| (row[i / each] >> (8 - usize::from(bits) * (i % each + 1))) & ((1 << bits) - 1);
        (0..across).map(sample).collect::<Vec<_>>()
    };
    Ok(packed.chunks_exact(across.div_ceil(each).max(1)).flat_map(row).collect())
}
