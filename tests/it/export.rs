//! What a trial trained can be taken away: as a file for PyTorch, and to classify new images.

use std::{fs, process::Output};

use safetensors::SafeTensors;
use serde_json::Value;
use thawline::artifact::Predictions;

use crate::support::{Project, stderr, undisturbed};

/// A trial of the arm, whose name holds its configuration.
fn trial(arm: &str) -> String {
    let names = undisturbed().metrics.keys();
    names.into_iter().find(|name| name.contains(arm)).expect("the arm has trials").clone()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The artifact of the trial's evaluation on validation.
fn predictions(project: &Project, trial: &str) -> Predictions {
    let shown = project.json(&["show", trial, "--format", "json"]);
    let is_score = |node: &&Value| node["label"] == "score[val]";
    let node = shown["nodes"].as_array().unwrap().iter().find(is_score).unwrap();
    Predictions::read(node["artifact"].as_str().unwrap().as_ref()).unwrap()
}

#[test]
fn new_images_are_classified_as_the_evaluation_did() {
    let project = Project::ran();
    for arm in ["feature_extraction", "fine_tuning"] {
        let trial = trial(arm);
        let expected = predictions(&project, &trial);
        let images: Vec<String> = expected.paths.iter().map(|path| format!("data/photos/{path}")).collect();
        let arguments: Vec<&str> =
            ["predict", &trial, "--format", "jsonl"].into_iter().chain(images.iter().map(String::as_str)).collect();
        let output = project.thawline(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let found = lines(&output);
        assert_eq!(found.len(), images.len());
        for (i, line) in found.iter().enumerate() {
            assert_eq!(line["image"], images[i]);
            for top in line["top"].as_array().unwrap() {
                let class = top["index"].as_u64().unwrap() as usize;
                assert_eq!(top["class"], expected.classes[class]);
                let score = expected.probabilities[i * expected.classes.len() + class];
                assert!((top["score"].as_f64().unwrap() - score).abs() < 1e-9, "{arm} {line} {score}");
            }
        }
    }
}

#[test]
fn folders_are_searched_and_what_cannot_be_read_is_listed() {
    let project = Project::ran();
    project.write("new/one/broken.png", b"no image");
    project.write("new/notes.txt", b"text");
    fs::copy(project.path("data/photos/dark/00.png"), project.path("new/a.png")).unwrap();
    let trial = trial("fine_tuning");
    let output = project.thawline(&["predict", &trial, "--top", "1", "--format", "csv", "new"]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "image,rank,class,probability");
    assert!(rows.len() == 2 && rows[1].starts_with("new/a.png,1,"), "{table}");
    let said = stderr(&output);
    assert!(said.contains("failed  new/one/broken.png: is no image that can be read"), "{said}");
    assert!(said.contains("1 of 2 images could not be read") && said.contains("1 file in new"), "{said}");

    for (arguments, expected) in [
        (vec!["predict", &trial, "nowhere.png"], "no such image or folder: nowhere.png"),
        (vec!["predict", &trial], "name images or folders after the trial"),
        (vec!["predict", "tiny", "new"], "no trial is called `tiny`. Did you mean"),
        (vec!["predict", &trial, "new", "--stage", "scores"], "no such `evaluate` stage; there are: score"),
        (vec!["predict", &trial, "pipelines"], "there are no images in pipelines"),
    ] {
        let output = project.thawline(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn a_model_is_exported_whole_with_what_it_takes_to_use_it() {
    let project = Project::ran();
    let trial = trial("fine_tuning");
    let output = project.thawline(&["export", &trial, "-o", "model.safetensors"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let bytes = fs::read(project.path("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("_fc.weight").unwrap().shape(), [2, 1280]);
    assert_eq!(file.tensor("_bn1.num_batches_tracked").unwrap().shape(), [0usize; 0]);
    assert_eq!(file.tensor("_conv_stem.weight").unwrap().shape(), [32, 3, 3, 3]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["thawline"]).unwrap();
    assert_eq!(metadata["classes"], serde_json::json!(["bright", "dark"]));
    assert_eq!((&metadata["trial"], &metadata["preprocessing"]["size"]), (&Value::from(trial.as_str()), &32.into()));
    assert_eq!(metadata["preprocessing"]["transforms"][0]["resize"]["size"], serde_json::json!([32, 32]), "{metadata}");

    let torch = project.thawline(&["export", &trial, "--format", "torch"]);
    assert!(torch.status.success(), "{}", stderr(&torch));
    let name = format!("{trial}.pth");
    assert_eq!(String::from_utf8(torch.stdout).unwrap().trim(), name);
    assert!(fs::read(project.path(&name)).unwrap().starts_with(b"PK\x03\x04"));
    // Nothing is overwritten.
    assert_eq!(project.thawline(&["export", &trial, "--format", "torch"]).status.code(), Some(2));
}
