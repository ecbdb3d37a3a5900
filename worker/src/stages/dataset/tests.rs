use std::fs;

use serde_json::{Value, json};
use thawline::{
    rng::Draws,
    stages::dataset::{Params, listing, sources},
};

use super::*;
use crate::task::recorder::Recorder;

/// A 20 x 20 PNG of noise that comes from `seed`, and so does its id; `brighter` by some levels it looks the same.
fn png_of(seed: u32, brighter: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 20, 20);
    encoder.set_color(png::ColorType::Rgb);
    let mut draws = Draws::new(seed.into(), "", 0, "noise");
    let pixels: Vec<u8> = (0..20 * 20 * 3).map(|_| draws.below(240) as u8 + brighter).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

fn png(seed: u32) -> Vec<u8> {
    png_of(seed, 0)
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
    let work = Work { params: params.clone(), fold: None };
    let out = tempfile::tempdir()?;
    let mut task = Task {
        inputs: BTreeMap::new(),
        sources: sources(&params, project)?,
        seed: 0,
        limits: Default::default(),
        out: out.path().to_path_buf(),
        checkpoint: out.path().to_path_buf(),
        link: &mut Recorder::default(),
    };
    let outcome = run(&work, &mut task)?;
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
    assert_eq!(outcome.notes.len(), 2);
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
    assert!(
        missing.starts_with("there is no folder") && missing.ends_with("fotos; the project's root has photos"),
        "{missing}"
    );
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
    assert_eq!(
        note,
        "WARNING: 2 files have the same content as one in another split: train/cat/1.png, val/cat/copy.png"
    );
    assert!(outcome.notes.contains(&"1 images are exact copies of another".to_string()), "{:?}", outcome.notes);
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
    assert!(error(project.path(), wrong).ends_with("no column `path` in the table; there are file, y"));
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

fn note<'a>(outcome: &'a Outcome, part: &str) -> &'a str {
    let found = outcome.notes.iter().find(|note| note.contains(part));
    found.unwrap_or_else(|| panic!("no note has {part:?}: {:#?}", outcome.notes))
}

#[test]
fn what_is_seen_is_said() {
    let files = two_classes();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/formats");
    for (from, to) in [("jpeg_420.jpg", "dog/x.jpg"), ("webp_lossy.webp", "dog/y.png"), ("tiff_16.tiff", "dog/z.tif")] {
        put(project.path(), to, &fs::read(formats.join(from)).unwrap());
    }
    let (_, outcome) = make(project.path(), folder_split()).unwrap();
    assert_eq!(
        note(&outcome, "pixels"),
        "16 PNG (RGB), 1 JPEG (RGB), 1 TIFF (16-bit grey), 1 WebP (RGB); 2 sizes from 20 x 20 to 45 x 31 pixels; \
         cat 8 (42 %), dog 11 (58 %)"
    );
    assert_eq!(
        note(&outcome, "another format"),
        "1 files hold another format than their names say: dog/y.png holds WebP"
    );
}

#[test]
fn images_that_look_alike_are_warned_of_across_splits_and_classes() {
    let project = project(&[
        "train/cat/1.png",
        "train/dog/2.png",
        "val/cat/3.png",
        "val/dog/4.png",
        "test/cat/5.png",
        "test/dog/6.png",
    ]);
    put(project.path(), "test/cat/brighter.png", &png_of(0, 15));
    let (_, outcome) = make(project.path(), json!({ "image_folder": "photos" })).unwrap();
    let said = note(&outcome, "look like a training image");
    assert!(
        said.starts_with("WARNING: 1 test images") && said.contains("test/cat/brighter.png ~ train/cat/1.png"),
        "{said}"
    );
    assert_eq!(outcome.notes.iter().filter(|note| note.starts_with("WARNING")).count(), 1, "{:?}", outcome.notes);

    put(project.path(), "train/dog/same.png", &png(0));
    put(project.path(), "train/dog/alike.png", &png_of(0, 9));
    let (_, outcome) = make(project.path(), json!({ "image_folder": "photos" })).unwrap();
    let said = note(&outcome, "in several classes");
    assert!(said.ends_with("train/cat/1.png (cat) = train/dog/same.png (dog)"), "{said}");
    let said = note(&outcome, "look alike but are of different classes");
    assert!(said.contains("train/cat/1.png (cat) ~ train/dog/alike.png (dog)"), "{said}");
}

