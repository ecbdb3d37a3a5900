//! Any network as a backbone: what `torch.jit.save` wrote, as one block, frozen or trained whole.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Backbone, Block, parts::imagenet_images, weights::Wanted};

/// The entry that stands for them all in `BackboneSpec::backbone`; not among those that people list. What it computes, how wide
/// its output is, and which tensors it has, only the file says: their names are those of its state, after `network.`.
pub static TORCHSCRIPT: LazyLock<Backbone> = LazyLock::new(|| Backbone {
    name: "torchscript",
    family: "torchscript",
    blocks: vec![Block::new("network", 0, Vec::new())],
    classifier: "head",
    preprocessing: imagenet_images(256, 224, "bilinear"),
    ..Backbone::DEFAULT
});

/// What people write at `backbone:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Chosen {
    /// A name of `thawline models`.
    Name(String),
    Torchscript(Torchscript),
}

/// A network that `torch.jit.save` wrote: images [n, 3, height, width] to features [n, d] or [n, channels, height, width].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Torchscript {
    /// The file's path relative to the project's root, or its address, as in `weights`.
    pub torchscript: Wanted,
}

impl Chosen {
    /// Its entry's name.
    pub fn name(&self) -> &str {
        match self {
            Chosen::Name(name) => name,
            Chosen::Torchscript(_) => TORCHSCRIPT.name,
        }
    }

    /// Where its weights come from; `given` are those beside a name.
    pub fn weights<'a>(&'a self, given: Option<&'a Wanted>) -> Option<&'a Wanted> {
        match self {
            Chosen::Name(_) => given,
            Chosen::Torchscript(script) => Some(&script.torchscript),
        }
    }
}
