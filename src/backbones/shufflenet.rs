//! ShuffleNetV2 (Ma et al. 2018), in torchvision's parameter names. Blocks: `stem`, `stage2`, `stage3`, `stage4`, `conv5`.

use super::{
    Activation, Backbone, Block, Initialization, Layer,
    parts::{ConvShape, ConvStyle, imagenet_images, imagenet_weights, numbered},
};

/// A row of the table.
struct Member {
    name: &'static str,
    /// Channels of the stages.
    widths: [usize; 3],
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 1] = [
    Member { name: "shufflenet_v2_x1_0", widths: [116, 232, 464], weights: "https://download.pytorch.org/models/shufflenetv2_x1-5666bf0f80.pth" },
];

const STYLE: ConvStyle = ConvStyle::PYTORCH;
const RELU: Option<Activation> = Some(Activation::Relu);

/// Half of the channels pass, the others are convolved, and both mix; the first unit of a stage convolves all, twice.
fn unit(prefix: &str, inputs: usize, outputs: usize, first: bool) -> Vec<Layer> {
    let half = outputs / 2;
    let (width, stride) = if first { (inputs, 2) } else { (half, 1) };
    let names = |branch: usize, i: usize| {
        [format!("{prefix}.branch{branch}.{i}"), format!("{prefix}.branch{branch}.{}", i + 1)]
    };
    let one = if first {
        [
            STYLE.conv(names(1, 0), ConvShape::depthwise(inputs, 3, 2), None),
            STYLE.conv(names(1, 2), ConvShape::new(inputs, half, 1, 1), RELU),
        ]
        .concat()
    } else {
        vec![Layer::Channels { start: 0, count: half }]
    };
    let other = [
        if first { Vec::new() } else { vec![Layer::Channels { start: half, count: half }] },
        STYLE.conv(names(2, 0), ConvShape::new(width, half, 1, 1), RELU),
        STYLE.conv(names(2, 3), ConvShape::depthwise(half, 3, stride), None),
        STYLE.conv(names(2, 5), ConvShape::new(half, half, 1, 1), RELU),
    ]
    .concat();
    vec![Layer::Concat { branches: vec![one, other] }, Layer::ChannelShuffle { groups: 2 }]
}

fn build(member: &Member) -> Backbone {
    let mut stem = STYLE.conv(numbered("conv1"), ConvShape::new(3, 24, 3, 2), RELU);
    stem.push(Layer::MaxPool { kernel: 3, stride: 2, padding: 1, ceil: false });
    let mut blocks = vec![Block::new("stem", 24, stem)];
    let mut inputs = 24;
    for (stage, (width, repeats)) in (2..).zip(member.widths.into_iter().zip([4, 8, 4])) {
        let name = format!("stage{stage}");
        let mut layers = Vec::new();
        for i in 0..repeats {
            layers.extend(unit(&format!("{name}.{i}"), inputs, width, i == 0));
            inputs = width;
        }
        blocks.push(Block::new(name, width, layers));
    }
    blocks.push(Block::new("conv5", 1024, STYLE.conv(numbered("conv5"), ConvShape::new(inputs, 1024, 1, 1), RELU)));
    Backbone {
        name: member.name,
        family: "shufflenet",
        blocks,
        classifier: "fc",
        initialization: Initialization::FanIn,
        preprocessing: imagenet_images(256, 224, "bilinear"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
