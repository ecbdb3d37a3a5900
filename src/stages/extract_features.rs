//! `extract_features`: runs a frozen backbone in evaluation mode, once an image and view.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    artifact::model::{BackboneSpec, Pooling},
    backbones::{Chosen, weights::Wanted},
};

pub const VERSION: u32 = 1;

/// Which backbone, and where it is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["views"]))]
    pub images: String,
    pub backbone: Chosen,
    /// Of a backbone that is named.
    #[serde(default)]
    pub weights: Option<Wanted>,
    /// The block whose output is pooled; by default the last.
    #[serde(default)]
    pub block: Option<String>,
    /// By default the mean over positions, and the class token where there is one.
    #[serde(default)]
    pub pooling: Option<Pooling>,
}

/// One node: one `Views` artifact. Inputs: `views`. Sources: `weights` unless they are random.
pub type Work = BackboneSpec;
