//! Processes killed at any moment, and two at once, lose nothing and do nothing twice.

use std::collections::BTreeSet;

use thawline::rng::Draws;

use crate::support::{Project, stderr, undisturbed, wait_until};

/// Kills the coordinator once some nodes have finished, how many the seed says; then runs to the end.
fn kill_the_coordinator(seed: u64) {
    let project = Project::new();
    let n = Draws::new(seed, "coordinator", 0, "kill").below(undisturbed().keys.len() as u64 - 1) as usize;
    let mut run = project.start(&["--format", "json"]);
    assert!(
        wait_until(&mut run, || project.finished().len() >= n && project.runs() == 1),
        "it ended before it was killed"
    );
    run.kill().unwrap();
    run.wait().unwrap();

    let before = project.finished();
    let nodes = project.run();
    assert_eq!(nodes.failed, 0);
    assert_eq!(nodes.done + nodes.cached, nodes.total);
    assert_eq!(nodes.done as usize, undisturbed().keys.len() - before.len(), "killed after {} nodes", before.len());
    let again: BTreeSet<String> = project.computed(1, "key").into_iter().filter(|key| before.contains(key)).collect();
    assert!(again.is_empty(), "done again: {again:?}");
    project.assert_as_undisturbed();
}

#[test]
fn the_coordinator_killed_at_moment_0() {
    kill_the_coordinator(0);
}

#[test]
fn the_coordinator_killed_at_moment_1() {
    kill_the_coordinator(1);
}

#[test]
fn the_coordinator_killed_at_moment_2() {
    kill_the_coordinator(2);
}

#[test]
fn the_coordinator_killed_at_moment_3() {
    kill_the_coordinator(3);
}

#[test]
fn the_coordinator_killed_at_moment_4() {
    kill_the_coordinator(4);
}

#[test]
fn two_runs_at_once_share_the_work() {
    let project = Project::new();
    let runs = [project.start(&["--format", "json"]), project.start(&["--format", "json"])];
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let mut computed = project.computed(0, "key");
    computed.sort();
    let all: Vec<String> = undisturbed().keys.iter().cloned().collect();
    assert_eq!(computed, all, "every node is computed, and once");
    project.assert_as_undisturbed();
}
