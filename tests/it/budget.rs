//! A run that has only so much time, memory or patience.

use crate::support::{EXPERIMENT, Project, children, signal, stderr, wait_until};

/// Trials by status.
fn count(project: &Project, status: &str) -> usize {
    let rows = project.json(&["results", "tiny", "--format", "json"]);
    rows.as_array().unwrap().iter().filter(|row| row["status"] == status).count()
}

/// Epochs enough that nothing ends by itself while a test looks on.
fn long(project: &Project) {
    project.edit("pipelines/tuning.yaml", "epochs: 4", "epochs: 100000");
}

#[test]
fn a_run_that_is_out_of_time_reports_and_goes_on() {
    let project = Project::new();
    long(&project);
    let output = project.thawline(&["run", EXPERIMENT, "-j", "2", "--for", "4s"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("closing: no more trials start") && said.contains("stopped after"), "{said}");
    assert!(project.path("reports/tiny/report.md").is_file());
    assert!(count(&project, "pending") >= 1);
    // Fine-tuning has no trial, so that nothing was selected, and no test image was looked at.
    assert!(project.index("SELECT arm FROM selections").is_empty());

    project.edit("pipelines/tuning.yaml", "epochs: 100000", "epochs: 4");
    assert_eq!(project.run().failed, 0);
    project.assert_results_as_undisturbed();
}

#[test]
fn enough_trials_are_compared_by_the_repeats_that_all_arms_have() {
    let project = Project::new();
    // Three at the first seed, and one head at the second: all arms come before another seed.
    let output = project.thawline(&["run", EXPERIMENT, "-j", "1", "--max-trials", "4"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let tested =
        project.index("SELECT trial FROM trials WHERE selected = 1 AND metrics LIKE '%test/accuracy%' ORDER BY trial");
    assert_eq!(tested.len(), 2, "{tested:?}");
    assert!(tested.iter().all(|trial| trial.ends_with("-s0")), "{tested:?}");
    assert_eq!(count(&project, "pending"), 2);
    let report = std::fs::read_to_string(project.path("reports/tiny/report.md")).unwrap();
    assert!(report.contains("stopped in time, before 2 of 6 trials") && !report.contains("sealed"), "{report}");

    assert_eq!(project.run().failed, 0);
    project.assert_as_undisturbed();
}

#[test]
fn a_node_that_takes_too_long_fails_and_the_others_go_on() {
    let project = Project::new();
    long(&project);
    let output = project.thawline(&["run", EXPERIMENT, "-j", "2", "--timeout", "6s"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it took longer than its `timeout` of 6 s"), "{said}");
    assert_eq!((count(&project, "failed"), count(&project, "done")), (2, 4));
}

#[test]
fn a_node_may_fill_only_so_much_memory() {
    let project = Project::new();
    long(&project);
    let limits = "limits: { max_memory: 1MB }\n";
    project.write(EXPERIMENT, std::fs::read_to_string(project.path(EXPERIMENT)).unwrap() + limits);
    let output = project.thawline(&["run", EXPERIMENT, "-j", "1"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("its `max_memory` is 1000000"), "{said}");
    // Whatever took longer than a moment failed; that was no reason to do it again.
    assert!(count(&project, "failed") >= 2 && !said.contains("again"), "{said}");

    project.edit(EXPERIMENT, limits, "limits: { max_memory: 8GB }\n");
    project.edit("pipelines/tuning.yaml", "epochs: 100000", "epochs: 4");
    assert_eq!(project.run().failed, 0);
    project.assert_results_as_undisturbed();
}

#[test]
fn a_worker_that_dies_once_costs_nothing_and_twice_its_trial() {
    for (retries, failed) in [("1", 0), ("0", 1)] {
        let project = Project::new();
        let mut run = project.start(&["-j", "1", "--retries", retries]);
        assert!(wait_until(&mut run, || project.is_tuning()), "it ended before its worker was killed");
        let workers = children(run.id());
        assert_eq!(workers.len(), 1, "-j 1 has one worker");
        signal(workers[0], libc::SIGKILL);
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(failed), "{}", stderr(&output));
        assert!(stderr(&output).contains("signal 9"), "{}", stderr(&output));
        assert_eq!((count(&project, "failed"), count(&project, "done")), (failed as usize, 6 - failed as usize));

        // What failed is all that `retry` runs.
        let again = project.thawline(&["retry", EXPERIMENT, "--failed"]);
        assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
        project.assert_as_undisturbed();
    }
}
