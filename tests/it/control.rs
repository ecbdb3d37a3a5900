//! Runs in the background: started, watched, stopped.

use std::{
    fs,
    process::Child,
    time::{Duration, Instant},
};

use crate::support::{EXPERIMENT, Project, stderr, wait_until};

/// A run that ends only when it is told to, with an epoch of fine-tuning behind it.
fn endless(project: &Project) -> Child {
    project.edit("pipelines/tuning.yaml", "epochs: 4", "epochs: 100000");
    let mut run = project.start(&[]);
    assert!(wait_until(&mut run, || project.is_tuning()), "it ended by itself");
    run
}

#[test]
fn stop_saves_the_epoch_and_cancel_does_not_wait_for_it() {
    for (verb, status) in [("stop", "interrupted"), ("cancel", "cancelled")] {
        let project = Project::new();
        let mut run = endless(&project);
        let output = project.thawline(&[verb, "tiny"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("tiny: {status} after")));
        assert_eq!(run.wait().unwrap().code(), Some(130));
        assert_eq!(project.index("SELECT status FROM runs"), [status]);
        assert!(project.path("reports/tiny/report.md").is_file());

        let again = project.thawline(&[verb]);
        assert_eq!(again.status.code(), Some(2));
        assert!(stderr(&again).contains("no run is under way"), "{}", stderr(&again));
        project.edit("pipelines/tuning.yaml", "epochs: 100000", "epochs: 4");
        assert_eq!(project.run().failed, 0);
        project.assert_results_as_undisturbed();
    }
}

#[test]
fn a_detached_run_goes_on_by_itself_and_can_be_watched() {
    let project = Project::new();
    let output = project.thawline(&["run", EXPERIMENT, "--detach"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("goes on by itself"), "{said}{}", stderr(&output));
    let watched = project.thawline(&["status", "tiny", "--watch"]);
    let said = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(said.lines().last().is_some_and(|line| line.contains("done")), "{said}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !project.path("reports/tiny/report.md").is_file() {
        assert!(Instant::now() < deadline, "the report did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
    project.assert_as_undisturbed();
}

#[test]
fn a_detached_run_that_cannot_start_says_so_at_once() {
    let project = Project::new();
    project.write("experiments/tiny.yaml", "arms: {}\n");
    let output = project.thawline(&["run", EXPERIMENT, "--detach"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn logs_of_a_trial_are_shown_and_followed_to_its_end() {
    let project = Project::ran();
    let trial = project.index("SELECT trial FROM trials WHERE arm = 'fine_tuning' ORDER BY trial").remove(0);
    for arguments in [vec!["logs", &trial], vec!["logs", "-f", &trial]] {
        let output = project.thawline(&arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("tuned.more  run 1") && said.contains("epoch 4/4"), "{said}");
    }
    let output = project.thawline(&["logs", "fine_tuning-nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Did you mean"), "{}", stderr(&output));
}

#[test]
fn somebody_is_told_how_it_ended() {
    let project = Project::new();
    let notify =
        "notify: [sh, -c, 'cat > told.txt; echo $THAWLINE_EXPERIMENT $THAWLINE_STATUS $THAWLINE_REPORT >> told.txt']\n";
    project.write(EXPERIMENT, fs::read_to_string(project.path(EXPERIMENT)).unwrap() + notify);
    assert_eq!(project.run().failed, 0);
    let told = fs::read_to_string(project.path("told.txt")).unwrap();
    assert!(told.contains("fine_tuning") && told.contains("tiny done "), "{told}");
    assert!(told.trim_end().ends_with("reports/tiny/report.md"), "{told}");

    project.edit(EXPERIMENT, "notify: [sh", "notify: [no-such-program");
    let output = project.thawline(&["run", EXPERIMENT]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("notify: `no-such-program` cannot be run"), "{}", stderr(&output));
}
