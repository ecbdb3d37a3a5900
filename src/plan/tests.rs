use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Result;
use proptest::prelude::*;
use serde_json::json;

use super::{
    Configuration, Plan,
    sources::{Files, Sources},
};
use crate::{
    artifact::model::Weights,
    backbones::weights::Wanted,
    spec::{self, Params},
    stages::{
        command::{self, ProgramFile},
        dataset,
    },
};

const PIPELINE: &str = r#"
params: { fraction: 1.0, size: 64, views: 2, block: layer4, head_lr: 0.1, lr: 0.01 }
stages:
  photos:   { dataset: { image_folder: data, split: { train: 0.6, val: 0.2, test: 0.2 }, fraction: "${fraction}" } }
  views:    { augment: { images: photos, size: "${size}", views: "${views}", train: [horizontal_flip] } }
  features: { extract_features: { images: views, backbone: resnet18, weights: imagenet, block: "${block}" } }
  probe:    { train_head: { features: features, epochs: 3, optimizer: { sgd: { lr: "${head_lr}" } } } }
  thaw:     { freeze_schedule: { phases: [{ train: [head], epochs: 2, lr: "${head_lr}" }, { train: [{ last: 1 }, head], epochs: 2, lr: "${lr}" }] } }
  tuned:    { fine_tune: { images: views, start_from: probe, schedule: thaw } }
  score:    { evaluate: { model: tuned } }
"#;

/// Files and weights that stand for themselves.
struct Named;

impl Sources for Named {
    fn dataset(&mut self, params: &dataset::Params) -> Result<Files> {
        Ok(Files { paths: BTreeMap::new(), digest: params.image_folder.clone().unwrap_or_default() })
    }

    fn program(&mut self, _: &command::Params) -> Result<(PathBuf, Vec<ProgramFile>)> {
        Ok((PathBuf::new(), Vec::new()))
    }

    fn weights(&mut self, _: &str, wanted: &Wanted, _: u64) -> Result<(Weights, Option<PathBuf>)> {
        Ok((Weights::File { digest: wanted.file.clone(), fill: None }, None))
    }
}

/// Values of fraction, size, views, block and head_lr, by number.
fn values(choice: [usize; 5]) -> Params {
    let of = |values: [serde_json::Value; 2], i: usize| values[i].clone();
    let values = [
        ("fraction", of([json!(1.0), json!(0.5)], choice[0])),
        ("size", of([json!(64), json!(96)], choice[1])),
        ("views", of([json!(2), json!(3)], choice[2])),
        ("block", of([json!("layer4"), json!("layer3")], choice[3])),
        ("head_lr", of([json!(0.1), json!(0.01)], choice[4])),
    ];
    values.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// What a trial's scores are made of, down to the last file: recipes cover all inputs.
fn recipes(plan: &Plan, trial: usize) -> Vec<String> {
    plan.trial_nodes(trial).into_iter().map(|node| plan.node(node).recipe.to_hex().to_string()).collect()
}

proptest! {
    /// Nodes carried over from the trial before must be those that lowering from nothing makes.
    #[test]
    fn a_trial_is_lowered_alike_whatever_came_before(choices in prop::collection::vec((prop::array::uniform5(0usize..2), 0u64..2), 2..8)) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pipeline.yaml");
        std::fs::write(&file, PIPELINE).unwrap();
        let experiment = spec::load(&file, &[], Some(dir.path())).unwrap();
        let mut together = Plan::default();
        for (trial, (choice, seed)) in choices.into_iter().enumerate() {
            let configuration = Arc::new(Configuration {
                arm: "arm".into(),
                facet: Params::new(),
                resolved: experiment.arms[0].resolve(&values(choice)).unwrap().into(),
                metric_stage: "score".into(),
                fold: None,
            });
            let mut alone = Plan::default();
            alone.add(&configuration, seed, &mut Named).unwrap();
            together.add(&configuration, seed, &mut Named).unwrap();
            let (mut expected, mut found) = (recipes(&alone, 0), recipes(&together, trial));
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
