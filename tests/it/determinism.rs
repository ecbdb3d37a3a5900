//! How many threads there are changes no bit.

use crate::support::{EXPERIMENT, Project};

#[test]
fn one_and_two_jobs_give_equal_bits() {
    for jobs in ["1", "2"] {
        let project = Project::new();
        project.json(&["run", EXPERIMENT, "-j", jobs, "--format", "json"]);
        project.assert_as_undisturbed();
    }
}
