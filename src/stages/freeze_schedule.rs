//! `freeze_schedule`: which blocks train when, and how. No node of its own: it resolves, against a backbone, to the phases
//! that `fine_tune` runs one node each.

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::optimizer::{EarlyStopping, LrSchedule, Optimizer};
use crate::backbones::Backbone;

pub const VERSION: u32 = 1;

/// Either `phases`, or a `preset` with the settings it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A published recipe, made into phases for the backbone at hand.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// One after the other, each with its own blocks to train; or a `preset`.
    #[serde(default)]
    pub phases: Vec<PhaseParams>,
    /// What the learning-rate schedule spans.
    #[serde(default)]
    pub lr_scope: LrScope,
    /// Optimiser state of blocks that go on training in the next phase.
    #[serde(default)]
    pub optimizer_state: OptimizerState,
}

/// Recipes by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Preset {
    /// The head alone.
    FeatureExtraction {
        /// Passes over the training images.
        epochs: u32,
        /// Learning rate.
        lr: f64,
    },
    /// Every block and the head from the start.
    FineTuneAll {
        /// Passes over the training images.
        epochs: u32,
        /// Learning rate.
        lr: f64,
        /// Learning rate of a block, times this for every block between it and the head.
        #[serde(default = "no_decay")]
        layer_decay: f64,
    },
    /// The last `blocks` blocks and the head.
    LastN {
        /// How many of the last blocks.
        blocks: usize,
        /// Passes over the training images.
        epochs: u32,
        /// Learning rate.
        lr: f64,
        /// Learning rate of a block, times this for every block between it and the head.
        #[serde(default = "no_decay")]
        layer_decay: f64,
    },
    /// The head, then one block more a phase from the top (Howard & Ruder 2018), down to `blocks` blocks.
    Gradual {
        /// How many of the last blocks.
        blocks: usize,
        /// Epochs of the head alone.
        head_epochs: u32,
        /// Learning rate of the head alone.
        head_lr: f64,
        /// Epochs of every later phase.
        epochs: u32,
        /// Learning rate.
        lr: f64,
        /// Learning rate of a block, times this for every block between it and the head.
        #[serde(default = "no_decay")]
        layer_decay: f64,
    },
    /// The head first, then everything (Kumar et al. 2022).
    LpFt {
        /// Epochs of the head alone.
        head_epochs: u32,
        /// Learning rate of the head alone.
        head_lr: f64,
        /// Passes over the training images.
        epochs: u32,
        /// Learning rate.
        lr: f64,
    },
}

fn no_decay() -> f64 {
    1.0
}

/// A stretch of epochs with one freeze setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseParams {
    /// Shown in tables; by default its number.
    #[serde(default)]
    pub name: Option<String>,
    /// Block names, `head`, `all`, `norms` (every normalisation layer), `{ last: n }`; one or a list.
    pub train: TrainSet,
    /// Passes over the training images.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Learning rate.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Learning rate of a block, times this for every block between it and the head, itself included.
    #[serde(default = "no_decay")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub layer_decay: f64,
    /// By default that of the `fine_tune` stage.
    #[serde(default)]
    pub optimizer: Option<Optimizer>,
    #[serde(default)]
    pub lr_schedule: LrSchedule,
    #[serde(default)]
    pub batch_norm: BatchNorm,
    /// Weight decay also on biases and normalisation layers.
    #[serde(default)]
    pub decay_norms_and_biases: bool,
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
}

/// One item, or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TrainSet {
    One(TrainItem),
    Many(Vec<TrainItem>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TrainItem {
    /// A block, `head`, `all` or `norms`.
    Name(String),
    Last(LastBlocks),
}

/// The last blocks before the head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastBlocks {
    pub last: usize,
}

/// What batch normalisation does while some blocks are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    /// Frozen blocks use and keep their statistics and affine parameters, bit for bit; trained blocks adapt.
    #[default]
    Eval,
    /// Statistics stay as they are everywhere, in trained blocks too.
    EvalEverywhere,
    /// Statistics adapt even in frozen blocks: what scripts do that only set `requires_grad`. For comparison.
    TrainEverywhere,
}

/// What a learning-rate schedule spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum LrScope {
    /// Each phase its own.
    #[default]
    Phase,
    /// One schedule over all phases.
    Global,
}

