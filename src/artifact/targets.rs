//! Soft targets: what the images of a training view show, in shares of classes. They lie beside a view's pixels when its
//! augmentation mixes images, and beside the features that are made of it.
//!
//! File: `targets.safetensors` with `classes`, u32 [images, 2], and `shares`, f32 [images, 2], rows in `Dataset::rows` order.
//! The shares of a row sum to 1; an image that is not mixed has its own class with share 1, and again with share 0.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

const FILE: &str = "targets.safetensors";

/// The soft targets of one view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SoftTargets {
    pub classes: Vec<[u32; 2]>,
    pub shares: Vec<[f32; 2]>,
}

impl SoftTargets {
    /// Appends an image that shows `share` of `class` and the rest of `other`.
    pub fn push(&mut self, class: u32, other: u32, share: f64) {
        self.classes.push([class, other]);
        self.shares.push([share as f32, (1.0 - share) as f32]);
    }

    pub fn write(&self, dir: &Path) -> Result<()> {
        let shape = vec![self.classes.len(), 2];
        let classes = TensorView::new(Dtype::U32, shape.clone(), bytemuck::cast_slice(&self.classes))?;
        let shares = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&self.shares))?;
        safetensors::serialize_to_file([("classes", classes), ("shares", shares)], None, &dir.join(FILE))?;
        Ok(())
    }

    /// Those of the artifact in `dir`, checked to be of `images` images; `None` where its targets are the labels.
    pub fn read(dir: &Path, images: usize) -> Result<Option<SoftTargets>> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let file = SafeTensors::deserialize(&bytes)?;
        let (classes, shares) = (file.tensor("classes")?, file.tensor("shares")?);
        let shape = [images, 2];
        ensure!(
            classes.shape() == shape && shares.shape() == shape,
            "{} is of {:?} and {:?}, expected [{images}, 2]",
            path.display(),
            classes.shape(),
            shares.shape()
        );
        Ok(Some(SoftTargets {
            classes: pairs(classes.data(), u32::from_le_bytes),
            shares: pairs(shares.data(), f32::from_le_bytes),
        }))
    }
}

fn pairs<T>(bytes: &[u8], read: impl Fn([u8; 4]) -> T) -> Vec<[T; 2]> {
    let (fours, _) = bytes.as_chunks::<4>();
    fours.as_chunks::<2>().0.iter().map(|pair| pair.map(&read)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(SoftTargets::read(dir.path(), 2).unwrap(), None);
        let mut targets = SoftTargets::default();
        targets.push(3, 1, 0.25);
        targets.push(2, 2, 1.0);
        targets.write(dir.path()).unwrap();
        assert_eq!(SoftTargets::read(dir.path(), 2).unwrap(), Some(targets));
        assert!(SoftTargets::read(dir.path(), 3).unwrap_err().to_string().contains("expected [3, 2]"));
    }
}
