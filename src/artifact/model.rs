//! A trained model: what `train_head` and every phase of a `fine_tune` make.
//!
//! Files: `model.json` (this struct), `weights.safetensors` (the head, and only those backbone blocks that differ from the
//! weights it started from), and after a fine-tuning phase `optimizer.safetensors` (the state the next phase may continue).

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How pixels become the backbone's input: `(x / 255 - mean) / std` per RGB channel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// How the output of the cut, a map [n, channels, height, width] or tokens [n, tokens, channels], becomes a feature row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// Mean over positions, the class token not among them: [n, channels].
    #[default]
    Avg,
    /// Maximum over positions: [n, channels].
    Max,
    /// Mean, then maximum: [n, 2 x channels].
    AvgMax,
    /// The class token of a vision transformer alone: [n, channels].
    ClassToken,
}

impl Pooling {
    /// Feature width for `channels` at the cut.
    pub fn width(self, channels: usize) -> usize {
        if self == Pooling::AvgMax { 2 * channels } else { channels }
    }
}

/// The frozen beginning of a model: everything that turns pixels into a feature row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneSpec {
    /// A name of the `backbones` registry.
    pub backbone: String,
    pub weights: Weights,
    /// The last block that is used; a name of the backbone's blocks.
    pub cut: String,
    pub pooling: Pooling,
    pub normalization: Normalization,
}

/// What a backbone starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Random initialisation from this trial seed.
    Random { seed: u64 },
    /// A checkpoint with this BLAKE3 digest (hex). Where the file lies is not part of its identity.
    File {
        digest: String,
        /// Tensors that it lacks, or has in another shape, are drawn from this seed; `None`: there must be none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fill: Option<u64>,
    },
}

/// Layers between the feature row and the logits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSpec {
    pub inputs: usize,
    /// Widths of the hidden layers (each followed by ReLU); empty for a linear head.
    pub hidden: Vec<usize>,
    pub classes: usize,
}

impl HeadSpec {
    /// (inputs, outputs) of each linear layer.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let inputs = std::iter::once(self.inputs).chain(self.hidden.iter().copied());
        let outputs = self.hidden.iter().copied().chain([self.classes]);
        inputs.zip(outputs).collect()
    }

    /// Trainable parameters: weights and biases.
    pub fn parameters(&self) -> u64 {
        self.layers().into_iter().map(|(inputs, outputs)| ((inputs + 1) * outputs) as u64).sum()
    }
}

/// `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub backbone: BackboneSpec,
    pub head: HeadSpec,
    pub classes: Vec<String>,
    /// Names of the backbone blocks whose tensors are in `weights.safetensors`, in the backbone's order.
    pub changed_blocks: Vec<String>,
}

impl Model {
    pub const WEIGHTS: &str = "weights.safetensors";
    pub const OPTIMIZER: &str = "optimizer.safetensors";

    pub fn write(&self, dir: &Path) -> Result<()> {
        Ok(std::fs::write(dir.join("model.json"), serde_json::to_vec_pretty(self)?)?)
    }

    pub fn read(dir: &Path) -> Result<Model> {
        let path = dir.join("model.json");
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}