/// What happens to optimiser state at a phase's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerState {
    /// Blocks that go on training keep theirs; newly thawed blocks start fresh.
    #[default]
    Keep,
    /// All start fresh.
    Reset,
}

/// A phase against a backbone: part of the work of a `fine_tune` node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub trained: Vec<Trained>,
    pub head: bool,
    pub epochs: u32,
    pub lr: f64,
    pub layer_decay: f64,
    /// Its own `lr` is unset.
    pub optimizer: Optimizer,
    pub lr_schedule: LrSchedule,
    /// Epochs before this phase, and in all, that the learning-rate schedule spans: (0, epochs) when its scope is the phase.
    pub lr_span: (u32, u32),
    pub batch_norm: BatchNorm,
    pub decay_norms_and_biases: bool,
    pub early_stopping: Option<EarlyStopping>,
    pub keep_optimizer_state: bool,
}

impl Phase {
    /// The blocks, by index, whose tensors this phase changes, in order: trained ones, and all up to `cut` where even frozen
    /// statistics adapt. The first of them is the thaw line: what is below stays as it is.
    ///
    /// # Errors
    /// When the backbone has no block of a name.
    pub fn changed_blocks(&self, backbone: &Backbone, cut: &str) -> Result<Vec<usize>> {
        let index =
            |name: &str| backbone.block_index(name).with_context(|| format!("{} has no block `{name}`", backbone.name));
        if self.batch_norm == BatchNorm::TrainEverywhere {
            return Ok((0..=index(cut)?).collect());
        }
        let mut blocks = self.trained.iter().map(|t| index(&t.block)).collect::<Result<Vec<_>>>()?;
        blocks.sort_unstable();
        Ok(blocks)
    }
}

/// A backbone block that trains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trained {
    pub block: String,
    /// Only its normalisation layers' affine parameters.
    pub norms_only: bool,
}

/// Why a schedule does not fit a backbone: a path inside the parameters (`phases.1.train.0`) and a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub path: String,
    pub message: String,
    /// The nearest valid name, if the cause is a name.
    pub nearest: Option<String>,
}

/// Names for tables, beside the phases of [`resolve`].
pub type NamedPhase = (String, Phase);

/// The phases of `params` for the blocks of `backbone` up to and including `cut`.
/// `default_optimizer` is the `fine_tune` stage's. All misfits are listed at once.
pub fn resolve(
    params: &Params,
    backbone: &Backbone,
    cut: &str,
    default_optimizer: Optimizer,
) -> Result<Vec<NamedPhase>, Vec<Misfit>> {
    let Some(end) = backbone.block_index(cut) else {
        let message = format!("{} has no block `{cut}` to be cut at", backbone.name);
        return Err(vec![Misfit { path: String::new(), message, nearest: nearest(cut, backbone.block_names()) }]);
    };
    let mut resolver = Resolver { backbone, blocks: backbone.block_names()[..=end].to_vec(), misfits: Vec::new() };
    let phases = match (&params.preset, params.phases.is_empty()) {
        (Some(_), false) => {
            resolver.misfit("preset", "a schedule has either `preset` or `phases`, not both");
            Vec::new()
        }
        (None, true) => {
            resolver.misfit("", "a schedule needs `phases`, or a `preset`");
            Vec::new()
        }
        (Some(preset), true) => resolver.preset(preset),
        (None, false) => {
            let with_paths = params.phases.iter().enumerate().map(|(i, p)| (format!("phases.{i}."), p.clone()));
            with_paths.collect()
        }
    };
    let all_epochs: u32 = phases.iter().map(|(_, p)| p.epochs).fold(0, u32::saturating_add);
    let mut before = 0;
    let mut resolved = Vec::new();
    for (number, (prefix, phase)) in phases.iter().enumerate() {
        let mut made = resolver.phase(prefix, phase, default_optimizer);
        if params.lr_scope == LrScope::Global {
            made.lr_span = (before, all_epochs);
        }
        made.keep_optimizer_state = params.optimizer_state == OptimizerState::Keep;
        before = before.saturating_add(phase.epochs);
        resolved.push((phase.name.clone().unwrap_or_else(|| (number + 1).to_string()), made));
    }
    // Phases made from one preset repeat what is wrong with it.
    resolver.misfits.dedup();
    if resolver.misfits.is_empty() { Ok(resolved) } else { Err(resolver.misfits) }
}

