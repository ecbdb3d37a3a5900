//! What every [`Layer`] computes: the one interpreter behind the trained and the frozen part of a backbone.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use tch::{Kind, Tensor};
use thawline::backbones::{Activation, Layer, Padding};

use super::attention;

/// Layers' tensors by their whole names, and the mode that they run in.
#[derive(Clone, Copy)]
pub(super) struct Forward<'a> {
    pub tensors: &'a BTreeMap<String, Tensor>,
    /// Batch normalisation uses the batch's statistics and moves the running ones.
    pub train_norms: bool,
}

impl Forward<'_> {
    /// `x` through `layers`, in turn. Keeps the memory format of maps; channels-last is the fast one.
    pub fn run(self, layers: &[Layer], x: &Tensor) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for layer in layers {
            x = self.layer(layer, &x)?;
        }
        Ok(x)
    }

    pub fn named(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).with_context(|| format!("the backbone has no tensor `{name}`"))
    }

    fn layer(self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        Ok(match layer {
            Layer::Conv { name, kernel, stride, padding, groups, bias, .. } => {
                let weight = self.named(&format!("{name}.weight"))?;
                let bias = if *bias { Some(self.named(&format!("{name}.bias"))?) } else { None };
                convolve(x, weight, bias, *kernel, *stride, *padding, *groups)?
            }
            Layer::Linear { name, bias, .. } => {
                let weight = self.named(&format!("{name}.weight"))?;
                let bias = if *bias { Some(self.named(&format!("{name}.bias"))?) } else { None };
                channels_innermost(x, |x| Ok(x.f_linear(weight, bias)?))?
            }
            Layer::Projection { name, .. } => {
                let matrix = self.named(name)?;
                channels_innermost(x, |x| Ok(x.f_matmul(matrix)?))?
            }
            Layer::BatchNorm { name, eps, momentum, .. } => {
                let part = |suffix: &str| self.named(&format!("{name}.{suffix}"));
                let (weight, bias) = (part("weight")?, part("bias")?);
                let (mean, variance) = (part("running_mean")?, part("running_var")?);
                let (weight, bias, mean, variance) = (Some(weight), Some(bias), Some(mean), Some(variance));
                x.f_batch_norm(weight, bias, mean, variance, self.train_norms, *momentum, *eps, true)?
            }
            Layer::LayerNorm { name, channels, eps } => {
                let [weight, bias] = ["weight", "bias"].map(|suffix| self.named(&format!("{name}.{suffix}")));
                let (weight, bias) = (weight?, bias?);
                channels_innermost(x, |x| {
                    Ok(x.f_layer_norm([*channels as i64], Some(weight), Some(bias), *eps, true)?)
                })?
            }
            Layer::LayerScale { name, .. } => x.f_mul(self.named(name)?)?,
            Layer::Activation(activation) => activate(x, *activation)?,
            Layer::MaxPool { kernel, stride, padding, ceil } => {
                let [kernel, stride, padding] = [kernel, stride, padding].map(|&v| [v as i64; 2]);
                x.f_max_pool2d(kernel, stride, padding, [1, 1], *ceil)?
            }
            Layer::AvgPool { kernel, stride } => {
                x.f_avg_pool2d([*kernel as i64; 2], [*stride as i64; 2], [0, 0], false, true, None)?
            }
            Layer::AdaptiveAvgPool { size } => x.f_adaptive_avg_pool2d([*size as i64; 2])?,
            Layer::Flatten => x.f_flatten(1, -1)?,
            Layer::Residual { body, shortcut } => {
                let mut branch = self.run(body, x)?;
                let other = self.run(shortcut, x)?;
                // Nothing else holds the branch, and where no gradient is wanted its memory can be reused.
                if branch.requires_grad() { branch.f_add(&other)? } else { branch.f_add_(&other)? }
            }
            Layer::Gate { body } => x.f_mul(&self.run(body, x)?)?,
            Layer::Concat { branches } => {
                let parts = branches.iter().map(|branch| self.run(branch, x)).collect::<Result<Vec<_>>>()?;
                Tensor::f_cat(&parts, 1)?
            }
            Layer::Channels { start, count } => x.f_narrow(1, *start as i64, *count as i64)?,
            Layer::ChannelShuffle { groups } => shuffle(x, *groups as i64)?,
            Layer::SpaceToDepth => space_to_depth(x)?,
            Layer::Tokens(tokens) => {
                let (class_token, positions) = (self.named(&tokens.class_token)?, self.named(&tokens.positions)?);
                attention::tokens(x, class_token, positions, tokens)?
            }
            Layer::Attention(layer) => attention::among_all(self, layer, x)?,
            Layer::WindowAttention(layer) => channels_innermost(x, |x| attention::in_windows(self, layer, x))?,
        })
    }
}

