//! A new project for a folder or a table of images: it runs, and says what it saw.

use std::fs;

use crate::support::{Project, stderr};

/// `bright` and `dark`, 12 each, in `data/photos`; nothing else.
fn photos() -> Project {
    let project = Project::new();
    for folder in ["pipelines", "experiments"] {
        fs::remove_dir_all(project.path(folder)).unwrap();
    }
    project
}

fn init(project: &Project, arguments: &[&str]) -> String {
    let output = project.thawline(&[&["init"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(project: &Project, arguments: &[&str]) -> String {
    let output = project.thawline(&[&["init"], arguments].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output).replace(&project.path("").display().to_string(), "")
}

/// Runs one epoch a stage of one seed, so that the test is about the files and not about training.
fn runs(project: &Project, experiment: &str) {
    for pipeline in ["pipelines/feature-extraction.yaml", "pipelines/fine-tuning.yaml"] {
        let text = fs::read_to_string(project.path(pipeline)).unwrap();
        let short = text.lines().map(|line| match line.split_once("epochs: ") {
            Some((before, after)) => {
                let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}epochs: 1{rest}\n")
            }
            None => format!("{line}\n"),
        });
        project.write(pipeline, short.collect::<String>());
    }
    project.edit(experiment, "seeds: [0, 1, 2]", "seeds: [0]");
    let validated = project.thawline(&["validate", experiment]);
    assert_eq!((validated.status.code(), stderr(&validated).as_str()), (Some(0), ""));
    let run = project.json(&["run", experiment, "--format", "json"]);
    assert_eq!(run["status"], "done", "{run}");
}

#[test]
fn a_folder_becomes_a_project_that_runs() {
    let project = photos();
    let said = init(&project, &["data/photos"]);
    for part in ["24 images of 2 classes", "all 24 pixels", "in colour", "chosen by accuracy", "next: thawline run"] {
        assert!(said.contains(part), "`{part}` is missing:\n{said}");
    }
    let pipeline = fs::read_to_string(project.path("pipelines/fine-tuning.yaml")).unwrap();
    assert!(pipeline.contains("image_folder: data/photos\n"), "{pipeline}");
    runs(&project, "experiments/photos.yaml");
}

#[test]
fn a_table_becomes_a_project_that_runs() {
    let project = photos();
    let row = |class: &str, i: u32, split: &str| format!("{i},photos/{class}/{i:02}.png,{class},{split}\n");
    let split = |i: u32| ["train", "train", "train", "val", "test", "test"][i as usize % 6];
    let rows = (0..12).flat_map(|i| ["bright", "dark"].map(|class| row(class, i, split(i))));
    project.write("data/list.csv", format!("number,file,species,split\n{}", rows.collect::<String>()));
    let said = init(&project, &["data/list.csv", "--name", "listed"]);
    assert!(said.contains("the files say train, val and test"), "{said}");
    let pipeline = fs::read_to_string(project.path("pipelines/feature-extraction.yaml")).unwrap();
    assert!(pipeline.contains("table: { file: data/list.csv, image: file, label: species, split: split"), "{pipeline}");
    runs(&project, "experiments/listed.yaml");
}

#[test]
fn what_the_images_are_like_decides_the_defaults() {
    let project = photos();
    for i in 4..12 {
        fs::remove_file(project.path(&format!("data/photos/dark/{i:02}.png"))).unwrap();
    }
    assert!(refused(&project, &["data/photos"]).contains("too few images of class `dark` (4): at least 5 each"));
    fs::copy(project.path("data/photos/dark/00.png"), project.path("data/photos/dark/more.png")).unwrap();
    project.write("data/photos/dark/broken.png", "no image");
    let said = init(&project, &["data/photos", "--into", "new", "--backbone", "resnet18"]);
    assert!(said.contains("2.0 times the images of the smallest: chosen by balanced accuracy"), "{said}");
    assert!(said.contains("1 image cannot be read and is left out: dark/broken.png"), "{said}");
    let text = |path: &str| fs::read_to_string(project.path(path)).unwrap();
    assert!(text("new/experiments/photos.yaml").contains("val/balanced_accuracy"));
    let pipeline = text("new/pipelines/fine-tuning.yaml");
    assert!(pipeline.contains("on_unreadable: drop") && pipeline.contains("backbone: resnet18"), "{pipeline}");
    let validated = project.thawline(&["validate", "new/experiments/photos.yaml"]);
    assert_eq!(validated.status.code(), Some(0), "{}", stderr(&validated));
}

#[test]
fn what_is_there_is_never_overwritten() {
    let project = photos();
    project.write("README.md", "mine");
    let said = refused(&project, &["data/photos"]);
    assert_eq!(
        said,
        "error: README.md exists already, and nothing is overwritten: move it away, or write elsewhere with `--into DIR`\n"
    );
    assert_eq!(fs::read_to_string(project.path("README.md")).unwrap(), "mine");
    assert!(!project.path("pipelines").exists());
}

#[test]
fn images_that_make_no_project_are_refused_with_the_reason() {
    let project = photos();
    for folder in ["empty", "flat", "one/only", "splits/train/a", "splits/train/b", "splits/val/a"] {
        fs::create_dir_all(project.path(folder)).unwrap();
    }
    for to in ["flat/1.png", "one/only/1.png", "one/only/2.png", "splits/train/a/1.png", "splits/train/b/1.png"] {
        fs::copy(project.path("data/photos/dark/00.png"), project.path(to)).unwrap();
    }
    project.write("two.csv", "a,file,b\n1,data/photos/dark/00.png,x\n2,data/photos/dark/01.png,y\n");
    project.write("none.csv", "a,b\n1,x\n2,y\n");
    let cases: [(&[&str], &str); 10] = [
        (&["nowhere"], "there is no nowhere"),
        (&["empty"], "no images in empty"),
        (&["flat"], "flat holds 1 images but no folders"),
        (&["one"], "all 2 images in one are of one class, `only`"),
        (&["data"], "did you mean `thawline init data/photos`?"),
        (&["splits"], "splits has no test images"),
        (
            &["two.csv"],
            "which column of two.csv holds the labels? Name it with `--label COLUMN`; its columns are a, file, b",
        ),
        (&["none.csv"], "no column of none.csv holds paths of images"),
        (&["data/photos", "--backbone", "resnet81"], "no backbone `resnet81`"),
        (&["data/photos", "--name", "a/b"], "`a/b` is no name for an experiment"),
    ];
    for (arguments, reason) in cases {
        let said = refused(&project, arguments);
        assert!(said.contains(reason), "{arguments:?} says: {said}");
    }
}
