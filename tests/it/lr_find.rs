//! Learning rates that are found, and what trains with them.

use serde_json::Value;

use crate::support::{Nodes, Project, stderr};

// All training images in each step, and a backbone whose random weights keep the classes apart: the loss falls clearly.
const HEAD: &str = r#"extends: features.yaml
stages:
  features: { extract_features: { images: views, backbone: resnet18, weights: none } }
  find:  { lr_find: { features: features, batch_size: 12, steps: 60, optimizer: { sgd: { momentum: 0.9 } } } }
  probe: { train_head: { features: features, epochs: 5, optimizer: { sgd: { lr: "${find.suggestion}", momentum: 0.9 } } } }
"#;

const TUNING: &str = r#"extends: tuning.yaml
stages:
  find: { lr_find: { images: views, backbone: resnet18, weights: none, train: [layer4, head], batch_size: 12, steps: 40, min: 0.00001 } }
  thaw:
    freeze_schedule:
      phases:
        - { train: [head], epochs: 1, lr: 0.01 }
        - { train: [layer4, head], epochs: 1, lr: "${find.steepest}" }
  tuned: { fine_tune: { images: views, backbone: resnet18, weights: none, batch_size: 4, schedule: thaw } }
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("pipelines/head.yaml", HEAD);
    project.write("pipelines/tuned.yaml", TUNING);
    project
}

fn run(project: &Project, pipeline: &str) -> Nodes {
    Nodes::of(&project.json(&["run", pipeline, "--format", "json"]))
}

/// The `lr` of every epoch of the node with this label.
fn rates(project: &Project, label: &str) -> Vec<f64> {
    let epochs = format!(
        "SELECT printf('%.17g', value) FROM epochs WHERE metric = 'lr' AND key = (SELECT key FROM nodes WHERE label = '{label}') ORDER BY epoch"
    );
    project.index(&epochs).iter().map(|value| value.parse().unwrap()).collect()
}

/// As many epochs at these rates; the index prints the last digit differently.
fn assert_rates(found: &[f64], expected: &[f64]) {
    let same = |(a, b): (&f64, &f64)| (a / b - 1.0).abs() < 1e-12;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?} {expected:?}");
}

fn found(project: &Project, pipeline: &str) -> Value {
    project.json(&["lr-find", pipeline, "--format", "json"])["find"].clone()
}

#[test]
fn a_head_trains_with_the_rate_that_was_found() {
    let project = project();
    let found = found(&project, "pipelines/head.yaml");
    let suggestion = found["suggestion"].as_f64().unwrap();
    assert!(suggestion > 1e-6 && suggestion < 10.0 && found["steepest"] == found["suggestion"], "{found}");
    // Of the run itself only what the test stood on is there.
    let nodes = run(&project, "pipelines/head.yaml");
    assert!(nodes.failed == 0 && nodes.cached > 0, "{nodes:?}");
    assert_rates(&rates(&project, "probe"), &[suggestion; 5]);
    assert_eq!(run(&project, "pipelines/head.yaml").done, 0);

    // Another figure is another head; what found it stays.
    project.edit("pipelines/head.yaml", "find.suggestion", "find.minimum");
    assert_eq!(run(&project, "pipelines/head.yaml").done, 3, "a head and its two scores");
    let resolved = project.thawline(&["validate", "pipelines/head.yaml", "--resolved"]);
    let resolved = String::from_utf8(resolved.stdout).unwrap();
    assert!(resolved.contains("lr: ${find.minimum}"), "{resolved}");
}

#[test]
fn a_phase_trains_with_the_rate_that_was_found() {
    let project = project();
    assert_eq!(run(&project, "pipelines/tuned.yaml").failed, 0);
    let steepest = found(&project, "pipelines/tuned.yaml")["steepest"].as_f64().unwrap();
    assert_rates(&rates(&project, "tuned.phase1"), &[0.01]);
    assert_rates(&rates(&project, "tuned.phase2"), &[steepest]);
}

#[test]
fn what_nothing_asks_for_is_not_run() {
    let project = project();
    project.edit("pipelines/head.yaml", "\"${find.suggestion}\"", "0.1");
    run(&project, "pipelines/head.yaml");
    assert_eq!(project.index("SELECT label FROM nodes WHERE kind = 'lr_find'"), [""; 0]);
}

#[test]
fn the_verb_prints_both_suggestions_and_draws_the_curve() {
    let project = project();
    let output = project.thawline(&["lr-find", "pipelines/head.yaml", "find", "-o", "find.svg"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("find: suggestion ") && printed.contains("minimum / 10"), "{printed}");
    let plot = std::fs::read_to_string(project.path("find.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("steepest") && plot.contains("learning rate"), "{plot}");
    let again = project.thawline(&["lr-find", "pipelines/head.yaml", "probe"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("`probe` is no `lr_find` stage; there are: find"), "{}", stderr(&again));
}

#[test]
fn late_values_stand_only_where_they_can() {
    let project = project();
    let mut all = String::new();
    let mut said = |title: &str, pipeline: &str, old: &str, new: &str| {
        let name = "pipelines/wrong.yaml";
        project.write(name, if pipeline == "head" { HEAD } else { TUNING });
        project.edit(name, old, new);
        let output = project.thawline(&["validate", name]);
        assert_eq!(output.status.code(), Some(2), "{title}");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
        all += &format!("## {title}\n{}\n", text.replace(project.path("").to_str().unwrap(), "").trim_end());
    };
    said("another place", "head", "epochs: 5", "epochs: \"${find.suggestion}\"");
    said("part of a text", "head", "${find.suggestion}", "1${find.suggestion}");
    said("no such figure", "head", "find.suggestion", "find.best");
    said("no such stage", "head", "find.suggestion", "fnd.suggestion");
    said("another kind of stage", "head", "find.suggestion", "features.suggestion");
    said("neither", "head", "find.suggestion", "fnd.best");
    said(
        "a circle",
        "tuning",
        "find: { lr_find: { images: views, backbone: resnet18, weights: none",
        "find: { lr_find: { images: views, start_from: tuned",
    );
    said(
        "what does not go together",
        "head",
        "features: features, batch_size",
        "features: features, images: views, batch_size",
    );
    said("of fine-tuning", "head", "features: features, batch_size", "features: features, train: head, batch_size");
    said("no such block", "tuning", "train: [layer4, head], batch_size: 12", "train: [layr4, head], batch_size: 12");
    said("a range that falls", "tuning", "min: 0.00001", "min: 100");
    said(
        "a rate of its own",
        "head",
        "optimizer: { sgd: { momentum: 0.9 } } } }\n  probe",
        "optimizer: { sgd: { lr: 1, momentum: 0.9 } } } }\n  probe",
    );
    insta::assert_snapshot!("late_values", all);
}
