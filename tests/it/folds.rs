//! `repeats: { folds }`: every image is tested once, by the configuration that was chosen without it.

use std::collections::{BTreeMap, BTreeSet};

use thawline::artifact::{Dataset, Split};

use crate::support::Project;

#[test]
fn every_fold_is_tested_once_and_has_a_selection_of_its_own() {
    let project = Project::new();
    project.edit(
        "experiments/tiny.yaml",
        "repeats: { seeds: [0, 1] }",
        "repeats: { folds: 3 }\nreport: { baseline: feature_extraction }",
    );
    project.edit("pipelines/tuning.yaml", "epochs: 4", "epochs: 1");
    let nodes = project.run();
    assert_eq!(nodes.failed, 0);

    let rows = project.json(&["results", "tiny", "--format", "json"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 9, "three configurations in three folds");
    let mut chosen: BTreeMap<(String, u64), Vec<&str>> = BTreeMap::new();
    for row in rows {
        let (arm, fold) = (row["arm"].as_str().unwrap().to_string(), row["fold"].as_u64().unwrap());
        let trial = row["trial"].as_str().unwrap();
        assert!(trial.ends_with(&format!("-f{fold}-s0")), "{trial}");
        if row["selected"].as_bool().unwrap() {
            assert!(row["metrics"]["test/accuracy"].is_number(), "{row}");
            chosen.entry((arm, fold)).or_default().push(trial);
        } else {
            assert!(row["metrics"].as_object().unwrap().keys().all(|name| !name.contains("test/")), "{row}");
        }
    }
    assert_eq!(chosen.len(), 6, "two arms in three folds");
    assert!(chosen.values().all(|trials| trials.len() == 1), "{chosen:?}");

    let digests = project.index("SELECT DISTINCT digest FROM nodes WHERE kind = 'dataset'");
    assert_eq!(digests.len(), 3);
    let mut tested = Vec::new();
    for digest in digests {
        let dataset = Dataset::read(&project.path(&format!(".thawline/store/{}/{digest}", &digest[..2]))).unwrap();
        // 24 images: 8 are tested, and of the other 16 a third is val.
        assert_eq!(Split::ALL.map(|split| dataset.rows(split).len()), [10, 6, 8]);
        tested.extend(dataset.rows(Split::Test).iter().map(|image| image.path.clone()));
    }
    assert_eq!((tested.len(), tested.iter().collect::<BTreeSet<_>>().len()), (24, 24));

    let folds = project.index("SELECT CAST(fold AS TEXT) FROM selections ORDER BY fold");
    assert_eq!(folds, ["0", "0", "1", "1", "2", "2"]);
    let csv = std::fs::read_to_string(project.path("reports/tiny/trials.csv")).unwrap();
    assert!(csv.lines().next().unwrap().contains("fold"), "{csv}");
    let report = project.json(&["report", "tiny", "--format", "json"]);
    let tuned = report["arms"].as_array().unwrap().iter().find(|arm| arm["arm"] == "fine_tuning").unwrap().clone();
    assert_eq!(tuned["difference"]["n"], 3, "paired by fold: {tuned}");
}
