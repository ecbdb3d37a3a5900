//! Arrays of numbers as images.

use anyhow::{Context, Result, bail, ensure};

use super::{
    Rgb,
    raster::{self, Colour, Numbers},
};
use crate::artifact::reading::Reading;

/// The type of an array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    numbers: Numbers,
    /// Bytes of one.
    pub size: usize,
    big_endian: bool,
}

impl Element {
    pub const U8: Element =
        Element { numbers: Numbers::Integer { bits: 8, signed: false }, size: 1, big_endian: false };

    /// Of a NumPy description, `<f4` for example.
    ///
    /// # Errors
    /// When it is no number, or one of more bits than are read.
    pub fn parse(described: &str) -> Result<Element> {
        let unread = || format!("arrays of `{described}` are not read: use integers, float32 or float64");
        let (order, rest) = described.split_at_checked(1).with_context(unread)?;
        let (kind, size) = rest.split_at_checked(1).with_context(unread)?;
        let size: usize = size.parse().ok().with_context(unread)?;
        let bits = 8 * size as u32;
        let numbers = match (kind, size) {
            ("u", 1 | 2 | 4 | 8) => Numbers::Integer { bits, signed: false },
            ("i", 1 | 2 | 4 | 8) => Numbers::Integer { bits, signed: true },
            ("f", 4 | 8) => Numbers::Float,
            _ => bail!(unread()),
        };
        Ok(Element { numbers, size, big_endian: order == ">" })
    }

    /// Every element of `bytes` as a number.
    pub fn values(self, bytes: &[u8]) -> impl Iterator<Item = f64> + Clone {
        bytes.chunks_exact(self.size).map(move |element| self.value(element))
    }

    fn value(self, element: &[u8]) -> f64 {
        // Right-aligned in eight bytes, big-endian.
        let mut word = [0; 8];
        word[8 - self.size..].copy_from_slice(element);
        if !self.big_endian {
            word[8 - self.size..].reverse();
        }
        let word = u64::from_be_bytes(word);
        match (self.numbers, self.size) {
            (Numbers::Float, 4) => f32::from_bits(word as u32).into(),
            (Numbers::Float, _) => f64::from_bits(word),
            (Numbers::Integer { signed: false, .. }, _) => word as f64,
            (Numbers::Integer { bits, .. }, _) => ((word << (64 - bits)) as i64 >> (64 - bits)) as f64,
        }
    }

    fn kind(self, colour: Colour) -> String {
        match self.numbers {
            Numbers::Integer { bits, .. } => colour.with_bits(bits),
            Numbers::Float => format!("{}-bit float {}", 8 * self.size, colour.name()),
        }
    }
}

/// How one image lies in an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// [channels, height, width] instead of [height, width, channels].
    planes: bool,
}

impl Layout {
    /// Of the shape of one image: [height, width], or with 1 to 4 channels last or first.
    ///
    /// # Errors
    /// When the shape is none of these.
    pub fn of(shape: &[usize]) -> Result<Layout> {
        match *shape {
            [height, width] => Ok(Layout { height, width, channels: 1, planes: false }),
            [height, width, channels @ 1..=4] => Ok(Layout { height, width, channels, planes: false }),
            [channels @ 1..=4, height, width] => Ok(Layout { height, width, channels, planes: true }),
            _ => {
                bail!("an array of shape {shape:?} is no image: expected [height, width] or [height, width, channels]")
            }
        }
    }

    /// Elements of one image.
    pub fn elements(self) -> usize {
        self.height * self.width * self.channels
    }

    /// RGB of the elements in `bytes`, and what they are in words.
    ///
    /// # Errors
    /// When `bytes` hold fewer elements, the image is over the limits, or a float has no place between black and white.
    pub fn decode(self, element: Element, bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
        // The samples, interleaved ones, and RGB.
        let bytes_per_pixel = (self.channels * (2 * element.size + 1) + 3) as u64;
        reading.limits.check(self.width as u64, self.height as u64, bytes_per_pixel)?;
        let needed = self.elements() * element.size;
        ensure!(bytes.len() >= needed, "an image of {} bytes, its shape needs {needed}", bytes.len());
        let colour = match self.channels {
            1 => Colour::Grey,
            2 => Colour::GreyAlpha,
            3 => Colour::Rgb,
            _ => Colour::Rgba,
        };
        let interleaved = self.planes.then(|| self.interleave(&bytes[..needed], element.size));
        let bytes = interleaved.as_deref().unwrap_or(&bytes[..needed]);
        let samples = if element == Element::U8 {
            bytes.to_vec()
        } else {
            raster::to_bytes(element.values(bytes), colour, element.numbers, reading)?
        };
        let image = raster::rgb(u32::try_from(self.width)?, u32::try_from(self.height)?, colour, samples, reading)?;
        Ok((image, element.kind(colour)))
    }

    fn interleave(self, planes: &[u8], size: usize) -> Vec<u8> {
        let pixels = self.height * self.width;
        let element = |pixel: usize, channel: usize| &planes[(channel * pixels + pixel) * size..][..size];
        (0..pixels)
            .flat_map(|pixel| (0..self.channels).flat_map(move |channel| element(pixel, channel)))
            .copied()
            .collect()
    }
}
