//! `balance`, from the pipeline to the report.

use std::fs;

use thawline::artifact::{Features, SoftTargets};

use crate::support::{Project, photo, stderr};

/// 18 images of one class, 8 of the other: of train 9 and 4.
fn uneven() -> Project {
    let project = Project::new();
    for i in 12..18 {
        project.write(&format!("data/photos/bright/{i:02}.png"), photo(0, i));
    }
    for i in 8..12 {
        fs::remove_file(project.path(&format!("data/photos/dark/{i:02}.png"))).unwrap();
    }
    project
}

const EXPERIMENT: &str = "arms:
  none:          { pipeline: ../pipelines/features.yaml }
  class_weights: { pipeline: ../pipelines/features.yaml, params: { balance: class_weights } }
  oversample:    { pipeline: ../pipelines/features.yaml, params: { balance: oversample } }
  synthesize:    { pipeline: ../pipelines/features.yaml, params: { balance: synthesize } }
metric: { name: val/balanced_accuracy }
";

#[test]
fn rare_classes_are_topped_up_in_training_alone_and_counted_in_the_report() {
    let project = uneven();
    project.edit("pipelines/features.yaml", "params: { head_lr: 0.1 }", "params: { head_lr: 0.1, balance: none }");
    project.edit("pipelines/features.yaml", "views: 1, train", "views: 2, balance: \"${balance}\", train");
    project.write("experiments/balance.yaml", EXPERIMENT);
    let ran = project.json(&["run", "experiments/balance.yaml", "--format", "json"]);
    assert_eq!(ran["nodes"]["failed"], 0, "{ran}");

    let rows = |query: &str| -> Vec<(usize, Option<SoftTargets>)> {
        let digests = project.index(&format!("SELECT DISTINCT digest FROM nodes WHERE {query} ORDER BY label, key"));
        let read = |digest: String| {
            let dir = project.path(".thawline/store").join(&digest[..2]).join(&digest);
            let rows = Features::read(&dir).unwrap().rows;
            (rows, SoftTargets::read(&dir, rows).unwrap())
        };
        digests.into_iter().map(read).collect()
    };
    // Two views without, two oversampled, two synthesized.
    let views = rows("label LIKE 'features[train.%'");
    let mut counts: Vec<usize> = views.iter().map(|(rows, _)| *rows).collect();
    counts.sort_unstable();
    assert_eq!(counts, [13, 13, 18, 18, 18, 18]);
    for (_, targets) in views.iter().filter(|(rows, _)| *rows == 18) {
        let targets = targets.as_ref().unwrap();
        assert_eq!(targets.classes.iter().filter(|[class, _]| *class == 0).count(), 9);
        assert!(targets.shares.iter().all(|share| *share == [1.0, 0.0]));
    }
    assert!(rows("label LIKE 'features[val]'").iter().all(|(rows, targets)| *rows == 7 && targets.is_none()));

    let report = fs::read_to_string(project.path("reports/balance/report.md")).unwrap();
    for said in [
        "`views`: balance: 4 -> 9 of class dark, 5 further copies",
        "`views`: balance: 4 -> 9 of class dark, 5 synthesized",
    ] {
        assert!(report.contains(said), "{said} is missing:\n{report}");
    }
}

/// `balance: class_weights` is another way to write `class_weights: balanced`: the same nodes, so nothing runs again.
#[test]
fn class_weights_can_be_written_where_the_other_ways_are() {
    let project = uneven();
    let plain = fs::read_to_string(project.path("pipelines/features.yaml")).unwrap();
    project.edit("pipelines/features.yaml", "epochs: 5,", "epochs: 5, class_weights: balanced,");
    let first = project.json(&["run", "pipelines/features.yaml", "--format", "json"]);
    assert_eq!(first["nodes"]["failed"], 0);
    project.write("pipelines/features.yaml", plain.replace("views: 1,", "views: 1, balance: class_weights,"));
    let again = project.json(&["run", "pipelines/features.yaml", "--format", "json"]);
    assert_eq!((&again["nodes"]["done"], &again["nodes"]["failed"]), (&0.into(), &0.into()), "{again}");
}

#[test]
fn networks_train_on_topped_up_views_and_programs_cannot() {
    let project = uneven();
    project.edit("pipelines/tuning.yaml", "views: 1,", "views: 1, balance: synthesize,");
    let ran = project.json(&["run", "pipelines/tuning.yaml", "--format", "json"]);
    assert_eq!(ran["nodes"]["failed"], 0, "{ran}");
    project.edit("pipelines/features.yaml", "views: 1,", "views: 1, balance: oversample,");
    project.edit(
        "pipelines/features.yaml",
        "{ train_head: { features: features, epochs: 5, optimizer: { sgd: { lr: \"${head_lr}\" } } } }",
        "{ command: { run: [python3, fit.py], inputs: { x: features } } }",
    );
    let output = project.thawline(&["validate", "pipelines/features.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "a program weighs its classes itself: `balance` of `views` would do nothing for it";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}
