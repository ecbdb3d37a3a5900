//! Checkpoint files as plain data: named tensors as little-endian bytes (which are also this machine's). No tch, and nothing
//! that a file says is ever executed.

mod pickle;
#[cfg(test)]
mod tests;
mod torch;

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail};

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

/// Reads a checkpoint, whatever its ending says: safetensors, or what `torch.save` wrote, as a zip or in the older format.
pub fn read(path: &Path) -> Result<Tensors> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&bytes).with_context(|| format!("reading {}", path.display()))
}

/// [`read`] on bytes in memory.
pub fn parse(bytes: &[u8]) -> Result<Tensors> {
    let tensors = if bytes.starts_with(b"PK\x03\x04") {
        torch::parse_zip(bytes)?
    } else if is_safetensors(bytes) {
        parse_safetensors(bytes)?
    } else if bytes.starts_with(b"\x80") {
        torch::parse_legacy(bytes)?
    } else {
        bail!("is neither safetensors nor a checkpoint of torch.save");
    };
    Ok(without_module_prefix(tensors))
}

/// Writes tensors as safetensors, in name order.
pub fn write<'a>(path: &Path, tensors: impl IntoIterator<Item = (&'a String, &'a TensorData)>) -> Result<()> {
    let mut views = Vec::new();
    for (name, data) in tensors {
        let view = safetensors::tensor::TensorView::new(data.dtype.to_safetensors(), data.shape.clone(), &data.bytes)?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize_to_file(views, None, path).with_context(|| format!("writing {}", path.display()))
}

/// A length that fits, then a JSON object.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    rest.first() == Some(&b'{') && u64::from_le_bytes(*length) <= rest.len() as u64
}

fn parse_safetensors(bytes: &[u8]) -> Result<Tensors> {
    let file = safetensors::SafeTensors::deserialize(bytes)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let dtype = Dtype::of_safetensors(view.dtype())
            .with_context(|| format!("`{name}` has type {:?}, which no backbone here uses", view.dtype()))?;
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
