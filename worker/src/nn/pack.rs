//! Heads trained on feature rows by closed-form gradients, several side by side as columns of one matrix product.
//!
//! The product always has the same width, a multiple of [`PANEL`] that depends on a head's shape alone, and every update
//! is elementwise with a value a column. So a member's bits do not depend on its neighbours, and a lone head is a pack of
//! one.

use std::borrow::Borrow;

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor, no_grad_guard};

use super::{
    device::placed,
    head::{Head, dropout_mask},
    loss::{Batch, Score},
};
use thawline::{artifact::model::HeadSpec, rng::Draws, stages::optimizer::Optimizer};

/// Columns that the widths of products are rounded up to.
const PANEL: usize = 64;

/// Heads of one shape that see the same batches and differ in the scalars of their optimisers.
#[derive(Debug)]
pub struct HeadPack {
    spec: HeadSpec,
    /// One a member, with its learning rate.
    rules: Vec<Optimizer>,
    layers: Vec<Layer>,
    dropout: f64,
    clip_norm: Option<f64>,
    steps: u64,
}

/// One linear layer of all members: weight [inputs, width] and bias [width], padding columns (and the rows that they feed
/// in the next layer) zero.
#[derive(Debug)]
struct Layer {
    weight: Slot,
    bias: Slot,
    /// Columns of one member.
    columns: usize,
    momentum: Tensor,
    weight_decay: Tensor,
}

/// A parameter with the optimiser's memory of it: the momentum buffer, or the two moments of Adam.
#[derive(Debug)]
struct Slot {
    value: Tensor,
    first: Tensor,
    second: Tensor,
}

impl Slot {
    fn new(value: Tensor) -> Result<Slot> {
        Ok(Slot { first: value.f_zeros_like()?, second: value.f_zeros_like()?, value })
    }
}

fn padded(columns: usize) -> usize {
    columns.next_multiple_of(PANEL)
}

impl HeadPack {
    /// Members that fit side by side. An MLP is alone: its second layer has inputs of its own.
    pub fn capacity(spec: &HeadSpec) -> usize {
        if spec.hidden.is_empty() { padded(spec.classes) / spec.classes.max(1) } else { 1 }
    }

    /// Trains `heads` from where they are; `rules` holds an optimiser for each, all of one kind.
    ///
    /// # Errors
    /// When a rule is impossible or has no learning rate, the shapes or kinds differ, or there are more than fit.
    pub fn new(
        heads: &[impl Borrow<Head>],
        rules: &[Optimizer],
        dropout: f64,
        clip_norm: Option<f64>,
    ) -> Result<HeadPack> {
        let _guard = no_grad_guard();
        let spec = heads.first().context("a pack has at least one head")?.borrow().spec.clone();
        ensure!(heads.len() == rules.len(), "{} heads with {} optimisers", heads.len(), rules.len());
        ensure!(heads.len() <= HeadPack::capacity(&spec), "{} heads do not fit in a pack of {spec:?}", heads.len());
        ensure!(heads.iter().all(|h| h.borrow().spec == spec), "the heads of a pack have one shape");
        for rule in rules {
            rule.check().map_err(anyhow::Error::msg)?;
            ensure!(rule.lr().is_some(), "the optimizer has no `lr`");
            ensure!(rule.without_scalars() == rules[0].without_scalars(), "the optimisers of a pack are of one kind");
        }
        let mut layers = Vec::new();
        let mut width_before = spec.inputs;
        for (i, (inputs, columns)) in spec.layers().into_iter().enumerate() {
            let width = padded(columns);
            let mut weight = zeros(&[width_before, width])?;
            let mut bias = zeros(&[width])?;
            for (member, head) in heads.iter().enumerate() {
                let (w, b) = &head.borrow().layers[i];
                let (start, length) = ((member * columns) as i64, columns as i64);
                weight.f_narrow(0, 0, inputs as i64)?.f_narrow(1, start, length)?.f_copy_(&w.f_tr()?)?;
                bias.f_narrow(0, start, length)?.f_copy_(b)?;
            }
            weight = weight.f_contiguous()?;
            bias = bias.f_contiguous()?;
            let row = |value: fn(&Optimizer) -> f64| row(rules.iter().map(value), columns, width);
            layers.push(Layer {
                weight: Slot::new(weight)?,
                bias: Slot::new(bias)?,
                columns,
                momentum: row(momentum)?,
                weight_decay: row(|rule| rule.weight_decay())?,
            });
            width_before = width;
        }
        Ok(HeadPack { spec, rules: rules.to_vec(), layers, dropout, clip_norm, steps: 0 })
    }

