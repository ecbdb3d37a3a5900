//! Checkpoint files as plain data: named tensors as little-endian bytes (which are also this machine's). No tch, and nothing
//! that a file says is ever executed.

mod archive;
mod budget;
mod fit;
mod globals;
#[cfg(test)]
mod hostile;
mod npz;
mod pickle;
mod strided;
#[cfg(test)]
mod tests;
mod torch;
mod torch_save;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use thawline::backbones::weights;

use self::{archive::Archive, budget::Budget};
pub use self::{
    fit::{adapted, difference},
    torch_save::write as write_torch,
};

/// Convolution weights have 4 dimensions.
const MAX_RANK: usize = 8;
/// What the reader of safetensors makes of a byte of the header, at most.
const BYTES_OF_HEADER: usize = 12;

/// Element type of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F32,
    F64,
    F16,
    Bf16,
    I64,
    I32,
    U8,
    Bool,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::U8 | Dtype::Bool => 1,
        }
    }

    fn of_safetensors(dtype: safetensors::Dtype) -> Option<Dtype> {
        Some(match dtype {
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F64 => Dtype::F64,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::Bf16,
            safetensors::Dtype::I64 => Dtype::I64,
            safetensors::Dtype::I32 => Dtype::I32,
            safetensors::Dtype::U8 => Dtype::U8,
            safetensors::Dtype::BOOL => Dtype::Bool,
            _ => return None,
        })
    }

    fn to_safetensors(self) -> safetensors::Dtype {
        match self {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::F64 => safetensors::Dtype::F64,
            Dtype::F16 => safetensors::Dtype::F16,
            Dtype::Bf16 => safetensors::Dtype::BF16,
            Dtype::I64 => safetensors::Dtype::I64,
            Dtype::I32 => safetensors::Dtype::I32,
            Dtype::U8 => safetensors::Dtype::U8,
            Dtype::Bool => safetensors::Dtype::BOOL,
        }
    }
}

/// One tensor: row-major, little-endian, without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorData {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl TensorData {
    /// Values in row-major order; `shape` must hold as many.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> TensorData {
        TensorData { dtype: Dtype::F32, shape, bytes: bytemuck::cast_slice(values).to_vec() }
    }
}

/// Named tensors of a checkpoint.
pub type Tensors = BTreeMap<String, TensorData>;

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

/// [`read`] on bytes in memory.
pub fn parse(bytes: &[u8]) -> Result<Tensors> {
    let budget = &mut Budget::new(bytes.len());
    let tensors = if bytes.starts_with(b"PK\x03\x04") {
        let archive = Archive::open(bytes, budget)?;
        if archive.names().any(|name| name.ends_with(".npy")) {
            npz::parse(archive, budget)?
        } else {
            torch::parse_zip(archive, budget)?
        }
    } else if is_safetensors(bytes) {
        parse_safetensors(bytes, budget)?
    } else if bytes.starts_with(b"\x80") {
        torch::parse_legacy(bytes, budget)?
    } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        bail!(
            "is a Keras or HDF5 file, which is not read: Keras' networks have other names, layouts and padding than the \
             backbones here. Convert it to a PyTorch model of the same architecture and save its state_dict"
        );
    } else {
        bail!("is neither safetensors nor a checkpoint of torch.save nor an .npz");
    };
    Ok(without_module_prefix(tensors))
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

/// A length that fits, then a JSON object.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    rest.first() == Some(&b'{') && u64::from_le_bytes(*length) <= rest.len() as u64
}

fn parse_safetensors(bytes: &[u8], budget: &mut Budget) -> Result<Tensors> {
    // The header is parsed before anything can be asked: into some ten times as much as its text.
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    budget.charge(header.saturating_mul(BYTES_OF_HEADER))?;
    let file = safetensors::SafeTensors::deserialize(bytes)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let dtype = Dtype::of_safetensors(view.dtype())
            .with_context(|| format!("`{name}` has type {:?}, which no backbone here uses", view.dtype()))?;
        budget.charge(view.data().len())?;
        let data = TensorData { dtype, shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        tensors.insert(name.to_string(), data);
    }
    Ok(tensors)
}

/// `torch.nn.DataParallel` puts `module.` before every name.
fn without_module_prefix(tensors: Tensors) -> Tensors {
    if tensors.keys().any(|name| !name.starts_with("module.")) {
        return tensors;
    }
    tensors.into_iter().map(|(name, data)| (name["module.".len()..].to_string(), data)).collect()
}
