//! `activations`: runs the frozen blocks below a thaw line, once an image and view.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use thawline::{
    artifact::{Model, Views, activations::ActivationsWriter},
    protocol::{Answer, Outcome},
    stages::activations::Work,
};

use crate::{
    nn::{BATCH, Below, Images, Network, checkpoint, stored_values},
    task::{Stopped, Task},
};

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let views = Views::open(task.input("views")?)?;
    let (count, height, width) = (views.images, views.height, views.width);
    let network = Network::open(work, task.sources.get("weights").map(PathBuf::as_path))?;
    let (cut, backbone) = (network.cut(work)?, network.backbone());
    if let Some(dir) = task.inputs.get("model") {
        let index = |name: &String| backbone.block_index(name).with_context(|| format!("no block `{name}`"));
        let changed = Model::read(dir)?.changed_blocks.iter().map(index).collect::<Result<Vec<_>>>()?;
        let below: Vec<usize> = changed.into_iter().filter(|block| *block <= cut).collect();
        network.overwrite(&below, &checkpoint::read(&dir.join(Model::WEIGHTS))?)?;
    }
    let below = Below::new(Some(network.folded(0..cut + 1)?), work.normalization);
    let images = Images::new(views, None)?;
    let mut writer: Option<ActivationsWriter> = None;
    let start = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let rows: Vec<usize> = (first..count.min(first + BATCH)).collect();
        let (values, shape) = stored_values(&below.rows(&images, &rows)?)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(ActivationsWriter::create(&task.out, count, &shape)?),
        };
        writer.push(&values)?;
        if task.link.progress((first + rows.len()) as u64, count as u64) != Answer::Continue {
            return Err(Stopped.into());
        }
    }
    match writer {
        Some(writer) => writer.finish()?,
        None => ActivationsWriter::create(&task.out, 0, &[])?.finish()?,
    }
    let mut outcome =
        Outcome { images_seen: count as u64, total_parameters: network.parameters(cut), ..Outcome::default() };
    // What the engine predicts the next decision by.
    let (_, multiply_adds) = backbone.outputs(height, width)?[cut];
    let rate = (count as u64 * multiply_adds) as f64 / start.elapsed().as_secs_f64();
    outcome.metrics.insert("multiply_adds_per_second".into(), rate);
    Ok(outcome)
}
