//! Fine-tuning: steps of a network and its head through autograd, with everything below the thaw line as one frozen
//! function.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor, no_grad_guard};

use super::{
    checkpoint::Tensors,
    extractor::BATCH,
    head::{Head, dropout_mask},
    images::{Below, Divided, Images},
    loss::{Score, Targets, count_correct, cross_entropy},
    network::{Network, to_data},
    optimizer::{FusedOptimizer, Parameter},
    pixels::pool,
};
use thawline::{
    artifact::model::BackboneSpec,
    backbones::Role,
    rng::Draws,
    stages::{
        fine_tune::Training,
        freeze_schedule::{BatchNorm, Phase},
    },
};

/// One phase of fine-tuning under way.
#[derive(Debug)]
pub struct Trainer {
    network: Network,
    head: Head,
    spec: BackboneSpec,
    /// Blocks `..start`, frozen; `start..end` run as they are.
    below: Below,
    start: usize,
    end: usize,
    /// Blocks that differ after training, by index.
    changed: Vec<usize>,
    /// By block: whether batch normalisation uses and moves the batch's statistics.
    train_norms: Vec<bool>,
    optimizer: FusedOptimizer,
    training: Training,
}

impl Trainer {
    /// Takes over `network` and `head` as they are. `kept` is optimiser state of an earlier [`Trainer::state`]; parameters that
    /// it does not hold start fresh.
    pub fn new(
        network: Network,
        head: Head,
        spec: &BackboneSpec,
        phase: &Phase,
        training: &Training,
        kept: &BTreeMap<String, Tensor>,
    ) -> Result<Trainer> {
        let backbone = network.backbone();
        let changed = phase.changed_blocks(backbone, &spec.cut)?;
        let end = 1 + backbone.block_index(&spec.cut).context("the cut is a block")?;
        ensure!(changed.iter().all(|&block| block < end), "a block after the cut `{}` cannot train", spec.cut);
        let start = changed.first().copied().unwrap_or(end);
        let train_norms: Vec<bool> = match phase.batch_norm {
            BatchNorm::Eval | BatchNorm::TrainEverywhere => (0..end).map(|b| changed.contains(&b)).collect(),
            BatchNorm::EvalEverywhere => vec![false; end],
        };
        ensure!(
            training.batch_size > 1 || !train_norms.contains(&true),
            "batch normalisation cannot train on batches of 1 image: raise `batch_size`, or set `batch_norm: eval_everywhere`"
        );
        let frozen = if start > 0 { Some(network.folded(0..start)?) } else { None };
        let below = Below::new(frozen, spec.normalization);
        // The fast layout, for the forward pass and the gradients that take it over.
        for block in start..end {
            for (spec, tensor) in network.tensors(block)? {
                if spec.role == Role::ConvWeight {
                    let fast = tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?;
                    tensor.shallow_clone().set_data(&fast);
                }
            }
        }
        let parameters = parameters(&network, &head, phase, end)?;
        ensure!(!parameters.is_empty(), "this phase trains nothing");
        let optimizer = FusedOptimizer::new(phase.optimizer, parameters, kept)?;
        Ok(Trainer {
            network,
            head,
            spec: spec.clone(),
            below,
            start,
            end,
            changed,
            train_norms,
            optimizer,
            training: training.clone(),
        })
    }

