//! The vocabulary that backbones are written in. What each word computes is in the worker's `nn/forward.rs`.
//!
//! A layer works on a map [n, channels, height, width], on tokens [n, tokens, channels] of which the first is the class
//! token, or on a vector [n, channels]. `name` is the prefix of its parameters in the checkpoint (`layer1.0.conv1`), unless
//! the layer says that it is the whole name.

/// One operation.
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
    /// `{name}.weight` [outputs, inputs] and, with `bias`, `{name}.bias`; at every position by itself.
    Linear {
        name: String,
        inputs: usize,
        outputs: usize,
        bias: bool,
    },
    /// `x @ name`, the whole name of a matrix [inputs, outputs]; at every position by itself.
    Projection {
        name: String,
        inputs: usize,
        outputs: usize,
    },
    /// `{name}.weight`, `.bias`, `.running_mean`, `.running_var` [channels], and `.num_batches_tracked`.
    BatchNorm {
        name: String,
        channels: usize,
        eps: f64,
        momentum: f64,
    },
    /// `{name}.weight`, `.bias` [channels]: over the channels of every position.
    LayerNorm {
        name: String,
        channels: usize,
        eps: f64,
    },
    /// A trained factor on every channel; `name` is whole. Its shape is `[channels]`, or `[channels, 1, 1]` with `map`.
    LayerScale {
        name: String,
        channels: usize,
        map: bool,
    },
    Activation(Activation),
    MaxPool {
        kernel: usize,
        stride: usize,
        padding: usize,
        ceil: bool,
    },
    AvgPool {
        kernel: usize,
        stride: usize,
    },
    /// To `size` x `size` positions, whatever came in.
    AdaptiveAvgPool {
        size: usize,
    },
    /// A map to a vector, channel by channel.
    Flatten,
    /// `body(x) + shortcut(x)`; an empty shortcut is the identity.
    Residual {
        body: Vec<Layer>,
        shortcut: Vec<Layer>,
    },
    /// `x * body(x)`: squeeze-and-excitation.
    Gate {
        body: Vec<Layer>,
    },
    /// The channels of every branch of x, side by side; an empty branch is the identity.
    Concat {
        branches: Vec<Vec<Layer>>,
    },
    /// `count` channels from `start` on.
    Channels {
        start: usize,
        count: usize,
    },
    /// Channels [groups, channels / groups] transposed.
    ChannelShuffle {
        groups: usize,
    },
    /// 2 x 2 neighbours become 4 x the channels, column by column; an odd size is filled up with zeros.
    SpaceToDepth,
    /// A map to tokens, row by row, behind a class token and with position embeddings added.
    Tokens(Tokens),
    /// Multi-head self-attention among all tokens.
    Attention(Attention),
    /// Multi-head self-attention inside windows of a map.
    WindowAttention(WindowAttention),
}

/// Zero padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// The same on every side, as PyTorch's `padding=`.
    Symmetric(usize),
    /// TensorFlow's "SAME": the output has ceil(input / stride) positions, the odd pixel goes right and below.
    TensorflowSame,
    /// None, and the input must divide into whole strides: patches of an image.
    Whole,
}

/// In PyTorch's definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Relu,
    Relu6,
    Silu,
    Sigmoid,
    Hardswish,
    Hardsigmoid,
    /// With the error function, not its approximation by tanh.
    Gelu,
    /// `x * sigmoid(1.702 x)`, as in OpenAI's CLIP.
    QuickGelu,
}

/// `class_token` [1, 1, width] and `positions` [1, 1 + grid x grid, width], whole names. Without `leading` the shapes lack
/// the first 1 or, of the class token, both.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    pub class_token: String,
    pub positions: String,
    pub width: usize,
    /// Patches along one side at the size that the weights were trained at.
    pub grid: usize,
    pub leading: bool,
    /// How the embeddings of patches follow another grid, always bicubic.
    pub resampling: Resampling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// Corner patches stay on corners: torchvision's `interpolate_embeddings`.
    AlignedCorners,
    /// Antialiased: timm's `resample_abs_pos_embed` and OpenCLIP's `resize_pos_embed`.
    Antialiased,
}

