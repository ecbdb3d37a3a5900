//! `freeze_schedule`: which blocks train when, and how. No node of its own: it resolves, against a backbone, to the phases
//! that `fine_tune` runs one node each.

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
    FeatureExtraction { epochs: u32, lr: f64 },
    /// Every block and the head from the start.
    FineTuneAll {
        epochs: u32,
        lr: f64,
        #[serde(default = "no_decay")]
        layer_decay: f64,
    },
    /// The last `blocks` blocks and the head.
    LastN {
        blocks: usize,
        epochs: u32,
        lr: f64,
        #[serde(default = "no_decay")]
        layer_decay: f64,
    },
    /// The head, then one block more a phase from the top (Howard & Ruder 2018), down to `blocks` blocks.
    Gradual {
        blocks: usize,
        /// Epochs of the head alone.
        head_epochs: u32,
        head_lr: f64,
        /// Epochs of every later phase.
        epochs: u32,
        lr: f64,
        #[serde(default = "no_decay")]
        layer_decay: f64,
    },
    /// The head first, then everything (Kumar et al. 2022).
    LpFt { head_epochs: u32, head_lr: f64, epochs: u32, lr: f64 },
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
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
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
    _params: &Params,
    _backbone: &Backbone,
    _cut: &str,
    _default_optimizer: Optimizer,
) -> Result<Vec<NamedPhase>, Vec<Misfit>> {
    todo!()
}
