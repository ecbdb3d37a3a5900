//! VGG (Simonyan and Zisserman 2014), with and without batch normalisation, in torchvision's parameter names. Blocks:
//! `conv1` ... `conv5`, each up to its pool, then the classifier's hidden layers `fc6` and `fc7`.

use super::{
    Activation, Backbone, Block, Layer,
    parts::{ConvStyle, imagenet_images, imagenet_weights},
};

/// A row of the table.
struct Member {
    name: &'static str,
    /// Convolutions of each block.
    depths: [usize; 5],
    norms: bool,
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 8] = [
    Member { name: "vgg11", depths: [1, 1, 2, 2, 2], norms: false, weights: "https://download.pytorch.org/models/vgg11-8a719046.pth" },
    Member { name: "vgg13", depths: [2, 2, 2, 2, 2], norms: false, weights: "https://download.pytorch.org/models/vgg13-19584684.pth" },
    Member { name: "vgg16", depths: [2, 2, 3, 3, 3], norms: false, weights: "https://download.pytorch.org/models/vgg16-397923af.pth" },
    Member { name: "vgg19", depths: [2, 2, 4, 4, 4], norms: false, weights: "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth" },
    Member { name: "vgg11_bn", depths: [1, 1, 2, 2, 2], norms: true, weights: "https://download.pytorch.org/models/vgg11_bn-6002323d.pth" },
    Member { name: "vgg13_bn", depths: [2, 2, 2, 2, 2], norms: true, weights: "https://download.pytorch.org/models/vgg13_bn-abd245e5.pth" },
    Member { name: "vgg16_bn", depths: [2, 2, 3, 3, 3], norms: true, weights: "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth" },
    Member { name: "vgg19_bn", depths: [2, 2, 4, 4, 4], norms: true, weights: "https://download.pytorch.org/models/vgg19_bn-c79401a0.pth" },
];

/// A hidden layer of the classifier, whose input `before` prepares.
pub(super) fn hidden(block: &str, name: &str, before: Vec<Layer>, inputs: usize) -> Block {
    let layer = vec![Layer::linear(name, inputs, 4096), Layer::Activation(Activation::Relu)];
    Block::new(block, 4096, [before, layer].concat())
}

fn build(member: &Member) -> Backbone {
    let mut blocks = Vec::new();
    let (mut index, mut inputs) = (0, 3);
    for (i, (depth, outputs)) in member.depths.into_iter().zip([64, 128, 256, 512, 512]).enumerate() {
        let mut layers = Vec::new();
        for _ in 0..depth {
            layers.push(Layer::conv(format!("features.{index}"), inputs, outputs, 3, 1).with_bias());
            if member.norms {
                index += 1;
                layers.push(ConvStyle::PYTORCH.norm(format!("features.{index}"), outputs));
            }
            layers.push(Layer::Activation(Activation::Relu));
            index += 2;
            inputs = outputs;
        }
        layers.push(Layer::MaxPool { kernel: 2, stride: 2, padding: 0, ceil: false });
        index += 1;
        blocks.push(Block::new(format!("conv{}", i + 1), outputs, layers));
    }
    let flatten = vec![Layer::AdaptiveAvgPool { size: 7 }, Layer::Flatten];
    blocks.push(hidden("fc6", "classifier.0", flatten, 512 * 7 * 7));
    blocks.push(hidden("fc7", "classifier.3", Vec::new(), 4096));
    Backbone {
        name: member.name,
        family: "vgg",
        blocks,
        classifier: "classifier.6",
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
