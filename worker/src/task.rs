//! What a running node sees of the world: a [`Task`], and a [`Link`] to whoever asked for it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use thawline::protocol::{Answer, Epoch, Limits};

/// `run`'s window on the world: the files it reads, where it writes, and the line to whoever asked.
pub struct Task<'a> {
    /// Folders of the input artifacts by role, in order (`views.train.0`, `views.train.1`, ...).
    pub inputs: BTreeMap<String, PathBuf>,
    /// Files outside the store, by role: `root` of a dataset, `weights` of a backbone. Where they lie is not identity.
    pub sources: BTreeMap<String, PathBuf>,
    /// The trial's seed; 0 for kinds that are not `seeded`.
    pub seed: u64,
    pub limits: Limits,
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
    /// Called at the end of every epoch, for the members of the pack that trained it: (place in the pack, figures).
    fn epochs(&mut self, epochs: Vec<(usize, Epoch)>) -> Answer;
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

/// The other end of a task in tests.
#[cfg(test)]
pub mod recorder {
    use super::{Answer, Epoch, Link};

    /// Remembers the curve of the first member, and asks for a checkpoint at the epoch of number `last`.
    #[derive(Default)]
    pub struct Recorder {
        pub curve: Vec<Epoch>,
        pub log: Vec<String>,
        pub last: Option<u32>,
    }

    impl Link for Recorder {
        fn log(&mut self, line: &str) {
            self.log.push(line.to_string());
        }

        fn progress(&mut self, _done: u64, _total: u64) -> Answer {
            Answer::Continue
        }

        fn epochs(&mut self, epochs: Vec<(usize, Epoch)>) -> Answer {
            let last = epochs.iter().any(|(_, epoch)| self.last == Some(epoch.epoch));
            self.curve.extend(epochs.into_iter().filter(|(member, _)| *member == 0).map(|(_, epoch)| epoch));
            if last { Answer::Checkpoint } else { Answer::Continue }
        }
    }
}
