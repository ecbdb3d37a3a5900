//! `run --smoke`: everything once, on little, kept nowhere.

use crate::support::{EXPERIMENT, Project, stderr};

#[test]
fn every_kind_of_node_runs_and_nothing_is_kept() {
    let project = Project::new();
    project.edit("pipelines/tuning.yaml", "epochs: 4", "epochs: 400");
    let said = project.json(&["run", EXPERIMENT, "--smoke", "--format", "json"]);
    assert_eq!(said["status"], "done");
    let kinds = ["dataset", "augment", "extract_features", "train_head", "fine_tune", "evaluate"];
    assert_eq!(said["kinds"], serde_json::json!(kinds));
    // One configuration of each arm at one seed: values that differ in numbers only are not tried.
    assert_eq!(said["nodes"]["failed"], 0);
    assert!(said["nodes"]["done"].as_u64().unwrap() <= 13, "{said}");
    assert!(!project.path(".thawline").exists());
    assert!(!project.path("reports").exists());
}

#[test]
fn what_would_fail_at_night_fails_now() {
    let project = Project::new();
    project.edit("pipelines/features.yaml", "lr: \"${head_lr}\"", "lr: 1.0e300");
    let output = project.thawline(&["run", EXPERIMENT, "--smoke"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("failed  probe"), "{}", stderr(&output));
    assert!(!project.path(".thawline").exists());
}

#[test]
fn a_store_that_is_there_stays_as_it_is() {
    let project = Project::ran();
    let before = project.digests();
    let output = project.thawline(&["run", EXPERIMENT, "--smoke"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(project.digests(), before);
    assert_eq!(project.run().done, 0);
}
