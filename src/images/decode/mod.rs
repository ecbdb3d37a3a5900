//! Bytes of an image file to RGB, one file a format. The format is found in the bytes; the file's name is never looked at.
//!
//! As Pillow, but for what `docs/images.md` lists: an EXIF orientation is applied, transparency is composited on
//! [`Reading::background`], samples of more than 8 bits are brought to 8 by [`Reading::levels`]. Colour profiles are ignored.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use anyhow::{Result, anyhow, bail, ensure};

use super::Rgb;
use crate::artifact::reading::{Limits, Reading};

pub mod array;
mod bmp;
mod dicom;
mod gif;
mod jpeg;
pub mod npy;
mod orientation;
mod png;
mod raster;
mod tiff;
mod webp;

/// A decoded image, and what its file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub image: Rgb,
    pub format: Format,
    /// Channels and bits as they are in the file: `RGB`, `16-bit grey`.
    pub kind: String,
}

/// A file format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
    Gif,
    Tiff,
    Dicom,
    /// An array: a `.npy` file, or one image of a file of arrays.
    Array,
}

impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Bmp => "BMP",
            Format::Gif => "GIF",
            Format::Tiff => "TIFF",
            Format::Dicom => "DICOM",
            Format::Array => "array",
        }
    }

    /// File endings that promise this format, in lower case.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Format::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Format::Png => &["png"],
            Format::WebP => &["webp"],
            Format::Bmp => &["bmp", "dib"],
            Format::Gif => &["gif"],
            Format::Tiff => &["tif", "tiff"],
            Format::Dicom => &["dcm", "dicom"],
            Format::Array => &["npy"],
        }
    }

    /// Every format.
    pub const ALL: [Format; 8] =
        [Format::Jpeg, Format::Png, Format::WebP, Format::Bmp, Format::Gif, Format::Tiff, Format::Dicom, Format::Array];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes an image file of any [`Format`]; of several images in one file the first.
///
/// # Errors
/// Says in words what is wrong with the file: empty, truncated, corrupt, of another format, or over the limits.
pub fn decode(bytes: &[u8], reading: &Reading) -> Result<Decoded> {
    let format = match found(bytes) {
        Found::Format(format) => format,
        Found::Other(name) => bail!("a {name} image, which is not read: convert it to PNG"),
        Found::Empty => bail!("the file is empty"),
        Found::Unknown => bail!("not an image: it starts with {:02x?}", &bytes[..bytes.len().min(8)]),
    };
    // A corrupt file that finds a panic in a decoder must not end the night.
    let (image, kind) = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => jpeg::decode(bytes, reading),
        Format::Png => png::decode(bytes, reading),
        Format::WebP => webp::decode(bytes, reading),
        Format::Bmp => bmp::decode(bytes, reading),
        Format::Gif => gif::decode(bytes, reading),
        Format::Tiff => tiff::decode(bytes, reading),
        Format::Dicom => dicom::decode(bytes, reading),
        Format::Array => npy::decode(bytes, reading),
    }))
    .unwrap_or_else(|_| Err(anyhow!("corrupt {format}: its decoder failed")))?;
    Ok(Decoded { image, format, kind })
}

enum Found {
    Format(Format),
    Other(&'static str),
    Empty,
    Unknown,
}

fn found(bytes: &[u8]) -> Found {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    match () {
        _ if bytes.is_empty() => Found::Empty,
        _ if at(0, b"\xff\xd8\xff") => Found::Format(Format::Jpeg),
        _ if at(0, b"\x89PNG\r\n\x1a\n") => Found::Format(Format::Png),
        _ if at(0, b"RIFF") && at(8, b"WEBP") => Found::Format(Format::WebP),
        _ if at(0, b"GIF8") => Found::Format(Format::Gif),
        _ if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+") => Found::Format(Format::Tiff),
        _ if at(128, b"DICM") => Found::Format(Format::Dicom),
        _ if at(0, npy::MAGIC) => Found::Format(Format::Array),
        _ if at(0, b"BM") => Found::Format(Format::Bmp),
        _ if at(4, b"ftypavif") => Found::Other("AVIF"),
        _ if at(4, b"ftyp") => Found::Other("HEIC"),
        _ if at(0, b"\xff\x0a") || at(4, b"JXL ") => Found::Other("JPEG XL"),
        _ if at(4, b"jP  ") => Found::Other("JPEG 2000"),
        _ if at(0, b"P5") || at(0, b"P6") => Found::Other("PNM"),
        _ => Found::Unknown,
    }
}

impl Limits {
    /// Whether an image of that size may be decoded, which takes `bytes_per_pixel` at most.
    fn check(&self, width: u64, height: u64, bytes_per_pixel: u64) -> Result<()> {
        ensure!(width > 0 && height > 0, "{width} x {height} pixels: nothing to see");
        let pixels = width.saturating_mul(height);
        ensure!(
            pixels <= self.pixels,
            "{width} x {height} pixels; more than {} are refused (`limits: {{ pixels: ... }}` of the dataset allows more)",
            self.pixels
        );
        let bytes = pixels.saturating_mul(bytes_per_pixel);
        ensure!(
            bytes <= self.bytes(),
            "decoding {width} x {height} pixels takes {} MiB; more than {} are refused (`limits: {{ memory: ... }}` of the \
             dataset allows more)",
            bytes.div_ceil(1 << 20),
            self.memory
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
