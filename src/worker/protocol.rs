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

use crate::{
    stages::{Answer, Epoch, Outcome},
    store::nodes::Usage,
};

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
