//! What a frozen backbone makes of one split or view: one row an image.
//!
//! File: `features.safetensors` with one tensor, `features`, f32 [images, width], rows in `Dataset::rows` order.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// The artifact one `extract_features` node makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    pub rows: usize,
    pub width: usize,
    /// Row-major [rows, width].
    pub values: Vec<f32>,
}

impl Features {
    pub fn write(&self, dir: &Path) -> Result<()> {
        ensure!(self.values.len() == self.rows * self.width, "features are not [rows, width]");
        let view = TensorView::new(Dtype::F32, vec![self.rows, self.width], bytemuck::cast_slice(&self.values))?;
        safetensors::serialize_to_file([("features", view)], None, &dir.join("features.safetensors"))?;
        Ok(())
    }

    pub fn read(dir: &Path) -> Result<Features> {
        let path = dir.join("features.safetensors");
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let tensor = file.tensor("features")?;
        ensure!(tensor.dtype() == Dtype::F32 && tensor.shape().len() == 2, "features are not f32 [rows, width]");
        let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Features { rows: tensor.shape()[0], width: tensor.shape()[1], values })
    }
}
