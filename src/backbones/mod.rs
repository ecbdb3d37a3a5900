//! What a backbone is: plain data that `spec` and `plan` read without tch, and that `nn` interprets.
//!
//! A backbone is an ordered list of named blocks (its freeze points), each a list of layers whose parameter names are those
//! of the published checkpoint. Counts, shapes and widths derive from the list; the forward pass is written once, in `nn`.

pub mod efficientnet_lite;
pub mod resnet;
pub mod weights;

use std::sync::LazyLock;

use anyhow::{Context, Result};

/// One operation. `name` is the prefix of its parameters in the checkpoint, for example `layer1.0.conv1`.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// `{name}.weight` [outputs, inputs / groups, kernel, kernel] and, with `bias`, `{name}.bias`.
    Conv {
        name: String,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: Padding,
        groups: usize,
        bias: bool,
    },
    /// `{name}.weight`, `.bias`, `.running_mean`, `.running_var` [channels], and `.num_batches_tracked`.
    BatchNorm {
        name: String,
        channels: usize,
        eps: f64,
        momentum: f64,
    },
    Relu,
    Relu6,
    MaxPool {
        kernel: usize,
        stride: usize,
        padding: usize,
    },
    /// `body(x) + shortcut(x)`; an empty shortcut is the identity.
    Residual {
        body: Vec<Layer>,
        shortcut: Vec<Layer>,
    },
}

/// Zero padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The same on every side, as PyTorch's `padding=`.
    Symmetric(usize),
    /// TensorFlow's "SAME": the output has ceil(input / stride) positions, the odd pixel goes right and below.
    TensorflowSame,
}

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
    /// SHA-256 of the file, or its first eight hex digits where the publisher gives only those.
    pub sha256: &'static str,
    /// Where a person gets it.
    pub source: &'static str,
}

/// A named architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Backbone {
    pub name: &'static str,
    pub blocks: Vec<Block>,
    /// Prefix of the published ImageNet classifier's parameters (`fc`): `{classifier}.weight` [1000, channels], `.bias`.
    pub classifier: &'static str,
    pub preprocessing: Preprocessing,
    pub published: Vec<Published>,
}

/// One tensor of a backbone.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    pub name: String,
    pub shape: Vec<usize>,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    ConvWeight,
    ConvBias,
    NormWeight,
    NormBias,
    RunningMean,
    RunningVar,
}

impl Role {
    /// Running statistics are state, not parameters.
    pub fn is_parameter(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVar)
    }

    pub fn is_norm(self) -> bool {
        !matches!(self, Role::ConvWeight | Role::ConvBias)
    }
}

impl Block {
    /// Every tensor of the block, in forward order. `num_batches_tracked` is not among them: nothing here reads it.
    pub fn tensors(&self) -> Vec<ParameterSpec> {
        let mut out = Vec::new();
        collect_tensors(&self.layers, &mut out);
        out
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

fn collect_tensors(layers: &[Layer], out: &mut Vec<ParameterSpec>) {
    for layer in layers {
        match layer {
            Layer::Conv { name, inputs, outputs, kernel, groups, bias, .. } => {
                let shape = vec![*outputs, inputs / groups, *kernel, *kernel];
                out.push(ParameterSpec { name: format!("{name}.weight"), shape, role: Role::ConvWeight });
                if *bias {
                    out.push(ParameterSpec {
                        name: format!("{name}.bias"),
                        shape: vec![*outputs],
                        role: Role::ConvBias,
                    });
                }
            }
            Layer::BatchNorm { name, channels, .. } => {
                for (suffix, role) in [
                    ("weight", Role::NormWeight),
                    ("bias", Role::NormBias),
                    ("running_mean", Role::RunningMean),
                    ("running_var", Role::RunningVar),
                ] {
                    out.push(ParameterSpec { name: format!("{name}.{suffix}"), shape: vec![*channels], role });
                }
            }
            Layer::Residual { body, shortcut } => {
                collect_tensors(body, out);
                collect_tensors(shortcut, out);
            }
            Layer::Relu | Layer::Relu6 | Layer::MaxPool { .. } => {}
        }
    }
}

impl Backbone {
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

static REGISTRY: LazyLock<Vec<Backbone>> = LazyLock::new(|| vec![resnet::resnet18(), efficientnet_lite::lite0()]);

/// Every backbone, in the order it is listed to people.
pub fn all() -> &'static [Backbone] {
    &REGISTRY
}

/// The backbone of that name.
pub fn find(name: &str) -> Option<&'static Backbone> {
    all().iter().find(|b| b.name == name)
}

/// [`find`], or an error that lists the names there are.
pub fn named(name: &str) -> Result<&'static Backbone> {
    let names = || all().iter().map(|b| b.name).collect::<Vec<_>>().join(", ");
    find(name).with_context(|| format!("no backbone `{name}`; there are: {}", names()))
}

static IMAGENET_CLASSES: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("imagenet_classes.txt").lines().collect());

/// The 1000 ImageNet classes in the order of published classifiers, in torchvision's wording.
pub fn imagenet_classes() -> &'static [&'static str] {
    &IMAGENET_CLASSES
}
