//! What stages compute with: checkpoints, backbones and their kernels. Beside `stages`, the only user of tch.
//!
//! A checkpoint becomes plain bytes (`checkpoint`), the bytes a [`Network`], and the part of it below the thaw line a
//! [`Frozen`] with its normalisation folded away. Knows nothing of stages, artifact folders or the engine.

pub mod checkpoint;
mod extractor;
mod fold;
mod init;
mod network;
mod pixels;
#[cfg(test)]
mod tests;

pub use extractor::{BATCH, Extractor};
pub use fold::Frozen;
pub use network::{Network, classifier, from_data, to_data};
pub use pixels::{pixels_to_input, pool};
