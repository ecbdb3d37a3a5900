//! What people read when a YAML is wrong: one snapshot lists every mistake with its message, so that they can be read in one
//! go. Each is made by itself in the tiny project.

use std::fs;

use serde_json::Value;

use crate::support::{EXPERIMENT, Project, stderr};

const FEATURES: &str = "pipelines/features.yaml";
const TUNING: &str = "pipelines/tuning.yaml";

/// A mistake: its name, and what is changed where.
type Edit = (&'static str, &'static str, &'static str, &'static str);

const EDITS: &[Edit] = &[
    ("unknown key", FEATURES, "epochs: 5", "epoch: 5"),
    ("unknown kind", FEATURES, "train_head", "train_haed"),
    ("duplicate key", FEATURES, "epochs: 5", "epochs: 5, epochs: 6"),
    (
        "class names beside a folder",
        FEATURES,
        "image_folder: data/photos",
        "class_names: [a, b], image_folder: data/photos",
    ),
    ("decimal comma", FEATURES, "head_lr: 0.1", "head_lr: 0,01"),
    ("percentage", FEATURES, "epochs: 5", "epochs: 5, dropout: 10%"),
    ("wrong type", FEATURES, "epochs: 5", "epochs: many"),
    ("number in quotes", FEATURES, "epochs: 5", "epochs: \"5\""),
    ("out of range", FEATURES, "epochs: 5", "epochs: 0"),
    ("negative learning rate", TUNING, "lr: 0.05", "lr: -0.05"),
    ("fraction as a percentage", FEATURES, "train: 0.5, val: 0.25, test: 0.25", "train: 50, val: 25, test: 25"),
    ("fractions that do not sum to 1", FEATURES, "test: 0.25", "test: 0.35"),
    ("missing key", FEATURES, "images: views, backbone", "backbone"),
    ("unknown reference", FEATURES, "images: photos", "images: fotos"),
    (
        "cycle",
        TUNING,
        "  tuned:  { fine_tune: { images: views, backbone: efficientnet_lite0, weights: none, batch_size: 4, schedule: thaw } }",
        "  tuned:  { fine_tune: { images: views, start_from: again, schedule: thaw } }\n  again:  { fine_tune: { images: views, start_from: tuned, schedule: thaw } }",
    ),
    ("wrong artifact", FEATURES, "features: features", "features: photos"),
    ("unknown backbone", FEATURES, "efficientnet_lite0", "efficientnet_lite9"),
    ("unknown block", TUNING, "train: [head]", "train: [blocks.99, head]"),
    ("unknown transform", FEATURES, "horizontal_flip]", "horisontal_flip]"),
    ("unknown optimizer", FEATURES, "{ sgd:", "{ sdg:"),
    ("undeclared parameter", FEATURES, "\"${head_lr}\"", "\"${haed_lr}\""),
    ("undeclared swept parameter", EXPERIMENT, "head_lr:", "haed_lr:"),
    (
        "margin in points",
        EXPERIMENT,
        "repeats: { seeds: [0, 1] }",
        "repeats: { seeds: [0, 1] }\nreport: { margin: 0.5 }",
    ),
    (
        "margin as text",
        EXPERIMENT,
        "repeats: { seeds: [0, 1] }",
        "repeats: { seeds: [0, 1] }\nreport: { margin: 0.5 points }",
    ),
    ("unknown pipeline", EXPERIMENT, "tuning.yaml", "tunning.yaml"),
    ("unknown metric", EXPERIMENT, "repeats:", "metric: { name: val/acuracy }\nrepeats:"),
    ("test metric", EXPERIMENT, "repeats:", "metric: { name: test/accuracy }\nrepeats:"),
    (
        "ambiguous metric",
        TUNING,
        "  score:  { evaluate: { model: tuned } }",
        "  score:  { evaluate: { model: tuned } }\n  other:  { evaluate: { model: tuned } }",
    ),
    ("several at once", FEATURES, "model: probe", "modell: probe, top: 1"),
    // How YAML is written.
    ("indented too little", FEATURES, "  views:    {", " views:    {"),
    ("indented too much", FEATURES, "  views:    {", "    views:    {"),
    ("a stage outside of stages", FEATURES, "  score:    {", "score:    {"),
    ("swapped indentation", TUNING, "    freeze_schedule:\n      phases:", "      freeze_schedule:\n    phases:"),
    ("tab", FEATURES, "  views:    {", "\tviews:    {"),
    ("no space after a colon", FEATURES, "epochs: 5", "epochs:5"),
    ("no space after a colon in a block", TUNING, "      phases:\n", "      phases:[]\n"),
    ("bracket not closed", FEATURES, "{ evaluate: { model: probe } }", "{ evaluate: { model: probe }"),
    ("list not closed", FEATURES, "horizontal_flip]", "horizontal_flip"),
    ("quote not closed", FEATURES, "\"${head_lr}\"", "\"${head_lr}"),
    ("parameter without quotes", FEATURES, "\"${head_lr}\"", "${head_lr}"),
    ("anchor that is not there", FEATURES, "efficientnet_lite0", "*backbone"),
    ("merge key", FEATURES, "{ model: probe }", "{ <<: { top_k: [3] }, model: probe }"),
    ("tag", FEATURES, "epochs: 5", "epochs: !int 5"),
    ("second document", EXPERIMENT, "repeats:", "---\nrepeats:"),
    // Units and truth values.
    ("learning rate with a unit", TUNING, "lr: 0.05", "lr: 1e-3s"),
    ("size with a unit", FEATURES, "size: 32", "size: 32px"),
    ("epochs with a word", FEATURES, "epochs: 5", "epochs: 5 epochs"),
    ("yes for true", FEATURES, "test: 0.25 }", "test: 0.25 }, stratify: yes"),
    ("no for false", FEATURES, "test: 0.25 }", "test: 0.25 }, stratify: No"),
    ("1 for true", FEATURES, "test: 0.25 }", "test: 0.25 }, stratify: 1"),
    // Files that are not there, or do not hold enough.
    ("missing folder", FEATURES, "data/photos", "data/photoes"),
    ("missing folder above", FEATURES, "data/photos", "dta/photos"),
    (
        "missing table",
        FEATURES,
        "image_folder: data/photos",
        "table: { file: data/lables.csv, image: path, label: label }",
    ),
    (
        "missing column",
        FEATURES,
        "image_folder: data/photos",
        "table: { file: data/labels.csv, image: path, label: lable }",
    ),
    ("missing weights", FEATURES, "weights: none", "weights: weights/mine.pth"),
    ("more images than there are", FEATURES, "test: 0.25 }", "test: 0.25 }, sample: 100"),
    ("a fold for every image and more", EXPERIMENT, "seeds: [0, 1]", "folds: 25"),
    (
        "a block that only one of the swept backbones has",
        EXPERIMENT,
        "fine_tuning:        { pipeline: ../pipelines/tuning.yaml }",
        "fine_tuning:        { pipeline: ../pipelines/tuning.yaml, sweep: { parameters: { backbone: { values: [efficientnet_lite0, resnet18] } } } }",
    ),
];

