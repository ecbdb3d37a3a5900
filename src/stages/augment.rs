//! `augment`: decodes, resizes and augments images, once. A training split becomes `views` augmented copies, the others
//! one copy under the evaluation transform.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{artifact::Split, images::transforms::Transform};

pub const VERSION: u32 = 2;

/// How images become network inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["dataset"]))]
    pub images: String,
    /// Height and width of every prepared image, in pixels.
    #[schemars(range(min = 1, max = 4096))]
    pub size: u32,
    /// Augmented copies of every training image; epoch e trains on copy e mod views.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10000))]
    pub views: u32,
    /// Transforms of training images, in order; empty means the evaluation transforms.
    #[serde(default)]
    pub train: Vec<Transform>,
    /// Transforms of validation and test images, in order; empty means resize to `size`.
    #[serde(default)]
    pub eval: Vec<Transform>,
    /// Of the augmentation; a literal, never the trial's seed.
    #[serde(default)]
    pub seed: u64,
}

fn one() -> u32 {
    1
}

/// One node: one split under the evaluation transform, or one training view.
/// Inputs: `dataset`. Sources: `root` (the dataset's).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub split: Split,
    /// `Some(k)` for training view k (then `split` is `train`); `None` for the evaluation transform.
    pub view: Option<u32>,
    pub size: u32,
    /// Without `normalize`, which belongs to the model's input.
    pub transforms: Vec<Transform>,
    /// 0 where no transform draws.
    pub seed: u64,
}
