//! Checkpoint files as plain data: named tensors as little-endian bytes (which are also this machine's). No tch, and nothing
//! that a file says is ever executed.

mod fit;
mod formats;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
mod torch_save;

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result, ensure};
use thawline::backbones::weights;

pub use self::{
    fit::{adapted, difference},
    formats::{Dtype, TensorData, Tensors, parse},
    torch_save::write as write_torch,
};

/// Reads a checkpoint, whatever its ending says: safetensors, what `torch.save` wrote, as a zip or in the older format,
/// numpy's `.npz`, or an index of shards beside it.
pub fn read(path: &Path) -> Result<Tensors> {
    Ok(open(path)?.1)
}

/// [`read`], with the digest that stands for the checkpoint ([`weights::digest`]): of the very bytes that were read.
pub fn open(path: &Path) -> Result<(String, Tensors)> {
    let mut digests = Vec::new();
    let mut tensors = Tensors::new();
    let parts = weights::parts(path)?;
    for (i, part) in parts.iter().enumerate() {
        let bytes = std::fs::read(part).with_context(|| format!("reading {}", part.display()))?;
        digests.push(blake3::hash(&bytes).to_hex().to_string());
        if i == 0 && parts.len() > 1 {
            continue;
        }
        for (name, data) in parse(&bytes).with_context(|| format!("reading {}", part.display()))? {
            ensure!(tensors.insert(name.clone(), data).is_none(), "`{name}` is in more than one shard");
        }
    }
    Ok((weights::digest(&digests), tensors))
}

/// Writes tensors as safetensors, in name order.
pub fn write<'a>(path: &Path, tensors: impl IntoIterator<Item = (&'a String, &'a TensorData)>) -> Result<()> {
    write_safetensors(path, tensors, None)
}

/// [`write`], with a map of texts in the header.
pub fn write_safetensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a String, &'a TensorData)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let mut views = Vec::new();
    for (name, data) in tensors {
        let view = safetensors::tensor::TensorView::new(data.dtype.to_safetensors(), data.shape.clone(), &data.bytes)?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize_to_file(views, metadata, path).with_context(|| format!("writing {}", path.display()))
}
