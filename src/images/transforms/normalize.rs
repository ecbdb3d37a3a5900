//! `normalize`: alone (or `backbone`), or `{ normalize: { mean: [r, g, b], std: [r, g, b] } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{artifact::model::Normalization, images::Rgb, rng::Draws};

/// The constants of the network's input, `(x / 255 - mean) / std`. Prepared images stay bytes: it is the model that applies
/// them, so `normalize` comes last and leaves the pixels alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub enum Normalize {
    /// The backbone's own.
    Backbone,
    Given(Normalization),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Named(Named),
    Given(Given),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Named {
    Backbone,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Given {
    /// Of red, green and blue, where 1 is full.
    mean: [f32; 3],
    /// Above 0.
    std: [f32; 3],
}

impl From<Normalize> for Written {
    fn from(normalize: Normalize) -> Written {
        match normalize {
            Normalize::Backbone => Written::Named(Named::Backbone),
            Normalize::Given(Normalization { mean, std }) => Written::Given(Given { mean, std }),
        }
    }
}

impl TryFrom<Written> for Normalize {
    type Error = String;

    fn try_from(written: Written) -> Result<Normalize, String> {
        match written {
            Written::Named(Named::Backbone) => Ok(Normalize::Backbone),
            Written::Given(Given { mean, std }) if std.iter().all(|s| *s > 0.0 && s.is_finite()) => {
                Ok(Normalize::Given(Normalization { mean, std }))
            }
            Written::Given(Given { std, .. }) => Err(format!("`std` is {std:?}; every value must be above 0")),
        }
    }
}

impl Step for Normalize {
    fn alone() -> Option<Normalize> {
        Some(Normalize::Backbone)
    }

    fn apply(&self, image: Rgb, _size: u32, _draws: &mut Draws) -> Result<Rgb> {
        Ok(image)
    }
}
