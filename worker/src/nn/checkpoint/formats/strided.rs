//! Strided views made contiguous.

use anyhow::{Context, Result, ensure};

use super::{Dtype, TensorData, budget::Budget};

/// Where the elements of a tensor lie in a run of bytes; offset and strides count elements.
#[derive(Debug)]
pub struct View<'v> {
    pub dtype: Dtype,
    pub offset: usize,
    pub shape: &'v [usize],
    pub strides: &'v [usize],
}

impl View<'_> {
    /// Copies the elements out of `storage`, row-major.
    pub fn gather(&self, storage: &[u8], budget: &mut Budget) -> Result<TensorData> {
        let View { dtype, offset, shape, .. } = *self;
        let width = dtype.size();
        // The stride of a dimension of one element means nothing.
        let strides: Vec<usize> =
            shape.iter().zip(self.strides).map(|(&n, &stride)| if n == 1 { 0 } else { stride }).collect();
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let length = count.and_then(|n| n.checked_mul(width)).context("a tensor that is too large")?;
        let mut bytes = Vec::new();
        if length > 0 {
            let reach = shape
                .iter()
                .zip(&strides)
                .try_fold(offset, |reach, (&n, &stride)| reach.checked_add((n - 1).checked_mul(stride)?));
            let end = reach.and_then(|reach| reach.checked_add(1)?.checked_mul(width));
            ensure!(
                end.is_some_and(|end| end <= storage.len()),
                "shape {shape:?}, strides {strides:?} and offset {offset} reach outside its storage of {} bytes",
                storage.len()
            );
            budget.charge(length)?;
            bytes.reserve_exact(length);
            // The last dimensions that lie without gaps are copied as one run.
            let (mut run, mut outer) = (1, shape.len());
            while outer > 0 && (shape[outer - 1] == 1 || strides[outer - 1] == run) {
                outer -= 1;
                run *= shape[outer];
            }
            let mut index = vec![0; outer];
            let mut position = offset;
            for _ in 0..length / width / run {
                bytes.extend_from_slice(&storage[position * width..(position + run) * width]);
                for d in (0..outer).rev() {
                    index[d] += 1;
                    position += strides[d];
                    if index[d] < shape[d] {
                        break;
                    }
                    position -= shape[d] * strides[d];
                    index[d] = 0;
                }
            }
        }
        Ok(TensorData { dtype, shape: shape.to_vec(), bytes })
    }
}
