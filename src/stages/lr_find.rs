//! `lr_find`: a learning-rate range test (Smith 2017, "Cyclical Learning Rates for Training Neural Networks"). The learning
//! rate rises from step to step while the loss is watched; where it falls fastest is a learning rate to train with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    fine_tune,
    freeze_schedule::{self, BatchNorm, LrScope, OptimizerState, PhaseParams, TrainSet},
    optimizer::{LrSchedule, Optimizer},
    train_head,
};
use crate::{
    artifact::{LearningRate, model::Pooling},
    backbones::{Chosen, weights::Wanted},
};

pub const VERSION: u32 = 1;

/// What is trained, as in the stage whose learning rate is sought, and over which learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// For a head on features.
    #[serde(default)]
    #[schemars(extend("x-stage" = ["features"]))]
    pub features: Option<String>,
    /// For fine-tuning.
    #[serde(default)]
    #[schemars(extend("x-stage" = ["views"]))]
    pub images: Option<String>,
    /// As in `fine_tune`.
    #[serde(default)]
    #[schemars(extend("x-stage" = ["model"]))]
    pub start_from: Option<String>,
    /// As in `fine_tune`.
    #[serde(default)]
    pub backbone: Option<Chosen>,
    /// As in `fine_tune`.
    #[serde(default)]
    pub weights: Option<Wanted>,
    /// As in `fine_tune`.
    #[serde(default)]
    pub pooling: Option<Pooling>,
    /// What trains, as in a phase of a `freeze_schedule`; for fine-tuning.
    #[serde(default)]
    pub train: Option<TrainSet>,
    /// Widths of hidden layers of a new head; empty for a linear head.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// Without its learning rate.
    #[serde(default = "fine_tune::optimizer")]
    pub optimizer: Optimizer,
    /// The first learning rate.
    #[serde(default = "min")]
    #[schemars(range(min = 1e-12))]
    pub min: f64,
    /// The last one, unless the loss explodes before.
    #[serde(default = "max")]
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub max: f64,
    /// How many learning rates, a step each.
    #[serde(default = "steps")]
    #[schemars(range(min = 10, max = 100_000))]
    pub steps: u32,
    /// Which of the two suggestions is `suggestion`.
    #[serde(default)]
    pub suggestion: Suggestion,
    #[serde(flatten)]
    pub training: fine_tune::Training,
}

fn min() -> f64 {
    1e-6
}

fn max() -> f64 {
    10.0
}

fn steps() -> u32 {
    100
}

/// How a learning rate is read off the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Suggestion {
    /// Where the smoothed loss falls fastest.
    #[default]
    Steepest,
    /// A tenth of where the smoothed loss is smallest.
    Minimum,
}

impl Params {
    /// What trains, as a schedule of one phase; for fine-tuning.
    pub fn schedule(&self) -> Option<freeze_schedule::Params> {
        let phase = PhaseParams {
            name: None,
            train: self.train.clone()?,
            epochs: 1,
            lr: 0.0,
            layer_decay: 1.0,
            optimizer: None,
            lr_schedule: LrSchedule::default(),
            batch_norm: BatchNorm::default(),
            decay_norms_and_biases: false,
            early_stopping: None,
        };
        let (lr_scope, optimizer_state) = (LrScope::default(), OptimizerState::default());
        Some(freeze_schedule::Params { preset: None, phases: vec![phase], lr_scope, optimizer_state })
    }

    /// How a head on features trains.
    pub fn head(&self) -> train_head::Training {
        let of = self.training.clone();
        train_head::Training {
            epochs: 1,
            batch_size: of.batch_size,
            optimizer: self.optimizer,
            lr_schedule: LrSchedule::default(),
            hidden: self.hidden.clone(),
            dropout: of.dropout,
            label_smoothing: of.label_smoothing,
            class_weights: of.class_weights,
            clip_norm: of.clip_norm,
            early_stopping: None,
            resources: of.resources,
        }
    }
}

/// What a range test trains; its learning rate and epochs are not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trains {
    Head(train_head::Work),
    Network(fine_tune::Work),
}

/// One node. Inputs: `dataset`, and `features.train.0` of a head; of a network `views.train.0`, and `model` where it starts
/// from one. Sources: `weights` of a network unless they are random.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub trains: Trains,
    pub min: f64,
    pub max: f64,
    pub steps: u32,
    pub suggestion: Suggestion,
}

impl Work {
    /// The learning rate of step `step` (from 0).
    pub fn lr(&self, step: u32) -> f64 {
        let part = f64::from(step) / f64::from(self.steps.max(2) - 1);
        self.min * (self.max / self.min).powf(part)
    }
}

/// A figure of a [`LearningRate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Suggestion,
    Steepest,
    Minimum,
}

impl Field {
    pub const ALL: [Field; 3] = [Field::Suggestion, Field::Steepest, Field::Minimum];

    pub fn name(self) -> &'static str {
        match self {
            Field::Suggestion => "suggestion",
            Field::Steepest => "steepest",
            Field::Minimum => "minimum",
        }
    }

    pub fn of(self, found: &LearningRate) -> f64 {
        match self {
            Field::Suggestion => found.suggestion,
            Field::Steepest => found.steepest,
            Field::Minimum => found.minimum,
        }
    }
}

/// A figure that a work takes from an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The number in the work that it stands in for: `training.optimizer.sgd.lr`.
    pub at: String,
    /// Of the input, a [`LearningRate`].
    pub role: String,
    pub field: Field,
}
