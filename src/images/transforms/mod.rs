//! placeholder
use crate::artifact::model::Normalization;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step from a decoded image to a prepared one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Transform {
    Resize,
}

impl Transform {
    /// `Some` for `normalize`: the given constants, or `None` inside for the backbone's own.
    pub fn normalization(&self) -> Option<Option<Normalization>> {
        None
    }
    /// Whether its result depends on draws.
    pub fn draws(&self) -> bool {
        false
    }
}
