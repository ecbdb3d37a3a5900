//! The globals that a pickle of `torch.save` may name. They are told apart by name, never looked up, called or built.

use anyhow::{Result, bail};

use super::Dtype;

/// The globals that tensors need.
#[derive(Debug, Clone, Copy)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Storage(Dtype),
    /// A harmless kind of thing that training scripts save beside the tensors: settings, scores, dates. Nothing is made of it.
    Inert,
}

/// Modules of such things. Their names are only told from others: nothing of them is looked up, called or built.
const INERT: [&str; 13] = [
    "argparse",
    "numpy",
    "_codecs",
    "pathlib",
    "datetime",
    "omegaconf",
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "fractions",
    "decimal",
    "typing",
];

impl Global {
    /// What a pickle means by `module.name`; everything that is not listed here is refused.
    pub fn find(module: &str, name: &str) -> Result<Global> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::Storage(Dtype::F32),
            ("torch", "DoubleStorage") => Global::Storage(Dtype::F64),
            ("torch", "HalfStorage") => Global::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Global::Storage(Dtype::Bf16),
            ("torch", "LongStorage") => Global::Storage(Dtype::I64),
            ("torch", "IntStorage") => Global::Storage(Dtype::I32),
            ("torch", "ByteStorage") => Global::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Global::Storage(Dtype::Bool),
            ("torch", "device" | "Size" | "float16" | "float32" | "bfloat16")
            | ("torch.torch_version", "TorchVersion")
            | ("collections", "defaultdict" | "Counter")
            | ("builtins" | "__builtin__", "set" | "frozenset" | "dict" | "list" | "int" | "float" | "bytearray") => {
                Global::Inert
            }
            _ if module.split('.').next().is_some_and(|package| INERT.contains(&package)) => Global::Inert,
            _ => {
                let full: String = format!("{module}.{name}").escape_debug().take(120).collect();
                bail!(
                    "refuses `{full}`: a checkpoint may hold only tensors in dictionaries (save `model.state_dict()`)"
                )
            }
        })
    }
}
