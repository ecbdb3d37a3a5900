//! Ctrl-C.

use crate::support::{EXPERIMENT, Project, signal, stderr, wait_until};

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let project = Project::new();
    let mut run = project.start(&[]);
    assert!(wait_until(&mut run, || project.is_tuning()), "it ended before it was interrupted");
    signal(run.id(), libc::SIGINT);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("stopping: "), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("Go on with: thawline run {EXPERIMENT}")), "{}", stderr(&output));

    let stopped =
        project.index("SELECT key FROM node_runs WHERE status = 'stopped' AND kind = 'fine_tune' AND epoch >= 1");
    assert!(!stopped.is_empty(), "nothing was stopped in the middle");
    let before = project.finished();
    let nodes = project.run();
    assert_eq!(nodes.failed, 0);
    assert!(project.computed(1, "key").iter().all(|key| !before.contains(key)));
    for key in stopped {
        let log = std::fs::read_to_string(project.path(&format!(".thawline/log/{key}.log"))).unwrap();
        assert!(log.contains("going on after epoch"), "it did not go on from its checkpoint:\n{log}");
    }
    project.assert_as_undisturbed();
}
