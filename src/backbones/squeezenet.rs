//! SqueezeNet (Iandola et al. 2016), in torchvision's parameter names. Blocks: `stem`, `fire2` ... `fire9`, each with the pool
//! behind it.

use super::{
    Activation, Backbone, Block, Initialization, Layer, Padding,
    parts::{imagenet_images, imagenet_weights},
};

/// A row of the table.
struct Member {
    name: &'static str,
    /// Outputs and kernel of the first convolution.
    stem: (usize, usize),
    /// Fire modules, from 2 on, that a pool follows.
    pooled: [usize; 2],
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 2] = [
    Member { name: "squeezenet1_0", stem: (96, 7), pooled: [4, 8], weights: "https://download.pytorch.org/models/squeezenet1_0-b66bff10.pth" },
    Member { name: "squeezenet1_1", stem: (64, 3), pooled: [3, 5], weights: "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth" },
];

const POOL: Layer = Layer::MaxPool { kernel: 3, stride: 2, padding: 0, ceil: true };
const RELU: Layer = Layer::Activation(Activation::Relu);

/// Squeezes to `squeezed` channels, and expands to `expanded` by 1x1 and as many by 3x3 kernels.
fn fire(prefix: &str, inputs: usize, squeezed: usize, expanded: usize) -> Vec<Layer> {
    let conv = |part: &str, inputs: usize, outputs: usize, kernel: usize| {
        [Layer::conv(format!("{prefix}.{part}"), inputs, outputs, kernel, 1).with_bias(), RELU].to_vec()
    };
    let mut layers = conv("squeeze", inputs, squeezed, 1);
    let branches = vec![conv("expand1x1", squeezed, expanded, 1), conv("expand3x3", squeezed, expanded, 3)];
    layers.push(Layer::Concat { branches });
    layers
}

fn build(member: &Member) -> Backbone {
    let (outputs, kernel) = member.stem;
    let padding = Padding::Symmetric(0);
    let name = "features.0".to_string();
    let conv = Layer::Conv { name, inputs: 3, outputs, kernel, stride: 2, padding, groups: 1, bias: true };
    let mut blocks = vec![Block::new("stem", outputs, vec![conv, RELU, POOL])];
    let (mut index, mut inputs) = (3, outputs);
    // (squeezed, expanded)
    let modules = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)];
    for (number, (squeezed, expanded)) in (2..).zip(modules) {
        let mut layers = fire(&format!("features.{index}"), inputs, squeezed, expanded);
        index += 1;
        if member.pooled.contains(&number) {
            layers.push(POOL);
            index += 1;
        }
        inputs = 2 * expanded;
        blocks.push(Block::new(format!("fire{number}"), inputs, layers));
    }
    Backbone {
        name: member.name,
        family: "squeezenet",
        blocks,
        classifier: "classifier.1",
        classifies_positions: true,
        initialization: Initialization::HeUniform,
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
