//! The gallery, `pipelines/` and `experiments/`: all of it is valid and says what to expect, and what takes minutes on the photographs of
//! solar cells runs in seconds on few small ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Project, files, photo, stderr};

/// Few images, small, for an epoch at one seed.
const SHORT: &str = "s/epochs: [0-9]+/epochs: 1/; s/sample: [0-9]+/sample: 48/; s/([ {])size: [0-9]+/\\1size: 32/; \
                     s/seeds: \\[0, 1, 2[^]]*\\]/seeds: [0]/; s/run_cap: [0-9]+/run_cap: 3/; s/folds: 5/folds: 2/";

/// The gallery in a project of its own, with small images in place of `data/photos` and of so many solar cells.
fn gallery(cells: u64) -> Project {
    let project = Project::new();
    for folder in ["pipelines", "experiments"] {
        fs::remove_dir_all(project.path(folder)).unwrap();
        for file in yaml(folder) {
            project.write(&format!("{folder}/{}", name(&file)), fs::read(&file).unwrap());
        }
    }
    solar_cells(&project, cells);
    project
}

/// `data/elpv` as it is fetched, with `count` small images: as many that are certain as not.
pub fn solar_cells(project: &Project, count: u64) {
    let mut labels = String::new();
    for i in 0..count {
        let class = usize::from(i % 3 == 0);
        project.write(&format!("data/elpv/images/cell{i:04}.png"), photo(class, i));
        labels += &format!("images/cell{i:04}.png  {class}.0                 mono\n");
        if i % 6 == 0 {
            project.write(&format!("data/elpv/images/doubt{i:04}.png"), photo(class, count + i));
            labels += &format!(
                "images/doubt{i:04}.png  0.{}                 mono\n",
                ["3333333333333333", "6666666666666666"][class]
            );
        }
    }
    project.write("data/elpv/labels.csv", labels);
}

fn yaml(folder: &str) -> Vec<PathBuf> {
    let found = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    found.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn all_of_it_is_valid() {
    let project = gallery(600);
    let all: Vec<String> = ["pipelines", "experiments"]
        .into_iter()
        .flat_map(|folder| yaml(folder).into_iter().map(move |file| format!("{folder}/{}", name(&file))))
        .collect();
    let mut arguments = vec!["validate"];
    arguments.extend(all.iter().map(String::as_str));
    let output = project.thawline(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn each_opens_with_its_command_and_what_to_expect_and_is_in_the_index() {
    for folder in ["pipelines", "experiments"] {
        let index = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("README.md")).unwrap();
        for file in yaml(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let opening: String =
                text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
            let command = format!("thawline run {folder}/{}", name(&file));
            assert!(opening.contains(&command), "{} has no `{command}`", file.display());
            assert!(opening.contains("Expect"), "{} does not say what to expect", file.display());
            assert!(index.contains(&format!("]({})", name(&file))), "{} is not in {folder}/README.md", file.display());
        }
    }
}

#[test]
fn the_recipes_for_solar_cells_run() {
    let project = gallery(64);
    project.sed(SHORT);
    for file in yaml("experiments").iter().map(|file| name(file)).filter(|name| name.starts_with("elpv-")) {
        let run = project.json(&["run", &format!("experiments/{file}"), "-j", "2", "--format", "json"]);
        assert_eq!(run["status"], "done", "{file}: {run}");
    }
    // Every recipe is an arm of some experiment.
    let experiments: String = yaml("experiments").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for file in yaml("pipelines") {
        assert!(
            experiments.contains(&format!("/{} ", name(&file))) || experiments.contains(&format!("/{},", name(&file))),
            "no experiment has {}",
            name(&file)
        );
    }
}
