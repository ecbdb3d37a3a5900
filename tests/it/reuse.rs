//! Pipelines that extend others, parameter files, and the resolved form.

use crate::support::{EXPERIMENT, Project, stderr};

/// Extends the tiny project's feature extraction: another head, no flips, a parameter from a file.
const WIDER: &str = r#"extends: features.yaml
params_from: ../params/common.yaml
stages:
  probe: { train_head: { features: features, epochs: "${epochs}", hidden: [8], optimizer: { sgd: { lr: "${head_lr}" } } } }
"#;

fn project() -> Project {
    let project = Project::ran();
    project.write("pipelines/wider.yaml", WIDER);
    project.write("params/common.yaml", "epochs: 3\nhead_lr: 0.02\nof_somebody_else: 1\n");
    project
}

fn resolved(project: &Project, path: &str) -> serde_json::Value {
    let output = project.thawline(&["validate", "--resolved", path]);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_yaml::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_pipeline_extends_another() {
    let project = project();
    let form = resolved(&project, "pipelines/wider.yaml");
    let probe = &form["stages"]["probe"]["train_head"];
    assert_eq!(probe["epochs"], 3);
    assert_eq!(probe["hidden"], serde_json::json!([8]));
    assert_eq!(probe["optimizer"]["sgd"]["lr"], 0.02);
    assert_eq!(form["stages"]["views"]["augment"]["size"], 32);
    // Views and features are those of the pipeline that it extends.
    let plan = project.json(&["plan", "pipelines/wider.yaml", "--format", "json"]);
    let will_run: Vec<&str> =
        plan["will_run"].as_array().unwrap().iter().map(|n| n["label"].as_str().unwrap()).collect();
    assert_eq!(will_run, ["probe", "score[val]"]);
}

#[test]
fn stages_are_added_and_removed() {
    let project = project();
    let text = "extends: wider.yaml\nstages:\n  score: ~\n  verdict: { evaluate: { model: probe } }\n";
    project.write("pipelines/renamed.yaml", text);
    let form = resolved(&project, "pipelines/renamed.yaml");
    let names: Vec<&String> = form["stages"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["photos", "views", "features", "probe", "verdict"]);
}

#[test]
fn the_resolved_form_runs_as_the_original_does() {
    let project = Project::ran();
    for name in ["features", "tuning"] {
        let output = project.thawline(&["validate", "--resolved", &format!("pipelines/{name}.yaml")]);
        project.write("pipelines/resolved.yaml", &output.stdout);
        let plan = project.json(&["plan", "pipelines/resolved.yaml", "--format", "json"]);
        assert_eq!(plan["will_run"], serde_json::json!([]), "{name}");
    }
}

#[test]
fn an_experiment_shows_what_its_arms_come_to() {
    let project = Project::new();
    project.edit(EXPERIMENT, "arms:", "params_from: [../params/common.yaml]\narms:");
    project.write("params/common.yaml", "lr: 0.25\nhead_lr: 7\n");
    let form = resolved(&project, EXPERIMENT);
    let arms = &form["arms"];
    // A parameter file is weaker than a sweep, and stronger than the pipeline.
    assert_eq!(
        arms["feature_extraction"]["sweep"]["parameters"]["head_lr"],
        serde_json::json!({ "values": [0.1, 0.01] })
    );
    assert_eq!(arms["feature_extraction"]["stages"]["probe"]["train_head"]["optimizer"]["sgd"]["lr"], 0.1);
    assert_eq!(arms["fine_tuning"]["params"]["lr"], 0.25);
}

/// What `validate` says of a file of this content beside the tiny project's pipelines.
fn mistake(text: &str) -> String {
    let project = project();
    project.write("pipelines/mine.yaml", text);
    let output = project.thawline(&["validate", "pipelines/mine.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    stderr(&output).replace(&*project.path("").to_string_lossy(), "")
}

#[test]
fn mistakes_are_located_in_the_file_that_makes_them() {
    let mistakes = [
        ("no such base", "extends: feature.yaml\n"),
        ("not a path", "extends: [features.yaml]\n"),
        ("an experiment as base", "extends: ../experiments/tiny.yaml\n"),
        ("itself", "extends: mine.yaml\n"),
        ("a stage to remove that is not there", "extends: features.yaml\nstages: { prob: ~ }\n"),
        ("a stage that others need is removed", "extends: features.yaml\nstages: { features: ~ }\n"),
        ("a parameter of the base is wrong", "extends: features.yaml\nparams: { head_lr: high }\n"),
        ("a parameter file that is missing", "extends: features.yaml\nparams_from: ../params/comon.yaml\n"),
        ("a parameter file that is no path", "extends: features.yaml\nparams_from: { a: 1 }\n"),
        ("a pipeline as parameter file", "extends: features.yaml\nparams_from: ../pipelines/tuning.yaml\n"),
    ];
    let all: Vec<String> = mistakes.iter().map(|(name, text)| format!("## {name}\n{}", mistake(text))).collect();
    insta::assert_snapshot!(all.join("\n"));
}
