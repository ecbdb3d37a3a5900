//! Vision transformers (Dosovitskiy et al. 2020): torchvision's ViT, DeiT (Touvron et al. 2020) and DINOv2 (Oquab et al. 2023)
//! in timm's and the publishers' parameter names, and the image tower of CLIP (Radford et al. 2021) in OpenAI's.
//! Blocks: `patch_embedding`, `blocks.0` ..., `norm`, and in CLIP `projection`, into the space shared with text.
//!
//! The feature row is the class token. Position embeddings follow the size of the images, as each publisher's code does it;
//! DINOv2's own code resamples without antialiasing, timm's with it, which is taken here.

use super::{
    Activation, Backbone, Block, Initialization, Layer, Padding, Preprocessing, Published, Resampling, Tokens,
    parts::{added, imagenet_images, imagenet_weights, perceptron, pytorch_attention, timm_attention},
};
use crate::artifact::model::Pooling;

/// A row of the table.
struct Member {
    name: &'static str,
    layout: Layout,
    patch: usize,
    /// Patches along one side at the size trained at.
    grid: usize,
    width: usize,
    heads: usize,
    images: Preprocessing,
    published: fn() -> Vec<Published>,
}

/// Who wrote the checkpoint.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Torchvision,
    Timm,
    /// timm's, with a layer scale on both branches and no classifier.
    DinoV2,
    /// With a norm behind the patch embedding, and a projection in place of a classifier.
    Clip,
}

const CLIP_IMAGES: Preprocessing = Preprocessing {
    resize: 224,
    crop: 224,
    interpolation: "bicubic",
    mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
    std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
};

#[rustfmt::skip]
fn table() -> [Member; 6] {
    let [bilinear, deit, dinov2] = [(256, "bilinear"), (248, "bicubic"), (256, "bicubic")].map(|(resize, how)| imagenet_images(resize, 224, how));
    [
        Member { name: "vit_b_16", layout: Layout::Torchvision, patch: 16, grid: 14, width: 768, heads: 12, images: bilinear, published: || imagenet_weights("https://download.pytorch.org/models/vit_b_16-c867db91.pth") },
        Member { name: "vit_b_32", layout: Layout::Torchvision, patch: 32, grid: 7, width: 768, heads: 12, images: bilinear, published: || imagenet_weights("https://download.pytorch.org/models/vit_b_32-d86f8d99.pth") },
        Member { name: "deit_tiny", layout: Layout::Timm, patch: 16, grid: 14, width: 192, heads: 3, images: deit, published: || imagenet_weights("https://dl.fbaipublicfiles.com/deit/deit_tiny_patch16_224-a1311bcf.pth") },
        Member { name: "deit_small", layout: Layout::Timm, patch: 16, grid: 14, width: 384, heads: 6, images: deit, published: || imagenet_weights("https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth") },
        Member { name: "dinov2_vits14", layout: Layout::DinoV2, patch: 14, grid: 37, width: 384, heads: 6, images: dinov2, published: dinov2_weights },
        Member { name: "clip_vit_b_32", layout: Layout::Clip, patch: 32, grid: 7, width: 768, heads: 12, images: CLIP_IMAGES, published: Vec::new },
    ]
}

/// Of the 142 million images LVD; Meta gives no digest.
fn dinov2_weights() -> Vec<Published> {
    vec![Published {
        name: "lvd142m",
        file: "dinov2_vits14_pretrain.pth",
        sha256: "",
        source: "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
    }]
}

const DEPTH: usize = 12;
/// Width of CLIP's joint space.
const PROJECTED: usize = 512;

