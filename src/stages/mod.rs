//! The stage kinds, one file each: its parameters (what people write), its work (what one node does, all that its result
//! depends on) and its `VERSION`. All of it is plain data: what a kind computes stands in the worker's `stages`, under the
//! same name, so that thawline itself never loads libtorch.
//!
//! A new kind is one file and one line in [`registry!`] here, and its `run` in the worker.

use serde::{Deserialize, Serialize};

pub mod activations;
pub mod augment;
pub mod command;
pub mod dataset;
pub mod evaluate;
pub mod extract_features;
pub mod fine_tune;
pub mod freeze_schedule;
pub mod lr_find;
pub mod optimizer;
pub mod train_head;

/// What a stage is to the stages that name it. In a parameter's schema, `x-stage` lists the types it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactType {
    Dataset,
    Views,
    Features,
    Schedule,
    LearningRate,
    Model,
    /// What a program of the user's wrote when it was fitted; only that program reads it.
    Program,
    Scores,
}

impl ArtifactType {
    pub fn name(self) -> &'static str {
        match self {
            ArtifactType::Dataset => "dataset",
            ArtifactType::Views => "views",
            ArtifactType::Features => "features",
            ArtifactType::Schedule => "schedule",
            ArtifactType::LearningRate => "learning_rate",
            ArtifactType::Model => "model",
            ArtifactType::Program => "program",
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
    lr_find: LrFind, LearningRate, bitwise false, seeded true, "tries rising learning rates, and suggests one";
    train_head: TrainHead, Model, bitwise false, seeded true, "trains a linear or MLP head on features";
    freeze_schedule: FreezeSchedule, Schedule, bitwise false, seeded false, "says which blocks train when, and how";
    fine_tune: FineTune, Model, bitwise false, seeded true, "trains backbone blocks and head by a freeze schedule";
    command: Command, Program, bitwise false, seeded true, "fits a program of your own, and lets it predict";
    evaluate: Evaluate, Scores, bitwise false, seeded false, "scores a model on validation, and on test once it is selected";
}

/// The kind whose nodes run side by side.
pub const PACKED: &str = "train_head";

/// Nodes of equal keys, seeds and inputs may run side by side in one worker, with the bits that each has alone.
pub fn pack_key(kind: &str, work: &serde_json::Value) -> Option<String> {
    if kind != PACKED {
        return None;
    }
    let work: train_head::Work = serde_json::from_value(work.clone()).ok()?;
    work.pack_key()
}

/// The kind of a node: one that people write, or `activations`, which lowering adds.
pub fn node_kind(name: &str) -> Option<&'static Kind> {
    kind(name).or_else(|| (name == activations::KIND.name).then_some(&activations::KIND))
}

/// The kind of that name, of those that people write.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}
