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
    /// What is done about classes with few training images.
    #[serde(default)]
    pub balance: Balance,
    /// Of the augmentation; a literal, never the trial's seed.
    #[serde(default)]
    pub seed: u64,
}

/// What is done so that rare classes count as much as frequent ones. Validation and test images stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Nothing.
    #[default]
    None,
    /// What trains on these images weighs the loss: `class_weights: balanced` of `train_head` and `fine_tune`.
    ClassWeights,
    /// Every view holds further augmented copies of the images of a class, until it has as many as the largest.
    Oversample,
    /// As `oversample`, but each further image lies between one of the class and one of its 5 nearest neighbours there (SMOTE,
    /// Chawla et al. 2002, in pixels).
    Synthesize,
}

impl Balance {
    /// Whether views hold more images than the training split.
    pub fn tops_up(self) -> bool {
        matches!(self, Balance::Oversample | Balance::Synthesize)
    }

    fn is_none(&self) -> bool {
        *self == Balance::None
    }
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
    /// Of a training view: how rare classes are topped up.
    #[serde(default, skip_serializing_if = "Balance::is_none")]
    pub balance: Balance,
    /// 0 where nothing is drawn.
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
        let balance = if view.is_some() && params.balance.tops_up() { params.balance } else { Balance::None };
        let draws = transforms.iter().any(Transform::draws) || balance.tops_up();
        Work {
            split,
            // Views that draw nothing are all the same one.
            view: view.filter(|_| draws),
            size: params.size,
            transforms,
            balance,
            seed: if draws { params.seed } else { 0 },
        }
    }
}
