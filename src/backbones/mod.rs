//! What a backbone is: plain data that `spec` and `plan` read without tch, and that `nn` interprets.
//!
//! A backbone is an ordered list of named blocks (its freeze points), each a list of [`Layer`]s whose parameter names are those
//! of the published checkpoint. Counts, shapes and costs derive from the list; the forward pass is written once, in `nn`.
//! One file a family, its members rows of a table; what families share is in `parts`.

mod alexnet;
mod convnext;
mod densenet;
mod efficientnet;
mod efficientnet_lite;
mod layer;
mod mobilenet;
mod parts;
mod regnet;
mod resnet;
mod shape;
mod shufflenet;
mod squeezenet;
mod swin;
mod torchscript;
mod vgg;
mod vit;
pub mod weights;

use std::sync::LazyLock;

use anyhow::{Context, Result};

pub use layer::{Activation, Attention, Layer, Padding, ParameterSpec, Resampling, Role, Tokens, WindowAttention};
pub use shape::Shape;
pub use torchscript::{Chosen, TORCHSCRIPT, Torchscript};

use crate::artifact::model::Pooling;

/// A freeze point.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub name: String,
    pub layers: Vec<Layer>,
    /// Channels of its output.
    pub channels: usize,
}

/// How published weights expect their images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocessing {
    pub resize: u32,
    pub crop: u32,
    /// `bilinear` or `bicubic`.
    pub interpolation: &'static str,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// A published checkpoint, known by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What `weights:` calls it, `imagenet` for example.
    pub name: &'static str,
    /// Its file name in the cache folder's `weights/`.
    pub file: &'static str,
    /// SHA-256 of the file, or its first eight hex digits where the publisher gives only those; empty where it gives none.
    pub sha256: &'static str,
    /// Where a person gets it.
    pub source: &'static str,
}

/// A named architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Backbone {
    pub name: &'static str,
    /// Those of one family differ only in numbers.
    pub family: &'static str,
    pub blocks: Vec<Block>,
    /// Prefix of the published ImageNet classifier's parameters (`fc`): `{classifier}.weight` [1000, channels], `.bias`. Weights
    /// that come without one have none under this name; a trained head goes there.
    pub classifier: &'static str,
    /// The published classifier is a 1x1 convolution and ReLU before pooling; its weight is [1000, channels, 1, 1].
    pub classifies_positions: bool,
    /// How its output becomes a feature row unless someone asks for another way.
    pub pooling: Pooling,
    pub initialization: Initialization,
    pub preprocessing: Preprocessing,
    pub published: Vec<Published>,
    /// Parts of tensor names that published files still have in an older form: (now, in the file).
    pub renamed: &'static [(&'static str, &'static str)],
}

/// Random initialisation of kernels and matrices, in the terms of `torch.nn.init`. Biases start at 0, norms at the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialization {
    /// `kaiming_normal_(mode="fan_out")`; linear layers normal with standard deviation 0.01.
    HeFanOut,
    /// `kaiming_normal_`.
    HeFanIn,
    /// `kaiming_uniform_`.
    HeUniform,
    /// Uniform in ±1/sqrt(fan_in), as `nn.Conv2d` and `nn.Linear` begin.
    FanIn,
    /// Normal with standard deviation 0.02, embeddings of tokens too.
    Transformer,
}

impl Block {
    fn new(name: impl Into<String>, channels: usize, layers: Vec<Layer>) -> Block {
        Block { name: name.into(), layers, channels }
    }

    /// Every tensor of the block, in forward order. `num_batches_tracked` is not among them: nothing here reads it.
    pub fn tensors(&self) -> Vec<ParameterSpec> {
        layer::tensors(&self.layers)
    }

    /// Trainable parameters (no running statistics).
    pub fn parameters(&self) -> u64 {
        count(&self.tensors(), |role| role.is_parameter())
    }

    /// Trainable parameters of its normalisation layers alone.
    pub fn norm_parameters(&self) -> u64 {
        count(&self.tensors(), |role| role.is_parameter() && role.is_norm())
    }
}

fn count(tensors: &[ParameterSpec], keep: impl Fn(Role) -> bool) -> u64 {
    tensors.iter().filter(|t| keep(t.role)).map(|t| t.shape.iter().product::<usize>() as u64).sum()
}

impl Backbone {
    /// What most have in common.
    const DEFAULT: Backbone = Backbone {
        name: "",
        family: "",
        blocks: Vec::new(),
        classifier: "",
        classifies_positions: false,
        pooling: Pooling::Avg,
        initialization: Initialization::HeFanOut,
        preprocessing: Preprocessing { resize: 0, crop: 0, interpolation: "", mean: [0.0; 3], std: [1.0; 3] },
        published: Vec::new(),
        renamed: &[],
    };

    pub fn block_names(&self) -> Vec<&str> {
        self.blocks.iter().map(|b| b.name.as_str()).collect()
    }

    /// Position of a block in forward order.
    pub fn block_index(&self, name: &str) -> Option<usize> {
        self.blocks.iter().position(|b| b.name == name)
    }

    /// Channels of the last block's output.
    pub fn channels(&self) -> usize {
        self.blocks.last().map_or(3, |b| b.channels)
    }

    pub fn parameters(&self) -> u64 {
        self.blocks.iter().map(Block::parameters).sum()
    }
}

/// The members of each family.
const FAMILIES: [fn() -> Vec<Backbone>; 13] = [
    resnet::members,
    efficientnet_lite::members,
    efficientnet::members,
    mobilenet::members,
    vgg::members,
    alexnet::members,
    squeezenet::members,
    densenet::members,
    shufflenet::members,
    regnet::members,
    convnext::members,
    vit::members,
    swin::members,
];

static REGISTRY: LazyLock<Vec<Backbone>> = LazyLock::new(|| FAMILIES.iter().flat_map(|members| members()).collect());

/// Every backbone, in the order it is listed to people.
pub fn all() -> &'static [Backbone] {
    &REGISTRY
}

/// The backbone of that name; also [`TORCHSCRIPT`].
pub fn find(name: &str) -> Option<&'static Backbone> {
    all().iter().chain([&*TORCHSCRIPT]).find(|b| b.name == name)
}

/// [`find`], or an error that lists the names there are.
pub fn named(name: &str) -> Result<&'static Backbone> {
    find(name).with_context(|| {
        let names: Vec<&str> = all().iter().map(|backbone| backbone.name).collect();
        let near = names.iter().min_by_key(|near| strsim::osa_distance(near, name));
        let near = near.filter(|near| strsim::osa_distance(near, name) <= 3);
        let near = near.map_or(String::new(), |near| format!(" Did you mean `{near}`?"));
        format!("no backbone `{name}`.{near} There are: {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests;

static IMAGENET_CLASSES: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("imagenet_classes.txt").lines().collect());

/// The 1000 ImageNet classes in the order of published classifiers, in torchvision's wording.
pub fn imagenet_classes() -> &'static [&'static str] {
    &IMAGENET_CLASSES
}
