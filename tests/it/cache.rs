//! What is on record is not done again, and a change reruns only what depends on it.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use crate::support::{EXPERIMENT, Project, files};

#[test]
fn a_second_run_runs_nothing() {
    let project = Project::new();
    let first = project.run();
    assert_eq!((first.cached, first.failed, first.done), (0, 0, first.total));
    let second = project.run();
    assert_eq!((second.done, second.failed, second.cached), (0, 0, second.total));
    project.assert_as_undisturbed();
}

#[test]
fn one_lr_reruns_only_what_depends_on_it() {
    let project = Project::ran();
    project.edit("pipelines/tuning.yaml", "lr: 0.05 }", "lr: 0.04 }");
    let plan = project.json(&["plan", EXPERIMENT, "--format", "json"]);
    let will_run: Vec<&str> =
        plan["will_run"].as_array().unwrap().iter().map(|n| n["kind"].as_str().unwrap()).collect();
    assert!(
        will_run.contains(&"fine_tune") && will_run.iter().all(|kind| ["fine_tune", "evaluate"].contains(kind)),
        "{plan}"
    );
    let before = project.runs();
    let nodes = project.run();
    let computed = project.computed(before, "label");
    assert_eq!(nodes.done as usize, computed.len());
    assert!(computed.iter().all(|label| label.starts_with("tuned") || label.starts_with("score")), "{computed:?}");
}

#[test]
fn touched_images_rerun_nothing() {
    let project = Project::ran();
    let past = SystemTime::now() - Duration::from_secs(3600);
    for image in files(&project.path("data/photos")) {
        File::options().write(true).open(image).unwrap().set_modified(past).unwrap();
    }
    assert_eq!(project.run().done, 0);
}

#[test]
fn a_text_file_among_the_images_is_cut_off_at_the_dataset() {
    let project = Project::ran();
    project.write("data/photos/bright/notes.txt", "taken in May");
    let before = project.runs();
    project.run();
    let kinds = project.computed(before, "label");
    assert!(kinds.is_empty() || kinds == ["photos"], "{kinds:?}");
}

#[test]
fn another_image_is_noticed() {
    let project = Project::ran();
    let other = fs::read(project.path("data/photos/bright/00.png")).unwrap();
    project.write("data/photos/dark/00.png", other);
    assert!(project.run().done > 1);
}

#[test]
fn ten_thousand_trials_are_planned() {
    let project = Project::new();
    let values: Vec<String> = (1..=5000).map(|i| format!("{}", f64::from(i) / 10_000.0)).collect();
    project.edit(EXPERIMENT, "values: [0.1, 0.01]", &format!("values: [{}]", values.join(", ")));
    let plan = project.json(&["plan", EXPERIMENT, "--format", "json"]);
    assert_eq!(plan["trials"], 10_002);
}