/// Parameters that a phase trains, with `head` of them in the head.
pub fn trained_parameters(phase: &Phase, backbone: &Backbone, head: u64) -> u64 {
    let in_block = |trained: &Trained| {
        let block = backbone.blocks.iter().find(|b| b.name == trained.block);
        block.map_or(0, |b| if trained.norms_only { b.norm_parameters() } else { b.parameters() })
    };
    phase.trained.iter().map(in_block).sum::<u64>() + if phase.head { head } else { 0 }
}

fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let scored = valid.into_iter().map(|v| (strsim::damerau_levenshtein(name, v), v));
    let (distance, best) = scored.min_by_key(|&(distance, _)| distance)?;
    (distance <= best.len().max(name.len()).div_ceil(2)).then(|| best.to_string())
}

struct Resolver<'a> {
    backbone: &'a Backbone,
    /// Up to and including the cut.
    blocks: Vec<&'a str>,
    misfits: Vec<Misfit>,
}

impl Resolver<'_> {
    fn misfit(&mut self, path: &str, message: impl Into<String>) {
        self.misfits.push(Misfit { path: path.into(), message: message.into(), nearest: None });
    }

    /// The preset as phases that a person could have written, with the path that each one's settings begin with.
    fn preset(&mut self, preset: &Preset) -> Vec<(String, PhaseParams)> {
        let name = |n: &str| TrainItem::Name(n.into());
        let head = || vec![name("head")];
        let last = |n: usize| if n == 0 { head() } else { vec![TrainItem::Last(LastBlocks { last: n }), name("head")] };
        let phase = |title: &str, train: Vec<TrainItem>, epochs: u32, lr: f64, layer_decay: f64| PhaseParams {
            name: Some(title.into()),
            train: TrainSet::Many(train),
            epochs,
            lr,
            layer_decay,
            optimizer: None,
            lr_schedule: LrSchedule::default(),
            batch_norm: BatchNorm::default(),
            decay_norms_and_biases: false,
            early_stopping: None,
        };
        let all = vec![name("all")];
        let (kind, phases) = match *preset {
            Preset::FeatureExtraction { epochs, lr } => {
                ("feature_extraction", vec![phase("head", head(), epochs, lr, 1.0)])
            }
            Preset::FineTuneAll { epochs, lr, layer_decay } => {
                ("fine_tune_all", vec![phase("all", all, epochs, lr, layer_decay)])
            }
            Preset::LastN { blocks, epochs, lr, layer_decay } => {
                let title = format!("last {blocks}");
                ("last_n", vec![phase(&title, last(blocks), epochs, lr, layer_decay)])
            }
            Preset::Gradual { blocks, head_epochs, head_lr, epochs, lr, layer_decay } => {
                let thaw = |n: usize| phase(&format!("last {n}"), last(n), epochs, lr, layer_decay);
                let first = phase("head", head(), head_epochs, head_lr, 1.0);
                ("gradual", std::iter::once(first).chain((1..=blocks.min(self.blocks.len())).map(thaw)).collect())
            }
            Preset::LpFt { head_epochs, head_lr, epochs, lr } => {
                ("lp_ft", vec![phase("head", head(), head_epochs, head_lr, 1.0), phase("all", all, epochs, lr, 1.0)])
            }
        };
        if let Preset::LastN { blocks, .. } | Preset::Gradual { blocks, .. } = *preset {
            let path = format!("preset.{kind}.blocks");
            if blocks == 0 {
                self.misfit(&path, "0 blocks are thawed; the preset `feature_extraction` trains the head alone");
                return Vec::new();
            }
            if !self.check_last(&path, blocks) {
                return Vec::new();
            }
        }
        let two_rates = matches!(preset, Preset::Gradual { .. } | Preset::LpFt { .. });
        let prefix = |i: usize| format!("preset.{kind}.{}", if two_rates && i == 0 { "head_" } else { "" });
        phases.into_iter().enumerate().map(|(i, phase)| (prefix(i), phase)).collect()
    }

    fn phase(&mut self, prefix: &str, phase: &PhaseParams, default_optimizer: Optimizer) -> Phase {
        let (trained, head) = self.train_set(prefix, &phase.train);
        if phase.epochs == 0 {
            self.misfit(&format!("{prefix}epochs"), "a phase has at least 1 epoch");
        }
        if !(phase.lr.is_finite() && phase.lr >= 0.0) {
            self.misfit(&format!("{prefix}lr"), format!("the learning rate is {}; it must be 0 or more", phase.lr));
        }
        if !(0.0..=1.0).contains(&phase.layer_decay) {
            let message = format!("layer_decay is {}; it must be from 0 to 1", phase.layer_decay);
            self.misfit(&format!("{prefix}layer_decay"), message);
        }
        let optimizer = phase.optimizer.unwrap_or(default_optimizer);
        if phase.optimizer.is_some_and(|o| o.lr().is_some()) {
            self.misfit(
                &format!("{prefix}optimizer"),
                "the phase's `lr` stands in for the optimizer's: leave this one out",
            );
        }
        // The stage's own optimizer is checked where it is written.
        if let Some(Err(message)) = phase.optimizer.map(|o| o.check()) {
            self.misfit(&format!("{prefix}optimizer"), message);
        }
        Phase {
            trained,
            head,
            epochs: phase.epochs,
            lr: phase.lr,
            layer_decay: phase.layer_decay,
            optimizer: optimizer.without_lr(),
            lr_schedule: phase.lr_schedule.clone(),
            lr_span: (0, phase.epochs),
            batch_norm: phase.batch_norm,
            decay_norms_and_biases: phase.decay_norms_and_biases,
            early_stopping: phase.early_stopping,
            keep_optimizer_state: true,
        }
    }

    /// The trained blocks in forward order, and whether the head trains.
    fn train_set(&mut self, prefix: &str, set: &TrainSet) -> (Vec<Trained>, bool) {
        let base = format!("{prefix}train");
        let items: Vec<(String, &TrainItem)> = match set {
            TrainSet::One(item) => vec![(base.clone(), item)],
            TrainSet::Many(items) => items.iter().enumerate().map(|(i, item)| (format!("{base}.{i}"), item)).collect(),
        };
        let known = self.misfits.len();
        let count = self.blocks.len();
        let (mut full, mut norms, mut head) = (vec![false; count], false, false);
        for (path, item) in items {
            match item {
                TrainItem::Last(LastBlocks { last }) => {
                    if self.check_last(&path, *last) {
                        full[count - last..].fill(true);
                    }
                }
                TrainItem::Name(name) if name == "head" => head = true,
                TrainItem::Name(name) if name == "norms" => norms = true,
                TrainItem::Name(name) if name == "all" => {
                    full.fill(true);
                    head = true;
                }
                TrainItem::Name(name) => match self.blocks.iter().position(|b| b == name) {
                    Some(i) => full[i] = true,
                    None => self.unknown_block(path, name),
                },
            }
        }
        if self.misfits.len() == known && !head && !norms && !full.contains(&true) {
            self.misfit(&base, "this phase trains nothing: name blocks, `head`, `all`, `norms` or `{ last: n }`");
        }
        let trained = self.blocks.iter().zip(full).filter(|&(_, full)| full || norms);
        (trained.map(|(block, full)| Trained { block: block.to_string(), norms_only: !full }).collect(), head)
    }

    fn unknown_block(&mut self, path: String, name: &str) {
        let cut = self.blocks.last().copied().unwrap_or_default();
        let message = if self.backbone.block_index(name).is_some() {
            format!("block `{name}` comes after the cut, `{cut}`")
        } else {
            let blocks = self.blocks.join(", ");
            format!(
                "{} has no block `{name}`; it has {blocks}; beside them there are head, all, norms",
                self.backbone.name
            )
        };
        let nearest = nearest(name, self.blocks.iter().copied().chain(["head", "all", "norms"]));
        self.misfits.push(Misfit { path, message, nearest });
    }

    fn check_last(&mut self, path: &str, last: usize) -> bool {
        let count = self.blocks.len();
        if last > count {
            let up_to = self.blocks.last().copied().unwrap_or_default();
            let message = format!("{} has {count} blocks up to `{up_to}`, not {last}", self.backbone.name);
            self.misfit(path, message);
        }
        last <= count
    }
}

#[cfg(test)]
mod tests;
