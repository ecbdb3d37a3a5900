//! Whatever bytes a checkpoint has, reading it ends without a panic. Start from tests/reference/checkpoints:
//! `cargo +nightly fuzz run checkpoint fuzz/corpus/checkpoint tests/reference/checkpoints`

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports)]
#[path = "../../worker/src/nn/checkpoint/mod.rs"]
mod checkpoint;

fuzz_target!(|bytes: &[u8]| drop(checkpoint::parse(bytes)));
