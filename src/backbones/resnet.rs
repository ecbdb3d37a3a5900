//! ResNet (He et al. 2015), in torchvision's parameter names and its v1.5 stride placement.

use super::{Backbone, Block, Layer, Padding, Preprocessing, Published};

fn conv(name: String, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Layer {
    let padding = Padding::Symmetric(kernel / 2);
    Layer::Conv { name, inputs, outputs, kernel, stride, padding, groups: 1, bias: false }
}

fn norm(name: String, channels: usize) -> Layer {
    Layer::BatchNorm { name, channels, eps: 1e-5, momentum: 0.1 }
}

/// Two 3x3 convolutions and a shortcut.
fn basic_block(prefix: &str, inputs: usize, outputs: usize, stride: usize) -> Vec<Layer> {
    let body = vec![
        conv(format!("{prefix}.conv1"), inputs, outputs, 3, stride),
        norm(format!("{prefix}.bn1"), outputs),
        Layer::Relu,
        conv(format!("{prefix}.conv2"), outputs, outputs, 3, 1),
        norm(format!("{prefix}.bn2"), outputs),
    ];
    let shortcut = if stride == 1 && inputs == outputs {
        Vec::new()
    } else {
        vec![
            conv(format!("{prefix}.downsample.0"), inputs, outputs, 1, stride),
            norm(format!("{prefix}.downsample.1"), outputs),
        ]
    };
    vec![Layer::Residual { body, shortcut }, Layer::Relu]
}

/// `resnet18`: blocks `stem`, `layer1` ... `layer4`.
pub fn resnet18() -> Backbone {
    let mut blocks = vec![Block {
        name: "stem".into(),
        layers: vec![
            conv("conv1".into(), 3, 64, 7, 2),
            norm("bn1".into(), 64),
            Layer::Relu,
            Layer::MaxPool { kernel: 3, stride: 2, padding: 1 },
        ],
        channels: 64,
    }];
    let mut inputs = 64;
    for (i, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        let name = format!("layer{}", i + 1);
        let mut layers = basic_block(&format!("{name}.0"), inputs, outputs, if i == 0 { 1 } else { 2 });
        layers.extend(basic_block(&format!("{name}.1"), outputs, outputs, 1));
        blocks.push(Block { name, layers, channels: outputs });
        inputs = outputs;
    }
    Backbone {
        name: "resnet18",
        blocks,
        classifier: "fc",
        preprocessing: Preprocessing {
            resize: 256,
            crop: 224,
            interpolation: "bilinear",
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        },
        published: vec![Published {
            name: "imagenet",
            file: "resnet18-f37072fd.pth",
            sha256: "f37072fd",
            source: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        }],
    }
}
