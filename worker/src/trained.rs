//! A trained model, whole again: models are stored as what differs from the weights that they started from.

use std::path::Path;

use anyhow::{Context, Result};
use thawline::{artifact::Model, protocol::TrainedModel};

use crate::nn::{
    BATCH, Extractor, Network,
    checkpoint::{self, Tensors},
};

/// A model's artifact and its network.
pub struct Trained {
    pub model: Model,
    /// What the artifact holds: the head, and the blocks that were trained.
    pub tensors: Tensors,
    pub network: Network,
}

impl Trained {
    pub fn open(of: &TrainedModel) -> Result<Trained> {
        let model = Model::read(&of.artifact)?;
        let tensors = checkpoint::read(&of.artifact.join(Model::WEIGHTS))?;
        let network = network(&model, &tensors, of.weights.as_deref())?;
        Ok(Trained { model, tensors, network })
    }

    /// The kernel that the model was evaluated with.
    pub fn extractor(&self) -> Result<Extractor> {
        extractor(&self.network, &self.model)
    }
}

/// The weights that a model started from, with the blocks that it trained.
pub fn network(model: &Model, tensors: &Tensors, weights: Option<&Path>) -> Result<Network> {
    let network = Network::open(&model.backbone, weights)?;
    let changed = model.changed_blocks.iter().map(|name| {
        let backbone = network.backbone();
        backbone.block_index(name).with_context(|| format!("{} has no block `{name}`", backbone.name))
    });
    network.overwrite(&changed.collect::<Result<Vec<_>>>()?, tensors)?;
    Ok(network)
}

/// Pixels to the features that a model's head takes.
pub fn extractor(network: &Network, model: &Model) -> Result<Extractor> {
    let cut = network.cut(&model.backbone)?;
    Extractor::new(network, cut, model.backbone.pooling, model.backbone.normalization, BATCH)
}
