//! `augment`: decodes, resizes and augments images, once. A training split becomes `views` augmented copies, the others
//! one copy under the evaluation transform.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    artifact::Split,
    images::{
        resize::Interpolation,
        transforms::{Condition, Resize, Size, Transform},
    },
};

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

impl Work {
    /// The node of one split under the evaluation transform, of training view `view`, or of a split under a condition. What
    /// its result does not depend on is left out, so that equal work has one recipe.
    pub fn new(params: &Params, split: Split, view: Option<u32>, condition: Option<Condition>) -> Work {
        let training = view.is_some() && !params.train.is_empty();
        let listed = if training { &params.train } else { &params.eval };
        let mut transforms: Vec<Transform> = listed.iter().filter(|t| t.changes_pixels()).cloned().collect();
        if let Some(condition) = condition {
            if transforms.is_empty() {
                let size = Size::Exact([params.size; 2]);
                transforms.push(Transform::Resize(Resize { size, interpolation: Interpolation::default() }));
            }
            transforms.push(Transform::Condition(condition));
        }
        let draws = transforms.iter().any(Transform::draws);
        Work {
            split,
            // Views that draw nothing are all the same one.
            view: view.filter(|_| draws),
            size: params.size,
            transforms,
            seed: if draws { params.seed } else { 0 },
        }
    }
}
