//! Searches that learn: the same whatever happens to the run, and extended without doing anything twice.

use std::collections::BTreeSet;

use crate::support::{EXPERIMENT, Project, wait_until};

const LEARNING: &str = r#"arms:
  feature_extraction: { pipeline: ../pipelines/features.yaml }
sweep:
  method: tpe
  run_cap: 16
  parallel: 2
  enqueue: [{ head_lr: 0.1 }]
  parameters: { head_lr: { distribution: log_uniform, min: 0.0001, max: 10 } }
metric: { name: val/log_loss, goal: minimize }
"#;

fn project(experiment: &str) -> Project {
    let project = Project::new();
    project.write(EXPERIMENT, experiment);
    project
}

/// What was asked and told, in order.
fn journal(project: &Project) -> Vec<String> {
    project.index("SELECT arm || params || recipe || coalesce(value, 'nothing') FROM suggestions JOIN searches ON searches.id = search ORDER BY arm, suggestions.id")
}

/// Heads that were really trained in runs later than `run`.
fn trained(project: &Project, run: i64) -> usize {
    project.computed(run, "label").iter().filter(|label| *label == "probe").count()
}

/// Parameters of the latest run's trials.
fn tried(project: &Project) -> BTreeSet<String> {
    project.index("SELECT arm || params FROM trials WHERE run = (SELECT max(id) FROM runs)").into_iter().collect()
}

#[test]
fn killed_in_the_middle_a_search_ends_as_if_undisturbed() {
    for method in ["tpe", "gp", "cma_es"] {
        kill_and_go_on(&LEARNING.replace("tpe", method));
    }
}

fn kill_and_go_on(experiment: &str) {
    let undisturbed = project(experiment);
    undisturbed.json(&["run", EXPERIMENT, "-j", "1", "--format", "json"]);
    assert_eq!(journal(&undisturbed).len(), 16);
    assert_eq!(tried(&undisturbed).len(), 16);
    assert!(journal(&undisturbed)[0].contains(r#""head_lr":0.1}"#), "the known point comes first");

    let killed = project(experiment);
    let mut run = killed.start(&["-j", "2"]);
    assert!(wait_until(&mut run, || trained(&killed, 0) >= 12), "it ended before it was killed");
    run.kill().unwrap();
    run.wait().unwrap();
    let asked = journal(&killed).len();
    assert!((12..16).contains(&asked), "{asked} were asked");
    assert_eq!(killed.run().failed, 0);
    assert_eq!(killed.runs(), 2);
    assert_eq!(journal(&killed), journal(&undisturbed));
    assert_eq!(killed.metrics(), undisturbed.metrics());
    assert_eq!(killed.finished(), undisturbed.finished());
    assert_eq!(killed.digests(), undisturbed.digests());
}

#[test]
fn only_what_is_new_runs() {
    let project = project(&LEARNING.replace("run_cap: 16", "run_cap: 5"));
    project.run();
    let first = tried(&project);
    assert_eq!((first.len(), trained(&project, 0)), (5, 5));

    project.edit(EXPERIMENT, "run_cap: 5", "run_cap: 8");
    project.run();
    assert_eq!((tried(&project).len(), trained(&project, 1)), (8, 3));
    assert!(tried(&project).is_superset(&first));

    // Another seed: the same configurations, once more each, though with other means others would have been suggested.
    let before = tried(&project);
    project.edit(EXPERIMENT, "metric:", "repeats: { seeds: [0, 1] }\nmetric:");
    project.run();
    assert_eq!((tried(&project), trained(&project, 2)), (before.clone(), 8));

    // A narrower space keeps what belongs to it, a wider one all.
    let inside = before.iter().filter(|params| head_lr(params) >= 0.05).count();
    assert!((1..8).contains(&inside), "{inside} of 8 belong");
    project.edit(EXPERIMENT, "min: 0.0001", "min: 0.05");
    project.run();
    assert_eq!((tried(&project).len(), trained(&project, 3)), (8, 2 * (8 - inside)));
    project.edit(EXPERIMENT, "min: 0.05", "min: 0.0001");
    project.run();
    assert_eq!((tried(&project), trained(&project, 4)), (before.clone(), 0));

    // Another arm searches for itself.
    project.edit(EXPERIMENT, "arms:\n", "arms:\n  again: { pipeline: ../pipelines/features.yaml, sweep: { method: grid, parameters: { head_lr: { values: [0.1, 0.3] } } } }\n");
    project.run();
    assert_eq!((tried(&project).len(), trained(&project, 5)), (10, 2), "0.1 is on record already");
    project.edit(EXPERIMENT, "values: [0.1, 0.3]", "values: [0.3, 0.7, 0.1]");
    project.run();
    assert_eq!((tried(&project).len(), trained(&project, 6)), (11, 2));
}

/// Of `arm{"head_lr":0.1}`.
fn head_lr(params: &str) -> f64 {
    params.rsplit_once(':').unwrap().1.trim_end_matches('}').parse().unwrap()
}

#[test]
fn other_images_make_another_search() {
    let project = project(&LEARNING.replace("run_cap: 16", "run_cap: 3").replace("method: tpe", "method: sobol"));
    project.run();
    std::fs::remove_file(project.path("data/photos/dark/00.png")).unwrap();
    project.run();
    // The same points, by a sequence that begins anew, with results of their own.
    assert_eq!((tried(&project).len(), trained(&project, 1)), (3, 3));
    assert_eq!(journal(&project).len(), 6);
}
