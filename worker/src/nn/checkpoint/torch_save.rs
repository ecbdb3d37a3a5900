//! Writes what `torch.save(state_dict)` would: a zip archive of one pickle and one file a storage.

use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
};

use anyhow::{Context, Result};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Dtype, TensorData};

/// As `torch.save` aligns storages, so that they can be mapped into memory.
const ALIGNMENT: u16 = 64;

/// Writes tensors, in their order, as an `OrderedDict` that `torch.load(weights_only=True)` takes. `metadata` becomes its
/// attribute `thawline`, where `load_state_dict` does not see it.
pub fn write(path: &Path, tensors: &[(String, TensorData)], metadata: &str) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    archive(file, tensors, metadata).with_context(|| format!("writing {}", path.display()))
}

fn archive(file: impl Write + Seek, tensors: &[(String, TensorData)], metadata: &str) -> Result<()> {
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(ALIGNMENT);
    let mut add = |name: &str, content: &[u8]| -> Result<()> {
        // Entries beyond 4 GB are of another kind, which has to be known beforehand.
        let large = content.len() >= u32::MAX as usize;
        zip.start_file(format!("archive/{name}"), options.large_file(large))?;
        Ok(zip.write_all(content)?)
    };
    add("data.pkl", &pickle(tensors, metadata))?;
    add("byteorder", b"little")?;
    for (i, (_, tensor)) in tensors.iter().enumerate() {
        add(&format!("data/{i}"), &tensor.bytes)?;
    }
    add("version", b"3\n")?;
    zip.finish()?.flush()?;
    Ok(())
}

/// `OrderedDict(name=_rebuild_tensor_v2(...), ...)`, in protocol 2.
fn pickle(tensors: &[(String, TensorData)], metadata: &str) -> Vec<u8> {
    let mut out = Pickler(b"\x80\x02".to_vec());
    out.global("collections", "OrderedDict").raw(b")R(");
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        let elements = tensor.bytes.len() / tensor.dtype.size();
        out.text(name).global("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage");
        out.global("torch", storage(tensor.dtype)).text(&i.to_string()).text("cpu").integer(elements).raw(b"tQ");
        out.integer(0).integers(&tensor.shape).integers(&strides(&tensor.shape));
        // requires_grad, and hooks: none.
        out.raw(b"\x89").global("collections", "OrderedDict").raw(b")RtR");
    }
    // The items, then the attributes.
    out.raw(b"u}").text("thawline").text(metadata).raw(b"sb.");
    out.0
}

struct Pickler(Vec<u8>);

impl Pickler {
    fn raw(&mut self, bytes: &[u8]) -> &mut Pickler {
        self.0.extend_from_slice(bytes);
        self
    }

    fn global(&mut self, module: &str, name: &str) -> &mut Pickler {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    fn text(&mut self, text: &str) -> &mut Pickler {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    fn integer(&mut self, value: usize) -> &mut Pickler {
        match i32::try_from(value) {
            Ok(value) => self.raw(b"J").raw(&value.to_le_bytes()),
            Err(_) => self.raw(b"\x8a\x08").raw(&(value as u64).to_le_bytes()),
        }
    }

    fn integers(&mut self, values: &[usize]) -> &mut Pickler {
        self.raw(b"(");
        values.iter().for_each(|&value| {
            self.integer(value);
        });
        self.raw(b"t")
    }
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|d| shape[d + 1..].iter().product()).collect()
}

fn storage(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "FloatStorage",
        Dtype::F64 => "DoubleStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::Bf16 => "BFloat16Storage",
        Dtype::I64 => "LongStorage",
        Dtype::I32 => "IntStorage",
        Dtype::U8 => "ByteStorage",
        Dtype::Bool => "BoolStorage",
    }
}
