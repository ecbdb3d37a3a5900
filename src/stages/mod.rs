//! The stage kinds, one file each: its parameters (what people write), its work (what one node does, all that its result
//! depends on), its `VERSION`, and `run`. Stages see files and a [`Task`], never the plan, the engine or the database.
//!
//! Parameters and works are plain data; only `run` touches tch, so a program that never calls it does not link libtorch.
//! A new kind is one file here and one line in [`registry!`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub mod augment;
pub mod dataset;
mod epochs;
pub mod evaluate;
pub mod extract_features;
pub mod fine_tune;
pub mod freeze_schedule;
pub mod optimizer;
pub mod predict;
pub mod train_head;

/// What a stage is to the stages that name it. In a parameter's schema, `x-stage` lists the types it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactType {
    Dataset,
    Views,
    Features,
    Schedule,
    Model,
    Scores,
}

impl ArtifactType {
    pub fn name(self) -> &'static str {
        match self {
            ArtifactType::Dataset => "dataset",
            ArtifactType::Views => "views",
            ArtifactType::Features => "features",
            ArtifactType::Schedule => "schedule",
            ArtifactType::Model => "model",
            ArtifactType::Scores => "scores",
        }
    }
}

/// What `spec` and `plan` know of a kind.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// Raised whenever the same work would give other bits.
    pub version: u32,
    /// Readers are keyed by the content of the artifact, not by how it was made: an edit that changes nothing stops here.
    pub bitwise: bool,
    /// Results depend on the trial's seed.
    pub seeded: bool,
    pub makes: ArtifactType,
    /// One line for people.
    pub summary: &'static str,
    /// JSON Schema of the parameters.
    pub schema: fn() -> serde_json::Value,
}

/// `run`'s window on the world: the files it reads, where it writes, and the line to whoever asked.
pub struct Task<'a> {
    /// Folders of the input artifacts by role, in order (`views.train.0`, `views.train.1`, ...).
    pub inputs: BTreeMap<String, PathBuf>,
    /// Files outside the store, by role: `root` of a dataset, `weights` of a backbone. Where they lie is not identity.
    pub sources: BTreeMap<String, PathBuf>,
    /// The trial's seed; 0 for kinds that are not `seeded`.
    pub seed: u64,
    /// An empty folder; what is in it afterwards is the artifact.
    pub out: PathBuf,
    /// A folder that outlives an interrupted attempt: checkpoints go here and are found here again.
    pub checkpoint: PathBuf,
    pub link: &'a mut dyn Link,
}

/// The two-way line between a running node and its coordinator.
pub trait Link {
    /// A line for the node's log.
    fn log(&mut self, line: &str);
    /// Called between batches of work that cannot be resumed; `Answer::Stop` means give up now.
    fn progress(&mut self, done: u64, total: u64) -> Answer;
    /// Called at the end of every epoch.
    fn epoch(&mut self, epoch: &Epoch) -> Answer;
}

/// What the coordinator wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Continue,
    /// Save a checkpoint, then stop with [`Stopped`].
    Checkpoint,
    /// Stop now with [`Stopped`]; nothing needs to be saved.
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

/// The error of a run that was told to stop. Not a failure: the node is as it was, plus perhaps a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

impl Task<'_> {
    /// The folder of the input with this role.
    pub fn input(&self, role: &str) -> Result<&Path> {
        let found = self.inputs.get(role).map(PathBuf::as_path);
        found.with_context(|| {
            format!("no input `{role}`; there are: {}", self.inputs.keys().cloned().collect::<Vec<_>>().join(", "))
        })
    }

    /// The file or folder outside the store with this role.
    pub fn source(&self, role: &str) -> Result<&Path> {
        self.sources.get(role).map(PathBuf::as_path).with_context(|| format!("no source `{role}`"))
    }
}

/// CPU resources of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Threads libtorch may use. Training on another number of threads gives other bits, so it is part of the node's key.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: usize,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources { threads: 1 }
    }
}

/// Expands to everything that must list all kinds once.
macro_rules! registry {
    ($($module:ident: $variant:ident, $makes:ident, bitwise $bitwise:literal, seeded $seeded:literal, $summary:literal;)*) => {
        /// Every stage kind, in pipeline order.
        pub static KINDS: &[Kind] = &[$(Kind {
            name: stringify!($module),
            version: $module::VERSION,
            bitwise: $bitwise,
            seeded: $seeded,
            makes: ArtifactType::$makes,
            summary: $summary,
            schema: || schemars::schema_for!($module::Params).to_value(),
        }),*];

        /// A stage as written: its kind with typed, default-filled parameters.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Stage { $($variant($module::Params)),* }

        impl Stage {
            /// The typed form of `params`, or why they do not fit; the error names the path inside `params`.
            pub fn parse(kind: &str, params: serde_json::Value) -> Result<Stage, serde_path_to_error::Error<serde_json::Error>> {
                match kind {
                    $(stringify!($module) => serde_path_to_error::deserialize(params).map(Stage::$variant),)*
                    other => panic!("no stage kind `{other}`: callers check the kind first"),
                }
            }

            pub fn kind(&self) -> &'static Kind {
                let name = match self { $(Stage::$variant(_) => stringify!($module)),* };
                kind(name).expect("every stage is of a registered kind")
            }
        }
    };
}

registry! {
    dataset: Dataset, Dataset, bitwise true, seeded false, "finds the images, their classes and their splits";
    augment: Augment, Views, bitwise true, seeded false, "decodes, resizes and augments images, once";
    extract_features: ExtractFeatures, Features, bitwise false, seeded false, "runs a frozen backbone, once an image and view";
    train_head: TrainHead, Model, bitwise false, seeded true, "trains a linear or MLP head on features";
    freeze_schedule: FreezeSchedule, Schedule, bitwise false, seeded false, "says which blocks train when, and how";
    fine_tune: FineTune, Model, bitwise false, seeded true, "trains backbone blocks and head by a freeze schedule";
    evaluate: Evaluate, Scores, bitwise false, seeded false, "scores a model on validation, and on test once it is selected";
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}

/// Runs one node: the only way into tch. `work` is the kind's `Work`.
pub fn run(kind: &str, work: serde_json::Value, task: &mut Task<'_>) -> Result<Outcome> {
    match kind {
        "dataset" => dataset::run(&serde_json::from_value(work)?, task),
        "augment" => augment::run(&serde_json::from_value(work)?, task),
        "extract_features" => extract_features::run(&serde_json::from_value(work)?, task),
        "train_head" => train_head::run(&serde_json::from_value(work)?, task),
        "fine_tune" => fine_tune::run(&serde_json::from_value(work)?, task),
        "evaluate" => evaluate::run(&serde_json::from_value(work)?, task),
        other => anyhow::bail!("no stage kind `{other}` runs"),
    }
}
