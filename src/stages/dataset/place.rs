//! Where a dataset's files are, and which parameter is wrong when they are not there.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{Params, list_some};

/// Something that a parameter names and that is not so, for whoever can say where the parameter is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// The parameter inside the dataset's, as `table.image`; empty for all of them.
    pub parameter: String,
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Misplaced {
    pub(super) fn at(parameter: impl Into<String>, message: impl Into<String>) -> Misplaced {
        Misplaced { parameter: parameter.into(), message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Misplaced {
        Misplaced { help: Some(help.into()), ..self }
    }

    /// Suggests the name nearest to `wrong`, or lists them all.
    pub(super) fn among(self, wrong: &str, names: &[String]) -> Misplaced {
        match near(wrong, names) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self.help(format!("there are {}", list_some(names))),
        }
    }
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = self.help.iter().map(|help| format!("; {help}"));
        write!(f, "{}{}", self.message, help.collect::<String>())
    }
}

impl std::error::Error for Misplaced {}

fn near<'n>(wrong: &str, names: &'n [String]) -> Option<&'n String> {
    let allowed = (wrong.chars().count() / 3).max(1);
    let distance = |name: &&String| strsim::osa_distance(&wrong.to_lowercase(), &name.to_lowercase());
    names.iter().min_by_key(distance).filter(|name| distance(name) <= allowed)
}

/// Where the stage reads: `root`, and `table` if there is one, as absolute paths.
///
/// # Errors
/// [`Misplaced`] when the parameters do not name exactly one way of listing images, or name something that is not there.
pub fn sources(params: &Params, project_root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let project = std::path::absolute(project_root)?;
    match params.listings()[..] {
        [] => {
            let message = "neither `image_folder` nor `table`";
            return Err(Misplaced::at("", message).help("say where the images are").into());
        }
        [_] => {}
        [first, second, ..] => {
            return Err(Misplaced::at(second, format!("both `{first}` and `{second}`; keep one")).into());
        }
    }
    match (&params.image_folder, &params.table) {
        (Some(root), _) => Ok(BTreeMap::from([("root".into(), folder("image_folder", root, &project)?)])),
        (_, Some(table)) => {
            let file = project.join(&table.file);
            if !file.is_file() {
                return Err(absent("table.file", "table", &table.file, &project, Path::is_file).into());
            }
            let root = match &table.images {
                Some(images) => folder("table.images", images, &project)?,
                None => file.parent().context("the table's path has no folder")?.to_path_buf(),
            };
            Ok(BTreeMap::from([("root".into(), root), ("table".into(), file)]))
        }
        (None, None) => Ok(BTreeMap::from([("root".into(), project)])),
    }
}

fn folder(parameter: &str, written: &str, project: &Path) -> Result<PathBuf, Misplaced> {
    let path = project.join(written);
    if path.is_dir() { Ok(path) } else { Err(absent(parameter, "folder", written, project, Path::is_dir)) }
}

/// What to say of a path that leads to nothing: what is there instead of its first part that is not.
fn absent(parameter: &str, what: &str, written: &str, project: &Path, fits: fn(&Path) -> bool) -> Misplaced {
    let path = project.join(written);
    let wrong = Misplaced::at(parameter, format!("there is no {what} {}", path.display()));
    if path.exists() {
        let other = if path.is_dir() { "a folder" } else { "a file" };
        return wrong.help(format!("{} is {other}", written.trim_end_matches('/')));
    }
    let there: Vec<&Path> = path.ancestors().skip_while(|part| !part.is_dir()).collect();
    let Some(parent) = there.first() else { return wrong };
    let rest = path.strip_prefix(parent).unwrap_or(&path);
    let mut parts = rest.components();
    let first = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    let rest = parts.as_path();
    let entries = parent.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.') && (!rest.as_os_str().is_empty() || fits(&parent.join(name))));
    names.sort();
    let shown = |path: &Path| {
        let inside = path.strip_prefix(project).unwrap_or(path).display().to_string();
        if inside.is_empty() { "the project's root".to_owned() } else { inside }
    };
    match near(&first, &names) {
        Some(near) => {
            wrong.help(format!("did you mean `{}`?", shown(&parent.join(near).join(rest)).trim_end_matches('/')))
        }
        None if names.is_empty() => {
            wrong.help(format!("{} has none; paths start at the project's root", shown(parent)))
        }
        None => wrong.help(format!("{} has {}", shown(parent), list_some(&names))),
    }
}

/// The patterns of `tar`, `parquet` and `arrays` that no file fits; what is in the files is not looked at.
pub fn missing_files(params: &Params, root: &Path) -> Vec<Misplaced> {
    let mut wrong = Vec::new();
    let mut look = |parameter: String, pattern: &str| {
        if let Err(error) = matching(root, pattern) {
            wrong.push(Misplaced::at(parameter, format!("{error:#}")));
        }
    };
    for (i, part) in params.tar.iter().flatten().enumerate() {
        look(format!("tar.{i}.files"), &part.files);
    }
    for (i, part) in params.parquet.iter().flatten().enumerate() {
        look(format!("parquet.{i}.files"), &part.files);
    }
    for (i, part) in params.arrays.iter().flatten().enumerate() {
        // `x.npz#name`: one array of several.
        for (key, written) in [("images", &part.images), ("labels", &part.labels)] {
            look(format!("arrays.{i}.{key}"), written.split('#').next().unwrap_or(written));
        }
    }
    wrong
}

/// Files below `root` that a pattern (or a plain path) stands for: as written below the root, and whole; sorted.
pub(super) fn matching(root: &Path, pattern: &str) -> Result<Vec<(String, PathBuf)>> {
    let folder = root.to_str().with_context(|| format!("{} is not UTF-8", root.display()))?;
    let found = glob::glob(&format!("{}/{pattern}", glob::Pattern::escape(folder)))
        .with_context(|| format!("`{pattern}` is no pattern"))?;
    let mut files = Vec::new();
    for path in found {
        let path = path.with_context(|| format!("looking for `{pattern}`"))?;
        let below = path.strip_prefix(root).unwrap_or(&path).to_str();
        files.push((below.with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned(), path));
    }
    ensure!(!files.is_empty(), "there is no file `{pattern}` in {}", root.display());
    files.sort();
    Ok(files)
}
