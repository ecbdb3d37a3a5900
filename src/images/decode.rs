//! Bytes of an image file to RGB. The format is found in the bytes; the file's name is never looked at.
//!
//! As torchvision's `ImageFolder`, an EXIF orientation and a colour profile are not applied. Unlike Pillow's
//! `convert("RGB")`, which drops it, transparency is composited on white. 16-bit channels keep their high byte.

use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use png::{ColorType, Transformations};
use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::{MAX_PIXELS, Rgb};

/// Decodes a JPEG (baseline or progressive; grey, colour, CMYK) or a PNG (any kind; of an animation the first frame).
///
/// # Errors
/// Says in words what is wrong with the file: empty, truncated, corrupt, of another format, or over [`MAX_PIXELS`].
pub fn decode(bytes: &[u8]) -> Result<Rgb> {
    // A corrupt file that finds a panic in a decoder must not end the night.
    catch_unwind(AssertUnwindSafe(|| match format(bytes) {
        Format::Jpeg => jpeg(bytes),
        Format::Png => png(bytes),
        Format::Other(name) => bail!("a {name} image; JPEG and PNG are read: convert it"),
        Format::Empty => bail!("the file is empty"),
        Format::Unknown => bail!("not an image: it starts with {:02x?}", &bytes[..bytes.len().min(8)]),
    }))
    .unwrap_or_else(|_| Err(anyhow!("corrupt: its decoder failed")))
}

enum Format {
    Jpeg,
    Png,
    Other(&'static str),
    Empty,
    Unknown,
}

fn format(bytes: &[u8]) -> Format {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    match () {
        _ if bytes.is_empty() => Format::Empty,
        _ if at(0, b"\xff\xd8\xff") => Format::Jpeg,
        _ if at(0, b"\x89PNG\r\n\x1a\n") => Format::Png,
        _ if at(0, b"GIF8") => Format::Other("GIF"),
        _ if at(0, b"BM") => Format::Other("BMP"),
        _ if at(0, b"RIFF") && at(8, b"WEBP") => Format::Other("WebP"),
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => Format::Other("TIFF"),
        _ if at(4, b"ftypavif") => Format::Other("AVIF"),
        _ if at(4, b"ftyp") => Format::Other("HEIC"),
        _ => Format::Unknown,
    }
}

fn check_size(width: u64, height: u64) -> Result<()> {
    ensure!(width > 0 && height > 0, "{width} x {height} pixels: nothing to see");
    let pixels = width.saturating_mul(height);
    ensure!(pixels <= MAX_PIXELS, "{width} x {height} pixels; more than {MAX_PIXELS} are refused");
    Ok(())
}

fn jpeg(bytes: &[u8]) -> Result<Rgb> {
    // Without strict mode zune-jpeg fills what a damaged file lacks with grey, and says so only in its log.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(bytes, options);
    decoder.decode_headers().context("JPEG header")?;
    let (width, height) = decoder.dimensions().context("JPEG header without dimensions")?;
    check_size(width as u64, height as u64)?;
    ensure!(jpeg_ends(bytes), "truncated JPEG: the end-of-image marker is missing");
    let pixels = decoder.decode().context("JPEG data")?;
    let pixels = match decoder.get_output_colorspace() {
        Some(ColorSpace::Luma) => grey_to_rgb(&pixels),
        Some(ColorSpace::RGB) => pixels,
        other => bail!("JPEG colours {other:?} are not read"),
    };
    complete(width as u32, height as u32, pixels)
}

/// Whether an end-of-image marker follows the first scan. Entropy-coded data cannot contain one, a thumbnail in the
/// header can.
fn jpeg_ends(bytes: &[u8]) -> bool {
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

fn png(bytes: &[u8]) -> Result<Rgb> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().context("PNG header")?.size();
    check_size(u64::from(width), u64::from(height))?;
    let mut reader = decoder.read_info().context("PNG header")?;
    let mut pixels = vec![0; reader.output_buffer_size().context("PNG too large for this machine")?];
    let colours = reader.next_frame(&mut pixels).context("PNG data")?.color_type;
    reader.finish().context("PNG data")?;
    let pixels = match colours {
        ColorType::Grayscale => grey_to_rgb(&pixels),
        ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|p| [on_white(p[0], p[1]); 3]).collect(),
        ColorType::Rgba => {
            let composited = |p: &[u8]| [on_white(p[0], p[3]), on_white(p[1], p[3]), on_white(p[2], p[3])];
            pixels.chunks_exact(4).flat_map(composited).collect()
        }
        ColorType::Rgb => pixels,
        ColorType::Indexed => bail!("PNG palette was not expanded"),
    };
    complete(width, height, pixels)
}

fn complete(width: u32, height: u32, pixels: Vec<u8>) -> Result<Rgb> {
    let expected = width as usize * height as usize * 3;
    ensure!(pixels.len() == expected, "{} bytes for {width} x {height} pixels", pixels.len());
    Ok(Rgb { width, height, pixels })
}

fn grey_to_rgb(grey: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; grey.len() * 3];
    for (pixel, &value) in rgb.as_chunks_mut().0.iter_mut().zip(grey) {
        *pixel = [value; 3];
    }
    rgb
}

/// `colour` over white at `alpha`, rounded to nearest.
fn on_white(colour: u8, alpha: u8) -> u8 {
    let (colour, alpha) = (u32::from(colour), u32::from(alpha));
    ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}
