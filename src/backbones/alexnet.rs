//! AlexNet (Krizhevsky 2014, "One weird trick"), in torchvision's parameter names. Blocks: `conv1` ... `conv5`, and the
//! classifier's hidden layers `fc6` and `fc7`.

use super::{
    Activation, Backbone, Block, Initialization, Layer, Padding,
    parts::{imagenet_images, imagenet_weights},
    vgg::hidden,
};

const WEIGHTS: &str = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth";

fn alexnet() -> Backbone {
    // (index, outputs, kernel, stride, padding, followed by a pool)
    let convolutions = [
        (0, 64, 11, 4, 2, true),
        (3, 192, 5, 1, 2, true),
        (6, 384, 3, 1, 1, false),
        (8, 256, 3, 1, 1, false),
        (10, 256, 3, 1, 1, true),
    ];
    let mut blocks = Vec::new();
    let mut inputs = 3;
    for (i, (index, outputs, kernel, stride, padding, pool)) in convolutions.into_iter().enumerate() {
        let (name, padding) = (format!("features.{index}"), Padding::Symmetric(padding));
        let conv = Layer::Conv { name, inputs, outputs, kernel, stride, padding, groups: 1, bias: true };
        let mut layers = vec![conv, Layer::Activation(Activation::Relu)];
        layers.extend(pool.then_some(Layer::MaxPool { kernel: 3, stride: 2, padding: 0, ceil: false }));
        blocks.push(Block::new(format!("conv{}", i + 1), outputs, layers));
        inputs = outputs;
    }
    let flatten = vec![Layer::AdaptiveAvgPool { size: 6 }, Layer::Flatten];
    blocks.push(hidden("fc6", "classifier.1", flatten, 256 * 6 * 6));
    blocks.push(hidden("fc7", "classifier.4", Vec::new(), 4096));
    Backbone {
        name: "alexnet",
        family: "alexnet",
        blocks,
        classifier: "classifier.6",
        initialization: Initialization::FanIn,
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(WEIGHTS),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    vec![alexnet()]
}
