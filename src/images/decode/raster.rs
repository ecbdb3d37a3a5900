//! Samples of any kind to RGB bytes.

use anyhow::{Result, bail, ensure};

use super::Rgb;
use crate::artifact::reading::{LevelRange, Levels, NamedLevels, Reading};

/// What the channels of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Ink: 255 is full.
    Cmyk,
}

impl Colour {
    pub fn channels(self) -> usize {
        match self {
            Colour::Grey => 1,
            Colour::GreyAlpha => 2,
            Colour::Rgb => 3,
            Colour::Rgba | Colour::Cmyk => 4,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Colour::Grey => "grey",
            Colour::GreyAlpha => "grey with alpha",
            Colour::Rgb => "RGB",
            Colour::Rgba => "RGB with alpha",
            Colour::Cmyk => "CMYK",
        }
    }

    pub fn has_alpha(self) -> bool {
        matches!(self, Colour::GreyAlpha | Colour::Rgba)
    }

    /// [`Colour::name`] with the bits of a sample, where they are not 8.
    pub fn with_bits(self, bits: u32) -> String {
        if bits == 8 { self.name().to_string() } else { format!("{bits}-bit {}", self.name()) }
    }
}

/// The numbers that samples can be, which says what black and white are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    Integer { bits: u32, signed: bool },
    Float,
}

/// u8 [pixels, channels], RGB, of 8-bit samples.
///
/// # Errors
/// When there are not as many samples as `width` x `height` pixels have.
pub fn rgb(width: u32, height: u32, colour: Colour, samples: Vec<u8>, reading: &Reading) -> Result<Rgb> {
    let [r, g, b] = reading.background;
    let pixels: Vec<u8> = match colour {
        Colour::Grey => grey_to_rgb(&samples),
        Colour::GreyAlpha => {
            let composited = |p: &[u8; 2]| [over(p[0], r, p[1]), over(p[0], g, p[1]), over(p[0], b, p[1])];
            samples.as_chunks().0.iter().flat_map(composited).collect()
        }
        Colour::Rgb => samples,
        Colour::Rgba => {
            let composited = |p: &[u8; 4]| [over(p[0], r, p[3]), over(p[1], g, p[3]), over(p[2], b, p[3])];
            samples.as_chunks().0.iter().flat_map(composited).collect()
        }
        Colour::Cmyk => samples.as_chunks().0.iter().flat_map(cmyk_to_rgb).collect(),
    };
    let expected = width as usize * height as usize * 3;
    ensure!(pixels.len() == expected, "{} bytes for {width} x {height} pixels", pixels.len());
    Ok(Rgb { width, height, pixels })
}

/// Samples of more than 8 bits to bytes, by the levels that `reading` asks for; an alpha channel by its type alone.
///
/// # Errors
/// When a float is no number, or lies outside 0 to 1 while nothing says what black and white are.
pub fn to_bytes(
    samples: impl Iterator<Item = f64> + Clone,
    colour: Colour,
    numbers: Numbers,
    reading: &Reading,
) -> Result<Vec<u8>> {
    let channels = colour.channels();
    let opaque = if colour.has_alpha() { channels - 1 } else { channels };
    let range = match reading.levels {
        Levels::Named(NamedLevels::Type) => None,
        Levels::Given(given) => Some(given),
        Levels::Named(NamedLevels::Image) => Some(extremes(colours_of(samples.clone(), channels, opaque))),
    };
    let (mut bytes, mut at) = (Vec::with_capacity(samples.size_hint().0), 0);
    for sample in samples {
        let is_colour = at < opaque;
        at = (at + 1) % channels;
        bytes.push(match (range.filter(|_| is_colour), numbers) {
            (Some(range), _) => level(sample, range)?,
            (None, Numbers::Integer { bits, signed }) => high_bits(sample, bits, signed),
            (None, Numbers::Float) => {
                ensure!(
                    (0.0..=1.0).contains(&sample),
                    "a float sample is {sample}; without `levels` they lie between 0 and 1: say what is black and white, \
                     `levels: {{ low: ..., high: ... }}` or `levels: image`"
                );
                (sample * 255.0).round_ties_even() as u8
            }
        });
    }
    Ok(bytes)
}

fn colours_of(
    samples: impl Iterator<Item = f64> + Clone,
    channels: usize,
    opaque: usize,
) -> impl Iterator<Item = f64> + Clone {
    samples.enumerate().filter(move |(i, _)| i % channels < opaque).map(|(_, sample)| sample)
}

/// The smallest and largest sample.
pub fn extremes(samples: impl Iterator<Item = f64>) -> LevelRange {
    let start = LevelRange { low: f64::INFINITY, high: f64::NEG_INFINITY };
    samples.fold(start, |range, x| LevelRange { low: range.low.min(x), high: range.high.max(x) })
}

/// `low` to 0, `high` to 255, linear and clipped; everything is black where they are equal.
pub fn level(sample: f64, LevelRange { low, high }: LevelRange) -> Result<u8> {
    if !sample.is_finite() {
        bail!("a float sample is {sample}, which is no grey");
    }
    let part = if high > low { (sample - low) / (high - low) } else { 0.0 };
    Ok((part.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8)
}

/// The 8 highest bits of an integer, counted from the smallest of its type.
fn high_bits(sample: f64, bits: u32, signed: bool) -> u8 {
    let from_smallest = if signed { sample + f64::from(bits - 1).exp2() } else { sample };
    (from_smallest / (f64::from(bits) - 8.0).exp2()).floor() as u8
}

pub fn grey_to_rgb(grey: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; grey.len() * 3];
    for (pixel, &value) in rgb.as_chunks_mut().0.iter_mut().zip(grey) {
        *pixel = [value; 3];
    }
    rgb
}

/// `colour` over `background` at `alpha`, rounded to nearest.
fn over(colour: u8, background: u8, alpha: u8) -> u8 {
    let (colour, background, alpha) = (u32::from(colour), u32::from(background), u32::from(alpha));
    ((colour * alpha + background * (255 - alpha) + 127) / 255) as u8
}

/// As Pillow's `convert("RGB")`: black takes its part of what each ink leaves.
fn cmyk_to_rgb(&[c, m, y, k]: &[u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(k);
    [c, m, y].map(|ink| {
        let product = u32::from(ink) * light + 128;
        light.saturating_sub(((product >> 8) + product) >> 8) as u8
    })
}