    /// One update of every member on feature rows `x` [rows, inputs], at `factor` times its learning rate.
    /// Adds to each member's score; `draws` feed dropout. Padding rows of `batch` change nothing.
    pub fn step(
        &mut self,
        x: &Tensor,
        batch: &Batch,
        factor: f64,
        draws: &mut Draws,
        scores: &mut [Score],
    ) -> Result<()> {
        let _guard = no_grad_guard();
        self.steps += 1;
        let rows = x.size()[0] as usize;
        // Inputs of each layer after dropout, and the factor that each gradient takes on the way back through them.
        let mut inputs: Vec<Tensor> = Vec::new();
        let mut gates: Vec<Tensor> = Vec::new();
        let mut output = x.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let mut gate = if i > 0 { Some(output.f_gt(0.0)?.f_to_kind(Kind::Float)?) } else { None };
            if i > 0 {
                output = output.f_relu()?;
            }
            if self.dropout > 0.0 {
                let mask = dropout_mask(draws, self.dropout, rows, output.size()[1] as usize)?;
                output = output.f_mul(&mask)?;
                gate = gate.map(|gate| gate.f_mul(&mask)).transpose()?;
            }
            gates.extend(gate);
            let product = layer.bias.value.f_addmm(&output, &layer.weight.value)?;
            inputs.push(std::mem::replace(&mut output, product));
        }

        let logits = self.members_of(&output)?;
        let log_probabilities = logits.f_log_softmax(-1, Kind::Float)?;
        let soft = batch.soft.f_unsqueeze(1)?;
        self.score(&log_probabilities, &soft, batch, scores)?;
        let total = soft.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
        let gradient = log_probabilities.f_exp()?.f_mul(&total)?.f_sub(&soft)?.f_div_scalar(batch.total_weight)?;
        let used = (self.rules.len() * self.spec.classes) as i64;
        let padding = output.size()[1] - used;
        let mut gradient = gradient.f_view([rows as i64, used])?.f_constant_pad_nd([0, padding])?;

        let mut gradients = Vec::new();
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let weight = inputs[i].f_tr()?.f_matmul(&gradient)?;
            let bias = gradient.f_sum_dim_intlist([0].as_slice(), false, Kind::Float)?;
            if i > 0 {
                gradient = gradient.f_matmul(&layer.weight.value.f_tr()?)?.f_mul(&gates[i - 1])?;
            }
            gradients.push((weight, bias));
        }
        gradients.reverse();
        self.clip(&mut gradients)?;
        self.update(&gradients, factor)
    }

    /// Logits [rows, members, classes] of feature rows, in evaluation mode.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let _guard = no_grad_guard();
        let mut output = x.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                output = output.f_relu()?;
            }
            output = layer.bias.value.f_addmm(&output, &layer.weight.value)?;
        }
        self.members_of(&output)
    }

    /// Adds a batch to each member's score without training on it.
    pub fn evaluate(&self, x: &Tensor, batch: &Batch, scores: &mut [Score]) -> Result<()> {
        let _guard = no_grad_guard();
        let log_probabilities = self.logits(x)?.f_log_softmax(-1, Kind::Float)?;
        self.score(&log_probabilities, &batch.soft.f_unsqueeze(1)?, batch, scores)
    }

    /// One member as it is now; later steps leave it alone, since every update makes new tensors.
    pub fn head(&self, member: usize) -> Result<Head> {
        let mut layers = Vec::new();
        for (layer, (inputs, _)) in self.layers.iter().zip(self.spec.layers()) {
            let (start, length) = ((member * layer.columns) as i64, layer.columns as i64);
            let weight = layer.weight.value.f_narrow(0, 0, inputs as i64)?.f_narrow(1, start, length)?;
            let bias = layer.bias.value.f_narrow(0, start, length)?;
            layers.push((weight.f_tr()?.f_contiguous()?, bias));
        }
        Ok(Head { spec: self.spec.clone(), layers })
    }

    fn members_of(&self, output: &Tensor) -> Result<Tensor> {
        let (members, classes) = (self.rules.len() as i64, self.spec.classes as i64);
        Ok(output.f_narrow(1, 0, members * classes)?.f_reshape([-1, members, classes])?)
    }

    /// `log_probabilities` [rows, members, classes], `soft` [rows, 1, classes].
    fn score(&self, log_probabilities: &Tensor, soft: &Tensor, batch: &Batch, scores: &mut [Score]) -> Result<()> {
        let summed = log_probabilities.f_mul(soft)?.f_sum_dim_intlist([0, 2].as_slice(), false, Kind::Double)?;
        let losses: Vec<f64> = summed.f_div_scalar(-batch.total_weight)?.try_into()?;
        let hits = log_probabilities.f_argmax(-1, false)?.f_eq_tensor(&batch.labels.f_unsqueeze(1)?)?;
        let hits: Vec<i64> = hits.f_sum_dim_intlist([0].as_slice(), false, Kind::Int64)?.try_into()?;
        for ((score, loss), hits) in scores.iter_mut().zip(losses).zip(hits) {
            score.add(loss, hits as u64, batch);
        }
        Ok(())
    }

    /// `torch.nn.utils.clip_grad_norm_` of each member by itself.
    fn clip(&self, gradients: &mut [(Tensor, Tensor)]) -> Result<()> {
        let Some(max_norm) = self.clip_norm else { return Ok(()) };
        let members = self.rules.len();
        let mut squares = vec![0f64; members];
        for (layer, (weight, bias)) in self.layers.iter().zip(gradients.iter()) {
            let by_column = weight.f_square()?.f_sum_dim_intlist([0].as_slice(), false, Kind::Float)?;
            let by_column: Vec<f32> = by_column.f_add(&bias.f_square()?)?.try_into()?;
            for (square, columns) in squares.iter_mut().zip(by_column.chunks(layer.columns)) {
                *square += columns.iter().map(|&x| f64::from(x)).sum::<f64>();
            }
        }
        let scales: Vec<f64> = squares.iter().map(|square| (max_norm / (square.sqrt() + 1e-6)).min(1.0)).collect();
        for (layer, (weight, bias)) in self.layers.iter().zip(gradients) {
            let scale = row(scales.iter().copied(), layer.columns, padded(layer.columns))?;
            *weight = weight.f_mul(&scale)?;
            *bias = bias.f_mul(&scale)?;
        }
        Ok(())
    }

    fn update(&mut self, gradients: &[(Tensor, Tensor)], factor: f64) -> Result<()> {
        let rule = self.rules[0];
        for (layer, (weight, bias)) in self.layers.iter_mut().zip(gradients) {
            let lrs = self.rules.iter().map(|rule| factor * rule.lr().unwrap_or_default());
            let columns = Columns {
                lr: row(lrs, layer.columns, padded(layer.columns))?,
                momentum: &layer.momentum,
                weight_decay: &layer.weight_decay,
                steps: self.steps,
            };
            columns.update(&rule, &mut layer.weight, weight)?;
            columns.update(&rule, &mut layer.bias, bias)?;
        }
        Ok(())
    }
}