    /// The images of each step, in `order`. A single image left over joins the step before it when batch normalisation trains,
    /// which needs more than one.
    pub fn batches<'a>(&self, order: &'a [usize]) -> Vec<&'a [usize]> {
        let size = self.training.batch_size;
        let mut batches: Vec<&[usize]> = order.chunks(size).collect();
        if order.len() > size && order.len() % size == 1 && self.train_norms.contains(&true) {
            let joined = order.len() / size - 1;
            batches.truncate(joined);
            batches.push(&order[joined * size..]);
        }
        batches
    }

    /// One step on the images `rows`: adds to `score` (as trained, before the update) and updates at `lr`.
    pub fn step(
        &mut self,
        images: &Images,
        targets: &Targets,
        rows: &[usize],
        lr: f64,
        draws: &mut Draws,
        score: &mut Score,
    ) -> Result<()> {
        let batch = targets.batch(rows, rows.len())?;
        let x = self.below.rows(images, rows)?;
        let x = self.network.forward(&x, self.start..self.end, |block| self.train_norms[block])?;
        let mut features = pool(&x, self.spec.pooling)?;
        if self.training.dropout > 0.0 {
            let mask = dropout_mask(draws, self.training.dropout, rows.len(), features.size()[1] as usize)?;
            features = features.f_mul(&mask)?;
        }
        let logits = self.head.forward(&features)?;
        let loss = cross_entropy(&logits, &batch)?;
        self.optimizer.zero_grad();
        loss.f_backward()?;
        if let Some(max_norm) = self.training.clip_norm {
            self.optimizer.clip_grad_norm(max_norm)?;
        }
        self.optimizer.step(lr)?;
        score.add(loss.f_double_value(&[])?, count_correct(&logits, &batch)?, &batch);
        Ok(())
    }

    /// All images in evaluation mode, through the kernel that features are extracted with.
    pub fn evaluate(&self, images: &Images, targets: &Targets) -> Result<Score> {
        let _guard = no_grad_guard();
        let extractor = Divided::new(&self.network, self.start, &self.spec)?;
        let order: Vec<usize> = (0..targets.len()).collect();
        let mut score = Score::default();
        for rows in order.chunks(BATCH) {
            let logits = self.head.forward(&extractor.rows(images, rows)?)?;
            let batch = targets.batch(rows, BATCH)?;
            let loss = cross_entropy(&logits, &batch)?.f_double_value(&[])?;
            score.add(loss, count_correct(&logits, &batch)?, &batch);
        }
        Ok(score)
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The blocks of [`changed_blocks`] and the head, copied.
    pub fn weights(&self) -> Result<Tensors> {
        let mut tensors = self.head.export()?;
        for &block in &self.changed {
            tensors.extend(self.network.export(block)?);
        }
        Ok(tensors)
    }

    /// The optimiser's state, copied.
    pub fn state(&self) -> Result<Tensors> {
        self.optimizer.state().into_iter().map(|(name, tensor)| Ok((name, to_data(&tensor)?))).collect()
    }

    pub fn trained_parameters(&self) -> u64 {
        self.optimizer.parameters().iter().map(|p| p.tensor.numel() as u64).sum()
    }
}

/// What trains in `phase`, requiring gradients from here on. A block's learning rate decays by its distance from the head.
fn parameters(network: &Network, head: &Head, phase: &Phase, end: usize) -> Result<Vec<Parameter>> {
    let weight_decay = phase.optimizer.weight_decay();
    let undecayed = if phase.decay_norms_and_biases { weight_decay } else { 0.0 };
    let mut parameters = Vec::new();
    let mut add = |name: String, tensor: Tensor, lr_scale: f64, weight_decay: f64| -> Result<()> {
        ensure!(tensor.kind() == Kind::Float, "`{name}` is not float32");
        let tensor = tensor.f_set_requires_grad(true)?;
        parameters.push(Parameter { name, tensor, lr_scale, weight_decay });
        Ok(())
    };
    for trained in &phase.trained {
        let block = network.backbone().block_index(&trained.block);
        let block = block.with_context(|| format!("no block `{}`", trained.block))?;
        let lr_scale = phase.layer_decay.powi(end.saturating_sub(block) as i32);
        for (spec, tensor) in network.tensors(block)? {
            if spec.role.is_parameter() && (spec.role.is_norm() || !trained.norms_only) {
                let decay = if spec.role.decays() { weight_decay } else { undecayed };
                add(spec.name, tensor, lr_scale, decay)?;
            }
        }
    }
    if phase.head {
        for (name, tensor) in head.tensors() {
            let decay = if name.ends_with(".weight") { weight_decay } else { undecayed };
            add(name, tensor, 1.0, decay)?;
        }
    }
    Ok(parameters)
}
