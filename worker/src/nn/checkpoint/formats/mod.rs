//! The formats of checkpoint files, told apart by content. Reads bytes and knows nothing else of thawline, so that fuzz/ can build
//! it alone.

mod archive;
mod budget;
mod globals;
mod npz;
mod pickle;
mod strided;
mod torch;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use self::{archive::Archive, budget::Budget};

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

    pub fn to_safetensors(self) -> safetensors::Dtype {
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

/// Reads a checkpoint's bytes: safetensors, what `torch.save` wrote, as a zip or in the older format, or numpy's `.npz`.
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