/// The scalars of one step, a value a column.
struct Columns<'a> {
    lr: Tensor,
    momentum: &'a Tensor,
    weight_decay: &'a Tensor,
    steps: u64,
}

impl Columns<'_> {
    fn update(&self, rule: &Optimizer, slot: &mut Slot, gradient: &Tensor) -> Result<()> {
        let Slot { value, first, second } = slot;
        let decayed = |value: &Tensor| gradient.f_addcmul(value, self.weight_decay);
        match *rule {
            Optimizer::Sgd { nesterov, .. } => {
                let gradient = decayed(value)?;
                *first = gradient.f_addcmul(first, self.momentum)?;
                let direction =
                    if nesterov { gradient.f_addcmul(first, self.momentum)? } else { first.shallow_clone() };
                *value = value.f_sub(&direction.f_mul(&self.lr)?)?;
            }
            Optimizer::Adam { betas: (beta1, beta2), eps, .. }
            | Optimizer::Adamw { betas: (beta1, beta2), eps, .. } => {
                let gradient = if matches!(rule, Optimizer::Adam { .. }) {
                    decayed(value)?
                } else {
                    *value = value.f_sub(&value.f_mul(&self.lr.f_mul(self.weight_decay)?)?)?;
                    gradient.shallow_clone()
                };
                let bias_correction = |beta: f64| 1.0 - beta.powi(self.steps as i32);
                *first = first.f_mul_scalar(beta1)?.f_add(&gradient.f_mul_scalar(1.0 - beta1)?)?;
                *second = second.f_mul_scalar(beta2)?.f_add(&gradient.f_square()?.f_mul_scalar(1.0 - beta2)?)?;
                let deviation = second.f_sqrt()?.f_div_scalar(bias_correction(beta2).sqrt())?.f_add_scalar(eps)?;
                let lr = self.lr.f_div_scalar(bias_correction(beta1))?;
                *value = value.f_sub(&first.f_div(&deviation)?.f_mul(&lr)?)?;
            }
        }
        Ok(())
    }
}

/// f32 [width]: each member's value over its columns, zero in the padding.
fn row(values: impl Iterator<Item = f64>, columns: usize, width: usize) -> Result<Tensor> {
    let mut row: Vec<f32> = values.flat_map(|value| std::iter::repeat_n(value as f32, columns)).collect();
    row.resize(width, 0.0);
    placed(Tensor::f_from_slice(&row)?)
}

fn zeros(shape: &[usize]) -> Result<Tensor> {
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    placed(Tensor::f_zeros(shape.as_slice(), (Kind::Float, Device::Cpu))?)
}

fn momentum(rule: &Optimizer) -> f64 {
    match rule {
        Optimizer::Sgd { momentum, .. } => *momentum,
        Optimizer::Adam { .. } | Optimizer::Adamw { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests;
