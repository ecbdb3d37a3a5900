//! What is kept of trials beside their rows: what they said of every image, and how their training went.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{curves::Curves, pictures::Pictures};
use crate::artifact::{Predictions, Split};

/// Evidence by trial. Any of it may be missing: the report then says less, and says so.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Of chosen trials.
    pub predictions: HashMap<(String, Split), Arc<Predictions>>,
    pub curves: Curves,
    /// Of validation and test images.
    pub pictures: Pictures,
    /// Why something is missing, one line each.
    pub notes: Vec<String>,
    /// The distinct nodes behind all trials, in the order in which trials first need them.
    pub nodes: Vec<Node>,
}

/// A node that was computed, once, for all that share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub label: String,
    pub kind: String,
    pub key: String,
    /// Wall time.
    pub seconds: f64,
    pub epochs: u64,
    /// How many trials share it.
    pub trials: u64,
}

/// What was computed, each node once.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Computed {
    pub seconds: f64,
    pub epochs: u64,
    pub nodes: u64,
}

impl Evidence {
    pub fn computed(&self) -> Computed {
        Computed {
            seconds: self.nodes.iter().map(|node| node.seconds).sum(),
            epochs: self.nodes.iter().map(|node| node.epochs).sum(),
            nodes: self.nodes.len() as u64,
        }
    }
}

/// The epochs of a trial's training, through all its stages and phases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    /// One entry an epoch, in order.
    pub epochs: Vec<Point>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The node that trained: `probe`, `tuned.phase2`.
    pub node: Arc<str>,
    /// Of the node, from 1.
    pub epoch: u32,
    pub metrics: BTreeMap<String, f64>,
}

impl Curve {
    /// One metric over the epochs; `None` where an epoch lacks it.
    pub fn metric(&self, name: &str) -> Vec<Option<f64>> {
        self.epochs.iter().map(|point| point.metrics.get(name).copied()).collect()
    }
}

/// The order in which images of equal content stand in every list: by id, then path.
pub fn by_image(predictions: &Predictions) -> Vec<usize> {
    let mut order: Vec<usize> = (0..predictions.ids.len()).collect();
    order.sort_by_key(|&i| (&predictions.ids[i], &predictions.paths[i]));
    order
}

/// `predictions` with its images in the order of [`by_image`].
pub fn aligned(predictions: &Predictions) -> Predictions {
    let (order, width) = (by_image(predictions), predictions.classes.len());
    let of = |texts: &[String]| order.iter().map(|&i| texts[i].clone()).collect();
    Predictions {
        classes: predictions.classes.clone(),
        ids: of(&predictions.ids),
        paths: of(&predictions.paths),
        labels: order.iter().map(|&i| predictions.labels[i]).collect(),
        predicted: order.iter().map(|&i| predictions.predicted[i]).collect(),
        probabilities: order
            .iter()
            .flat_map(|&i| &predictions.probabilities[i * width..(i + 1) * width])
            .copied()
            .collect(),
    }
}

/// Whether both say something of the same images, with the same labels, in the same order.
pub fn same_images(a: &Predictions, b: &Predictions) -> bool {
    a.ids == b.ids && a.classes == b.classes && a.labels == b.labels
}