/// `{qkv}weight` [3 x width, width] and `{qkv}bias`, then `{output}.weight` [width, width] and `{output}.bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// With what separates it from `weight`: `attn.qkv.` in timm, `self_attention.in_proj_` in PyTorch.
    pub qkv: String,
    pub output: String,
    pub width: usize,
    pub heads: usize,
}

/// [`Attention`] inside windows of `window` x `window` positions, moved by `shift` against the map, with
/// `relative_positions` [(2 window - 1)^2, heads] (a whole name) added to the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowAttention {
    pub attention: Attention,
    pub relative_positions: String,
    pub window: usize,
    pub shift: usize,
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
    /// Of a [`Layer::Linear`], [outputs, inputs].
    LinearWeight,
    /// Of a [`Layer::Projection`], [inputs, outputs].
    ProjectionWeight,
    /// Of a convolution or a linear layer.
    Bias,
    NormWeight,
    NormBias,
    RunningMean,
    RunningVar,
    LayerScale,
    /// A class token, position embeddings, or biases by relative position.
    Embedding,
    /// Of a TorchScript module: state that no one trains, or a parameter under a second name.
    Buffer,
}

impl Role {
    /// Running statistics are state, not parameters.
    pub fn is_parameter(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVar | Role::Buffer)
    }

    /// Whether it is of batch or layer normalisation.
    pub fn is_norm(self) -> bool {
        matches!(self, Role::NormWeight | Role::NormBias | Role::RunningMean | Role::RunningVar)
    }

    /// Whether weight decay is for it: a matrix or a kernel, no bias, norm, factor or embedding.
    pub fn decays(self) -> bool {
        matches!(self, Role::ConvWeight | Role::LinearWeight | Role::ProjectionWeight)
    }
}

