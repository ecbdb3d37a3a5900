//! What a change makes anew: `plan --diff REV`, and `explain`.

use std::process::Command;

use crate::support::{EXPERIMENT, Project, stderr};

fn git(project: &Project, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]);
    let output = command.arg("-C").arg(project.path("")).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", stderr(&output));
}

fn committed() -> Project {
    let project = Project::ran();
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "pipelines", "experiments"]);
    git(&project, &["commit", "--quiet", "-m", "first"]);
    project
}

#[test]
fn only_what_the_change_reaches_is_named() {
    let project = committed();
    let nothing = project.json(&["plan", EXPERIMENT, "--diff", "HEAD", "--format", "json"]);
    assert_eq!((&nothing["new"], &nothing["gone"]), (&0.into(), &0.into()));

    project.edit(
        "pipelines/tuning.yaml",
        "{ name: more, train: [{ last: 2 }, head], epochs: 4",
        "{ name: more, train: [{ last: 2 }, head], epochs: 5",
    );
    let changed = project.json(&["plan", EXPERIMENT, "--diff", "HEAD", "--format", "json"]);
    let labels: Vec<&str> =
        changed["changed"].as_array().unwrap().iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["tuned.more", "score[val]"]);
    assert_eq!(
        changed["changed"][0]["why"],
        serde_json::json!(["phase.epochs: was 4, is 5", "phase.lr_span.1: was 4, is 5"])
    );
    assert_eq!(changed["changed"][1]["why"], serde_json::json!(["stands on tuned.more"]));
    let output = project.thawline(&["plan", EXPERIMENT, "--diff", "HEAD"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("phase.epochs: was 4, is 5"), "{text}");
}

#[test]
fn a_revision_that_cannot_be_compared_says_so() {
    let project = committed();
    let said = |revision: &str| {
        let output = project.thawline(&["plan", EXPERIMENT, &format!("--diff={revision}")]);
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert!(said("nowhere").contains("git knows no revision `nowhere`"));
    assert!(said("--output=x").contains("`--output=x` is no git revision"));
    project.write("experiments/other.yaml", std::fs::read(project.path(EXPERIMENT)).unwrap());
    let output = project.thawline(&["plan", "experiments/other.yaml", "--diff", "HEAD"]);
    assert!(stderr(&output).contains("there was no experiments/other.yaml at HEAD"), "{}", stderr(&output));
    let elsewhere = Project::new();
    let output = elsewhere.thawline(&["plan", EXPERIMENT, "--diff", "HEAD"]);
    assert!(stderr(&output).contains("is not in a git repository"), "{}", stderr(&output));
}

#[test]
fn a_node_tells_why_it_is_on_record_will_run_or_ran() {
    let project = Project::ran();
    let explain = || String::from_utf8(project.thawline(&["explain", EXPERIMENT, "tuned.more"]).stdout).unwrap();
    assert!(explain().contains("on record, nothing changed"), "{}", explain());
    project.edit("pipelines/tuning.yaml", "head], epochs: 4", "head], epochs: 5");
    assert!(explain().contains("phase.epochs: was 4, is 5"), "{}", explain());
    assert_eq!(project.run().failed, 0);
    let text = explain();
    assert!(text.contains("on record, nothing changed") && text.contains("it ran because"), "{text}");
    assert!(text.contains("phase.epochs: was 4, is 5"), "{text}");
}
