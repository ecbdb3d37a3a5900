//! `extract_features`: runs a frozen backbone in evaluation mode, once an image and view.

use std::path::PathBuf;

use anyhow::Result;
use thawline::{
    artifact::{SoftTargets, Views},
    protocol::{Answer, Outcome},
    stages::extract_features::Work,
};

use crate::{
    nn::{BATCH, Extractor, Network},
    task::{Stopped, Task},
};

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
    // What the images show does not change on the way through a backbone.
    if let Some(targets) = SoftTargets::read(task.input("views")?, views.images)? {
        targets.write(&task.out)?;
    }
    Ok(Outcome {
        images_seen: views.images as u64,
        total_parameters: network.parameters(cut),
        notes: network.notes().to_vec(),
        ..Outcome::default()
    })
}
