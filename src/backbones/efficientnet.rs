//! EfficientNet (Tan and Le 2019) and EfficientNetV2 (2021), in torchvision's parameter names. Blocks: `stem`, `stage1` ...,
//! `top`.

use super::{
    Activation, Backbone, Block, Layer,
    parts::{
        ConvShape, ConvStyle, InvertedResidual, SqueezeExcite, divisible_by_8, imagenet_images, imagenet_weights,
        numbered, with_shortcut,
    },
};

/// Widths and depths of a member: B0 scaled, or written out.
enum Stages {
    Scaled { width: f64, depth: f64 },
    V2(&'static [Stage]),
}

/// A run of blocks of which the first has the stride.
#[derive(Clone, Copy)]
struct Stage {
    /// One 3x3 convolution in place of expansion and depthwise convolution, without squeeze-and-excitation.
    fused: bool,
    expand: usize,
    kernel: usize,
    stride: usize,
    outputs: usize,
    repeats: usize,
}

const fn mb(expand: usize, kernel: usize, stride: usize, outputs: usize, repeats: usize) -> Stage {
    Stage { fused: false, expand, kernel, stride, outputs, repeats }
}

const fn fused(expand: usize, kernel: usize, stride: usize, outputs: usize, repeats: usize) -> Stage {
    Stage { fused: true, expand, kernel, stride, outputs, repeats }
}

const B0: [Stage; 7] = [
    mb(1, 3, 1, 16, 1),
    mb(6, 3, 2, 24, 2),
    mb(6, 5, 2, 40, 2),
    mb(6, 3, 2, 80, 3),
    mb(6, 5, 1, 112, 3),
    mb(6, 5, 2, 192, 4),
    mb(6, 3, 1, 320, 1),
];

const V2_S: [Stage; 6] = [
    fused(1, 3, 1, 24, 2),
    fused(4, 3, 2, 48, 4),
    fused(4, 3, 2, 64, 4),
    mb(4, 3, 2, 128, 6),
    mb(6, 3, 1, 160, 9),
    mb(6, 3, 2, 256, 15),
];

/// A row of the table.
struct Member {
    name: &'static str,
    stages: Stages,
    /// `eps` of batch normalisation.
    eps: f64,
    /// Resize, crop, interpolation.
    images: (u32, u32, &'static str),
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 6] = [
    Member { name: "efficientnet_b0", stages: Stages::Scaled { width: 1.0, depth: 1.0 }, eps: 1e-5, images: (256, 224, "bicubic"), weights: "https://download.pytorch.org/models/efficientnet_b0_rwightman-7f5810bc.pth" },
    Member { name: "efficientnet_b1", stages: Stages::Scaled { width: 1.0, depth: 1.1 }, eps: 1e-5, images: (256, 240, "bicubic"), weights: "https://download.pytorch.org/models/efficientnet_b1_rwightman-bac287d4.pth" },
    Member { name: "efficientnet_b2", stages: Stages::Scaled { width: 1.1, depth: 1.2 }, eps: 1e-5, images: (288, 288, "bicubic"), weights: "https://download.pytorch.org/models/efficientnet_b2_rwightman-c35c1473.pth" },
    Member { name: "efficientnet_b3", stages: Stages::Scaled { width: 1.2, depth: 1.4 }, eps: 1e-5, images: (320, 300, "bicubic"), weights: "https://download.pytorch.org/models/efficientnet_b3_rwightman-b3899882.pth" },
    Member { name: "efficientnet_b4", stages: Stages::Scaled { width: 1.4, depth: 1.8 }, eps: 1e-5, images: (384, 380, "bicubic"), weights: "https://download.pytorch.org/models/efficientnet_b4_rwightman-23ab8bcd.pth" },
    Member { name: "efficientnet_v2_s", stages: Stages::V2(&V2_S), eps: 1e-3, images: (384, 384, "bilinear"), weights: "https://download.pytorch.org/models/efficientnet_v2_s-dd5fe13b.pth" },
];

const SILU: Option<Activation> = Some(Activation::Silu);

impl Member {
    /// Channels of the stem, the stages, channels of the top.
    fn sizes(&self) -> (usize, Vec<Stage>, usize) {
        match self.stages {
            Stages::Scaled { width, depth } => {
                let scaled = |channels: usize| divisible_by_8(channels as f64 * width);
                let stages = B0.map(|stage| Stage {
                    outputs: scaled(stage.outputs),
                    repeats: (stage.repeats as f64 * depth).ceil() as usize,
                    ..stage
                });
                (scaled(32), stages.to_vec(), 4 * scaled(320))
            }
            Stages::V2(stages) => (stages[0].outputs, stages.to_vec(), 1280),
        }
    }

    fn unit(&self, style: ConvStyle, prefix: &str, inputs: usize, stage: Stage, stride: usize) -> Vec<Layer> {
        let Stage { expand, kernel, outputs, .. } = stage;
        let width = divisible_by_8((inputs * expand) as f64);
        if !stage.fused {
            let squeeze = SqueezeExcite {
                squeezed: (inputs / 4).max(1),
                activation: Activation::Silu,
                gate: Activation::Sigmoid,
            };
            let activation = Activation::Silu;
            let unit =
                InvertedResidual { style, activation, inputs, width, outputs, kernel, stride, squeeze: Some(squeeze) };
            return unit.numbered(prefix);
        }
        let names = |i: usize| numbered(&format!("{prefix}.{i}"));
        let body = if width == inputs {
            style.conv(names(0), ConvShape::new(inputs, outputs, kernel, stride), SILU)
        } else {
            let mut body = style.conv(names(0), ConvShape::new(inputs, width, kernel, stride), SILU);
            body.extend(style.conv(names(1), ConvShape::new(width, outputs, 1, 1), None));
            body
        };
        with_shortcut(body, stride == 1 && inputs == outputs)
    }

    fn build(&self) -> Backbone {
        let style = ConvStyle { eps: self.eps, ..ConvStyle::PYTORCH };
        let (stem, stages, top) = self.sizes();
        let layers = style.conv(numbered("features.0"), ConvShape::new(3, stem, 3, 2), SILU);
        let mut blocks = vec![Block::new("stem", stem, layers)];
        let mut inputs = stem;
        for stage in stages {
            let index = blocks.len();
            let mut layers = Vec::new();
            for repeat in 0..stage.repeats {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                let prefix = format!("features.{index}.{repeat}.block");
                layers.extend(self.unit(style, &prefix, inputs, stage, stride));
                inputs = stage.outputs;
            }
            blocks.push(Block::new(format!("stage{index}"), inputs, layers));
        }
        let names = numbered(&format!("features.{}", blocks.len()));
        blocks.push(Block::new("top", top, style.conv(names, ConvShape::new(inputs, top, 1, 1), SILU)));
        let (resize, crop, interpolation) = self.images;
        Backbone {
            name: self.name,
            family: "efficientnet",
            blocks,
            classifier: "classifier.1",
            preprocessing: imagenet_images(resize, crop, interpolation),
            published: imagenet_weights(self.weights),
            ..Backbone::DEFAULT
        }
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(Member::build).collect()
}
