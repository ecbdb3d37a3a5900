//! `results`: a row a trial, and test metrics only where validation selected.

use std::collections::BTreeMap;

use crate::support::Project;

#[test]
fn rows_have_the_published_shape_and_sealed_test_halves() {
    let project = Project::ran();
    let rows = project.json(&["results", "tiny", "--format", "json"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 6, "two configurations of one arm, one of the other, at two seeds");

    // (arm, head_lr) -> validation accuracies, and how many rows show test metrics.
    let mut configurations: BTreeMap<(String, String), (Vec<f64>, usize)> = BTreeMap::new();
    for row in rows {
        assert!(row["trial"].is_string() && row["seed"].is_u64() && row["params"].is_object(), "{row}");
        assert_eq!(row["status"], "done");
        assert!(row["cost"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{row}");
        let accuracy = row["metrics"]["val/accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy));
        let key = (row["arm"].as_str().unwrap().to_string(), row["params"]["head_lr"].to_string());
        let (accuracies, unsealed) = configurations.entry(key).or_default();
        accuracies.push(accuracy);
        *unsealed += usize::from(row["metrics"].as_object().unwrap().keys().any(|name| name.contains("test/")));
    }
    assert_eq!(configurations.len(), 3);
    let arms = ["feature_extraction", "fine_tuning"];
    for arm in arms {
        let of_arm: Vec<_> =
            configurations.iter().filter(|((name, _), _)| name == arm).map(|(_, found)| found).collect();
        let unsealed: Vec<_> = of_arm.iter().filter(|(_, unsealed)| *unsealed > 0).collect();
        assert_eq!(unsealed.len(), 1, "{arm}: one configuration is selected");
        assert_eq!(unsealed[0].1, 2, "{arm}: at both seeds");
        let mean = |accuracies: &[f64]| accuracies.iter().sum::<f64>() / accuracies.len() as f64;
        assert!(
            of_arm.iter().all(|(accuracies, _)| mean(accuracies) <= mean(&unsealed[0].0)),
            "{arm}: the best by validation"
        );
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
