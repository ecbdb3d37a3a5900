//! What stages compute with: checkpoints, backbones, heads, optimisers and their kernels. Beside `stages`, the only user of
//! tch.
//!
//! A checkpoint becomes plain bytes (`checkpoint`), the bytes a [`Network`], and the part of it below the thaw line a
//! frozen prefix with its normalisation folded away. On top stands a [`Head`], trained on features by a [`HeadPack`] or,
//! with backbone blocks, by a [`Trainer`]. Knows nothing of artifact folders or the engine.

mod attention;
pub mod checkpoint;
pub mod device;
mod extractor;
mod fold;
mod forward;
mod head;
mod images;
mod init;
mod loss;
mod memory;
mod network;
mod optimizer;
mod pack;
pub mod pixels;
mod script;
#[cfg(test)]
mod tests;
mod train;

pub use extractor::{BATCH, Extractor};
pub use head::{Head, gather};
pub use images::{Below, Divided, Images, stored_values};
pub use loss::{Batch, Score, Targets, class_weights};
pub use memory::keep_freed_memory;
pub use network::{Classifier, Network, from_data, to_data};
pub use pack::HeadPack;
pub use train::Trainer;
