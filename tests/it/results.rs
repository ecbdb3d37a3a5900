//! `results`: a row a trial, and test metrics only where validation selected.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{EXPERIMENT, Project};

#[test]
fn rows_have_the_published_shape_and_sealed_test_halves() {
    let project = Project::ran();
    let rows = project.json(&["results", "tiny", "--format", "json"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 6, "two configurations of one arm, one of the other, at two seeds");

    for row in rows {
        assert!(row["trial"].is_string() && row["seed"].is_u64() && row["params"].is_object(), "{row}");
        assert_eq!(row["status"], "done");
        assert!(row["cost"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{row}");
        assert!((0.0..=1.0).contains(&row["metrics"]["val/accuracy"].as_f64().unwrap()));
    }
    assert_eq!(unsealed(rows, "val/accuracy").len(), 3);
}

/// (arm, head_lr) to the mean of a validation metric over the seeds, and the number of rows with test metrics.
fn unsealed(rows: &[Value], metric: &str) -> BTreeMap<(String, String), (f64, usize)> {
    let mut configurations: BTreeMap<_, (f64, usize)> = BTreeMap::new();
    for row in rows {
        let metrics = row["metrics"].as_object().unwrap();
        let key = (row["arm"].as_str().unwrap().to_string(), row["params"]["head_lr"].to_string());
        let (mean, unsealed) = configurations.entry(key).or_default();
        *mean += metrics[metric].as_f64().unwrap() / 2.0;
        *unsealed += usize::from(metrics.keys().any(|name| name.contains("test/")));
    }
    configurations
}

/// The two learning rates classify these few images alike, but not with equal confidence; one of them is better whichever
/// way one looks, so that minimising and maximising must open different test halves.
#[test]
fn the_test_halves_of_the_best_open_and_no_others() {
    for goal in ["minimize", "maximize"] {
        let project = Project::ran();
        project.edit(EXPERIMENT, "repeats:", &format!("metric: {{ name: val/log_loss, goal: {goal} }}\nrepeats:"));
        project.run();
        let rows = project.json(&["results", "tiny", "--format", "json"]);
        let configurations = unsealed(rows.as_array().unwrap(), "val/log_loss");
        let of_arm = |arm: &str| configurations.iter().filter(|((name, _), _)| name == arm).map(|(_, c)| *c).collect();
        let (heads, tuned): (Vec<(f64, usize)>, Vec<_>) = (of_arm("feature_extraction"), of_arm("fine_tuning"));
        let (chosen, other): (Vec<_>, Vec<_>) = heads.into_iter().partition(|(_, unsealed)| *unsealed == 2);
        assert_eq!((chosen.len(), other.len(), tuned[0].1), (1, 1, 2), "{goal}");
        assert_eq!(other[0].1, 0, "{goal}");
        let better = if goal == "minimize" { chosen[0].0 < other[0].0 } else { chosen[0].0 > other[0].0 };
        assert!(better, "{goal}: chose {} over {}", chosen[0].0, other[0].0);
    }
}

#[test]
fn the_other_formats_show_as_many_rows() {
    let project = Project::ran();
    for format in ["table", "csv"] {
        let output = project.thawline(&["results", "tiny", "--format", format]);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("-s0") || line.contains("-s1")).count(), 6, "{text}");
    }
    project.run();
    assert!(project.path("reports/tiny/report.md").is_file());
}
