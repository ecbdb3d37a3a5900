use std::fs;

use crate::support::{Project, stderr};
use thawline::{
    artifact::Reading,
    images::{decode::decode, resize::crop, sheet},
};

const MIXED: &str = "train: [{ resize: [32, 32] }, { rotate: { degrees: 40, fill: reflect } }, { mixup: 0.4 }], eval";

/// What a person looks at before the night is what the night trains on.
#[test]
fn the_tiles_of_the_sheet_are_the_prepared_pixels() {
    let project = Project::new();
    let old = "views: 1, train: [{ resize: [32, 32] }, horizontal_flip], eval";
    project.edit("pipelines/features.yaml", old, &format!("views: 2, {MIXED}"));
    let pipeline = "pipelines/features.yaml";
    let arguments = ["preview", pipeline, "views", "-o", "sheet.png", "--images", "4", "--views", "2"];
    let output = project.thawline(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(project.thawline(&["run", pipeline]).status.success());
    let sheet_image = decode(&fs::read(project.path("sheet.png")).unwrap(), &Reading::default()).unwrap().image;
    assert_eq!((sheet_image.width, sheet_image.height), sheet::place(3, 4, 32));
    let size = 32 * 32 * 3;
    for (column, label) in ["views[train.0]", "views[train.1]"].into_iter().enumerate() {
        let digest = &project.index(&format!("SELECT digest FROM nodes WHERE label = '{label}'"))[0];
        let folder = project.path(".thawline/store").join(&digest[..2]).join(digest);
        let pixels = fs::read(folder.join("pixels.bin")).unwrap();
        assert!(folder.join("targets.safetensors").exists(), "mixed views have soft targets");
        let images = pixels.len() / size;
        for row in 0..4 {
            let (x, y) = sheet::place(column + 1, row, 32);
            let tile = crop(&sheet_image, i64::from(x), i64::from(y), 32, 32).pixels;
            let image = row * images / 4;
            assert_eq!(tile, pixels[image * size..(image + 1) * size], "{label}, row {row}");
        }
    }
    // Networks train on mixed images too.
    project.edit("pipelines/tuning.yaml", old, &format!("views: 2, {MIXED}"));
    let tuned = project.json(&["run", "pipelines/tuning.yaml", "--format", "json"]);
    assert_eq!(tuned["nodes"]["failed"], 0, "{tuned}");
    let output = project.thawline(&["preview", pipeline, "probe"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "a train_head prepares no images: `probe`; `augment` stages are: views";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

/// On validation nothing is put through them, so a sweep costs what it did.
#[test]
fn conditions_are_scored_on_the_selected_models_test_images() {
    let project = Project::new();
    project.edit(
        "pipelines/features.yaml",
        "{ evaluate: { model: probe } }",
        "{ evaluate: { model: probe, conditions: [fog, contrast] } }",
    );
    let json = project.json(&["run", "pipelines/features.yaml", "--format", "json"]);
    assert_eq!(json["nodes"]["failed"], 0, "{json}");
    let rows = project.json(&["results", "features", "--format", "json"]);
    let metrics = &rows[0]["metrics"];
    let value = |name: &str| metrics[name].as_f64().unwrap_or_else(|| panic!("no {name} in {metrics}"));
    let accuracies: Vec<f64> = ["fog", "contrast"]
        .iter()
        .flat_map(|name| (1..=5).map(move |severity| format!("test/condition/{name}/{severity}")))
        .map(|name| value(&name))
        .collect();
    let error = 1.0 - accuracies.iter().sum::<f64>() / 10.0;
    assert!((value("test/corruption_error") - error).abs() < 1e-12);
    let relative = error - (1.0 - value("test/accuracy"));
    assert!((value("test/relative_corruption_error") - relative).abs() < 1e-12);
    assert!(metrics.as_object().unwrap().keys().all(|name| !name.starts_with("val/condition")));
    let report = fs::read_to_string(project.path("reports/features/report.md")).unwrap();
    assert!(report.contains("### Accuracy on test under conditions, by severity"), "{report}");
}