impl Layer {
    pub fn conv(name: impl Into<String>, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Layer {
        let padding = Padding::Symmetric(kernel / 2);
        Layer::Conv { name: name.into(), inputs, outputs, kernel, stride, padding, groups: 1, bias: false }
    }

    /// The same convolution with a bias.
    pub fn with_bias(mut self) -> Layer {
        if let Layer::Conv { bias, .. } = &mut self {
            *bias = true;
        }
        self
    }

    /// One vector a patch of `size` x `size`: a convolution whose stride is its kernel.
    pub fn patches(name: impl Into<String>, inputs: usize, outputs: usize, size: usize, padding: Padding) -> Layer {
        Layer::Conv { name: name.into(), inputs, outputs, kernel: size, stride: size, padding, groups: 1, bias: true }
    }

    pub fn linear(name: impl Into<String>, inputs: usize, outputs: usize) -> Layer {
        Layer::Linear { name: name.into(), inputs, outputs, bias: true }
    }

    pub fn layer_norm(name: impl Into<String>, channels: usize, eps: f64) -> Layer {
        Layer::LayerNorm { name: name.into(), channels, eps }
    }

    /// Its own tensors, in the checkpoint's order; not those of layers inside it.
    pub fn own_tensors(&self) -> Vec<ParameterSpec> {
        let spec = |name: String, shape: Vec<usize>, role: Role| ParameterSpec { name, shape, role };
        match self {
            Layer::Conv { name, inputs, outputs, kernel, groups, bias, .. } => {
                let shape = vec![*outputs, inputs / groups, *kernel, *kernel];
                let mut tensors = vec![spec(format!("{name}.weight"), shape, Role::ConvWeight)];
                tensors.extend(bias.then(|| spec(format!("{name}.bias"), vec![*outputs], Role::Bias)));
                tensors
            }
            Layer::Linear { name, inputs, outputs, bias } => {
                let mut tensors = vec![spec(format!("{name}.weight"), vec![*outputs, *inputs], Role::LinearWeight)];
                tensors.extend(bias.then(|| spec(format!("{name}.bias"), vec![*outputs], Role::Bias)));
                tensors
            }
            Layer::Projection { name, inputs, outputs } => {
                vec![spec(name.clone(), vec![*inputs, *outputs], Role::ProjectionWeight)]
            }
            Layer::BatchNorm { name, channels, .. } => [
                ("weight", Role::NormWeight),
                ("bias", Role::NormBias),
                ("running_mean", Role::RunningMean),
                ("running_var", Role::RunningVar),
            ]
            .map(|(suffix, role)| spec(format!("{name}.{suffix}"), vec![*channels], role))
            .to_vec(),
            Layer::LayerNorm { name, channels, .. } => [("weight", Role::NormWeight), ("bias", Role::NormBias)]
                .map(|(suffix, role)| spec(format!("{name}.{suffix}"), vec![*channels], role))
                .to_vec(),
            Layer::LayerScale { name, channels, map } => {
                let shape = if *map { vec![*channels, 1, 1] } else { vec![*channels] };
                vec![spec(name.clone(), shape, Role::LayerScale)]
            }
            Layer::Tokens(Tokens { class_token, positions, width, grid, leading, .. }) => {
                let count = 1 + grid * grid;
                let (class_shape, position_shape) = if *leading {
                    (vec![1, 1, *width], vec![1, count, *width])
                } else {
                    (vec![*width], vec![count, *width])
                };
                vec![
                    spec(class_token.clone(), class_shape, Role::Embedding),
                    spec(positions.clone(), position_shape, Role::Embedding),
                ]
            }
            Layer::Attention(attention) => attention.tensors(),
            Layer::WindowAttention(WindowAttention { attention, relative_positions, window, .. }) => {
                let shape = vec![(2 * window - 1).pow(2), attention.heads];
                let mut tensors = attention.tensors();
                tensors.push(spec(relative_positions.clone(), shape, Role::Embedding));
                tensors
            }
            Layer::Activation(_)
            | Layer::MaxPool { .. }
            | Layer::AvgPool { .. }
            | Layer::AdaptiveAvgPool { .. }
            | Layer::Flatten
            | Layer::Residual { .. }
            | Layer::Gate { .. }
            | Layer::Concat { .. }
            | Layer::Channels { .. }
            | Layer::ChannelShuffle { .. }
            | Layer::SpaceToDepth => Vec::new(),
        }
    }

    /// The lists of layers inside it.
    pub fn inside(&self) -> Vec<&[Layer]> {
        match self {
            Layer::Residual { body, shortcut } => vec![body, shortcut],
            Layer::Gate { body } => vec![body],
            Layer::Concat { branches } => branches.iter().map(Vec::as_slice).collect(),
            _ => Vec::new(),
        }
    }
}

impl Attention {
    fn tensors(&self) -> Vec<ParameterSpec> {
        let Attention { qkv, output, width, .. } = self;
        let spec = |name: String, shape: Vec<usize>, role: Role| ParameterSpec { name, shape, role };
        vec![
            spec(format!("{qkv}weight"), vec![3 * width, *width], Role::LinearWeight),
            spec(format!("{qkv}bias"), vec![3 * width], Role::Bias),
            spec(format!("{output}.weight"), vec![*width, *width], Role::LinearWeight),
            spec(format!("{output}.bias"), vec![*width], Role::Bias),
        ]
    }
}

/// Every tensor of `layers` and of what is inside them, in forward order.
pub(super) fn tensors(layers: &[Layer]) -> Vec<ParameterSpec> {
    let mut found = Vec::new();
    for layer in layers {
        found.extend(layer.own_tensors());
        found.extend(layer.inside().into_iter().flat_map(tensors));
    }
    found
}
