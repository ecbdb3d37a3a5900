//! What coordinator and worker say to each other: line-delimited JSON over the worker's standard input and output.
//!
//! ```text
//! coordinator                      worker
//!   Manifest            ->
//!                       <-   locked            (it holds the node's lock)
//!   continue | stop     ->                     (stop: another coordinator finished it meanwhile)
//!                       <-   log, progress, epoch ...
//!   continue | checkpoint | stop  ->           (after every progress and epoch)
//!                       <-   done | failed | corrupt | stopped
//!   continue            ->                     (after done: the artifact is committed, the lock may go)
//! ```

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// One node to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub key: String,
    pub kind: String,
    pub work: serde_json::Value,
    pub seed: u64,
    pub inputs: Vec<Input>,
    /// Files outside the store by role.
    pub sources: BTreeMap<String, PathBuf>,
    /// The node's working folder: `out/`, `checkpoint/`, `lock`.
    pub dir: PathBuf,
}

/// One input artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub role: String,
    pub digest: String,
    pub path: PathBuf,
}

/// From the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    Locked,
    Log {
        line: String,
    },
    Progress {
        done: u64,
        total: u64,
    },
    Epoch(Epoch),
    /// `dir/out` is complete, sealed, and has this digest.
    Done {
        digest: String,
        bytes: u64,
        outcome: Outcome,
        usage: Usage,
    },
    Failed {
        error: String,
    },
    /// An input artifact does not have the content that its digest promises.
    Corrupt {
        digest: String,
    },
    Stopped,
}

/// From the coordinator, after a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub answer: Answer,
}

/// What the coordinator wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Continue,
    /// Save a checkpoint, then stop with `stopped`.
    Checkpoint,
    /// Stop now with `stopped`; nothing needs to be saved.
    Stop,
}

/// One epoch's figures: `train/loss`, `train/accuracy`, `val/loss`, `val/accuracy`, `lr`, ...
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1, within the node.
    pub epoch: u32,
    pub epochs: u32,
    pub metrics: BTreeMap<String, f64>,
}

/// What a finished node says of itself beside its artifact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub metrics: BTreeMap<String, f64>,
    /// Epochs trained by this node, counting those of an interrupted attempt that it continued.
    pub epochs: u32,
    /// Images that passed through (with repetition: an image seen in 3 epochs counts 3 times).
    pub images_seen: u64,
    pub trained_parameters: u64,
    pub total_parameters: u64,
    /// What a person should know: dropped images, an early stop.
    pub notes: Vec<String>,
}

/// What a node cost, apart from what it made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds of wall time.
    pub wall: f64,
    /// Seconds of CPU time, all threads.
    pub cpu: f64,
    /// Peak resident memory in bytes.
    pub memory: u64,
    pub threads: usize,
}

/// `thawline predict`: what to classify with what. One request on the worker's standard input, one answer back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PredictRequest {
    pub backbone: String,
    pub weights: PathBuf,
    pub images: Vec<PathBuf>,
}

/// `thawline preview`: rows of a contact sheet, without a store. One request on the worker's standard input, one answer back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PreviewRequest {
    /// The dataset stage's `Work`.
    pub dataset: serde_json::Value,
    /// The dataset's files by role.
    pub sources: BTreeMap<String, PathBuf>,
    /// The augment stage's `Work`s: a column each.
    pub columns: Vec<serde_json::Value>,
    /// Most images, a row each.
    pub images: usize,
    /// Where the sheet is written, as PNG.
    pub sheet: PathBuf,
}

/// The answer to a [`PreviewRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewAnswer {
    /// The image of each row, relative to the dataset's root.
    Rows(Vec<String>),
    Error(String),
}

/// The answer to a [`PredictRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictAnswer {
    Predictions(Vec<Prediction>),
    Error(String),
}

/// What one image shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub image: PathBuf,
    /// The five most probable classes, best first.
    pub top: Vec<Top>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// From 0.
    pub index: usize,
    pub class: String,
    /// Softmax probability.
    pub score: f32,
}
