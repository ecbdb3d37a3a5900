//! Pixels to feature rows through a frozen backbone: the one kernel behind `extract_features`, `evaluate` and `predict`.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

use super::{
    device::placed,
    fold::Frozen,
    network::Network,
    pixels::{pixels_to_input, pool},
};
use thawline::artifact::{
    Features, Views,
    model::{Normalization, Pooling},
};

/// Images a forward wherever features are stored or scored. libtorch chooses kernels by batch size, and with them the last
/// bits; so every forward has this many images and short ones are filled up.
pub const BATCH: usize = 32;

/// The blocks up to a cut, frozen, with what comes before and after.
#[derive(Debug)]
pub struct Extractor {
    frozen: Frozen,
    pooling: Pooling,
    normalization: Normalization,
    batch: usize,
}

impl Extractor {
    /// Blocks 0 to `cut`, the cut included, as they are now; `batch` images a forward ([`BATCH`]).
    pub fn new(
        network: &Network,
        cut: usize,
        pooling: Pooling,
        normalization: Normalization,
        batch: usize,
    ) -> Result<Extractor> {
        Ok(Extractor { frozen: network.folded(0..cut + 1)?, pooling, normalization, batch: batch.max(1) })
    }

    /// Features of every image, in order. `progress` gets (done, total) after each batch; its error ends the work.
    pub fn features(&self, views: &Views, mut progress: impl FnMut(u64, u64) -> Result<()>) -> Result<Features> {
        let mut features = Features { rows: views.images, width: 0, values: Vec::new() };
        let image = views.height * views.width * 3;
        for pixels in views.pixels().chunks(self.batch * image.max(1)) {
            let rows = self.rows(pixels, views.height, views.width)?;
            features.width = rows.size()[1] as usize;
            features.values.extend(Vec::<f32>::try_from(&rows.f_contiguous()?.f_view([-1])?)?);
            progress((features.values.len() / features.width) as u64, views.images as u64)?;
        }
        Ok(features)
    }

    /// Feature rows f32 [n, width] of up to a batch of images u8 [n, height, width, 3].
    pub fn rows(&self, pixels: &[u8], height: usize, width: usize) -> Result<Tensor> {
        pool(&self.outputs(pixels, height, width)?, self.pooling)
    }

    /// The same images' output of the cut, before pooling.
    pub fn outputs(&self, pixels: &[u8], height: usize, width: usize) -> Result<Tensor> {
        let image = height * width * 3;
        let images = pixels.len().checked_div(image).unwrap_or(0);
        ensure!(
            images * image == pixels.len() && (1..=self.batch).contains(&images),
            "{} bytes are not 1 to {} images of {height} x {width}",
            pixels.len(),
            self.batch
        );
        let mut filled = pixels.to_vec();
        filled.resize(self.batch * image, 0);
        let shape = [self.batch, height, width, 3].map(|n| n as i64);
        let input =
            pixels_to_input(&placed(Tensor::f_from_data_size(&filled, &shape, Kind::Uint8)?)?, self.normalization)?;
        Ok(self.frozen.forward(&input)?.f_narrow(0, 0, images as i64)?)
    }
}
