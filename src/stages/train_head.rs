//! `train_head`: trains a linear or MLP head on features. The backbone never runs here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Resources,
    lr_find::Found,
    optimizer::{ClassWeights, EarlyStopping, LrSchedule, Optimizer},
};
use crate::artifact::model::BackboneSpec;

pub const VERSION: u32 = 1;

/// How the head is built and trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["features"]))]
    pub features: String,
    #[serde(flatten)]
    pub training: Training,
}

/// The part of the parameters that is also the node's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Training {
    /// Passes over the training images.
    #[serde(default = "epochs")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Images a step.
    #[serde(default = "batch_size")]
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// With its learning rate.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the epochs.
    #[serde(default)]
    pub lr_schedule: LrSchedule,
    /// Widths of hidden layers; empty for a linear head.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// Probability that a feature (and a hidden unit) is zeroed in training.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: f64,
    /// Part of each label that is spread over all classes.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub label_smoothing: f64,
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Largest L2 norm of the whole gradient (`torch.nn.utils.clip_grad_norm_`).
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub clip_norm: Option<f64>,
    /// Stop when validation no longer improves.
    #[serde(default)]
    pub early_stopping: Option<EarlyStopping>,
    #[serde(default)]
    pub resources: Resources,
}

fn epochs() -> u32 {
    25
}

fn batch_size() -> usize {
    32
}

/// One node. Inputs: `dataset`, `features.train.{v}` for every view v that some epoch reads, `features.val`, and those of `found`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub training: Training,
    /// Epoch e (from 0) trains on view e mod views.
    pub views: u32,
    /// What made the features; goes into the model.
    pub backbone: BackboneSpec,
    /// What inputs say of the learning rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}

impl Work {
    /// Equal for heads that train as columns of one product: linear ones that differ only in the scalars of their optimiser.
    pub fn pack_key(&self) -> Option<String> {
        let mut shared = self.clone();
        shared.training.optimizer = shared.training.optimizer.without_scalars();
        self.training.hidden.is_empty().then(|| serde_json::to_string(&shared).unwrap_or_default())
    }
}
