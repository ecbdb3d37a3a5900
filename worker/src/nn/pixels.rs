//! Both ends of a backbone: bytes to its input, its output to feature rows.

use anyhow::Result;
use tch::{Kind, Tensor};

use thawline::artifact::model::{Normalization, Pooling};

/// Images u8 [n, height, width, 3] as network input: f32 [n, 3, height, width], channels-last in memory,
/// `(x / 255 - mean) / std` per channel.
pub fn pixels_to_input(pixels: &Tensor, normalization: Normalization) -> Result<Tensor> {
    let channel = |values: [f32; 3]| Tensor::f_from_slice(&values);
    let scaled = pixels.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
    let normalized = scaled.f_sub(&channel(normalization.mean)?)?.f_div(&channel(normalization.std)?)?;
    Ok(normalized.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// The output of a cut [n, channels, height, width] as feature rows [n, `pooling.width(channels)`].
pub fn pool(x: &Tensor, pooling: Pooling) -> Result<Tensor> {
    let mean = || x.f_mean_dim([2, 3].as_slice(), false, None::<Kind>);
    let max = || x.f_amax([2, 3], false);
    Ok(match pooling {
        Pooling::Avg => mean()?,
        Pooling::Max => max()?,
        Pooling::AvgMax => Tensor::f_cat(&[mean()?, max()?], 1)?,
    })
}
