//! `evaluate`: scores a model on one split. The test split's node exists only once a selection is on record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{artifact::Split, images::conditions::Condition};

pub const VERSION: u32 = 1;

/// Which model, and how its predictions are scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["model", "program"]))]
    pub model: String,
    /// Other images to score it on; by default those it was trained with.
    #[serde(default)]
    #[schemars(extend("x-stage" = ["views"]))]
    pub images: Option<String>,
    /// The k of each `top_k` accuracy.
    #[serde(default = "top_k")]
    pub top_k: Vec<u32>,
    /// Bins of the expected calibration error.
    #[serde(default = "bins")]
    #[schemars(range(min = 1, max = 1000))]
    pub calibration_bins: u32,
    /// Conditions that the test images are also put through, at severities 1 to 5, once a configuration is selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

fn top_k() -> Vec<u32> {
    vec![5]
}

fn bins() -> u32 {
    15
}

/// One node: one split. Inputs: `dataset`, and `predictions` of a program; or `model`, and `features` (of that split, when the model is a head on features that
/// exist anyway) or else `views`. Sources: `weights` unless they are random or `features` are given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub split: Split,
    pub top_k: Vec<u32>,
    pub calibration_bins: u32,
    /// Each with an input for every severity, named by [`condition_role`]: of the same type as the images themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The input with the split under a condition; also the metric that says how accurate the model is there.
pub fn condition_role(condition: Condition, severity: u8) -> String {
    format!("condition/{}/{severity}", condition.name())
}
