//! The documentation: links lead somewhere, the reference is current, and its commands do what they say.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    gallery::solar_cells,
    support::{Project, files, photo},
};

/// Before a page's commands run, its recipes become short: an epoch at one seed on few small images.
const SHORT: &str = r"s/epochs: [0-9]+/epochs: 1/g; s/sample: [0-9]+/sample: 40/; s/seeds: \[0, 1, 2\]/seeds: [0]/; s/224/64/g; s/256/72/";

/// It is done to every recipe before each block of commands, since those before may have written more.
const SHORTEN: &str = r#"short() {
    for file in pipelines/*.yaml experiments/*.yaml; do [ ! -f "$file" ] || sed -i -E "$SHORT" "$file"; done
}
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn markdown(folder: &str) -> Vec<PathBuf> {
    files(&root().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect()
}

/// A fenced block, or the text between two of them.
enum Part {
    Prose(String),
    /// Its info string and content.
    Block(String, String),
}

fn parts(text: &str) -> Vec<Part> {
    let (mut parts, mut lines) = (Vec::new(), String::new());
    let mut info: Option<String> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), info.take()) {
            (Some(opening), None) => {
                parts.push(Part::Prose(std::mem::take(&mut lines)));
                info = Some(opening.to_owned());
            }
            (Some(_), Some(info)) => parts.push(Part::Block(info, std::mem::take(&mut lines))),
            (None, open) => {
                lines += &format!("{line}\n");
                info = open;
            }
        }
    }
    assert!(info.is_none(), "a block is not closed");
    parts.push(Part::Prose(lines));
    parts
}

/// The text outside blocks and `code`.
fn prose(text: &str) -> String {
    let prose = parts(text).into_iter().filter_map(|part| match part {
        Part::Prose(text) => Some(text),
        Part::Block(..) => None,
    });
    let prose: String = prose.collect();
    prose.split('`').step_by(2).collect()
}

/// What `[text](target)` and `![text](target)` point to, where that is no address.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets =
        prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchors of a page's headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| {
        let kept = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    let prose = parts(text).into_iter().filter_map(|part| match part {
        Part::Prose(text) => Some(text),
        Part::Block(..) => None,
    });
    prose
        .collect::<String>()
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| slug(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = markdown("docs");
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "pipelines/README.md", "experiments/README.md", "reports/README.md"]
            .map(|page| root().join(page)),
    );
    let mut seen = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{} links to {link}, which is not there", page.display());
            let target = target.canonicalize().unwrap();
            let (book, within) = (root().join("docs"), page.starts_with(root().join("docs")));
            assert!(
                !within || target.starts_with(&book),
                "{} links to {link}, which is outside the book",
                page.display()
            );
            if !anchor.is_empty() {
                let found = anchors(&fs::read_to_string(&target).unwrap());
                assert!(found.contains(anchor), "{} links to {link}, but there is no such heading", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen}");
}

#[test]
fn the_summary_lists_every_page_once() {
    let summary = root().join("docs/SUMMARY.md");
    let mut listed: Vec<PathBuf> =
        links(&fs::read_to_string(&summary).unwrap()).iter().map(|link| root().join("docs").join(link)).collect();
    listed.sort();
    let pages: Vec<PathBuf> = markdown("docs").into_iter().filter(|page| *page != summary).collect();
    assert_eq!(listed, pages);
}

#[test]
fn the_reference_is_current() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.arg(root().join("scripts/reference_docs.py")).args([env!("CARGO_BIN_EXE_thawline"), "--check"]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A project with all the images that pages speak of, so many of solar cells among them, and nothing else.
fn project(cells: u64) -> Project {
    let project = Project::new();
    for folder in ["pipelines", "experiments"] {
        fs::remove_dir_all(project.path(folder)).unwrap();
    }
    let mut rows = String::from("file,species,split\n");
    for (class, name) in ["bright", "dark"].iter().enumerate() {
        for i in 0..12 {
            let split = ["train", "train", "val", "test"][i as usize % 4];
            rows += &format!("photos/{name}/{i:02}.png,{name},{split}\n");
            project.write(&format!("data/splits/{split}/{name}/{i:02}.png"), photo(class, i));
        }
        project.write(&format!("data/new/{name}.png"), photo(class, 99));
    }
    project.write("data/list.csv", rows);
    solar_cells(&project, cells);
    // The README calls the program where cargo builds it.
    fs::create_dir(project.path("target")).unwrap();
    std::os::unix::fs::symlink(programs(), project.path("target/debug")).unwrap();
    project
}

fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_thawline")).parent().unwrap()
}

/// A page as one script: its `sh` blocks, and its `yaml` blocks that open with the name of a file as that file.
fn script(text: &str) -> String {
    let mut script = String::from(SHORTEN);
    for part in parts(text) {
        match part {
            Part::Block(info, content) if info == "yaml" => {
                let file = content.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
                if file.ends_with(".yaml") && !file.contains(' ') {
                    script += &format!("mkdir -p \"$(dirname {file})\"\ncat > {file} <<'END'\n{content}END\n");
                }
            }
            Part::Block(info, content) if info == "sh" => {
                script += "short\n";
                script += &content;
            }
            _ => {}
        }
    }
    script
}

/// Runs a page's commands in order, in a project of their own; all must succeed.
fn run(page: &Path) {
    let script = script(&fs::read_to_string(page).unwrap());
    assert!(script.contains("thawline"), "{} has no commands", page.display());
    // The tutorial takes 400 of the solar cells.
    let project = project(if script.contains("elpv") { 450 } else { 0 });
    let mut command = Command::new("bash");
    command.args(["-euxo", "pipefail", "-c", &script]).current_dir(project.path("")).env("SHORT", SHORT);
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
    command
        .env("PATH", path)
        .env_remove("THAWLINE_PROJECT")
        .env_remove("THAWLINE_LOG")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A Reader").env(format!("GIT_{role}_EMAIL"), "reader@example.org");
    }
    let output = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}:\n{}\n{}", page.display(), said(&output.stdout), said(&output.stderr));
}

#[test]
fn the_commands_of_the_readme_run() {
    run(&root().join("README.md"));
}

#[test]
fn the_commands_of_the_tutorial_run() {
    run(&root().join("docs/tutorial.md"));
}

#[test]
fn the_commands_of_the_how_to_pages_run() {
    let pages = markdown("docs/howto");
    assert!(pages.len() >= 12, "only {}", pages.len());
    // Two at a time: most of a page is waiting for processes to start.
    std::thread::scope(|scope| {
        for half in pages.chunks(pages.len().div_ceil(2)) {
            scope.spawn(|| half.iter().for_each(|page| run(page)));
        }
    });
}
