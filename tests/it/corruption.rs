//! Artifacts are only as good as their digests say.

use std::{fs, os::unix::fs::PermissionsExt};

use thawline::rng::Draws;

use crate::support::{EXPERIMENT, Project, files, stderr};

/// Flips one bit in an artifact of a kind; the seed says which.
fn flip_a_bit(kind: &str) {
    let project = Project::ran();
    let digest = project.index(&format!("SELECT digest FROM nodes WHERE kind = '{kind}' ORDER BY key")).remove(0);
    let mut draws = Draws::new(0, kind, 0, "flip");
    let mut candidates = files(&project.path(&format!(".thawline/store/{}/{digest}", &digest[..2])));
    candidates.retain(|path| fs::metadata(path).unwrap().len() > 0);
    let path = &candidates[draws.below(candidates.len() as u64) as usize];
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut content = fs::read(path).unwrap();
    let at = draws.below(content.len() as u64) as usize;
    content[at] ^= 1 << draws.below(8);
    fs::write(path, content).unwrap();

    let output = project.thawline(&["run", EXPERIMENT]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("broken"), "{}", stderr(&output));
    assert!(!project.computed(1, "key").is_empty(), "it was not made again");
    project.assert_as_undisturbed();
    assert_eq!(project.run().done, 0);
}

#[test]
fn a_flipped_bit_in_features_is_noticed() {
    flip_a_bit("extract_features");
}

#[test]
fn a_flipped_bit_in_a_model_is_noticed() {
    flip_a_bit("fine_tune");
}

#[test]
fn a_flipped_bit_in_scores_is_noticed() {
    flip_a_bit("evaluate");
}
