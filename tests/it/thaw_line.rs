//! What lies below a thaw line may be stored or computed again: nobody can tell by the results.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{EXPERIMENT, Project, undisturbed};

fn run(project: &Project, storing: &str) {
    project.json(&["run", EXPERIMENT, "-j", "2", "--store-activations", storing, "--format", "json"]);
}

fn stored(project: &Project) -> Vec<String> {
    project.index("SELECT digest FROM nodes WHERE kind = 'activations'")
}

#[test]
fn stored_or_streamed_every_result_is_the_same() {
    let (always, never) = (Project::new(), Project::new());
    run(&always, "always");
    run(&never, "never");
    assert!(stored(&never).is_empty());
    // Both phases train on one view of the training images, and on the validation images: two thaw
    // lines, two nodes each, and a random backbone of its own for each of two seeds.
    assert_eq!(stored(&always).len(), 8);
    for project in [&always, &never] {
        assert_eq!(project.metrics(), undisturbed().metrics);
        assert!(project.digests().is_superset(&undisturbed().digests));
        assert!(project.finished().is_superset(&undisturbed().keys));
    }
}

/// A new learning rate reads what is stored; the broken one is noticed, made again, and the results are those of a project
/// that never stored anything.
#[test]
fn broken_activations_are_made_again() {
    let (project, fresh) = (Project::new(), Project::new());
    run(&project, "always");
    for digest in stored(&project) {
        let file = project.path(&format!(".thawline/store/{}/{digest}/activations.bin", &digest[..2]));
        let mut bytes = fs::read(&file).unwrap();
        bytes[100] ^= 1;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, bytes).unwrap();
    }
    for project in [&project, &fresh] {
        project.edit("pipelines/tuning.yaml", "lr: 0.05", "lr: 0.04");
    }
    run(&project, "always");
    run(&fresh, "never");
    assert_eq!(project.metrics(), fresh.metrics());
    assert_eq!(stored(&project).len(), 8);
}
