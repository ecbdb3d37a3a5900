//! Pieces that several families share.

use super::{Activation, Attention, Layer, Padding, Preprocessing, Published};

/// How a family writes its convolutions.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvStyle {
    /// Pads as TensorFlow does.
    pub same: bool,
    pub eps: f64,
    pub momentum: f64,
}

impl ConvStyle {
    /// PyTorch's defaults.
    pub const PYTORCH: ConvStyle = ConvStyle { same: false, eps: 1e-5, momentum: 0.1 };

    pub fn norm(self, name: impl Into<String>, channels: usize) -> Layer {
        Layer::BatchNorm { name: name.into(), channels, eps: self.eps, momentum: self.momentum }
    }

    /// A convolution without bias, its batch normalisation, and an activation if any.
    pub fn conv(self, names: [String; 2], shape: ConvShape, activation: Option<Activation>) -> Vec<Layer> {
        let ConvShape { inputs, outputs, kernel, stride, groups } = shape;
        let padding = if self.same { Padding::TensorflowSame } else { Padding::Symmetric(kernel / 2) };
        let [conv, norm] = names;
        let conv = Layer::Conv { name: conv, inputs, outputs, kernel, stride, padding, groups, bias: false };
        let mut layers = vec![conv, self.norm(norm, outputs)];
        layers.extend(activation.map(Layer::Activation));
        layers
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ConvShape {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
}

impl ConvShape {
    pub fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> ConvShape {
        ConvShape { inputs, outputs, kernel, stride, groups: 1 }
    }

    pub fn depthwise(channels: usize, kernel: usize, stride: usize) -> ConvShape {
        ConvShape { inputs: channels, outputs: channels, kernel, stride, groups: channels }
    }
}

/// Names of a convolution and its normalisation in torchvision's `Conv2dNormActivation`.
pub(super) fn numbered(prefix: &str) -> [String; 2] {
    [format!("{prefix}.0"), format!("{prefix}.1")]
}

/// Squeeze-and-excitation (Hu et al. 2017): channel means through a bottleneck of `squeezed` channels become factors.
#[derive(Debug, Clone, Copy)]
pub(super) struct SqueezeExcite {
    pub squeezed: usize,
    pub activation: Activation,
    pub gate: Activation,
}

impl SqueezeExcite {
    /// In torchvision's names: `{prefix}.fc1` and `{prefix}.fc2`.
    pub fn layer(self, prefix: &str, channels: usize) -> Layer {
        let conv = |name: &str, inputs, outputs| {
            let (name, padding) = (format!("{prefix}.{name}"), Padding::Symmetric(0));
            Layer::Conv { name, inputs, outputs, kernel: 1, stride: 1, padding, groups: 1, bias: true }
        };
        Layer::Gate {
            body: vec![
                Layer::AdaptiveAvgPool { size: 1 },
                conv("fc1", channels, self.squeezed),
                Layer::Activation(self.activation),
                conv("fc2", self.squeezed, channels),
                Layer::Activation(self.gate),
            ],
        }
    }
}

/// MBConv (Sandler et al. 2018): expand, depthwise, squeeze-and-excite, project; a shortcut where the shape allows.
#[derive(Debug)]
pub(super) struct InvertedResidual {
    pub style: ConvStyle,
    pub activation: Activation,
    pub inputs: usize,
    /// Channels between expansion and projection.
    pub width: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub squeeze: Option<SqueezeExcite>,
}

/// Names of the parts of an [`InvertedResidual`], each a convolution and its normalisation; without `expand` there is none.
#[derive(Debug)]
pub(super) struct InvertedResidualNames {
    pub expand: Option<[String; 2]>,
    pub depthwise: [String; 2],
    /// The prefix, read only where there is squeeze-and-excitation.
    pub squeeze: String,
    pub project: [String; 2],
}

impl InvertedResidual {
    pub fn layers(&self, names: InvertedResidualNames) -> Vec<Layer> {
        let &InvertedResidual { style, inputs, width, outputs, kernel, stride, .. } = self;
        let activation = Some(self.activation);
        let mut body = Vec::new();
        if let Some(expand) = names.expand {
            body.extend(style.conv(expand, ConvShape::new(inputs, width, 1, 1), activation));
        }
        body.extend(style.conv(names.depthwise, ConvShape::depthwise(width, kernel, stride), activation));
        body.extend(self.squeeze.map(|squeeze| squeeze.layer(&names.squeeze, width)));
        body.extend(style.conv(names.project, ConvShape::new(width, outputs, 1, 1), None));
        with_shortcut(body, stride == 1 && inputs == outputs)
    }

    /// [`InvertedResidual::layers`] in torchvision's names since MobileNetV3: a list of parts under `{prefix}`.
    pub fn numbered(&self, prefix: &str) -> Vec<Layer> {
        let mut index = 0;
        let mut next = || {
            index += 1;
            format!("{prefix}.{}", index - 1)
        };
        let expand = (self.width != self.inputs).then(|| numbered(&next()));
        let depthwise = numbered(&next());
        let squeeze = if self.squeeze.is_some() { next() } else { String::new() };
        let project = numbered(&next());
        self.layers(InvertedResidualNames { expand, depthwise, squeeze, project })
    }
}

/// `body`, with its input added where `shortcut` holds.
pub(super) fn with_shortcut(body: Vec<Layer>, shortcut: bool) -> Vec<Layer> {
    if shortcut { vec![Layer::Residual { body, shortcut: Vec::new() }] } else { body }
}

/// A branch added to its input.
pub(super) fn added(body: Vec<Layer>) -> Layer {
    Layer::Residual { body, shortcut: Vec::new() }
}

/// The multi-layer perceptron of a transformer block: four times as wide between two linear layers.
pub(super) fn perceptron(names: [String; 2], width: usize, activation: Activation) -> Vec<Layer> {
    let [first, second] = names;
    vec![Layer::linear(first, width, 4 * width), Layer::Activation(activation), Layer::linear(second, 4 * width, width)]
}

/// Attention in PyTorch's names (`in_proj_weight`, `out_proj.weight`).
pub(super) fn pytorch_attention(prefix: &str, width: usize, heads: usize) -> Attention {
    Attention { qkv: format!("{prefix}.in_proj_"), output: format!("{prefix}.out_proj"), width, heads }
}

/// Attention in the names of timm and of Swin (`qkv.weight`, `proj.weight`).
pub(super) fn timm_attention(prefix: &str, width: usize, heads: usize) -> Attention {
    Attention { qkv: format!("{prefix}.qkv."), output: format!("{prefix}.proj"), width, heads }
}

/// Rounds to a multiple of 8, and up where rounding down would lose more than a tenth.
pub(super) fn divisible_by_8(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// With ImageNet's mean and standard deviation.
pub(super) fn imagenet_images(resize: u32, crop: u32, interpolation: &'static str) -> Preprocessing {
    Preprocessing { resize, crop, interpolation, mean: IMAGENET_MEAN, std: IMAGENET_STD }
}

/// The ImageNet weights at an address whose file name ends with the beginning of its digest, as torchvision's do.
pub(super) fn imagenet_weights(url: &'static str) -> Vec<Published> {
    let file = url.rsplit('/').next().unwrap_or(url);
    let sha256 = file.strip_suffix(".pth").and_then(|stem| stem.rsplit('-').next()).unwrap_or("");
    vec![Published { name: "imagenet", file, sha256, source: url }]
}
