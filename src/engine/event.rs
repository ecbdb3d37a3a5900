//! What happens in a run: the only thing that the engine and those who show it share.

use serde::Serialize;

use crate::store::runs::Progress;

/// One happening.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Started {
        experiment: String,
        run: i64,
        trials: usize,
        progress: Progress,
    },
    Notice {
        text: String,
    },
    NodeStarted {
        label: String,
        key: String,
    },
    NodeProgress {
        label: String,
        key: String,
        done: u64,
        total: u64,
    },
    Epoch {
        label: String,
        key: String,
        epoch: u32,
        epochs: u32,
        metrics: std::collections::BTreeMap<String, f64>,
    },
    NodeFinished {
        label: String,
        key: String,
        seconds: f64,
        notes: Vec<String>,
        progress: Progress,
    },
    /// Another coordinator finished it while this one waited for its lock.
    NodeFoundFinished {
        label: String,
        key: String,
        progress: Progress,
    },
    NodeFailed {
        label: String,
        key: String,
        error: String,
        progress: Progress,
    },
    /// Its worker died, and it is started again.
    NodeRetried {
        label: String,
        key: String,
        error: String,
    },
    /// The like of everything that is left was measured: seconds that it will take, and seconds that there are.
    Estimated {
        seconds: f64,
        time: Option<f64>,
    },
    /// No more trials start: the time is nearly over, or there were enough.
    Closing {
        running: usize,
    },
    /// An artifact did not have the content that its digest promises; it is made again.
    Corrupt {
        label: String,
        digest: String,
    },
    /// The configuration that validation chose is on record; its test half may be computed.
    Selected {
        arm: String,
        facet: String,
        configuration: String,
        metric: String,
        value: f64,
        candidates: usize,
    },
    /// The first Ctrl-C: what runs finishes its epoch.
    Stopping {
        running: usize,
    },
    Finished {
        status: String,
        seconds: f64,
        progress: Progress,
    },
}
