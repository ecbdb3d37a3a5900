//! The frozen part of a backbone: evaluation mode, batch normalisation folded into the convolutions, channels-last.

use anyhow::{Result, bail};
use tch::{Kind, Tensor, no_grad_guard};

use super::network::{convolve, max_pool};
use thawline::backbones::{Layer, Padding};

/// Blocks as one function without state: [`Network::folded`](super::Network::folded) makes it.
#[derive(Debug)]
pub struct Frozen {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Conv { weight: Tensor, bias: Option<Tensor>, kernel: usize, stride: usize, padding: Padding, groups: usize },
    Relu,
    Relu6,
    MaxPool { kernel: usize, stride: usize, padding: usize },
    Residual { body: Vec<Step>, shortcut: Vec<Step> },
}

impl Frozen {
    pub(super) fn fold(layers: &[Layer], tensor: impl Fn(&str) -> Result<Tensor>) -> Result<Frozen> {
        let _guard = no_grad_guard();
        Ok(Frozen { steps: fold(layers, &tensor)? })
    }

    /// `x` [n, channels, height, width] through the blocks, without gradients. Within 1e-4 of the blocks in evaluation mode.
    ///
    /// Bits depend on n (kernels are chosen by size), not on the number of threads.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let _guard = no_grad_guard();
        run(&self.steps, x)
    }
}

fn fold(layers: &[Layer], tensor: &dyn Fn(&str) -> Result<Tensor>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut layers = layers.iter().peekable();
    while let Some(layer) = layers.next() {
        steps.push(match layer {
            Layer::Conv { name, kernel, stride, padding, groups, bias, .. } => {
                let mut weight = tensor(&format!("{name}.weight"))?.f_detach()?.f_to_kind(Kind::Double)?;
                let mut shift = if *bias {
                    Some(tensor(&format!("{name}.bias"))?.f_detach()?.f_to_kind(Kind::Double)?)
                } else {
                    None
                };
                if let Some(Layer::BatchNorm { name, eps, .. }) = layers.peek() {
                    let part = |suffix: &str| {
                        Ok::<_, anyhow::Error>(
                            tensor(&format!("{name}.{suffix}"))?.f_detach()?.f_to_kind(Kind::Double)?,
                        )
                    };
                    let scale = part("weight")?.f_div(&part("running_var")?.f_add_scalar(*eps)?.f_sqrt()?)?;
                    weight = weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
                    let centre = match shift {
                        Some(bias) => bias.f_sub(&part("running_mean")?)?,
                        None => part("running_mean")?.f_neg()?,
                    };
                    shift = Some(part("bias")?.f_add(&centre.f_mul(&scale)?)?);
                    layers.next();
                }
                let weight = channels_last(&weight.f_to_kind(Kind::Float)?)?;
                let bias = shift.map(|shift| shift.f_to_kind(Kind::Float)).transpose()?;
                Step::Conv { weight, bias, kernel: *kernel, stride: *stride, padding: *padding, groups: *groups }
            }
            Layer::BatchNorm { name, .. } => bail!("`{name}` follows no convolution it could be folded into"),
            Layer::Relu => Step::Relu,
            Layer::Relu6 => Step::Relu6,
            Layer::MaxPool { kernel, stride, padding } => {
                Step::MaxPool { kernel: *kernel, stride: *stride, padding: *padding }
            }
            Layer::Residual { body, shortcut } => {
                Step::Residual { body: fold(body, tensor)?, shortcut: fold(shortcut, tensor)? }
            }
        });
    }
    Ok(steps)
}

fn run(steps: &[Step], x: &Tensor) -> Result<Tensor> {
    let mut x = x.shallow_clone();
    for step in steps {
        x = match step {
            Step::Conv { weight, bias, kernel, stride, padding, groups } => {
                convolve(&x, weight, bias.as_ref(), *kernel, *stride, *padding, *groups)?
            }
            Step::Relu => x.f_relu()?,
            Step::Relu6 => x.f_relu6()?,
            Step::MaxPool { kernel, stride, padding } => max_pool(&x, *kernel, *stride, *padding)?,
            Step::Residual { body, shortcut } => run(body, &x)?.f_add_(&run(shortcut, &x)?)?,
        };
    }
    Ok(x)
}

/// The same tensor [a, b, height, width] with b innermost in memory.
fn channels_last(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}
