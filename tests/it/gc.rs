//! Throwing artifacts away: what is needed stays, and what went is made again when it is wanted.

use crate::support::{Project, stderr, undisturbed, wait_until};

fn artifacts(project: &Project) -> usize {
    let folders = std::fs::read_dir(project.path(".thawline/store")).unwrap().flatten();
    folders.map(|folder| std::fs::read_dir(folder.path()).unwrap().count()).sum()
}

#[test]
fn nothing_goes_in_a_dry_run_and_reports_stand_without_what_went() {
    let project = Project::ran();
    let before = artifacts(&project);
    let would = project.json(&["gc", "--max-size", "1", "--dry-run", "--format", "json"]);
    assert_eq!(artifacts(&project), before);
    let did = project.json(&["gc", "--max-size", "1", "--format", "json"]);
    assert_eq!((&would["freed"], &would["kinds"]), (&did["freed"], &did["kinds"]));
    assert!(did["freed"].as_u64().unwrap() > 0 && artifacts(&project) < before);
    // Evaluations, and the models that were selected, are left.
    assert!(did["kinds"].get("evaluate").is_none(), "{did}");
    assert!(did["kinds"]["augment"]["count"].as_u64().unwrap() > 0, "{did}");

    assert_eq!(project.metrics(), undisturbed().metrics);
    let nodes = project.run();
    assert_eq!((nodes.done, nodes.failed), (0, 0), "nothing of what went is needed");
    let trial = project.index("SELECT trial FROM trials WHERE selected = 1 AND arm = 'fine_tuning'").remove(0);
    let image = project.path("data/photos/dark/00.png");
    let output = project.thawline(&["predict", &trial, image.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn what_went_is_made_again_with_the_same_bits() {
    let project = Project::ran();
    project.json(&["gc", "--older-than", "1ns", "--format", "json"]);
    project.edit("pipelines/tuning.yaml", "epochs: 4", "epochs: 5");
    assert_eq!(project.run().failed, 0);
    project.edit("pipelines/tuning.yaml", "epochs: 5", "epochs: 4");
    assert_eq!(project.run().failed, 0);
    assert_eq!(project.metrics(), undisturbed().metrics);
}

#[test]
fn what_an_experiment_reaches_stays() {
    let project = Project::ran();
    let before = artifacts(&project);
    let kept = project.json(&["gc", "--keep", "tiny", "--format", "json"]);
    assert_eq!((kept["freed"].as_u64(), artifacts(&project)), (Some(0), before), "{kept}");
    project.edit("pipelines/tuning.yaml", "lr: 0.05", "lr: 0.01");
    assert_eq!(project.run().failed, 0);
    let kept = project.json(&["gc", "--keep", "experiments/tiny.yaml", "--format", "json"]);
    assert!(kept["freed"].as_u64().unwrap() > 0, "the models of the old learning rate went: {kept}");
    assert_eq!(project.run().done, 0);
}

#[test]
fn nothing_that_a_run_under_way_needs_goes() {
    let project = Project::new();
    project.edit("pipelines/tuning.yaml", "epochs: 4", "epochs: 100000");
    let mut run = project.start(&[]);
    assert!(wait_until(&mut run, || project.is_tuning()), "it ended by itself");
    let before = artifacts(&project);
    for arguments in [["gc", "--max-size", "1"], ["gc", "--older-than", "1ns"]] {
        let output = project.thawline(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(artifacts(&project) >= before);
    }
    assert!(project.thawline(&["cancel"]).status.success());
    run.wait().unwrap();
    project.edit("pipelines/tuning.yaml", "epochs: 100000", "epochs: 4");
    assert_eq!(project.run().failed, 0);
    project.assert_results_as_undisturbed();
}

#[test]
fn what_should_go_has_to_be_said() {
    let project = Project::ran();
    for arguments in [vec!["gc"], vec!["gc", "--older-than", "long"], vec!["gc", "--max-size", "a lot"]] {
        assert_eq!(project.thawline(&arguments).status.code(), Some(2));
    }
}
