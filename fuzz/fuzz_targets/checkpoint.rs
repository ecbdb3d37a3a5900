//! Whatever bytes a checkpoint has, reading it ends without a panic: `make fuzz`, which starts from tests/reference/checkpoints.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports)]
#[path = "../../worker/src/nn/checkpoint/formats/mod.rs"]
mod formats;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensors) = formats::parse(bytes) {
        for tensor in tensors.values() {
            let elements: usize = tensor.shape.iter().product();
            assert_eq!(elements * tensor.dtype.size(), tensor.bytes.len());
        }
    }
});
