//! Lowering: the stages of one configuration at one seed become nodes. Demand-driven from its `evaluate` stages, so what
//! nothing scores is never planned, and what only the test half needs is not planned before its selection.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, anyhow, bail};
use petgraph::graph::NodeIndex;
use serde::Serialize;

use super::{
    Configuration, Evaluation, Plan, Sources,
    node::{NewNode, Node},
};
use crate::{
    artifact::{
        Split,
        model::{BackboneSpec, Normalization},
    },
    backbones,
    images::{
        conditions::SEVERITIES,
        transforms::{self, Transform},
    },
    spec::{BackboneChoice, Resolved},
    stages::{self, Stage, augment, evaluate, extract_features, fine_tune, freeze_schedule, train_head},
};

/// Plans one half of every `evaluate` stage.
pub fn evaluations(
    plan: &mut Plan,
    configuration: &Configuration,
    seed: u64,
    split: Split,
    sources: &mut dyn Sources,
) -> Result<Vec<Evaluation>> {
    let resolved = Arc::clone(&configuration.resolved);
    let mut lowering = Lowering { plan, resolved: &resolved, seed, sources, models: BTreeMap::new() };
    let mut out = Vec::new();
    for (name, stage) in &resolved.stages {
        if let Stage::Evaluate(params) = stage {
            out.push(lowering.evaluate(name, params, split)?);
        }
    }
    Ok(out)
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
}

struct Lowering<'a> {
    plan: &'a mut Plan,
    resolved: &'a Resolved,
    seed: u64,
    sources: &'a mut dyn Sources,
    models: BTreeMap<String, ModelNode>,
}

