//! Swin Transformer (Liu et al. 2021), in torchvision's parameter names. Blocks: `patch_embedding`, `stage1` ... `stage4`, each
//! with the patch merging before it, and `norm`.

use super::{
    Activation, Backbone, Block, Initialization, Layer, Padding, WindowAttention,
    parts::{added, imagenet_images, imagenet_weights, perceptron, timm_attention},
};

/// A row of the table.
struct Member {
    name: &'static str,
    /// Channels of the first stage, doubled by every other.
    width: usize,
    depths: [usize; 4],
    heads: [usize; 4],
    weights: &'static str,
}

#[rustfmt::skip]
const MEMBERS: [Member; 1] = [
    Member { name: "swin_t", width: 96, depths: [2, 2, 6, 2], heads: [3, 6, 12, 24], weights: "https://download.pytorch.org/models/swin_t-704ceda3.pth" },
];

const EPS: f64 = 1e-5;
const WINDOW: usize = 7;

/// Attention in windows and a perceptron, each behind a norm and added to its input.
fn unit(prefix: &str, width: usize, heads: usize, shifted: bool) -> Vec<Layer> {
    let attention = WindowAttention {
        attention: timm_attention(&format!("{prefix}.attn"), width, heads),
        relative_positions: format!("{prefix}.attn.relative_position_bias_table"),
        window: WINDOW,
        shift: if shifted { WINDOW / 2 } else { 0 },
    };
    let norm = |i: usize| vec![Layer::layer_norm(format!("{prefix}.norm{i}"), width, EPS)];
    let names = [format!("{prefix}.mlp.0"), format!("{prefix}.mlp.3")];
    vec![
        added([norm(1), vec![Layer::WindowAttention(attention)]].concat()),
        added([norm(2), perceptron(names, width, Activation::Gelu)].concat()),
    ]
}

fn build(member: &Member) -> Backbone {
    let mut width = member.width;
    let embedding = vec![
        Layer::patches("features.0.0", 3, width, 4, Padding::Symmetric(0)),
        Layer::layer_norm("features.0.2", width, EPS),
    ];
    let mut blocks = vec![Block::new("patch_embedding", width, embedding)];
    let mut index = 1;
    for (i, (depth, heads)) in (1..).zip(member.depths.into_iter().zip(member.heads)) {
        let mut layers = Vec::new();
        if i > 1 {
            let (name, inputs, outputs) = (format!("features.{index}.reduction"), 4 * width, 2 * width);
            layers.push(Layer::SpaceToDepth);
            layers.push(Layer::layer_norm(format!("features.{index}.norm"), inputs, EPS));
            layers.push(Layer::Linear { name, inputs, outputs, bias: false });
            width = outputs;
            index += 1;
        }
        for j in 0..depth {
            layers.extend(unit(&format!("features.{index}.{j}"), width, heads, j % 2 == 1));
        }
        index += 1;
        blocks.push(Block::new(format!("stage{i}"), width, layers));
    }
    blocks.push(Block::new("norm", width, vec![Layer::layer_norm("norm", width, EPS)]));
    Backbone {
        name: member.name,
        family: "swin",
        blocks,
        classifier: "head",
        initialization: Initialization::Transformer,
        preprocessing: imagenet_images(232, 224, "bicubic"),
        published: imagenet_weights(member.weights),
        ..Backbone::DEFAULT
    }
}

pub(super) fn members() -> Vec<Backbone> {
    MEMBERS.iter().map(build).collect()
}
