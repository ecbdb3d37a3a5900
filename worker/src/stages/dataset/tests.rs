use std::fs;

use serde_json::{Value, json};
use thawline::stages::dataset::{Params, listing, sources};

use super::*;
use crate::task::recorder::Recorder;

/// A 2 x 2 PNG whose pixels, and so whose id, come from `seed`.
fn png(seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = (0..3).flat_map(|i| (seed + i).to_le_bytes()).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

/// A project whose `photos/` holds these files, each a different image.
fn project(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, seed) in files.iter().zip(0..) {
        put(folder.path(), file, &png(seed * 10));
    }
    folder
}

fn put(project: &Path, file: &str, bytes: &[u8]) {
    let path = project.join("photos").join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

fn make(project: &Path, parameters: Value) -> Result<(Dataset, Outcome)> {
    let params = params(parameters);
    let out = tempfile::tempdir()?;
    let mut task = Task {
        inputs: BTreeMap::new(),
        sources: sources(&params, project)?,
        seed: 0,
        out: out.path().to_path_buf(),
        checkpoint: out.path().to_path_buf(),
        link: &mut Recorder::default(),
    };
    let outcome = run(&params, &mut task)?;
    Ok((Dataset::read(out.path())?, outcome))
}

fn error(project: &Path, parameters: Value) -> String {
    format!("{:#}", make(project, parameters).unwrap_err())
}

fn folder_split() -> Value {
    json!({ "image_folder": "photos", "split": { "train": 0.5, "val": 0.25, "test": 0.25 } })
}

fn two_classes() -> Vec<String> {
    ["cat", "dog"].iter().flat_map(|c| (0..8).map(move |i| format!("{c}/{i}.png"))).collect()
}

fn paths(dataset: &Dataset) -> Vec<&str> {
    dataset.images.iter().map(|image| image.path.as_str()).collect()
}

#[test]
fn a_folder_of_classes_is_split_by_class() {
    let files = two_classes();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    put(project.path(), "dog/deep/er/x.PNG", &png(9999));
    put(project.path(), "dog/notes.txt", b"hello");
    put(project.path(), ".DS_Store", b"hello");
    let (dataset, outcome) = make(project.path(), folder_split()).unwrap();
    assert_eq!(dataset.classes, ["cat", "dog"]);
    let metrics: Vec<(&str, f64)> = outcome.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(metrics, [("classes", 2.0), ("images", 17.0), ("test", 4.0), ("train", 9.0), ("val", 4.0)]);
    let mut sorted = paths(&dataset);
    sorted.sort_unstable();
    assert_eq!(paths(&dataset), sorted);
    assert!(sorted.contains(&"dog/deep/er/x.PNG"));
    assert_eq!(outcome.notes.len(), 1);
    assert!(outcome.notes[0].contains("dog/notes.txt"), "{:?}", outcome.notes);
    assert_eq!(listing(&params(folder_split()), project.path()).unwrap().len(), 17);
}

#[test]
fn a_folder_of_splits_is_taken_as_it_is() {
    let project = project(&["train/cat/1.png", "train/dog/2.png", "valid/cat/3.png", "valid/dog/4.png"]);
    let (dataset, outcome) = make(project.path(), json!({ "image_folder": "photos" })).unwrap();
    assert_eq!(Split::ALL.map(|split| dataset.rows(split).len()), [2, 2, 0]);
    assert!(outcome.notes[0].starts_with("no test images"), "{:?}", outcome.notes);
    let twice = error(project.path(), folder_split());
    assert!(twice.ends_with("already says the splits; leave `split` out"), "{twice}");
}

#[test]
fn folders_that_make_no_sense_are_errors() {
    let empty = project(&["cat/1.png", "cat/2.png", "cat/3.png", "cat/4.png"]);
    fs::create_dir(empty.path().join("photos/dog")).unwrap();
    assert_eq!(error(empty.path(), folder_split()), "class folders without images: dog; fill or remove them");
    let missing = error(empty.path(), json!({ "image_folder": "fotos" }));
    assert!(missing.starts_with("there is no folder") && missing.ends_with("fotos"), "{missing}");
    assert!(error(empty.path(), json!({})).starts_with("neither `image_folder` nor `table`"));

    let flat = project(&["1.png", "2.png"]);
    assert!(error(flat.path(), folder_split()).starts_with("no images in "));
    let mixed = project(&["train/cat/1.png", "val/cat/2.png", "extra/3.png"]);
    let mixed = error(mixed.path(), json!({ "image_folder": "photos" }));
    assert_eq!(mixed, "folders train, val look like splits, but beside them is extra; move it away");
    let untrained = project(&["train/cat/1.png", "val/cat/2.png", "val/dog/3.png"]);
    assert_eq!(error(untrained.path(), json!({ "image_folder": "photos" })), "no training images of class dog");
    let unsplit = project(&["cat/1.png"]);
    assert!(error(unsplit.path(), json!({ "image_folder": "photos" })).starts_with("nothing says the splits"));
}

#[test]
fn fractions_are_checked() {
    let files = two_classes();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let split = |train: f64, val: f64, test: f64| {
        let split = json!({ "image_folder": "photos", "split": { "train": train, "val": val, "test": test } });
        error(project.path(), split)
    };
    assert!(split(0.5, 0.25, 0.2).contains("the fractions must sum to 1"));
    assert!(split(1.2, -0.1, -0.1).contains("`train` is 1.2; fractions lie between 0 and 1"));
    assert_eq!(split(0.98, 0.01, 0.01), "split: 0.01 of 16 images leaves none for val");
    let mut large = folder_split();
    large["sample"] = json!(17);
    assert_eq!(error(project.path(), large), "`sample` is 17, but there are 16 images");
}

#[test]
fn a_link_to_a_folder_above_is_an_error_not_a_loop() {
    let project = project(&["cat/1.png"]);
    std::os::unix::fs::symlink(project.path().join("photos/cat"), project.path().join("photos/cat/again")).unwrap();
    assert!(error(project.path(), folder_split()).ends_with("is a symbolic link to a folder above it"));
}

#[test]
fn unreadable_images_are_listed_or_dropped() {
    let files = two_classes();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    put(project.path(), "cat/broken.png", &png(1)[..20]);
    put(project.path(), "dog/empty.jpg", b"");
    let listed = error(project.path(), folder_split());
    assert!(listed.starts_with("2 of 18 images cannot be read (`on_unreadable: drop`"), "{listed}");
    assert!(listed.contains("\n  cat/broken.png: PNG") && listed.contains("\n  dog/empty.jpg: the file is empty"));
    let mut drop = folder_split();
    drop["on_unreadable"] = json!("drop");
    let (dataset, outcome) = make(project.path(), drop).unwrap();
    assert_eq!((dataset.images.len(), dataset.dropped.len()), (16, 2));
    assert!(outcome.notes[0].starts_with("dropped 2 of 18 images"), "{:?}", outcome.notes);
}

#[test]
fn equal_contents_in_two_splits_are_noted() {
    let project = project(&["train/cat/1.png", "val/cat/2.png", "val/cat/3.png"]);
    put(project.path(), "val/cat/copy.png", &png(0));
    let (_, outcome) = make(project.path(), json!({ "image_folder": "photos" })).unwrap();
    let note = outcome.notes.last().unwrap();
    assert_eq!(note, "2 files have the same content as one in another split: train/cat/1.png, val/cat/copy.png");
}

fn table(rows: &str, more: Value) -> (tempfile::TempDir, Value) {
    let project = project(&["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"]);
    put(project.path(), "labels.csv", rows.as_bytes());
    let mut table = json!({ "file": "photos/labels.csv", "image": 1, "label": 2 });
    table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (project, json!({ "table": table, "split": { "train": 0.5, "val": 0.25, "test": 0.25 }, "stratify": false }))
}

fn labels(dataset: &Dataset) -> Vec<(&str, &str)> {
    dataset.images.iter().map(|i| (i.path.as_str(), dataset.classes[i.label as usize].as_str())).collect()
}

#[test]
fn separators_and_headers_are_found() {
    let expected = [("a.png", "10"), ("b.png", "9"), ("c.png", "10"), ("d.png", "9"), ("e.png", "10"), ("f.png", "9")];
    let rows = ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"].iter().zip(["10", "9"].iter().cycle());
    for separator in [",", "\t", ";", "   ", " , "] {
        let body: String = rows.clone().map(|(image, label)| format!("{image}{separator}{label}\r\n")).collect();
        let (project, numbered) = table(&body, json!({}));
        let (dataset, _) = make(project.path(), numbered).unwrap();
        assert_eq!(labels(&dataset), expected, "{separator:?}");
        assert_eq!(dataset.classes, ["9", "10"], "numbers are in the order of numbers");
        let (project, named) = table(&format!("file{separator}y\n{body}"), json!({ "image": "file", "label": "y" }));
        assert_eq!(labels(&make(project.path(), named).unwrap().0), expected, "{separator:?}");
    }
    let (project, wrong) = table("file,y\na.png,1\n", json!({ "image": "path", "label": "y" }));
    assert!(error(project.path(), wrong).ends_with("no column `path`; the first line names: file, y"));
}

#[test]
fn labels_map_to_classes() {
    let rows = "a.png 0.0\nb.png 1.0\nc.png 0.3333333333333333\nd.png 0.66666666\n./e.png 0\nf.png 1\n";
    let classes = json!({
        "classes": { "intact": 0, "defective": { "min": 0.9 } }, "drop": [{ "min": 0.3, "max": 0.4 }, 0.6666667]
    });
    let (project, parameters) = table(rows, classes);
    let (dataset, outcome) = make(project.path(), parameters.clone()).unwrap();
    assert_eq!(dataset.classes, ["defective", "intact"]);
    let expected = [("a.png", "intact"), ("b.png", "defective"), ("e.png", "intact"), ("f.png", "defective")];
    assert_eq!(labels(&dataset), expected);
    assert_eq!(outcome.notes[0], "2 rows have a label in `drop`");
    let read = listing(&params(parameters), project.path()).unwrap();
    let names: Vec<_> = read.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.png", "b.png", "e.png", "f.png", "labels.csv"]);
}

#[test]
fn every_mistake_in_a_table_is_listed_with_its_line() {
    let rows = "a.png 0\nb.png 7\nc.png 7\nnone.png 0\na.png 1\n/d.png 0\ne.png\nf.png 5\n";
    let classes = json!({ "classes": { "no": 0, "yes": 1, "both": [5, 6], "too": { "min": 5, "max": 5.5 } } });
    let (project, parameters) = table(rows, classes);
    let error = error(project.path(), parameters);
    for part in [
        "label `7` is in no class and not in `drop` (lines 2, 3)",
        "no file `none.png` in",
        "`a.png` again, after line 1 (line 5)",
        "absolute image paths; make them relative to the folder `images` (line 6)",
        "no label (line 7)",
        "label `5` is in several classes: both, too (line 8)",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
}

#[test]
fn a_column_can_say_the_split() {
    let rows = "image,y,part\na.png,u,train\nb.png,v,Train\nc.png,u,validation\nd.png,v,test\n";
    let (project, mut parameters) = table(rows, json!({ "image": "image", "label": "y", "split": "part" }));
    parameters.as_object_mut().unwrap().remove("split");
    let (dataset, _) = make(project.path(), parameters.clone()).unwrap();
    assert_eq!(Split::ALL.map(|split| dataset.rows(split).len()), [2, 1, 1]);
    put(project.path(), "labels.csv", b"image,y,part\na.png,u,dev\n");
    assert!(error(project.path(), parameters).ends_with("split `dev` is none of train, val, test (line 2)"));
}
