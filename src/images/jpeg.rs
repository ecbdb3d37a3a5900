//! Images as JPEG and back.

use anyhow::{Context, Result};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::{Rgb, decode::decode};
use crate::artifact::Reading;

/// Encodes with baseline JPEG, chroma at half resolution (4:2:0), the standard's tables scaled to `quality` (1..=100) as
/// libjpeg does; and decodes.
///
/// # Errors
/// When a side is over 65,535 pixels, the most that JPEG knows.
pub fn recompress(image: &Rgb, quality: u8) -> Result<Rgb> {
    let side =
        |side: u32| u16::try_from(side).with_context(|| format!("a JPEG has at most 65535 pixels a side, not {side}"));
    let (width, height) = (side(image.width)?, side(image.height)?);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(&image.pixels, width, height, ColorType::Rgb).context("encoding as JPEG")?;
    Ok(decode(&bytes, &Reading::default())?.image)
}
