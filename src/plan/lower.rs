//! Lowering: the stages of one configuration at one seed become nodes. Demand-driven from its `evaluate` stages, so what
//! nothing scores is never planned, and what only the test half needs is not planned before its selection. `scored` is where
//! the demand begins.

mod scored;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result, anyhow, bail};
use petgraph::graph::NodeIndex;
use serde::Serialize;

use super::{
    Aid, Configuration, Evaluation, Plan, Sources,
    node::{NewNode, Node},
};
use crate::{
    artifact::{
        Split,
        model::{BackboneSpec, Normalization, Pooling},
    },
    backbones::{self, TORCHSCRIPT},
    images::transforms::Transform,
    protocol::Limits,
    spec::{BackboneChoice, LateValue, Resolved},
    stages::{
        self, Stage, activations,
        augment::{self, Balance},
        dataset,
        dataset::Fold,
        extract_features, fine_tune, freeze_schedule,
        lr_find::{self, Found},
        optimizer::{ClassWeights, Optimizer},
        train_head,
    },
};

/// Plans one half of every `evaluate` stage.
pub fn evaluations(
    plan: &mut Plan,
    configuration: &Configuration,
    seed: u64,
    split: Split,
    sources: &mut dyn Sources,
) -> Result<Vec<Evaluation>> {
    let shared = match plan.shared.take() {
        Some((_, fold, _)) if fold != configuration.fold => Shared::default(),
        Some((of, _, shared)) if Arc::ptr_eq(&of, &configuration.resolved) => shared,
        Some((of, _, shared)) => shared.carried(&of, &configuration.resolved),
        None => Shared::default(),
    };
    let resolved = Arc::clone(&configuration.resolved);
    let fold = configuration.fold;
    let mut lowering = Lowering { plan, resolved: &resolved, fold, seed, sources, shared, models: BTreeMap::new() };
    let mut out = Vec::new();
    for (name, stage) in &resolved.stages {
        if let Stage::Evaluate(params) = stage {
            out.push(lowering.evaluate(name, params, split)?);
        }
    }
    let shared = lowering.shared;
    plan.shared = Some((resolved, fold, shared));
    Ok(out)
}

/// Plans one `lr_find` stage.
pub fn lr_find(
    plan: &mut Plan,
    configuration: &Configuration,
    seed: u64,
    stage: &str,
    sources: &mut dyn Sources,
) -> Result<NodeIndex> {
    let (resolved, fold) = (Arc::clone(&configuration.resolved), configuration.fold);
    let shared = Shared::default();
    let mut lowering = Lowering { plan, resolved: &resolved, fold, seed, sources, shared, models: BTreeMap::new() };
    lowering.lr_find(stage)
}

/// Nodes of one configuration that all its seeds share, and the next configuration too where it agrees: lowering thousands
/// of trials does not make them again.
#[derive(Debug, Default)]
pub struct Shared {
    datasets: HashMap<String, NodeIndex>,
    views: HashMap<(String, Split, Option<u32>), NodeIndex>,
    /// By stage and views.
    features: HashMap<(String, NodeIndex), NodeIndex>,
}

impl Shared {
    /// What is left when the stages are those of `now`: a node stays while its stage and all below it are the same.
    fn carried(mut self, then: &Resolved, now: &Resolved) -> Shared {
        let mut same: HashMap<String, bool> = HashMap::new();
        for (name, stage) in &now.stages {
            let below = match stage {
                Stage::Augment(params) => Some(&params.images),
                Stage::ExtractFeatures(params) => Some(&params.images),
                _ => None,
            };
            let below = below.is_none_or(|below| same.get(below).copied().unwrap_or(false));
            same.insert(name.clone(), below && then.stage(name) == Some(stage));
        }
        let kept = |name: &str| same.get(name).copied().unwrap_or(false);
        self.datasets.retain(|name, _| kept(name));
        self.views.retain(|(name, ..), _| kept(name));
        self.features.retain(|(name, _), _| kept(name));
        self
    }
}

/// A model-making stage, lowered.
#[derive(Clone)]
struct ModelNode {
    node: NodeIndex,
    backbone: BackboneSpec,
    weights: Option<PathBuf>,
    /// The `augment` stage it was trained on.
    images: String,
    /// The `extract_features` stage, for a head on features.
    features: Option<String>,
    hidden: Vec<usize>,
    /// Blocks that differ from the weights, by index.
    changed: BTreeSet<usize>,
}