/// The parameters of a node beyond its kind, label and work.
#[derive(Default)]
struct Extra {
    sources: BTreeMap<String, PathBuf>,
    source_digest: Option<String>,
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
            kind: stages::kind(kind).with_context(|| format!("no stage kind `{kind}`"))?,
            label,
            work: serde_json::to_value(work)?,
            seed: self.seed,
            threads: extra.threads.unwrap_or(1),
            sources: extra.sources,
            source_digest: extra.source_digest,
            inputs: recipes,
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
        let Stage::Dataset(params) = self.stage(name)?.clone() else { bail!("`{name}` is not a dataset") };
        let files = self.sources.dataset(&params)?;
        let extra = Extra { sources: files.paths, source_digest: Some(files.digest), ..Extra::default() };
        self.add("dataset", name.to_string(), &params, extra, Vec::new())
    }

    /// The dataset under an `augment` stage.
    fn dataset_of(&mut self, augment: &str) -> Result<NodeIndex> {
        let images = self.augment(augment)?.images.clone();
        self.dataset(&images)
    }

    /// One split under the evaluation transform, or training view `view`.
    fn views(&mut self, name: &str, split: Split, view: Option<u32>) -> Result<NodeIndex> {
        let work = augment::Work::new(self.augment(name)?, split, view, None);
        let which = work.view.map_or(split.name().to_string(), |view| format!("{}.{view}", split.name()));
        self.prepared(name, work, &which)
    }

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
        let of = &self.plan.node(views).label;
        let which = of.find('[').map_or("", |at| &of[at..]).to_string();
        let work: &extract_features::Work = spec;
        self.add(
            "extract_features",
            format!("{name}{which}"),
            work,
            weights_extra(weights),
            vec![("views".into(), views)],
        )
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
        let work = train_head::Work { training: params.training.clone(), views, backbone: spec.clone() };
        let extra = Extra { threads: Some(params.training.resources.threads), ..Extra::default() };
        let node = self.add("train_head", name.to_string(), &work, extra, inputs)?;
        let features = Some(params.features.clone());
        let hidden = params.training.hidden.clone();
        Ok(ModelNode { node, backbone: spec, weights, images: choice.images.clone(), features, hidden })
    }

    fn fine_tune(&mut self, name: &str, params: &fine_tune::Params, choice: &BackboneChoice) -> Result<ModelNode> {
        let start = params.start_from.as_deref().map(|from| self.model(from)).transpose()?;
        let (spec, weights, hidden) = match &start {
            Some(start) => (start.backbone.clone(), start.weights.clone(), start.hidden.clone()),
            None => {
                let (spec, weights) = self.backbone(choice, self.seed)?;
                (spec, weights, params.hidden.clone())
            }
        };
        let Stage::FreezeSchedule(schedule) = self.stage(&params.schedule)?.clone() else {
            bail!("`{}` is not a schedule", params.schedule)
        };
        let backbone = backbones::named(&spec.backbone)?;
        let phases = freeze_schedule::resolve(&schedule, backbone, &spec.cut, params.optimizer).map_err(|misfits| {
            anyhow!("{}: {}", params.schedule, misfits.first().map_or("does not fit", |m| &m.message))
        })?;

        let views = self.augment(&params.images)?.views.max(1);
        let dataset = self.dataset_of(&params.images)?;
        let val = self.views(&params.images, Split::Val, None)?;
        let mut model = start.map(|start| start.node);
        let mut first_epoch = 0;
        for (i, (phase_name, phase)) in phases.into_iter().enumerate() {
            let mut inputs = vec![("dataset".to_string(), dataset), ("views.val".to_string(), val)];
            for (view, node) in self.training_views(&params.images, first_epoch, phase.epochs)? {
                inputs.push((format!("views.train.{view}"), node));
            }
            inputs.extend(model.map(|node| ("model".to_string(), node)));
            let epochs = phase.epochs;
            let work = fine_tune::Work {
                backbone: spec.clone(),
                hidden: hidden.clone(),
                training: params.training.clone(),
                phase,
                first_epoch,
                views,
            };
            let extra = Extra { threads: Some(params.training.resources.threads), ..weights_extra(weights.as_ref()) };
            let number = (i + 1).to_string();
            let label =
                if phase_name == number { format!("{name}.phase{number}") } else { format!("{name}.{phase_name}") };
            model = Some(self.add("fine_tune", label, &work, extra, inputs)?);
            first_epoch += epochs;
        }
        let node = model.with_context(|| format!("`{}` has no phases", params.schedule))?;
        Ok(ModelNode { node, backbone: spec, weights, images: params.images.clone(), features: None, hidden })
    }

    fn evaluate(&mut self, name: &str, params: &evaluate::Params, split: Split) -> Result<Evaluation> {
        let model = self.model(&params.model)?;
        let images = params.images.clone().unwrap_or_else(|| model.images.clone());
        let dataset = self.dataset_of(&images)?;
        let views = self.views(&images, split, None)?;
        let mut inputs = vec![("dataset".to_string(), dataset), ("model".to_string(), model.node)];
        let extra = match &model.features {
            // Features of these images exist anyway, or will be shared: the head alone runs.
            Some(features) => {
                inputs.push((
                    "features".into(),
                    self.features(features, &model.backbone, model.weights.as_ref(), views)?,
                ));
                Extra::default()
            }
            None => {
                inputs.push(("views".into(), views));
                weights_extra(model.weights.as_ref())
            }
        };
        // Many passes over the split: only what was selected is put through them, and they are as sealed as the test is.
        let conditions = if split == Split::Test { params.conditions.clone() } else { Vec::new() };
        for &condition in &conditions {
            for severity in SEVERITIES {
                let under = transforms::Condition::of(condition, severity);
                let work = augment::Work::new(self.augment(&images)?, split, None, Some(under));
                let which = format!("{}.{}.{severity}", split.name(), condition.name());
                let views = self.prepared(&images, work, &which)?;
                let node = match &model.features {
                    Some(features) => self.features(features, &model.backbone, model.weights.as_ref(), views)?,
                    None => views,
                };
                inputs.push((evaluate::condition_role(condition, severity), node));
            }
        }
        let (top_k, calibration_bins) = (params.top_k.clone(), params.calibration_bins);
        let work = evaluate::Work { split, top_k, calibration_bins, conditions };
        let node = self.add("evaluate", format!("{name}[{}]", split.name()), &work, extra, inputs)?;
        Ok(Evaluation { stage: name.to_string(), split, node, dataset })
    }
}

fn weights_extra(path: Option<&PathBuf>) -> Extra {
    let sources = path.map(|path| ("weights".to_string(), path.clone())).into_iter().collect();
    Extra { sources, ..Extra::default() }
}

fn misplaced(name: &str, stage: &Stage) -> anyhow::Error {
    anyhow!("`{name}` is a {}", stage.kind().name)
}
