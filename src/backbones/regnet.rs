//! RegNetY (Radosavovic et al. 2020), in torchvision's parameter names. Blocks: `stem`, `block1` ... `block4`.

use super::{
    Activation, Backbone, Block, Layer,
    parts::{ConvShape, ConvStyle, SqueezeExcite, imagenet_images, imagenet_weights, numbered},
};

/// A row of the table.
struct Member {
    name: &'static str,
    widths: [usize; 4],
    depths: [usize; 4],
    /// Channels of a group of the 3x3 convolutions.
    group: usize,
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 1] = [
    Member { name: "regnet_y_400mf", widths: [48, 104, 208, 440], depths: [1, 3, 6, 6], group: 8, weights: "https://download.pytorch.org/models/regnet_y_400mf-c65dace8.pth" },
];

const STYLE: ConvStyle = ConvStyle::PYTORCH;

/// 1x1, 3x3 in groups, squeeze-and-excitation, 1x1, and a shortcut.
fn unit(prefix: &str, inputs: usize, outputs: usize, group: usize, stride: usize) -> Vec<Layer> {
    let relu = Some(Activation::Relu);
    let names = |part: &str| numbered(&format!("{prefix}.{part}"));
    // The bottleneck follows the width before the block.
    let squeeze = SqueezeExcite {
        squeezed: (0.25 * inputs as f64).round_ties_even() as usize,
        activation: Activation::Relu,
        gate: Activation::Sigmoid,
    };
    let grouped = ConvShape { groups: outputs / group, ..ConvShape::new(outputs, outputs, 3, stride) };
    let body = [
        STYLE.conv(names("f.a"), ConvShape::new(inputs, outputs, 1, 1), relu),
        STYLE.conv(names("f.b"), grouped, relu),
        vec![squeeze.layer(&format!("{prefix}.f.se"), outputs)],
        STYLE.conv(names("f.c"), ConvShape::new(outputs, outputs, 1, 1), None),
    ]
    .concat();
    let shortcut = if stride == 1 && inputs == outputs {
        Vec::new()
    } else {
        STYLE.conv(names("proj"), ConvShape::new(inputs, outputs, 1, stride), None)
    };
    vec![Layer::Residual { body, shortcut }, Layer::Activation(Activation::Relu)]
}

fn build(member: &Member) -> Backbone {
    let stem = STYLE.conv(numbered("stem"), ConvShape::new(3, 32, 3, 2), Some(Activation::Relu));
    let mut blocks = vec![Block::new("stem", 32, stem)];
    let mut inputs = 32;
    for (i, (outputs, depth)) in (1..).zip(member.widths.into_iter().zip(member.depths)) {
        let name = format!("block{i}");
        let mut layers = Vec::new();
        for j in 0..depth {
            let prefix = format!("trunk_output.{name}.{name}-{j}");
            layers.extend(unit(&prefix, inputs, outputs, member.group, if j == 0 { 2 } else { 1 }));
            inputs = outputs;
        }
        blocks.push(Block::new(name, outputs, layers));
    }
    Backbone {
        name: member.name,
        family: "regnet",
        blocks,
        classifier: "fc",
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