/// What fine-tuning starts from.
struct Start {
    model: Option<NodeIndex>,
    backbone: BackboneSpec,
    weights: Option<PathBuf>,
    hidden: Vec<usize>,
    /// As in [`ModelNode`].
    changed: BTreeSet<usize>,
}

struct Lowering<'a> {
    plan: &'a mut Plan,
    resolved: &'a Resolved,
    fold: Option<Fold>,
    seed: u64,
    sources: &'a mut dyn Sources,
    shared: Shared,
    models: BTreeMap<String, ModelNode>,
}

/// The parameters of a node beyond its kind, label and work.
#[derive(Default)]
struct Extra {
    sources: BTreeMap<String, PathBuf>,
    source_digest: Option<String>,
    limits: Limits,
    threads: Option<usize>,
}

impl Lowering<'_> {
    fn add(
        &mut self,
        kind: &str,
        label: String,
        work: &impl Serialize,
        extra: Extra,
        inputs: Vec<(String, NodeIndex)>,
    ) -> Result<NodeIndex> {
        let recipes = inputs.iter().map(|(role, node)| (role.as_str(), self.plan.node(*node).recipe)).collect();
        let node = Node::new(NewNode {
            kind: stages::node_kind(kind).with_context(|| format!("no stage kind `{kind}`"))?,
            label,
            work: serde_json::to_value(work)?,
            seed: self.seed,
            threads: extra.threads.unwrap_or(1),
            sources: extra.sources,
            source_digest: extra.source_digest,
            limits: extra.limits,
            inputs: recipes,
            device: &self.plan.device,
        });
        Ok(self.plan.intern(node, &inputs))
    }

    fn stage(&self, name: &str) -> Result<&Stage> {
        self.resolved.stage(name).with_context(|| format!("no stage `{name}`"))
    }

    fn augment(&self, name: &str) -> Result<&augment::Params> {
        match self.stage(name)? {
            Stage::Augment(params) => Ok(params),
            other => Err(misplaced(name, other)),
        }
    }

    fn dataset(&mut self, name: &str) -> Result<NodeIndex> {
        if let Some(&made) = self.shared.datasets.get(name) {
            return Ok(made);
        }
        let Stage::Dataset(params) = self.stage(name)?.clone() else { bail!("`{name}` is not a dataset") };
        let files = self.sources.dataset(&params)?;
        let extra = Extra { sources: files.paths, source_digest: Some(files.digest), ..Extra::default() };
        let label = self.fold.map_or(name.to_string(), |fold| format!("{name}.fold{}", fold.number()));
        let made = self.add("dataset", label, &dataset::Work { params, fold: self.fold }, extra, Vec::new())?;
        self.shared.datasets.insert(name.to_string(), made);
        Ok(made)
    }

    /// The dataset under an `augment` stage.
    fn dataset_of(&mut self, augment: &str) -> Result<NodeIndex> {
        let images = self.augment(augment)?.images.clone();
        self.dataset(&images)
    }

    /// One split under the evaluation transform, or training view `view`.
    fn views(&mut self, name: &str, split: Split, view: Option<u32>) -> Result<NodeIndex> {
        let asked = (name.to_string(), split, view);
        if let Some(&made) = self.shared.views.get(&asked) {
            return Ok(made);
        }
        let work = augment::Work::new(self.augment(name)?, split, view, None);
        let which = work.view.map_or(split.name().to_string(), |view| format!("{}.{view}", split.name()));
        let made = self.prepared(name, work, &which)?;
        self.shared.views.insert(asked, made);
        Ok(made)
    }

    /// One node of an `augment` stage.
    fn prepared(&mut self, name: &str, work: augment::Work, which: &str) -> Result<NodeIndex> {
        let params = self.augment(name)?.clone();
        let dataset = self.dataset(&params.images)?;
        let root = self.plan.node(dataset).sources.get("root").cloned();
        let sources = root.map(|root| ("root".to_string(), root)).into_iter().collect();
        let extra = Extra { sources, ..Extra::default() };
        self.add("augment", format!("{name}[{which}]"), &work, extra, vec![("dataset".into(), dataset)])
    }

    /// `views` for every view that epochs `first..first + epochs` read, by view.
    fn training_views(&mut self, name: &str, first: u32, epochs: u32) -> Result<BTreeMap<u32, NodeIndex>> {
        let views = self.augment(name)?.views.max(1);
        let read = (first..first + epochs.min(views)).map(|epoch| epoch % views);
        read.map(|view| Ok((view, self.views(name, Split::Train, Some(view))?))).collect()
    }

    fn features(
        &mut self,
        name: &str,
        spec: &BackboneSpec,
        weights: Option<&PathBuf>,
        views: NodeIndex,
    ) -> Result<NodeIndex> {
        let asked = (name.to_string(), views);
        if let Some(&made) = self.shared.features.get(&asked) {
            return Ok(made);
        }
        let of = &self.plan.node(views).label;
        let which = of.find('[').map_or("", |at| &of[at..]).to_string();
        let work: &extract_features::Work = spec;
        let inputs = vec![("views".into(), views)];
        let made = self.add("extract_features", format!("{name}{which}"), work, weights_extra(weights), inputs)?;
        self.shared.features.insert(asked, made);
        Ok(made)
    }

    /// What the blocks below `line` make of `views`; `model` is where they come from if some of them were trained.
    fn activations(
        &mut self,
        spec: &BackboneSpec,
        line: usize,
        weights: Option<&PathBuf>,
        views: NodeIndex,
        model: Option<NodeIndex>,
    ) -> Result<NodeIndex> {
        let backbone = backbones::named(&spec.backbone)?;
        let above = backbone.blocks.get(line).map_or("head", |block| block.name.as_str());
        let of = &self.plan.node(views).label;
        let label = format!("below {above}{}", of.find('[').map_or("", |at| &of[at..]));
        let cut = backbone.blocks[line - 1].name.clone();
        let work: activations::Work = BackboneSpec { cut, pooling: Pooling::default(), ..spec.clone() };
        let mut inputs = vec![("views".to_string(), views)];
        inputs.extend(model.map(|model| ("model".to_string(), model)));
        self.add(activations::KIND.name, label, &work, weights_extra(weights), inputs)
    }

    /// The frozen part that `choice` describes, and where its checkpoint lies.
    fn backbone(&mut self, choice: &BackboneChoice, seed: u64) -> Result<(BackboneSpec, Option<PathBuf>)> {
        let backbone = backbones::named(&choice.backbone)?;
        let (weights, path) = self.sources.weights(&choice.backbone, &choice.weights, seed)?;
        let augment = self.augment(&choice.images)?;
        let given = augment.eval.iter().chain(&augment.train).find_map(Transform::normalization).flatten();
        let own = Normalization { mean: backbone.preprocessing.mean, std: backbone.preprocessing.std };
        let spec = BackboneSpec {
            backbone: choice.backbone.clone(),
            weights,
            cut: choice.cut.clone(),
            pooling: choice.pooling,
            normalization: given.unwrap_or(own),
        };
        Ok((spec, path))
    }

    fn model(&mut self, name: &str) -> Result<ModelNode> {
        if let Some(model) = self.models.get(name) {
            return Ok(model.clone());
        }
        let choice = self.resolved.backbone_of(name).with_context(|| format!("`{name}` names no backbone"))?;
        let model = match self.stage(name)?.clone() {
            Stage::TrainHead(params) => self.train_head(name, &params, &choice)?,
            Stage::FineTune(params) => self.fine_tune(name, &params, &choice)?,
            other => return Err(misplaced(name, &other)),
        };
        self.models.insert(name.to_string(), model.clone());
        Ok(model)
    }

    fn train_head(&mut self, name: &str, params: &train_head::Params, choice: &BackboneChoice) -> Result<ModelNode> {
        // Features are shared by all trials, so random weights below them are drawn from a literal.
        let (spec, weights) = self.backbone(choice, 0)?;
        let views = self.augment(&choice.images)?.views.max(1);
        let mut inputs = vec![("dataset".to_string(), self.dataset_of(&choice.images)?)];
        for (view, node) in self.training_views(&choice.images, 0, params.training.epochs)? {
            inputs.push((
                format!("features.train.{view}"),
                self.features(&params.features, &spec, weights.as_ref(), node)?,
            ));
        }
        let val = self.views(&choice.images, Split::Val, None)?;
        inputs.push(("features.val".into(), self.features(&params.features, &spec, weights.as_ref(), val)?));
        let late = self.resolved.late(name).iter();
        let late = late.map(|value| (format!("training.{}", value.place()), value));
        let found = self.found(late, &mut inputs)?;
        let mut training = params.training.clone();
        training.class_weights = self.class_weights(training.class_weights, &choice.images)?;
        let work = train_head::Work { training, views, backbone: spec.clone(), found };
        let extra = Extra { threads: Some(params.training.resources.threads), ..Extra::default() };
        let node = self.add("train_head", name.to_string(), &work, extra, inputs)?;
        let features = Some(params.features.clone());
        let hidden = params.training.hidden.clone();
        let images = choice.images.clone();
        Ok(ModelNode { node, backbone: spec, weights, images, features, hidden, changed: BTreeSet::new() })
    }

    /// How the loss weighs the classes: as the stage says, or as the balance of the images that it trains on.
    fn class_weights(&self, own: ClassWeights, images: &str) -> Result<ClassWeights> {
        let by_balance = self.augment(images)?.balance == Balance::ClassWeights;
        Ok(if by_balance { ClassWeights::Balanced } else { own })
    }

    /// Late values with the place in the work that each is for; their stages become inputs.
    fn found<'v>(
        &mut self,
        late: impl Iterator<Item = (String, &'v LateValue)>,
        inputs: &mut Vec<(String, NodeIndex)>,
    ) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for (at, value) in late {
            let role = format!("found.{}", value.stage);
            if inputs.iter().all(|(known, _)| *known != role) {
                inputs.push((role.clone(), self.lr_find(&value.stage)?));
            }
            found.push(Found { at, role, field: value.field });
        }
        Ok(found)
    }

    fn lr_find(&mut self, name: &str) -> Result<NodeIndex> {
        let params = match self.stage(name)? {
            Stage::LrFind(params) => params.clone(),
            other => return Err(misplaced(name, other)),
        };
        let choice = self.resolved.backbone_of(name).with_context(|| format!("`{name}` names no backbone"))?;
        let mut inputs = vec![("dataset".to_string(), self.dataset_of(&choice.images)?)];
        let train = self.views(&choice.images, Split::Train, Some(0))?;
        let (trains, extra) = if let Some(features) = &params.features {
            let (spec, weights) = self.backbone(&choice, 0)?;
            inputs.push(("features.train.0".into(), self.features(features, &spec, weights.as_ref(), train)?));
            let mut training = params.head();
            training.class_weights = self.class_weights(training.class_weights, &choice.images)?;
            let work = train_head::Work { training, views: 1, backbone: spec, found: Vec::new() };
            (lr_find::Trains::Head(work), Extra::default())
        } else {
            let Start { model, backbone: spec, weights, hidden, .. } =
                self.start(params.start_from.as_deref(), &params.hidden, &choice)?;
            let schedule = params.schedule().with_context(|| format!("`{name}` does not say what trains"))?;
            let phases = self.phases(name, &schedule, &spec, params.optimizer)?;
            let (_, phase) = phases.into_iter().next().context("a schedule of one phase")?;
            inputs.push(("views.train.0".into(), train));
            inputs.extend(model.map(|node| ("model".to_string(), node)));
            let extra = weights_extra(weights.as_ref());
            let (mut training, found) = (params.training.clone(), Vec::new());
            training.class_weights = self.class_weights(training.class_weights, &choice.images)?;
            let work = fine_tune::Work { backbone: spec, hidden, training, phase, first_epoch: 0, views: 1, found };
            (lr_find::Trains::Network(work), extra)
        };
        let (min, max, steps, suggestion) = (params.min, params.max, params.steps, params.suggestion);
        let extra = Extra { threads: Some(params.training.resources.threads), ..extra };
        self.add("lr_find", name.to_string(), &lr_find::Work { trains, min, max, steps, suggestion }, extra, inputs)
    }

    /// What fine-tuning starts from: a model, or the backbone of `choice` under a new head.
    fn start(&mut self, start_from: Option<&str>, hidden: &[usize], choice: &BackboneChoice) -> Result<Start> {
        if let Some(from) = start_from {
            let ModelNode { node, backbone, weights, hidden, changed, .. } = self.model(from)?;
            return Ok(Start { model: Some(node), backbone, weights, hidden, changed });
        }
        let (backbone, weights) = self.backbone(choice, self.seed)?;
        Ok(Start { model: None, backbone, weights, hidden: hidden.to_vec(), changed: BTreeSet::new() })
    }

    /// The phases of a schedule for this backbone; `stage` is where it is written.
    fn phases(
        &self,
        stage: &str,
        schedule: &freeze_schedule::Params,
        spec: &BackboneSpec,
        optimizer: Optimizer,
    ) -> Result<Vec<freeze_schedule::NamedPhase>> {
        let backbone = backbones::named(&spec.backbone)?;
        freeze_schedule::resolve(schedule, backbone, &spec.cut, optimizer)
            .map_err(|misfits| anyhow!("{stage}: {}", misfits.first().map_or("does not fit", |m| &m.message)))
    }

    fn fine_tune(&mut self, name: &str, params: &fine_tune::Params, choice: &BackboneChoice) -> Result<ModelNode> {
        let Start { mut model, backbone: spec, weights, hidden, mut changed } =
            self.start(params.start_from.as_deref(), &params.hidden, choice)?;
        let Stage::FreezeSchedule(schedule) = self.stage(&params.schedule)?.clone() else {
            bail!("`{}` is not a schedule", params.schedule)
        };
        let backbone = backbones::named(&spec.backbone)?;
        let phases = self.phases(&params.schedule, &schedule, &spec, params.optimizer)?;

        let views = self.augment(&params.images)?.views.max(1);
        let dataset = self.dataset_of(&params.images)?;
        let val = self.views(&params.images, Split::Val, None)?;
        let mut training = params.training.clone();
        training.class_weights = self.class_weights(training.class_weights, &params.images)?;
        let mut first_epoch = 0;
        for (i, (phase_name, phase)) in phases.into_iter().enumerate() {
            let mut inputs = vec![("dataset".to_string(), dataset), ("views.val".to_string(), val)];
            for (view, node) in self.training_views(&params.images, first_epoch, phase.epochs)? {
                inputs.push((format!("views.train.{view}"), node));
            }
            inputs.extend(model.map(|node| ("model".to_string(), node)));
            let epochs = phase.epochs;
            let trained = phase.changed_blocks(backbone, &spec.cut)?;
            let end = backbone.block_index(&spec.cut).context("the cut is a block")? + 1;
            let line = trained.first().copied().unwrap_or(end);
            let mut aids = Vec::new();
            // An unknown network's bits may depend on an image's place among the 32: what is stored could differ from what is not.
            if line > 0 && spec.backbone != TORCHSCRIPT.name {
                let from = if changed.range(..line).next().is_some() { model } else { None };
                let seen = self.training_views(&params.images, first_epoch, epochs)?;
                let read = seen.into_iter().map(|(view, node)| {
                    let reads = (first_epoch..first_epoch + epochs).filter(|epoch| epoch % views == view).count();
                    (format!("activations.train.{view}"), node, reads as u32)
                });
                for (role, views, reads) in read.chain([("activations.val".to_string(), val, epochs)]) {
                    let node = self.activations(&spec, line, weights.as_ref(), views, from)?;
                    aids.push(Aid { role, node, reads });
                }
            }
            changed.extend(trained);
            let of_phase = format!("phases.{i}.lr");
            let late = self.resolved.late(&params.schedule).iter().filter(|value| value.place() == of_phase);
            let found = self.found(late.map(|value| ("phase.lr".to_string(), value)), &mut inputs)?;
            let work = fine_tune::Work {
                backbone: spec.clone(),
                hidden: hidden.clone(),
                training: training.clone(),
                phase,
                first_epoch,
                views,
                found,
            };
            let extra = Extra { threads: Some(params.training.resources.threads), ..weights_extra(weights.as_ref()) };
            let number = (i + 1).to_string();
            let label =
                if phase_name == number { format!("{name}.phase{number}") } else { format!("{name}.{phase_name}") };
            let node = self.add("fine_tune", label, &work, extra, inputs)?;
            self.plan.aid(node, aids);
            model = Some(node);
            first_epoch += epochs;
        }
        let node = model.with_context(|| format!("`{}` has no phases", params.schedule))?;
        let images = params.images.clone();
        Ok(ModelNode { node, backbone: spec, weights, images, features: None, hidden, changed })
    }
}

fn weights_extra(path: Option<&PathBuf>) -> Extra {
    let sources = path.map(|path| ("weights".to_string(), path.clone())).into_iter().collect();
    Extra { sources, ..Extra::default() }
}

fn misplaced(name: &str, stage: &Stage) -> anyhow::Error {
    anyhow!("`{name}` is a {}", stage.kind().name)
}
