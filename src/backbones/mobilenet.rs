//! MobileNetV2 (Sandler et al. 2018) and V3 (Howard et al. 2019), in torchvision's parameter names. Blocks: `stem`,
//! `features.1` ..., `top`, and in V3 `classifier.0`, the hidden layer of its classifier.

use super::{
    Activation, Backbone, Block, Layer,
    parts::{
        ConvShape, ConvStyle, InvertedResidual, InvertedResidualNames, SqueezeExcite, divisible_by_8, imagenet_images,
        imagenet_weights, numbered,
    },
};

const V2_WEIGHTS: &str = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth";

fn v2() -> Backbone {
    let (style, activation) = (ConvStyle::PYTORCH, Activation::Relu6);
    let stem = style.conv(numbered("features.0"), ConvShape::new(3, 32, 3, 2), Some(activation));
    let mut blocks = vec![Block::new("stem", 32, stem)];
    let mut inputs = 32;
    // (expansion, outputs, repeats, first stride)
    let stages =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expand, outputs, repeats, first_stride) in stages {
        for repeat in 0..repeats {
            let name = format!("features.{}", blocks.len());
            let stride = if repeat == 0 { first_stride } else { 1 };
            let unit = InvertedResidual {
                style,
                activation,
                inputs,
                width: inputs * expand,
                outputs,
                kernel: 3,
                stride,
                squeeze: None,
            };
            let part = |i: usize| format!("{name}.conv.{i}");
            let first = usize::from(expand != 1);
            let layers = unit.layers(InvertedResidualNames {
                expand: (expand != 1).then(|| numbered(&part(0))),
                depthwise: numbered(&part(first)),
                squeeze: String::new(),
                project: [part(first + 1), part(first + 2)],
            });
            blocks.push(Block::new(name, outputs, layers));
            inputs = outputs;
        }
    }
    let names = numbered(&format!("features.{}", blocks.len()));
    blocks.push(Block::new("top", 1280, style.conv(names, ConvShape::new(inputs, 1280, 1, 1), Some(activation))));
    Backbone {
        name: "mobilenet_v2",
        family: "mobilenet_v2",
        blocks,
        classifier: "classifier.1",
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(V2_WEIGHTS),
        ..Backbone::DEFAULT
    }
}

/// A row of the table of V3.
struct Member {
    name: &'static str,
    units: &'static [Unit],
    /// Outputs of the classifier's hidden layer.
    hidden: usize,
    weights: &'static str,
}

/// An inverted residual of V3.
#[derive(Clone, Copy)]
struct Unit {
    kernel: usize,
    width: usize,
    outputs: usize,
    squeeze: bool,
    activation: Activation,
    stride: usize,
}

const fn unit(
    kernel: usize,
    width: usize,
    outputs: usize,
    squeeze: bool,
    activation: Activation,
    stride: usize,
) -> Unit {
    Unit { kernel, width, outputs, squeeze, activation, stride }
}

const RE: Activation = Activation::Relu;
const HS: Activation = Activation::Hardswish;

#[rustfmt::skip]
const MEMBERS: [Member; 2] = [
    Member { name: "mobilenet_v3_small", units: &SMALL, hidden: 1024, weights: "https://download.pytorch.org/models/mobilenet_v3_small-047dcff4.pth" },
    Member { name: "mobilenet_v3_large", units: &LARGE, hidden: 1280, weights: "https://download.pytorch.org/models/mobilenet_v3_large-8738ca79.pth" },
];

const SMALL: [Unit; 11] = [
    unit(3, 16, 16, true, RE, 2),
    unit(3, 72, 24, false, RE, 2),
    unit(3, 88, 24, false, RE, 1),
    unit(5, 96, 40, true, HS, 2),
    unit(5, 240, 40, true, HS, 1),
    unit(5, 240, 40, true, HS, 1),
    unit(5, 120, 48, true, HS, 1),
    unit(5, 144, 48, true, HS, 1),
    unit(5, 288, 96, true, HS, 2),
    unit(5, 576, 96, true, HS, 1),
    unit(5, 576, 96, true, HS, 1),
];

const LARGE: [Unit; 15] = [
    unit(3, 16, 16, false, RE, 1),
    unit(3, 64, 24, false, RE, 2),
    unit(3, 72, 24, false, RE, 1),
    unit(5, 72, 40, true, RE, 2),
    unit(5, 120, 40, true, RE, 1),
    unit(5, 120, 40, true, RE, 1),
    unit(3, 240, 80, false, HS, 2),
    unit(3, 200, 80, false, HS, 1),
    unit(3, 184, 80, false, HS, 1),
    unit(3, 184, 80, false, HS, 1),
    unit(3, 480, 112, true, HS, 1),
    unit(3, 672, 112, true, HS, 1),
    unit(5, 672, 160, true, HS, 2),
    unit(5, 960, 160, true, HS, 1),
    unit(5, 960, 160, true, HS, 1),
];

const V3_STYLE: ConvStyle = ConvStyle { same: false, eps: 1e-3, momentum: 0.01 };

fn v3(member: &Member) -> Backbone {
    let stem = V3_STYLE.conv(numbered("features.0"), ConvShape::new(3, 16, 3, 2), Some(HS));
    let mut blocks = vec![Block::new("stem", 16, stem)];
    let mut inputs = 16;
    for &Unit { kernel, width, outputs, squeeze, activation, stride } in member.units {
        let name = format!("features.{}", blocks.len());
        let squeeze = squeeze.then(|| SqueezeExcite {
            squeezed: divisible_by_8((width / 4) as f64),
            activation: RE,
            gate: Activation::Hardsigmoid,
        });
        let unit = InvertedResidual { style: V3_STYLE, activation, inputs, width, outputs, kernel, stride, squeeze };
        let layers = unit.numbered(&format!("{name}.block"));
        blocks.push(Block::new(name, outputs, layers));
        inputs = outputs;
    }
    let (names, width) = (numbered(&format!("features.{}", blocks.len())), 6 * inputs);
    blocks.push(Block::new("top", width, V3_STYLE.conv(names, ConvShape::new(inputs, width, 1, 1), Some(HS))));
    let hidden = vec![
        Layer::AdaptiveAvgPool { size: 1 },
        Layer::Flatten,
        Layer::linear("classifier.0", width, member.hidden),
        Layer::Activation(HS),
    ];
    blocks.push(Block::new("classifier.0", member.hidden, hidden));
    Backbone {
        name: member.name,
        family: "mobilenet_v3",
        blocks,
        classifier: "classifier.3",
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    [vec![v2()], MEMBERS.iter().map(v3).collect()].concat()
}
