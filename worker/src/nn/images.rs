//! Images on their way into a network: pixels, or what the blocks below a thaw line made of them before.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};
use thawline::artifact::{
    Activations, Features, Views,
    model::{BackboneSpec, Normalization, Pooling},
};

use super::{
    device::placed,
    extractor::BATCH,
    fold::Frozen,
    network::Network,
    pixels::{pixels_to_input, pool},
};

/// One split or view, with its activations at the thaw line of the moment if they are stored.
#[derive(Debug)]
pub struct Images {
    views: Views,
    stored: Option<Activations>,
}

impl Images {
    /// # Errors
    /// When the activations are of another number of images.
    pub fn new(views: Views, stored: Option<Activations>) -> Result<Images> {
        if let Some(stored) = &stored {
            let (found, expected) = (stored.images(), views.images);
            ensure!(found == expected, "activations of {found} images, but the views have {expected}");
        }
        Ok(Images { views, stored })
    }

    pub fn count(&self) -> usize {
        self.views.images
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        (self.views.height, self.views.width)
    }

    /// The images `rows` as network input f32 [rows or more, 3, height, width]; the first is repeated up to `padded` images.
    fn input(&self, rows: &[usize], padded: usize, normalization: Normalization) -> Result<Tensor> {
        let (height, width) = (self.views.height, self.views.width);
        let size = height * width * 3;
        let padding = rows.first().into_iter().cycle().take(padded.saturating_sub(rows.len()));
        let mut bytes = Vec::with_capacity(size * padded.max(rows.len()));
        for &row in rows.iter().chain(padding) {
            let image = self.views.pixels().get(row * size..(row + 1) * size);
            bytes.extend_from_slice(image.with_context(|| format!("no image {row} of {}", self.views.images))?);
        }
        let shape = [-1, height as i64, width as i64, 3];
        pixels_to_input(&placed(Tensor::f_from_slice(&bytes)?.f_view(shape)?)?, normalization)
    }
}

/// The frozen blocks below a thaw line. Read from storage or computed, the bits are the same: computed ones always come from
/// [`BATCH`] images at a time, and both end in one memory layout.
#[derive(Debug)]
pub struct Below {
    /// `None` when every block trains.
    frozen: Option<Frozen>,
    normalization: Normalization,
}

impl Below {
    pub fn new(frozen: Option<Frozen>, normalization: Normalization) -> Below {
        Below { frozen, normalization }
    }

    /// The input of the first block above the line, for the images `rows`.
    pub fn rows(&self, images: &Images, rows: &[usize]) -> Result<Tensor> {
        let Some(frozen) = &self.frozen else { return images.input(rows, rows.len(), self.normalization) };
        if let Some(stored) = &images.stored {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&stored.gather(rows)?);
            let mut shape: Vec<i64> = stored.shape().iter().map(|&n| n as i64).collect();
            // A map is stored with its channels innermost.
            if shape.len() == 3 {
                shape.rotate_left(1);
            }
            shape.insert(0, rows.len() as i64);
            let stored = placed(Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?)?;
            return Ok(if shape.len() == 4 { stored.f_permute([0, 3, 1, 2])? } else { stored });
        }
        let mut parts = Vec::new();
        for rows in rows.chunks(BATCH) {
            let x = frozen.forward(&images.input(rows, BATCH, self.normalization)?)?;
            parts.push(x.f_narrow(0, 0, rows.len() as i64)?);
        }
        channels_innermost(&Tensor::f_cat(&parts, 0)?)
    }
}

/// As [`Extractor`](super::Extractor), divided at a thaw line, so that what is below may be stored.
#[derive(Debug)]
pub struct Divided {
    below: Below,
    above: Frozen,
    pooling: Pooling,
}

impl Divided {
    /// The blocks of `spec` as they are now. `line` is the first block above the thaw line; beyond the cut when there is none.
    pub fn new(network: &Network, line: usize, spec: &BackboneSpec) -> Result<Divided> {
        let end = network.cut(spec)? + 1;
        let below = if line > 0 { Some(network.folded(0..line)?) } else { None };
        let above = network.folded(line..end)?;
        Ok(Divided { below: Below::new(below, spec.normalization), above, pooling: spec.pooling })
    }

    /// Features of every image, in order. `progress` gets (done, total) after each batch; its error ends the work.
    pub fn features(&self, images: &Images, mut progress: impl FnMut(u64, u64) -> Result<()>) -> Result<Features> {
        let count = images.count();
        let mut features = Features { rows: count, width: 0, values: Vec::new() };
        for first in (0..count).step_by(BATCH) {
            let rows: Vec<usize> = (first..count.min(first + BATCH)).collect();
            let made = self.rows(images, &rows)?.f_narrow(0, 0, rows.len() as i64)?;
            features.width = made.size()[1] as usize;
            features.values.extend(Vec::<f32>::try_from(&made.f_contiguous()?.f_view([-1])?)?);
            progress((first + rows.len()) as u64, count as u64)?;
        }
        Ok(features)
    }

    /// Feature rows f32 [[`BATCH`], width] of up to a batch of images; those beyond `rows` mean nothing.
    pub fn rows(&self, images: &Images, rows: &[usize]) -> Result<Tensor> {
        ensure!((1..=BATCH).contains(&rows.len()), "{} images are not 1 to {BATCH}", rows.len());
        let x = filled_up(&self.below.rows(images, rows)?)?;
        pool(&self.above.forward(&x)?, self.pooling)
    }
}

/// The same tensor with the one layout that [`Below::rows`] gives: strides too, where an axis of length 1 leaves a choice.
fn channels_innermost(x: &Tensor) -> Result<Tensor> {
    if x.dim() != 4 {
        return Ok(x.f_contiguous()?);
    }
    let innermost = x.f_permute([0, 2, 3, 1])?;
    let shape = innermost.size();
    Ok(innermost.f_reshape([-1])?.f_view(shape.as_slice())?.f_permute([0, 3, 1, 2])?)
}

/// The values of a tensor as [`Activations`] hold them, and the shape of one image.
pub fn stored_values(x: &Tensor) -> Result<(Vec<f32>, Vec<usize>)> {
    let shape = x.size()[1..].iter().map(|&n| n as usize).collect();
    let innermost = if x.dim() == 4 { x.f_permute([0, 2, 3, 1])? } else { x.shallow_clone() };
    Ok((Vec::try_from(&innermost.f_to_kind(Kind::Float)?.f_reshape([-1])?)?, shape))
}

/// `x` filled up with zeros to [`BATCH`] rows, in the same layout.
fn filled_up(x: &Tensor) -> Result<Tensor> {
    let rows = x.size()[0];
    if rows == BATCH as i64 {
        return Ok(x.shallow_clone());
    }
    let mut shape = x.size();
    shape[0] = BATCH as i64 - rows;
    let filling = Tensor::f_zeros(shape.as_slice(), (Kind::Float, x.device()))?;
    channels_innermost(&Tensor::f_cat(&[x, &channels_innermost(&filling)?], 0)?)
}
