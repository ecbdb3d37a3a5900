//! The files of a new project.

use serde_json::Value;

use super::{choose::Choices, look::Seen};
use crate::spec::json_schema;

/// Where the experiment lies in its project.
pub fn experiment_path(name: &str) -> String {
    format!("experiments/{name}.yaml")
}

/// Every file: its path in the project, and its text.
pub fn files(name: &str, seen: &Seen, choices: &Choices) -> Vec<(String, String)> {
    vec![
        ("pipelines/feature-extraction.yaml".into(), feature_extraction(seen, choices)),
        ("pipelines/fine-tuning.yaml".into(), fine_tuning(seen, choices)),
        (experiment_path(name), experiment(name, choices)),
        (".gitignore".into(), ignored(seen)),
        ("README.md".into(), readme(name, seen, choices)),
        ("schemas/pipeline.schema.json".into(), schema(&json_schema::pipeline())),
        ("schemas/experiment.schema.json".into(), schema(&json_schema::experiment())),
    ]
}

/// As `thawline schema` prints it: a copy in the project, so that editors need no network.
fn schema(schema: &Value) -> String {
    format!("{schema:#}\n")
}

/// A value as YAML inside a line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {}", inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::String(text) => {
            let letter = text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '.' | '/'));
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            let word = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
            if letter && !word && text.chars().all(plain) && !text.starts_with('.') {
                text.clone()
            } else {
                value.to_string()
            }
        }
        other => other.to_string(),
    }
}

/// The stages that both pipelines begin with.
fn images(seen: &Seen, choices: &Choices) -> String {
    let listing: Vec<String> = match &seen.listing {
        Value::Object(map) => map.iter().map(|(key, value)| format!("      {key}: {}\n", inline(value))).collect(),
        _ => Vec::new(),
    };
    let split = match choices.split {
        Some([train, val, test]) if seen.has_splits => {
            format!(
                "      split: {{ train: {train}, val: {val}, test: {test} }} # val is taken from what the files call train\n"
            )
        }
        Some([train, val, test]) => {
            format!(
                "      split: {{ train: {train}, val: {val}, test: {test} }} # in every class alike; the test part is sealed until a configuration is chosen\n"
            )
        }
        None => String::new(),
    };
    let drop = match seen.unreadable.len() {
        0 => String::new(),
        n => format!("      on_unreadable: drop # {n} cannot be read; `error` stops instead\n"),
    };
    let resize = choices.resize();
    format!(
        "  photos:
    dataset:
{}{split}{drop}  views:
    augment:
      images: photos
      size: {} # height and width in pixels; larger may score better, and takes longer
      views: \"${{views}}\" # augmented copies of each training image; epochs take turns
      train:
        - random_resized_crop: {{ scale: [0.5, 1] }}
        - horizontal_flip # remove it where left and right differ in meaning, as in digits
      eval: [{{ resize: {resize} }}, {{ center_crop: {} }}]
",
        listing.concat(),
        choices.size,
        choices.size
    )
}

