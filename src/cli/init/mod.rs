//! `thawline init`: a working project for a folder or a table of images. Looks at the images (`look`), picks defaults that
//! suit them (`choose`), and writes YAMLs that say why (`write`).

mod choose;
mod look;
mod write;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::{Common, Outcome, output, text, usage};
use choose::Choices;
use look::Seen;

#[derive(Debug, Args)]
pub struct Arguments {
    /// A folder with a folder of images a class (or train, val and test with those), or a CSV table of paths and labels.
    #[arg(value_name = "FOLDER|TABLE")]
    images: PathBuf,
    /// Where to write the project; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
    /// The network to start from, a name of `thawline models`; by default one whose weights are on this machine.
    #[arg(long, value_name = "NAME")]
    backbone: Option<String>,
    /// The experiment's name; by default that of the folder or table.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The table's column of image paths: its name, or its number from 1. Found by itself where that is clear.
    #[arg(long, value_name = "COLUMN")]
    image: Option<String>,
    /// The table's column of labels, likewise.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let name = name_of(arguments).map_err(usage)?;
    let columns = look::Columns { image: arguments.image.as_deref(), label: arguments.label.as_deref() };
    let seen = look::look(&arguments.images, &arguments.into, &columns).map_err(usage)?;
    let choices = Choices::new(&seen, arguments.backbone.as_deref()).map_err(usage)?;
    let files = write::files(&name, &seen, &choices);
    refuse_existing(&arguments.into, &files).map_err(usage)?;
    if !common.quiet {
        output::print(&saw(&arguments.images, &seen, &choices));
    }
    for (path, content) in &files {
        let path = below(&arguments.into, path);
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            std::fs::write(&path, content)
        };
        write().with_context(|| format!("writing {}", path.display()))?;
        if !common.quiet {
            output::print(&format!("wrote {}", path.display()));
        }
    }
    let experiment = write::experiment_path(&name);
    let within =
        if arguments.into == Path::new(".") { String::new() } else { format!("cd {} && ", shell(&arguments.into)) };
    output::print(&format!(
        "\nnext: {within}thawline run {experiment} --smoke\n      (every kind of step on a few images, in a minute or so; then the same without `--smoke`)"
    ));
    Ok(ExitCode::SUCCESS)
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn name_of(arguments: &Arguments) -> anyhow::Result<String> {
    if let Some(name) = &arguments.name {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            bail!("`{name}` is no name for an experiment: use letters, digits, `_` and `-`");
        }
        return Ok(name.clone());
    }
    let images = arguments.images.canonicalize().unwrap_or_else(|_| arguments.images.clone());
    let stem = images.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = stem.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    Ok(if plain.is_empty() { "images".to_owned() } else { plain.to_owned() })
}

fn refuse_existing(into: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    let existing: Vec<String> = files
        .iter()
        .map(|(path, _)| below(into, path))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.display().to_string())
        .collect();
    if existing.is_empty() {
        return Ok(());
    }
    let exist = if existing.len() == 1 { "exists" } else { "exist" };
    Err(anyhow!(
        "{} {exist} already, and nothing is overwritten: move it away, or write elsewhere with `--into DIR`",
        existing.join(", ")
    ))
}

/// The path as people write it.
fn below(into: &Path, path: &str) -> PathBuf {
    if into == Path::new(".") { PathBuf::from(path) } else { into.join(path) }
}

/// What was found, for people.
fn saw(images: &Path, seen: &Seen, choices: &Choices) -> String {
    let mut header = vec!["class", "images"];
    if seen.has_splits {
        header.extend(["train", "val", "test"]);
    }
    let row = |class: &look::Class| {
        let mut row = vec![class.name.clone(), text::count(class.images() as u64)];
        if seen.has_splits {
            row.extend(class.splits.iter().take(3).map(|n| text::count(*n as u64)));
        }
        row
    };
    const LISTED: usize = 20;
    let mut rows: Vec<Vec<String>> = seen.classes.iter().take(LISTED).map(row).collect();
    if seen.classes.len() > LISTED {
        rows.push(vec![format!("... and {} more", seen.classes.len() - LISTED)]);
    }
    let mut lines = vec![
        format!(
            "{}: {} of {} classes",
            images.display(),
            text::plural(seen.images(), "image"),
            text::count(seen.classes.len() as u64)
        ),
        text::table(&header, rows, &[1, 2, 3, 4]),
        String::new(),
    ];
    lines.extend(choices.reasons(seen).into_iter().map(|reason| format!("- {reason}")));
    lines.push(String::new());
    lines.join("\n")
}
