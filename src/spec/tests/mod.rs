//! The whole way from files to arms and diagnostics.

mod errors;
mod properties;
mod rules;
mod schema;
mod sweeps;

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Diagnostics, Experiment, Params, load};

/// A sound pipeline with every kind of stage.
pub const FINE_TUNING: &str = r#"
params: { backbone: resnet18, weights: imagenet, head_lr: 0.01, lr: 0.001, views: 4, fraction: 1.0 }
stages:
  photos:   { dataset: { image_folder: data/photos, split: { train: 0.6, val: 0.2, test: 0.2 }, fraction: "${fraction}" } }
  views:    { augment: { images: photos, size: 224, views: "${views}" } }
  features: { extract_features: { images: views, backbone: "${backbone}", weights: "${weights}" } }
  probe:    { train_head: { features: features, epochs: 25, optimizer: { sgd: { lr: "${head_lr}", momentum: 0.9 } } } }
  thaw:
    freeze_schedule:
      phases:
        - { train: [head],         epochs: 2, lr: "${head_lr}" }
        - { train: [layer4, head], epochs: 4, lr: "${lr}", layer_decay: 0.5 }
  tuned:    { fine_tune: { images: views, start_from: probe, schedule: thaw } }
  score:    { evaluate: { model: tuned } }
"#;

pub const FROM_SCRATCH: &str = r#"
params: { epochs: 10, lr: 0.1 }
stages:
  photos: { dataset: { image_folder: data/photos, split: { train: 0.6, val: 0.2, test: 0.2 } } }
  views:  { augment: { images: photos, size: 224 } }
  all:    { freeze_schedule: { phases: [{ train: all, epochs: "${epochs}", lr: "${lr}" }] } }
  model:  { fine_tune: { images: views, backbone: resnet18, weights: none, schedule: all } }
  score:  { evaluate: { model: model } }
"#;

pub const COMPARISON: &str = r#"
description: Is thawing worth it?
params: { views: 8 }
arms:
  fine_tuning:  { pipeline: ../pipelines/fine-tuning.yaml, sweep: { parameters: { lr: { values: [0.003, 0.001] } } } }
  from_scratch: { pipeline: ../pipelines/from-scratch.yaml, params: { epochs: 30 } }
sweep:
  method: grid
  run_cap: 10
  parameters: { head_lr: { values: [0.1, 0.01] } }
repeats: { seeds: 3 }
facets:  { fraction: [0.1, 1.0] }
metric:  { name: val/accuracy, goal: maximize }
report:  { baseline: from_scratch, margin: 0.005 }
"#;

/// Files in a folder of their own.
pub struct Project(tempfile::TempDir);

impl Project {
    pub fn new(files: &[(&str, &str)]) -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = project.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        project
    }

    /// The experiment above, over both pipelines.
    pub fn sound() -> Project {
        Project::new(&[
            ("experiments/comparison.yaml", COMPARISON),
            ("pipelines/fine-tuning.yaml", FINE_TUNING),
            ("pipelines/from-scratch.yaml", FROM_SCRATCH),
        ])
    }

    /// With `from` replaced by `to` in one file.
    pub fn edited(file: &str, from: &str, to: &str) -> Project {
        let project = Project::sound();
        let text = fs::read_to_string(project.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(project.path(file), text.replacen(from, to, 1)).unwrap();
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn load(&self, name: &str, set: &[(&str, &str)]) -> Result<Experiment, Diagnostics> {
        let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        load(&self.path(name), &set, None)
    }

    pub fn experiment(&self) -> Result<Experiment, Diagnostics> {
        self.load("experiments/comparison.yaml", &[])
    }

    /// A text without this folder's random name.
    pub fn plain(&self, text: impl ToString) -> String {
        text.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

pub fn assignment(pairs: &[(&str, Value)]) -> Params {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
