//! ConvNeXt (Liu et al. 2022), in torchvision's parameter names. Blocks: `stem`, `stage1` ... `stage4`, each with the
//! downsampling before it, and `norm`, which pools.

use super::{
    Activation, Backbone, Block, Initialization, Layer, Padding,
    parts::{added, imagenet_images, imagenet_weights, perceptron},
};

/// A row of the table.
struct Member {
    name: &'static str,
    widths: [usize; 4],
    depths: [usize; 4],
    resize: u32,
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 3] = [
    Member { name: "convnext_tiny", widths: [96, 192, 384, 768], depths: [3, 3, 9, 3], resize: 236, weights: "https://download.pytorch.org/models/convnext_tiny-983f1562.pth" },
    Member { name: "convnext_small", widths: [96, 192, 384, 768], depths: [3, 3, 27, 3], resize: 230, weights: "https://download.pytorch.org/models/convnext_small-0c510722.pth" },
    Member { name: "convnext_base", widths: [128, 256, 512, 1024], depths: [3, 3, 27, 3], resize: 232, weights: "https://download.pytorch.org/models/convnext_base-6075fbad.pth" },
];

const EPS: f64 = 1e-6;

/// A depthwise 7x7 convolution, then a perceptron at every position.
fn unit(prefix: &str, width: usize) -> Layer {
    let part = |i: usize| format!("{prefix}.block.{i}");
    let (padding, inputs, outputs) = (Padding::Symmetric(3), width, width);
    let mut body = vec![
        Layer::Conv { name: part(0), inputs, outputs, kernel: 7, stride: 1, padding, groups: width, bias: true },
        Layer::layer_norm(part(2), width, EPS),
    ];
    body.extend(perceptron([part(3), part(5)], width, Activation::Gelu));
    body.push(Layer::LayerScale { name: format!("{prefix}.layer_scale"), channels: width, map: true });
    added(body)
}

fn build(member: &Member) -> Backbone {
    let [first, .., last] = member.widths;
    let stem = vec![
        Layer::patches("features.0.0", 3, first, 4, Padding::Symmetric(0)),
        Layer::layer_norm("features.0.1", first, EPS),
    ];
    let mut blocks = vec![Block::new("stem", first, stem)];
    let (mut index, mut inputs) = (1, first);
    for (i, (width, depth)) in (1..).zip(member.widths.into_iter().zip(member.depths)) {
        let mut layers = Vec::new();
        if i > 1 {
            layers.push(Layer::layer_norm(format!("features.{index}.0"), inputs, EPS));
            layers.push(Layer::patches(format!("features.{index}.1"), inputs, width, 2, Padding::Symmetric(0)));
            index += 1;
        }
        layers.extend((0..depth).map(|j| unit(&format!("features.{index}.{j}"), width)));
        index += 1;
        blocks.push(Block::new(format!("stage{i}"), width, layers));
        inputs = width;
    }
    let norm = vec![Layer::AdaptiveAvgPool { size: 1 }, Layer::layer_norm("classifier.0", last, EPS)];
    blocks.push(Block::new("norm", last, norm));
    Backbone {
        name: member.name,
        family: "convnext",
        blocks,
        classifier: "classifier.2",
        initialization: Initialization::Transformer,
        preprocessing: imagenet_images(member.resize, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