#[test]
fn duplicates_are_removed_and_lookalikes_kept_together() {
    let files: Vec<String> =
        ["cat", "dog"].iter().flat_map(|c| (0..20).map(move |i| format!("{c}/{i:02}.png"))).collect();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    for i in 0..20 {
        put(project.path(), &format!("cat/{i:02}-brighter.png"), &png_of(i * 10, 12));
    }
    put(project.path(), "cat/copy.png", &png(0));
    put(project.path(), "cat/wrong.png", &png(200));
    let mut parameters = folder_split();
    parameters["deduplicate"] = json!(true);
    let (dataset, outcome) = make(project.path(), parameters).unwrap();
    let reasons: Vec<(&str, &str)> = dataset.dropped.iter().map(|d| (d.path.as_str(), d.reason.as_str())).collect();
    let conflict = "its content is in several classes";
    assert_eq!(
        reasons,
        [("cat/copy.png", "a copy of cat/00.png"), ("cat/wrong.png", conflict), ("dog/00.png", conflict)]
    );
    assert!(note(&outcome, "`deduplicate`").starts_with("`deduplicate` left out 3 images: cat/copy.png"));
    let split_of = |path: &str| dataset.images.iter().find(|i| i.path == path).unwrap().split;
    for i in 0..20 {
        assert_eq!(split_of(&format!("cat/{i:02}.png")), split_of(&format!("cat/{i:02}-brighter.png")), "{i}");
    }
    assert!(
        !outcome.notes.iter().any(|note| note.starts_with("WARNING") && note.contains("split")),
        "{:?}",
        outcome.notes
    );
    assert_eq!(note(&outcome, "groups"), "39 groups stay in one split each; the largest has 2 images");
}

#[test]
fn groups_come_from_paths_or_columns() {
    let files: Vec<String> = (0..24).map(|i| format!("{}/p{}-{i}.png", ["cat", "dog"][i % 2], i / 3)).collect();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let mut by_path = folder_split();
    by_path["group_by"] = json!({ "regex": "/(p\\d+)-" });
    let rows: String = (0..24).map(|i| format!("{},{},p{}\n", files[i], i % 2, i / 3)).collect();
    put(project.path(), "labels.csv", format!("image,y,patient\n{rows}").as_bytes());
    let by_column = json!({
        "table": { "file": "photos/labels.csv", "image": "image", "label": "y" }, "group_by": { "column": "patient" },
        "split": { "train": 0.5, "val": 0.25, "test": 0.25 }
    });
    let patient = |path: &str| path.split(['/', '-']).nth(1).unwrap().to_string();
    let mut divisions = Vec::new();
    for parameters in [by_path, by_column] {
        let (dataset, _) = make(project.path(), parameters).unwrap();
        let mut splits: BTreeMap<String, BTreeSet<Split>> = BTreeMap::new();
        for image in &dataset.images {
            splits.entry(patient(&image.path)).or_default().insert(image.split);
        }
        assert_eq!(splits.len(), 8);
        assert!(splits.values().all(|splits| splits.len() == 1), "{splits:?}");
        assert_eq!(Split::ALL.map(|split| dataset.rows(split).len()), [12, 6, 6]);
        divisions.push(dataset.images);
    }
    assert_eq!(divisions[0], divisions[1], "the same groups, however they are told");
    let mut wrong = folder_split();
    wrong["group_by"] = json!({ "regex": "patient(\\d+)" });
    assert!(error(project.path(), wrong).contains("does not match 24 paths: cat/p0-0.png"));
    let mut column = folder_split();
    column["group_by"] = json!({ "column": "patient" });
    assert!(error(project.path(), column).contains("there are no columns; group by `{ regex: ... }`"));
}

/// The ten images that scripts/reference/formats.py wrote into every container, as a project.
fn containers() -> tempfile::TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/containers");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    for file in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&file, folder.path().join("data").join(file.file_name().unwrap())).unwrap();
    }
    folder
}