fn project() -> Project {
    let project = Project::new();
    project.write("data/labels.csv", "path,label\nphotos/bright/00.png,a\nphotos/dark/00.png,b\n");
    project
}

/// What `validate` says, without this folder's random name.
fn said(name: &str, project: &Project) -> String {
    let output = project.thawline(&["validate", EXPERIMENT]);
    assert_eq!(output.status.code(), Some(2), "{name}: {}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(output.stdout.is_empty());
    plain(project, &stderr(&output))
}

fn plain(project: &Project, text: &str) -> String {
    let folder = project.path("");
    let text = text.replace(folder.to_str().unwrap(), "").replace(folder.to_str().unwrap().trim_end_matches('/'), ".");
    // What is free on this disk.
    let free = text.split_once(" GiB; ").map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
    free.map_or(text.clone(), |free| text.replace(&format!(" GiB; {free} GiB"), " GiB; FREE GiB"))
}

#[test]
fn every_mistake_has_its_message() {
    let mut all = String::new();
    for (name, file, old, new) in EDITS {
        let project = project();
        project.edit(file, old, new);
        if *name == "a block that only one of the swept backbones has" {
            project.edit(TUNING, "params: { lr: 0.05 }", "params: { lr: 0.05, backbone: resnet18 }");
            project.edit(TUNING, "backbone: efficientnet_lite0", "backbone: \"${backbone}\"");
            project.edit(TUNING, "train: [head]", "train: [layer4, head]");
        }
        all += &format!("## {name}\n{}\n", said(name, &project));
    }
    for (name, prepare) in whole_files() {
        let project = project();
        prepare(&project);
        all += &format!("## {name}\n{}\n", said(name, &project));
    }
    assert!(all.matches("## ").count() >= 60);
    insta::assert_snapshot!("mistakes", all);
}

type Prepare = (&'static str, fn(&Project));

fn whole_files() -> [Prepare; 11] {
    [
        ("more views than the disk holds", |project| {
            project.edit(FEATURES, "size: 32, views: 1", "size: 4096, views: 10000");
            project.edit(FEATURES, "epochs: 5", "epochs: 20000");
        }),
        ("byte order mark and a mistake", |project| {
            project.edit(FEATURES, "epochs: 5", "epoch: 5");
            let text = fs::read_to_string(project.path(FEATURES)).unwrap();
            project.write(FEATURES, format!("\u{feff}{text}"));
        }),
        ("windows lines and a mistake", |project| {
            project.edit(FEATURES, "epochs: 5", "epoch: 5");
            let text = fs::read_to_string(project.path(FEATURES)).unwrap();
            project.write(FEATURES, text.replace('\n', "\r\n"));
        }),
        ("not UTF-8", |project| project.write(FEATURES, [b's', 0xff, 0xfe])),
        ("empty file", |project| project.write(EXPERIMENT, "")),
        ("neither kind of file", |project| project.write(EXPERIMENT, "name: tiny\n")),
        ("no images", |project| {
            fs::remove_dir_all(project.path("data/photos")).unwrap();
            fs::create_dir_all(project.path("data/photos/bright")).unwrap();
        }),
        ("an empty class", |project| fs::create_dir_all(project.path("data/photos/grey")).unwrap()),
        ("one class", |project| fs::remove_dir_all(project.path("data/photos/dark")).unwrap()),
        ("a class of one image in folds", |project| {
            project.edit(EXPERIMENT, "seeds: [0, 1]", "folds: 3");
            project.write("data/photos/rare/1.png", fs::read(project.path("data/photos/dark/00.png")).unwrap());
        }),
        ("splits by folder and by fractions", |project| {
            for (split, class) in [("train", "bright"), ("train", "dark"), ("test", "bright"), ("val", "dark")] {
                let photo = fs::read(project.path(&format!("data/photos/{class}/00.png"))).unwrap();
                project.write(&format!("data/split/{split}/{class}/1.png"), photo);
            }
            project.edit(FEATURES, "data/photos", "data/split");
        }),
    ]
}

/// What could be meant is told, and does not stop anyone.
#[test]
fn what_may_be_a_mistake_is_a_notice() {
    let project = project();
    for (split, class) in
        [("train", "bright"), ("train", "dark"), ("val", "bright"), ("val", "dark"), ("test", "bright")]
    {
        let photo = fs::read(project.path(&format!("data/photos/{class}/00.png"))).unwrap();
        project.write(&format!("data/split/{split}/{class}/1.png"), photo);
    }
    for pipeline in [FEATURES, TUNING] {
        project.edit(pipeline, "data/photos, split: { train: 0.5, val: 0.25, test: 0.25 }", "data/split");
    }
    let output = project.thawline(&["validate", EXPERIMENT, "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found[0]["severity"], "notice");
    assert_eq!(found[0]["message"], "no test images of class `dark`, which train has");

    let small = self::project();
    for name in ["1", "2"] {
        small.write(&format!("data/photos/rare/{name}.png"), fs::read(small.path("data/photos/dark/00.png")).unwrap());
    }
    let output = small.thawline(&["validate", EXPERIMENT]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("class `rare` has 2 images: none is left for test"), "{}", stderr(&output));
}

/// Editors get every field of every message, in the order of the files.
#[test]
fn json_is_an_array_of_located_messages() {
    let project = project();
    project.edit(FEATURES, "epochs: 5", "epoch: 5");
    project.edit(EXPERIMENT, "seeds: [0, 1]", "seeds: [0, 0]");
    let output = project.thawline(&["validate", EXPERIMENT, "--format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 2);
    for item in found {
        let keys: Vec<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["severity", "file", "line", "column", "width", "message", "help", "source_line"]);
    }
    assert_eq!((&found[1]["file"], &found[1]["line"]), (&FEATURES.into(), &6.into()));
    assert_eq!(found[1]["help"], "did you mean `epochs`?");
}

/// `run` and `plan` look at the files before anything starts.
#[test]
fn nothing_starts_while_files_are_missing() {
    for verb in ["run", "plan"] {
        let project = project();
        fs::remove_dir_all(project.path("data/photos")).unwrap();
        let output = project.thawline(&[verb, EXPERIMENT]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains("pipelines/features.yaml:3:40"), "{}", stderr(&output));
        assert!(!project.path(".thawline").exists());
    }
}

#[test]
fn a_right_experiment_is_valid_however_it_is_written() {
    let says = |project: &Project| {
        let output = project.thawline(&["validate", EXPERIMENT]);
        (output.status.code(), stderr(&output))
    };
    assert_eq!(says(&project()), (Some(0), String::new()));
    let windows = project();
    for file in [FEATURES, TUNING, EXPERIMENT] {
        let text = fs::read_to_string(windows.path(file)).unwrap();
        windows.write(file, format!("\u{feff}{}", text.replace('\n', "\r\n")));
    }
    assert_eq!(says(&windows), (Some(0), String::new()));
    let aliases = project();
    aliases.edit(
        FEATURES,
        "train: [{ resize: [32, 32] }, horizontal_flip]",
        "train: [&small { resize: [32, 32] }, horizontal_flip]",
    );
    aliases.edit(FEATURES, "eval: [{ resize: [32, 32] }]", "eval: [*small]");
    assert_eq!(says(&aliases), (Some(0), String::new()));
}
