//! `fine_tune`: trains backbone blocks and head by a freeze schedule; one node a phase.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Resources,
    freeze_schedule::Phase,
    lr_find::Found,
    optimizer::{ClassWeights, Optimizer},
};
use crate::{
    artifact::model::{BackboneSpec, Pooling},
    backbones::{Chosen, weights::Wanted},
};

pub const VERSION: u32 = 1;

/// What starts from where, and by which schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["views"]))]
    pub images: String,
    /// Continue this model; its backbone, weights, cut and head are taken over.
    #[serde(default)]
    #[schemars(extend("x-stage" = ["model"]))]
    pub start_from: Option<String>,
    #[schemars(extend("x-stage" = ["schedule"]))]
    pub schedule: String,
    /// A name of `thawline models`; with `start_from` it comes from there.
    #[serde(default)]
    pub backbone: Option<Chosen>,
    /// As in `extract_features`; what is random comes from the trial's seed.
    #[serde(default)]
    pub weights: Option<Wanted>,
    /// As in `extract_features`.
    #[serde(default)]
    pub pooling: Option<Pooling>,
    /// Widths of hidden layers of a new head; empty for a linear head.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// For phases that do not name their own; its learning rate is the phase's.
    #[serde(default = "optimizer")]
    pub optimizer: Optimizer,
    #[serde(flatten)]
    pub training: Training,
}

pub(super) fn optimizer() -> Optimizer {
    Optimizer::Sgd { lr: None, momentum: 0.9, nesterov: false, weight_decay: 0.0 }
}

/// The part of the parameters that every phase's work repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Training {
    /// Images a step.
    #[serde(default = "batch_size")]
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Probability that a pooled feature is zeroed before the head in training.
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
    #[serde(default)]
    pub resources: Resources,
}

fn batch_size() -> usize {
    32
}

/// One phase. Inputs: `dataset`, `views.train.{v}` for every view v that some epoch of this phase reads, `views.val`, and
/// `model` (what it starts from) unless this is the first phase and there is no `start_from`; and those of `found`.
/// Sources: `weights` unless they are random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub backbone: BackboneSpec,
    pub hidden: Vec<usize>,
    pub training: Training,
    pub phase: Phase,
    /// Epochs of the phases before this one. Epoch e (from 0, counted over all phases) trains on view e mod views.
    pub first_epoch: u32,
    pub views: u32,
    /// What inputs say of the learning rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}