#[test]
fn files_of_many_images_are_datasets() {
    let project = containers();
    let split = json!({ "train": 0.6, "val": 0.2, "test": 0.2 });
    let names = json!(["ant", "bee", "fly"]);
    let arrays = |images: &str, labels: &str| json!({ "arrays": [{ "images": images, "labels": labels }], "class_names": names });
    for (listing, first) in [
        (arrays("data/images-idx3-ubyte", "data/labels-idx1-ubyte"), "data/images-idx3-ubyte#0"),
        (arrays("data/images-idx3-ubyte.gz", "data/labels-idx1-ubyte.gz"), "data/images-idx3-ubyte.gz#0"),
        (arrays("data/images.npy", "data/labels.npy"), "data/images.npy#0"),
        (arrays("data/compressed.npz#x_train", "data/compressed.npz#y_train"), "data/compressed.npz#x_train/0"),
        (json!({ "parquet": [{ "files": "data/*.parquet" }] }), "data/images.parquet#image/0"),
        (
            json!({ "parquet": [{ "files": "data/images.parquet", "label": "species", "image": "plain" }] }),
            "data/images.parquet#plain/0",
        ),
        (json!({ "tar": [{ "files": "data/*.tar" }], "class_names": names }), "data/images.tar#set/000.png"),
        (json!({ "tar": [{ "files": "data/*.tar", "label": "json.species" }] }), "data/images.tar#set/000.png"),
    ] {
        let mut parameters = listing.clone();
        (parameters["split"], parameters["stratify"]) = (split.clone(), json!(false));
        let (dataset, _) = make(project.path(), parameters).unwrap_or_else(|error| panic!("{listing}: {error:#}"));
        assert_eq!(dataset.classes, ["ant", "bee", "fly"], "{listing}");
        assert_eq!(dataset.images.len(), 10);
        assert_eq!(dataset.images[0].path, first);
        assert_eq!(
            dataset.images.iter().map(|i| i.label).collect::<Vec<_>>(),
            [0, 1, 2, 0, 1, 2, 0, 1, 2, 0],
            "{listing}"
        );
    }
    let mut grouped = json!({ "parquet": [{ "files": "data/images.parquet" }], "group_by": { "column": "patient" } });
    (grouped["split"], grouped["stratify"]) = (split, json!(false));
    let (by_parquet, outcome) = make(project.path(), grouped.clone()).unwrap();
    assert_eq!(note(&outcome, "groups"), "5 groups stay in one split each; the largest has 2 images");
    grouped.as_object_mut().unwrap().remove("parquet");
    grouped["tar"] = json!([{ "files": "data/images.tar" }]);
    let (by_tar, _) = make(project.path(), grouped.clone()).unwrap();
    let splits = |dataset: &Dataset| dataset.images.iter().map(|i| i.split).collect::<Vec<_>>();
    assert_eq!(splits(&by_parquet), splits(&by_tar), "the same images and groups");
    let read = listing(&params(grouped), project.path()).unwrap();
    assert_eq!(read, [project.path().join("data/images.tar")]);
}

#[test]
fn parts_say_their_split_and_val_comes_from_train() {
    let project = containers();
    let part = |split: &str, name: &str| json!({ "images": format!("data/{name}.npz#x_train"), "labels": format!("data/{name}.npz#y_train"), "split": split });
    let mut parameters = json!({ "arrays": [part("train", "plain"), part("test", "compressed")] });
    let (dataset, outcome) = make(project.path(), parameters.clone()).unwrap();
    assert_eq!(Split::ALL.map(|split| dataset.rows(split).len()), [10, 0, 10]);
    assert!(note(&outcome, "same content").starts_with("WARNING: 20 files"));
    parameters["split"] = json!({ "train": 0.5, "val": 0.5, "test": 0.0 });
    parameters["stratify"] = json!(false);
    parameters["seed"] = json!(1);
    let (dataset, _) = make(project.path(), parameters).unwrap();
    assert_eq!(Split::ALL.map(|split| dataset.rows(split).len()), [5, 5, 10]);
}

#[test]
fn mistakes_about_files_of_many_images_are_said() {
    let project = containers();
    let said = |mut parameters: Value| {
        parameters["split"] = json!({ "train": 0.6, "val": 0.2, "test": 0.2 });
        error(project.path(), parameters)
    };
    let missing = said(json!({ "parquet": [{ "files": "data/train-*.parquet" }] }));
    assert!(missing.starts_with("there is no file `data/train-*.parquet` in"), "{missing}");
    let column = said(json!({ "parquet": [{ "files": "data/images.parquet", "label": "class" }] }));
    assert!(column.ends_with("no column `class`; there are: image, label, species, patient, plain"), "{column}");
    let swapped = said(json!({ "arrays": [{ "images": "data/labels.npy", "labels": "data/images.npy" }] }));
    assert!(swapped.ends_with("shape [10, 5, 6] is not of labels: expected one number an image"), "{swapped}");
    let few = said(json!({ "tar": [{ "files": "data/images.tar" }], "class_names": ["ant", "bee"] }));
    assert_eq!(few, "data/images.tar#set/002.png: label `2` is none of the 2 classes ant, bee");
    let field = said(json!({ "tar": [{ "files": "data/images.tar", "label": "json.age" }] }));
    assert!(
        field.starts_with("sample `set/000` of ") && field.ends_with("`.json` has no text or number `age`"),
        "{field}"
    );
    let both = said(json!({ "image_folder": "data", "tar": [{ "files": "data/images.tar" }] }));
    assert_eq!(both, "both `image_folder` and `tar`; keep one");
}

#[test]
fn how_images_are_read_is_kept_with_them_where_it_is_not_the_default() {
    let files = two_classes();
    let project = project(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let (plain, _) = make(project.path(), folder_split()).unwrap();
    assert_eq!(plain.reading, Reading::default());
    let mut parameters = folder_split();
    parameters["background"] = json!([0, 0, 0]);
    parameters["levels"] = json!({ "low": 0, "high": 4095 });
    let (dataset, _) = make(project.path(), parameters).unwrap();
    assert_eq!(dataset.reading.background, [0; 3]);
    assert_ne!(dataset.reading, plain.reading);
}
