//! What coordinator and worker say to each other: line-delimited JSON over the worker's standard input and output.
//!
//! ```text
//! coordinator                      worker
//!   [Manifest, ...]     ->
//!                       <-   locked            (it holds the node's lock; once a node)
//!   continue | stop     ->                     (stop: another coordinator finished it meanwhile)
//!                       <-   log, progress, epochs ...
//!   continue | checkpoint | stop  ->           (after every progress and epochs)
//!                       <-   done | failed | corrupt | stopped   (once a node)
//!   continue            ->                     (after done: the artifact is committed, the lock may go)
//! ```
//!
//! A worker gets one node at a time, or a pack: nodes of one kind that it computes side by side.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

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
    #[serde(default)]
    pub limits: Limits,
    /// The node's working folder: `out/`, `checkpoint/`, `lock`.
    pub dir: PathBuf,
}

/// What a node may cost; no part of what it makes, so not of its key either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds after which it is killed.
    pub timeout: Option<f64>,
    /// How many times it is started again: a program when it fails, other nodes when their worker dies.
    pub retries: Option<u32>,
    /// Bytes of memory that its worker may fill; mapped files do not count.
    pub max_memory: Option<u64>,
}

/// Longest wait between two attempts at a node.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long to wait after the `failed`th attempt, from 1: a second, then twice as long each time.
pub fn pause_after(failed: u32) -> Duration {
    Duration::from_secs(1 << failed.saturating_sub(1).min(6)).min(LONGEST_PAUSE)
}

impl Limits {
    /// These, and where they say nothing, `others`.
    #[must_use]
    pub fn or(self, others: Limits) -> Limits {
        Limits {
            timeout: self.timeout.or(others.timeout),
            retries: self.retries.or(others.retries),
            max_memory: self.max_memory.or(others.max_memory),
        }
    }
}

/// One input artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub role: String,
    pub digest: String,
    pub path: PathBuf,
}

/// From the worker: about the node at this place in the list of manifests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub member: usize,
    #[serde(flatten)]
    pub report: Report,
}

/// What a worker says of a node.
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
    /// An epoch of each of these members of the pack.
    Epochs {
        epochs: Vec<(usize, Epoch)>,
    },
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

/// What `thawline-worker ask` is asked, once, on its standard input; a [`Response`] comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The ImageNet classes of images, by a published network with its own classifier.
    Published { backbone: String, weights: PathBuf, images: Vec<PathBuf>, top: usize },
    /// The classes of images, by a model of a trial.
    Trained {
        model: TrainedModel,
        /// The `Work` of the `augment` node that prepared the images which the model was evaluated on.
        views: serde_json::Value,
        /// How its dataset decodes images, an `artifact::Reading`.
        reading: serde_json::Value,
        images: Vec<PathBuf>,
        top: usize,
    },
    /// The whole network of a model of a trial, as a file for PyTorch.
    Export {
        model: TrainedModel,
        format: ExportFormat,
        /// JSON that travels with the tensors.
        metadata: String,
        out: PathBuf,
    },
    /// The GPUs that the full libtorch in this folder can use.
    Gpus { libtorch: PathBuf },
    /// A contact sheet of training images as an `augment` stage prepares them.
    Preview {
        /// The dataset stage's `Work`.
        dataset: serde_json::Value,
        /// The dataset's files by role.
        sources: BTreeMap<String, PathBuf>,
        /// The augment stage's `Work`s: a column each.
        columns: Vec<serde_json::Value>,
        /// Most images, a row each.
        images: usize,
        /// Where the sheet is written, as PNG.
        sheet: PathBuf,
    },
}

/// A model of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainedModel {
    /// The folder of its artifact.
    pub artifact: PathBuf,
    /// The checkpoint that its backbone started from, unless that was random.
    pub weights: Option<PathBuf>,
}

/// How tensors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    Safetensors,
    Torch,
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// In the order of the images.
    Predictions(Vec<Prediction>),
    /// Tensors that were written.
    Exported(usize),
    /// Their names, in CUDA's order.
    Gpus(Vec<String>),
    /// The image of each row of a contact sheet, relative to the dataset's root.
    Rows(Vec<String>),
    Error(String),
}

/// What one image shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub image: PathBuf,
    /// The most probable classes, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Top>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// From 0.
    pub index: usize,
    pub class: String,
    /// Softmax probability.
    pub score: f64,
}
