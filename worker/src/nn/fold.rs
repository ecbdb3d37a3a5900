//! The frozen part of a backbone: evaluation mode, batch normalisation folded into the convolutions, channels-last.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use tch::{Kind, Tensor, no_grad_guard};
use thawline::backbones::Layer;

use super::{
    forward::{Forward, channels_last},
    script::Script,
};

/// Blocks as one function without state: [`Network::folded`](super::Network::folded) makes it.
#[derive(Debug)]
pub enum Frozen {
    Layers {
        layers: Vec<Layer>,
        tensors: BTreeMap<String, Tensor>,
    },
    /// As it is, its tensors shared: what is inside is not known.
    Script(Arc<Script>),
}

impl Frozen {
    /// `layers` with the values that `tensor` has now. Batch normalisation that follows no convolution stays a layer.
    pub(super) fn fold(layers: &[Layer], tensor: impl Fn(&str) -> Result<Tensor>) -> Result<Frozen> {
        let _guard = no_grad_guard();
        let mut tensors = BTreeMap::new();
        let layers = fold(layers, &tensor, &mut tensors)?;
        Ok(Frozen::Layers { layers, tensors })
    }

    /// `x` [n, channels, height, width] through the blocks, without gradients. Within 1e-4 of the blocks in evaluation mode.
    ///
    /// Bits depend on n (kernels are chosen by size), not on the number of threads.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let _guard = no_grad_guard();
        match self {
            Frozen::Layers { layers, tensors } => Forward { tensors, train_norms: false }.run(layers, x),
            Frozen::Script(script) => script.forward(x, false),
        }
    }
}

fn fold(
    layers: &[Layer],
    tensor: &dyn Fn(&str) -> Result<Tensor>,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<Vec<Layer>> {
    let mut folded = Vec::new();
    let mut layers = layers.iter().peekable();
    while let Some(layer) = layers.next() {
        folded.push(match layer {
            Layer::Conv { name, inputs, outputs, kernel, stride, padding, groups, bias } => {
                let norm = layers.next_if(|next| matches!(next, Layer::BatchNorm { .. }));
                let (weight, shift) = folded_convolution(name, *bias, norm, tensor)?;
                tensors.insert(format!("{name}.weight"), weight);
                let bias = shift.is_some();
                tensors.extend(shift.map(|shift| (format!("{name}.bias"), shift)));
                let (name, inputs, outputs, kernel, stride) = (name.clone(), *inputs, *outputs, *kernel, *stride);
                Layer::Conv { name, inputs, outputs, kernel, stride, padding: *padding, groups: *groups, bias }
            }
            Layer::Residual { body, shortcut } => {
                let body = fold(body, tensor, tensors)?;
                Layer::Residual { body, shortcut: fold(shortcut, tensor, tensors)? }
            }
            Layer::Gate { body } => Layer::Gate { body: fold(body, tensor, tensors)? },
            Layer::Concat { branches } => {
                let branches = branches.iter().map(|branch| fold(branch, tensor, tensors)).collect::<Result<_>>()?;
                Layer::Concat { branches }
            }
            other => {
                for spec in other.own_tensors() {
                    // A copy: the network's own may go on training.
                    tensors.insert(spec.name.clone(), tensor(&spec.name)?.f_detach_copy()?);
                }
                other.clone()
            }
        });
    }
    Ok(folded)
}

/// Weight, channels-last, and bias of a convolution with its batch normalisation, computed in float64.
fn folded_convolution(
    name: &str,
    bias: bool,
    norm: Option<&Layer>,
    tensor: &dyn Fn(&str) -> Result<Tensor>,
) -> Result<(Tensor, Option<Tensor>)> {
    let double = |name: String| Ok::<_, anyhow::Error>(tensor(&name)?.f_detach()?.f_to_kind(Kind::Double)?);
    let mut weight = double(format!("{name}.weight"))?;
    let mut shift = if bias { Some(double(format!("{name}.bias"))?) } else { None };
    if let Some(Layer::BatchNorm { name, eps, .. }) = norm {
        let part = |suffix: &str| double(format!("{name}.{suffix}"));
        let scale = part("weight")?.f_div(&part("running_var")?.f_add_scalar(*eps)?.f_sqrt()?)?;
        weight = weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let centre = match shift {
            Some(bias) => bias.f_sub(&part("running_mean")?)?,
            None => part("running_mean")?.f_neg()?,
        };
        shift = Some(part("bias")?.f_add(&centre.f_mul(&scale)?)?);
    }
    let weight = channels_last(&weight.f_to_kind(Kind::Float)?)?;
    Ok((weight, shift.map(|shift| shift.f_to_kind(Kind::Float)).transpose()?))
}
