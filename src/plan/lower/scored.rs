//! What is scored: `evaluate` stages, and the programs of the user's own that they may score instead of a model.

use anyhow::{Context, Result, ensure};
use petgraph::graph::NodeIndex;

use super::{Extra, Lowering, misplaced, weights_extra};
use crate::{
    artifact::Split,
    backbones,
    images::{conditions::SEVERITIES, transforms},
    plan::{Aid, Evaluation},
    protocol::Limits,
    stages::{Stage, augment, command, evaluate},
};

impl Lowering<'_> {
    /// A stage that makes views or features, for one split or training view.
    fn seen(&mut self, stage: &str, split: Split, view: Option<u32>) -> Result<NodeIndex> {
        if let Stage::Augment(_) = self.stage(stage)? {
            return self.views(stage, split, view);
        }
        let choice = self.resolved.backbone_of(stage).with_context(|| format!("`{stage}` names no backbone"))?;
        let (spec, weights) = self.backbone(&choice, 0)?;
        let views = self.views(&choice.images, split, view)?;
        self.features(stage, &spec, weights.as_ref(), views)
    }

    /// The `augment` stage under one that makes views or features.
    fn images_under(&self, stage: &str) -> Result<String> {
        match self.stage(stage)? {
            Stage::Augment(_) => Ok(stage.to_string()),
            Stage::ExtractFeatures(params) => Ok(params.images.clone()),
            other => Err(misplaced(stage, other)),
        }
    }

    /// One node of a program: its fit, or what it says of a split.
    fn program(
        &mut self,
        name: &str,
        params: &command::Params,
        task: command::Task,
        mut inputs: Vec<(String, NodeIndex)>,
    ) -> Result<NodeIndex> {
        let label = match task {
            command::Task::Fit => name.to_string(),
            command::Task::Predict(split) => format!("{name}.predict[{}]", split.name()),
        };
        for (input, stage) in &params.inputs {
            let stage = stage.0.as_str();
            match task {
                command::Task::Fit => {
                    let views = self.augment(&self.images_under(stage)?)?.views.max(1);
                    for view in 0..views {
                        let node = self.seen(stage, Split::Train, Some(view))?;
                        inputs.push((format!("{input}.train.{view}"), node));
                    }
                    inputs.push((format!("{input}.val"), self.seen(stage, Split::Val, None)?));
                }
                command::Task::Predict(split) => {
                    inputs.push((format!("{input}.{}", split.name()), self.seen(stage, split, None)?));
                }
            }
        }
        let (root, files) = self.sources.program(params)?;
        let extra = Extra {
            sources: [("root".to_string(), root)].into(),
            limits: Limits { timeout: params.timeout, retries: Some(params.retries), max_memory: None },
            threads: Some(params.resources.threads),
            ..Extra::default()
        };
        let (run, params, resources) = (params.run.clone(), params.params.clone(), params.resources);
        self.add("command", label, &command::Work { task, run, files, params, resources }, extra, inputs)
    }

    /// What a program says of a split, scored.
    fn evaluate_program(
        &mut self,
        name: &str,
        params: &evaluate::Params,
        split: Split,
        command: &command::Params,
    ) -> Result<Evaluation> {
        let first = command.inputs.values().next().context("a command has an input")?;
        let dataset = self.dataset_of(&self.images_under(&first.0)?)?;
        for other in command.inputs.values() {
            let same = self.dataset_of(&self.images_under(&other.0)?)? == dataset;
            ensure!(same, "the inputs of `{}` come from different datasets", params.model);
        }
        let on_dataset = ("dataset".to_string(), dataset);
        let fit = self.program(&params.model, command, command::Task::Fit, vec![on_dataset.clone()])?;
        let inputs = vec![on_dataset.clone(), ("program".to_string(), fit)];
        let predictions = self.program(&params.model, command, command::Task::Predict(split), inputs)?;
        let (top_k, calibration_bins) = (params.top_k.clone(), params.calibration_bins);
        let work = evaluate::Work { split, top_k, calibration_bins, conditions: Vec::new() };
        let inputs = vec![on_dataset, ("predictions".to_string(), predictions)];
        let node = self.add("evaluate", format!("{name}[{}]", split.name()), &work, Extra::default(), inputs)?;
        Ok(Evaluation { stage: name.to_string(), split, node, dataset })
    }

    /// One half of an `evaluate` stage.
    pub(super) fn evaluate(&mut self, name: &str, params: &evaluate::Params, split: Split) -> Result<Evaluation> {
        if let Stage::Command(command) = self.stage(&params.model)?.clone() {
            return self.evaluate_program(name, params, split, &command);
        }
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
        // Validation images went below the line in every epoch already; the test half is read once.
        if model.features.is_none() && split == Split::Val && images == model.images {
            let backbone = backbones::named(&model.backbone.backbone)?;
            let end = backbone.block_index(&model.backbone.cut).context("the cut is a block")? + 1;
            let line = model.changed.first().copied().unwrap_or(end);
            if line > 0 {
                let below = self.activations(&model.backbone, line, model.weights.as_ref(), views, None)?;
                self.plan.aid(node, vec![Aid { role: "activations".into(), node: below, reads: 1 }]);
            }
        }
        Ok(Evaluation { stage: name.to_string(), split, node, dataset })
    }
}