/// `f` on a map as [n, height, width, channels], on anything else as it is.
pub(super) fn channels_innermost(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if x.dim() != 4 {
        return f(x);
    }
    Ok(f(&x.f_permute([0, 2, 3, 1])?)?.f_permute([0, 3, 1, 2])?)
}

/// [n, channels, height, width] of a map.
fn map_size(x: &Tensor) -> Result<[i64; 4]> {
    let size = x.size();
    size.as_slice().try_into().ok().with_context(|| format!("a map is [n, channels, height, width], not {size:?}"))
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Relu => x.f_relu()?,
        Activation::Relu6 => x.f_relu6()?,
        Activation::Silu => x.f_silu()?,
        Activation::Sigmoid => x.f_sigmoid()?,
        Activation::Hardswish => x.f_hardswish()?,
        Activation::Hardsigmoid => x.f_hardsigmoid()?,
        Activation::Gelu => x.f_gelu("none")?,
        Activation::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?)?,
    })
}

/// Convolution with the padding a layer asks for, TensorFlow's uneven one included.
fn convolve(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    kernel: usize,
    stride: usize,
    padding: Padding,
    groups: usize,
) -> Result<Tensor> {
    let (stride, groups) = (stride as i64, groups as i64);
    let conv = |x: &Tensor, pad: [i64; 2]| x.f_conv2d(weight, bias, [stride, stride], pad, [1, 1], groups);
    let [_, _, height, width] = map_size(x)?;
    match padding {
        Padding::Symmetric(pad) => Ok(conv(x, [pad as i64; 2])?),
        Padding::Whole => {
            ensure!(
                height % stride == 0 && width % stride == 0,
                "images of {width}x{height} cannot be cut into patches of {stride}x{stride}: \
                 choose a size that is a multiple of {stride}"
            );
            Ok(conv(x, [0, 0])?)
        }
        Padding::TensorflowSame => {
            let [rows, columns] = [height, width].map(|size| same_padding(size, kernel as i64, stride));
            if rows % 2 == 0 && columns % 2 == 0 {
                return Ok(conv(x, [rows / 2, columns / 2])?);
            }
            let sides = [columns / 2, columns - columns / 2, rows / 2, rows - rows / 2];
            Ok(conv(&x.f_constant_pad_nd(sides)?, [0, 0])?)
        }
    }
}

/// Zeros that "SAME" adds along one dimension, both sides together.
fn same_padding(size: i64, kernel: i64, stride: i64) -> i64 {
    let positions = (size + stride - 1) / stride;
    ((positions - 1) * stride + kernel - size).max(0)
}

fn shuffle(x: &Tensor, groups: i64) -> Result<Tensor> {
    let [n, channels, height, width] = map_size(x)?;
    if channels % groups != 0 {
        bail!("{channels} channels are not {groups} groups");
    }
    channels_innermost(x, |x| {
        let grouped = x.f_reshape([n, height, width, groups, channels / groups])?;
        Ok(grouped.f_transpose(3, 4)?.f_reshape([n, height, width, channels])?)
    })
}

fn space_to_depth(x: &Tensor) -> Result<Tensor> {
    let [_, _, height, width] = map_size(x)?;
    let x = if height % 2 + width % 2 == 0 {
        x.shallow_clone()
    } else {
        x.f_constant_pad_nd([0, width % 2, 0, height % 2])?
    };
    let from = |row: i64, column: i64| x.f_slice(2, row, None, 2)?.f_slice(3, column, None, 2);
    channels_innermost(&Tensor::f_cat(&[from(0, 0)?, from(1, 0)?, from(0, 1)?, from(1, 1)?], 1)?, |x| {
        Ok(x.f_contiguous()?)
    })
}

/// The same tensor [a, b, height, width] with b innermost in memory.
pub(super) fn channels_last(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

/// The mean over the positions of a map, as a vector.
pub(super) fn mean_of_positions(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_mean_dim([2, 3].as_slice(), false, None::<Kind>)?)
}
