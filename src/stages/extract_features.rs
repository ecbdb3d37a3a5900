//! `extract_features`: runs a frozen backbone in evaluation mode, once an image and view.

use std::path::PathBuf;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Outcome, Stopped, Task};
use crate::{
    artifact::{
        Views,
        model::{BackboneSpec, Pooling},
    },
    backbones::Block,
    nn::{BATCH, Extractor, Network},
};

pub const VERSION: u32 = 1;

/// Which backbone, and where it is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    #[schemars(extend("x-stage" = ["views"]))]
    pub images: String,
    /// A name of `thawline models`.
    pub backbone: String,
    /// `imagenet`, `none` (random), or the path of a checkpoint (.safetensors, .pth, .pt) relative to the project's root.
    pub weights: String,
    /// The block whose output is pooled; by default the last.
    #[serde(default)]
    pub block: Option<String>,
    #[serde(default)]
    pub pooling: Pooling,
}

/// One node: one `Views` artifact. Inputs: `views`. Sources: `weights` unless they are random.
pub type Work = BackboneSpec;

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let views = Views::open(task.input("views")?)?;
    let weights = task.sources.get("weights").map(PathBuf::as_path);
    let network = Network::open(work, weights)?;
    let cut = network.cut(work)?;
    let extractor = Extractor::new(&network, cut, work.pooling, work.normalization, BATCH)?;
    let features = extractor.features(&views, |done, total| match task.link.progress(done, total) {
        Answer::Continue => Ok(()),
        Answer::Checkpoint | Answer::Stop => Err(Stopped.into()),
    })?;
    features.write(&task.out)?;
    Ok(Outcome {
        images_seen: views.images as u64,
        total_parameters: network.backbone().blocks[..=cut].iter().map(Block::parameters).sum(),
        ..Outcome::default()
    })
}
