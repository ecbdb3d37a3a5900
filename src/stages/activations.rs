//! `activations`: what the frozen blocks below a thaw line make of images, once. No stage of its own: lowering puts one under
//! every phase of a `fine_tune` that has frozen blocks, and the engine makes it where reading it back is cheaper than
//! running those blocks in every epoch. It is never part of a reader's key: with it or without, bits are the same.

use super::{ArtifactType, Kind};
use crate::artifact::model::BackboneSpec;

pub const VERSION: u32 = 1;

/// Not in the registry: nobody writes it.
pub static KIND: Kind = Kind {
    name: "activations",
    version: VERSION,
    bitwise: false,
    seeded: false,
    makes: ArtifactType::Features,
    summary: "runs the frozen blocks below a thaw line, once an image and view",
    schema: || serde_json::Value::Null,
};

/// One node: one `Views` artifact through the blocks up to the cut, which is the last frozen one; pooling is not applied.
/// Inputs: `views`, and `model` when some of these blocks were trained before they were frozen. Sources: `weights` unless
/// they are random.
pub type Work = BackboneSpec;
