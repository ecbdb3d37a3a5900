//! Both ends of a backbone: bytes to its input, its output to feature rows.

use anyhow::{Result, bail};
use tch::{Kind, Tensor};

use thawline::artifact::model::{Normalization, Pooling};

use super::forward::mean_of_positions;

/// Images u8 [n, height, width, 3] as network input: f32 [n, 3, height, width], channels-last in memory,
/// `(x / 255 - mean) / std` per channel.
pub fn pixels_to_input(pixels: &Tensor, normalization: Normalization) -> Result<Tensor> {
    let channel = |values: [f32; 3]| Tensor::f_from_slice(&values)?.f_to_device(pixels.device());
    let scaled = pixels.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
    let normalized = scaled.f_sub(&channel(normalization.mean)?)?.f_div(&channel(normalization.std)?)?;
    Ok(normalized.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// The output of a cut as feature rows [n, `pooling.width(channels)`]: a map [n, channels, height, width], tokens
/// [n, tokens, channels] of which the first is the class token, or a vector [n, channels].
pub fn pool(x: &Tensor, pooling: Pooling) -> Result<Tensor> {
    // Everything that is pooled over, as a map.
    let map = match x.dim() {
        3 if pooling == Pooling::ClassToken => return Ok(x.f_select(1, 0)?),
        3 => x.f_narrow(1, 1, x.size()[1] - 1)?.f_transpose(1, 2)?.f_unsqueeze(3)?,
        2 => x.f_view([x.size()[0], -1, 1, 1])?,
        _ => x.shallow_clone(),
    };
    let mean = || mean_of_positions(&map);
    let max = || map.f_amax([2, 3], false);
    Ok(match pooling {
        Pooling::Avg => mean()?,
        Pooling::Max => max()?,
        Pooling::AvgMax => Tensor::f_cat(&[mean()?, max()?], 1)?,
        Pooling::ClassToken => bail!("an output of shape {:?} has no class token: choose another `pooling`", x.size()),
    })
}
