//! How image files become pixels: what a `dataset` stage says of it, and everything that reads its images follows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Part of a [`Dataset`](super::Dataset), because its images mean nothing without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// RGB that transparent pixels are composited on.
    pub background: [u8; 3],
    pub levels: Levels,
    pub limits: Limits,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { background: [255; 3], levels: Levels::default(), limits: Limits::default() }
    }
}

/// Which sample values become black and white, where a sample has more than 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Levels {
    Named(NamedLevels),
    Given(LevelRange),
}

impl Default for Levels {
    fn default() -> Levels {
        Levels::Named(NamedLevels::Type)
    }
}

/// Levels that follow from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedLevels {
    /// The range of the sample's type: of integers the highest 8 bits are kept; floats lie between 0 and 1. In DICOM files
    /// the window that the file names.
    Type,
    /// The smallest and the largest value of each image.
    Image,
}

/// Given levels: what lies outside becomes black or white.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelRange {
    /// The sample that becomes black.
    pub low: f64,
    /// The sample that becomes white.
    pub high: f64,
}

/// What one image may cost; refused before it is allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Width times height. By default twice Pillow's `MAX_IMAGE_PIXELS`, where Pillow refuses too.
    #[schemars(range(min = 1))]
    pub pixels: u64,
    /// MiB that decoding one image (or reading one array of a file) may take.
    #[schemars(range(min = 1))]
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { pixels: 178_956_970, memory: 2048 }
    }
}

impl Limits {
    /// [`Limits::memory`] in bytes.
    pub fn bytes(&self) -> u64 {
        self.memory.saturating_mul(1 << 20)
    }
}
