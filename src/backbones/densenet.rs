//! DenseNet (Huang et al. 2016), in torchvision's parameter names. Blocks: `stem`, `denseblock1`, `transition1`, ...,
//! `denseblock4`, `norm5`.

use super::{
    Activation, Backbone, Block, Initialization, Layer,
    parts::{ConvShape, ConvStyle, imagenet_images, imagenet_weights},
};

/// A row of the table.
struct Member {
    name: &'static str,
    /// Layers of each dense block.
    depths: [usize; 4],
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 3] = [
    Member { name: "densenet121", depths: [6, 12, 24, 16], weights: "https://download.pytorch.org/models/densenet121-a639ec97.pth" },
    Member { name: "densenet169", depths: [6, 12, 32, 32], weights: "https://download.pytorch.org/models/densenet169-b2777c0a.pth" },
    Member { name: "densenet201", depths: [6, 12, 48, 32], weights: "https://download.pytorch.org/models/densenet201-c1103571.pth" },
];

/// Channels that every dense layer adds.
const GROWTH: usize = 32;
const STYLE: ConvStyle = ConvStyle::PYTORCH;
const RELU: Layer = Layer::Activation(Activation::Relu);

/// `GROWTH` new channels, beside those that came in.
fn dense_layer(prefix: &str, inputs: usize) -> Layer {
    let conv = |i: usize, inputs: usize, outputs: usize, kernel: usize| {
        Layer::conv(format!("{prefix}.conv{i}"), inputs, outputs, kernel, 1)
    };
    let norm = |i: usize, channels: usize| STYLE.norm(format!("{prefix}.norm{i}"), channels);
    let new = vec![
        norm(1, inputs),
        RELU,
        conv(1, inputs, 4 * GROWTH, 1),
        norm(2, 4 * GROWTH),
        RELU,
        conv(2, 4 * GROWTH, GROWTH, 3),
    ];
    Layer::Concat { branches: vec![Vec::new(), new] }
}

fn build(member: &Member) -> Backbone {
    let names = ["features.conv0".to_string(), "features.norm0".to_string()];
    let mut stem = STYLE.conv(names, ConvShape::new(3, 64, 7, 2), Some(Activation::Relu));
    stem.push(Layer::MaxPool { kernel: 3, stride: 2, padding: 1, ceil: false });
    let mut blocks = vec![Block::new("stem", 64, stem)];
    let mut channels = 64;
    for (i, depth) in (1..).zip(member.depths) {
        let mut layers = Vec::new();
        for j in 1..=depth {
            layers.push(dense_layer(&format!("features.denseblock{i}.denselayer{j}"), channels));
            channels += GROWTH;
        }
        blocks.push(Block::new(format!("denseblock{i}"), channels, layers));
        if i < member.depths.len() {
            let prefix = format!("features.transition{i}");
            let layers = vec![
                STYLE.norm(format!("{prefix}.norm"), channels),
                RELU,
                Layer::conv(format!("{prefix}.conv"), channels, channels / 2, 1, 1),
                Layer::AvgPool { kernel: 2, stride: 2 },
            ];
            channels /= 2;
            blocks.push(Block::new(format!("transition{i}"), channels, layers));
        }
    }
    blocks.push(Block::new("norm5", channels, vec![STYLE.norm("features.norm5", channels), RELU]));
    Backbone {
        name: member.name,
        family: "densenet",
        blocks,
        classifier: "classifier",
        initialization: Initialization::HeFanIn,
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        renamed: &[(".norm1.", ".norm.1."), (".norm2.", ".norm.2."), (".conv1.", ".conv.1."), (".conv2.", ".conv.2.")],
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