/// How a layout calls its parts; those of a block are under `block` and its number.
struct Names {
    patches: &'static str,
    class_token: &'static str,
    positions: &'static str,
    block: &'static str,
    norms: [&'static str; 2],
    perceptron: [&'static str; 2],
    norm: &'static str,
}

impl Layout {
    fn names(self) -> Names {
        match self {
            Layout::Torchvision => Names {
                patches: "conv_proj",
                class_token: "class_token",
                positions: "encoder.pos_embedding",
                block: "encoder.layers.encoder_layer_",
                norms: ["ln_1", "ln_2"],
                perceptron: ["mlp.0", "mlp.3"],
                norm: "encoder.ln",
            },
            Layout::Timm | Layout::DinoV2 => Names {
                patches: "patch_embed.proj",
                class_token: "cls_token",
                positions: "pos_embed",
                block: "blocks.",
                norms: ["norm1", "norm2"],
                perceptron: ["mlp.fc1", "mlp.fc2"],
                norm: "norm",
            },
            Layout::Clip => Names {
                patches: "visual.conv1",
                class_token: "visual.class_embedding",
                positions: "visual.positional_embedding",
                block: "visual.transformer.resblocks.",
                norms: ["ln_1", "ln_2"],
                perceptron: ["mlp.c_fc", "mlp.c_proj"],
                norm: "visual.ln_post",
            },
        }
    }
}

/// Attention and a perceptron, each behind a norm and added to its input.
fn unit(member: &Member, names: &Names, index: usize, eps: f64) -> Vec<Layer> {
    let Member { layout, width, heads, .. } = *member;
    let prefix = format!("{}{index}", names.block);
    let attention = match layout {
        Layout::Torchvision => pytorch_attention(&format!("{prefix}.self_attention"), width, heads),
        Layout::Clip => pytorch_attention(&format!("{prefix}.attn"), width, heads),
        Layout::Timm | Layout::DinoV2 => timm_attention(&format!("{prefix}.attn"), width, heads),
    };
    let activation = if layout == Layout::Clip { Activation::QuickGelu } else { Activation::Gelu };
    let branches = [
        vec![Layer::Attention(attention)],
        perceptron(names.perceptron.map(|name| format!("{prefix}.{name}")), width, activation),
    ];
    let branches = branches.into_iter().zip(names.norms).enumerate().map(|(i, (layers, norm))| {
        let mut body = vec![Layer::layer_norm(format!("{prefix}.{norm}"), width, eps)];
        body.extend(layers);
        if layout == Layout::DinoV2 {
            let name = format!("{prefix}.ls{}.gamma", i + 1);
            body.push(Layer::LayerScale { name, channels: width, map: false });
        }
        added(body)
    });
    branches.collect()
}

fn build(member: &Member) -> Backbone {
    let Member { name, layout, patch, grid, width, .. } = *member;
    let names = layout.names();
    let clip = layout == Layout::Clip;
    let eps = if clip { 1e-5 } else { 1e-6 };
    let patches = Layer::Conv {
        name: names.patches.into(),
        inputs: 3,
        outputs: width,
        kernel: patch,
        stride: patch,
        padding: Padding::Whole,
        groups: 1,
        bias: !clip,
    };
    let tokens = Tokens {
        class_token: names.class_token.into(),
        positions: names.positions.into(),
        width,
        grid,
        leading: !clip,
        resampling: if layout == Layout::Torchvision { Resampling::AlignedCorners } else { Resampling::Antialiased },
    };
    let mut embedding = vec![patches, Layer::Tokens(tokens)];
    embedding.extend(clip.then(|| Layer::layer_norm("visual.ln_pre", width, eps)));
    let mut blocks = vec![Block::new("patch_embedding", width, embedding)];
    for i in 0..DEPTH {
        blocks.push(Block::new(format!("blocks.{i}"), width, unit(member, &names, i, eps)));
    }
    blocks.push(Block::new("norm", width, vec![Layer::layer_norm(names.norm, width, eps)]));
    if clip {
        let layer = Layer::Projection { name: "visual.proj".into(), inputs: width, outputs: PROJECTED };
        blocks.push(Block::new("projection", PROJECTED, vec![layer]));
    }
    Backbone {
        name,
        family: "vit",
        blocks,
        // timm's name where the publisher has no classifier.
        classifier: if layout == Layout::Torchvision { "heads.head" } else { "head" },
        classifies_positions: false,
        pooling: Pooling::ClassToken,
        initialization: Initialization::Transformer,
        preprocessing: member.images,
        published: (member.published)(),
        renamed: if layout == Layout::Torchvision {
            &[(".mlp.0.", ".mlp.linear_1."), (".mlp.3.", ".mlp.linear_2.")]
        } else {
            &[]
        },
    }
}

pub(super) fn members() -> Vec<Backbone> {
    table().iter().map(build).collect()
}