fn features(choices: &Choices) -> String {
    format!(
        "  features: {{ extract_features: {{ images: views, backbone: {}, weights: imagenet }} }}
  probe:
    train_head:
      features: features
      epochs: 25
      batch_size: {}
      optimizer: {{ sgd: {{ lr: \"${{head_lr}}\", momentum: 0.9 }} }}
",
        choices.backbone.name, choices.batch_size
    )
}

fn feature_extraction(seen: &Seen, choices: &Choices) -> String {
    format!(
        "# yaml-language-server: $schema=../schemas/pipeline.schema.json
# A linear head on frozen ImageNet features: the backbone sees each view once, then only the head trains.
#   thawline run pipelines/feature-extraction.yaml
description: Frozen {}, a new linear head
params: {{ views: {}, head_lr: 0.1 }}
stages:
{}{}  score: {{ evaluate: {{ model: probe }} }}
",
        choices.backbone.name,
        choices.views,
        images(seen, choices),
        features(choices)
    )
}

fn fine_tuning(seen: &Seen, choices: &Choices) -> String {
    let [top, more] = choices.thaw;
    format!(
        "# yaml-language-server: $schema=../schemas/pipeline.schema.json
# Gradual unfreezing: a trained head first, then the last blocks with it, then more of them at a lower learning rate.
#   thawline run pipelines/fine-tuning.yaml
description: {}, its head first, then its last blocks
params: {{ views: {}, head_lr: 0.1, lr: 0.005 }}
stages:
{}{}  thaw:
    freeze_schedule:
      phases: # `thawline models {}` lists the blocks
        - {{ name: top, train: [{{ last: {top} }}, head], epochs: 3, lr: \"${{lr}}\", layer_decay: 0.8 }}
        - {{ name: more, train: [{{ last: {more} }}, head], epochs: 5, lr: \"${{lr}}\", layer_decay: 0.8, lr_schedule: {{ cosine: {{}} }} }}
  tuned: {{ fine_tune: {{ images: views, start_from: probe, schedule: thaw, batch_size: {} }} }}
  score: {{ evaluate: {{ model: tuned }} }}
",
        choices.backbone.name,
        choices.views,
        images(seen, choices),
        features(choices),
        choices.backbone.name,
        choices.batch_size
    )
}

fn experiment(name: &str, choices: &Choices) -> String {
    let why = if choices.metric == "accuracy" {
        "classes are of about one size"
    } else {
        "accuracy would favour the large classes"
    };
    format!(
        "# yaml-language-server: $schema=../schemas/experiment.schema.json
# Does fine-tuning beat feature extraction on these images, by how much, and how sure is that?
#   thawline run experiments/{name}.yaml
arms:
  feature_extraction:
    pipeline: ../pipelines/feature-extraction.yaml
    sweep: {{ parameters: {{ head_lr: {{ values: [0.1, 0.01] }} }} }} # chosen on val
  fine_tuning:
    pipeline: ../pipelines/fine-tuning.yaml
    sweep: {{ parameters: {{ lr: {{ values: [0.01, 0.003] }} }} }}
repeats: {{ seeds: [0, 1, 2] }} # averaged; more of them narrow the intervals
metric: {{ name: val/{}, goal: maximize }} # {why}
report: {{ baseline: feature_extraction }}
",
        choices.metric
    )
}

fn ignored(seen: &Seen) -> String {
    let data = ["/image_folder", "/table/file"].iter().find_map(|at| seen.listing.pointer(at)).and_then(Value::as_str);
    // The first folder of images inside the project; images elsewhere need no line.
    let first =
        data.filter(|path| !path.starts_with('/')).and_then(|path| path.split_once('/')).map(|(first, _)| first);
    let data = first.map_or(String::new(), |folder| format!("/{folder}/\n"));
    format!("# What was computed, and the images. Commit the reports you want to keep.\n.thawline/\n/reports/\n{data}")
}

fn readme(name: &str, seen: &Seen, choices: &Choices) -> String {
    let reasons: String = choices.reasons(seen).into_iter().map(|reason| format!("- {reason}\n")).collect();
    format!(
        "# {name}

{} images of {} classes; made by `thawline init`. What it saw, and what it chose:

{reasons}
| command | does |
|---|---|
| `thawline validate experiments/{name}.yaml` | checks the YAMLs and the files they name |
| `thawline plan experiments/{name}.yaml` | shows what a run would do |
| `thawline run experiments/{name}.yaml` | runs what is not on record, and prints the comparison |
| `thawline preview pipelines/fine-tuning.yaml views -o views.png` | draws augmented images |
| `thawline report experiments/{name}.yaml` | writes the report again |

The recipes are in `pipelines/`, what is compared in `experiments/{name}.yaml`, the comparison in `reports/{name}/`. Editors that know YAML
complete and explain them by `schemas/`; `thawline schema` prints those anew.
",
        seen.images(),
        seen.classes.len()
    )
}
