//! How many threads there are changes no bit.

use crate::support::{EXPERIMENT, Project};

/// The undisturbed project ran with two jobs.
#[test]
fn one_and_two_jobs_give_equal_bits() {
    let project = Project::new();
    project.json(&["run", EXPERIMENT, "-j", "1", "--format", "json"]);
    project.assert_as_undisturbed();
}
