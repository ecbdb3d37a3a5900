//! The commit that a run was started from, and what differs from it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// State of the working tree around a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub commit: Option<String>,
    /// `git diff HEAD`, unless the tree is clean.
    pub diff: Option<String>,
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Everything but what thawline itself writes there: a committed report that a run brings up to date does not change the next.
const CODE: [&str; 3] = ["--", ":/", ":(exclude)reports"];

/// Reads it; outside a repository, or without git, everything is `None`. The tree is dirty when a tracked file outside
/// `reports/` differs, or when one of `files` (what the run reads) is not tracked at all.
pub fn tree(root: &Path, files: &[PathBuf]) -> Tree {
    let Some(commit) = git(root, &["rev-parse", "HEAD"]) else { return Tree::default() };
    let differs = git(root, &[&["status", "--porcelain", "--untracked-files=no"], &CODE[..]].concat())
        .is_some_and(|text| !text.trim().is_empty());
    let tracked = |file: &PathBuf| git(root, &["ls-files", "--error-unmatch", "--", &file.to_string_lossy()]).is_some();
    let dirty = differs || !files.iter().all(tracked);
    Tree {
        commit: Some(commit.trim().to_string()),
        diff: if dirty { git(root, &[&["diff", "HEAD"], &CODE[..]].concat()) } else { None },
    }
}

/// The YAML files of the project at `root` as they were at `revision`: (path below `root`, text).
///
/// # Errors
/// When `root` is in no repository, or git does not know the revision.
pub fn yaml_at(root: &Path, revision: &str) -> anyhow::Result<Vec<(String, String)>> {
    anyhow::ensure!(!revision.starts_with('-'), "`{revision}` is no git revision");
    anyhow::ensure!(git(root, &["rev-parse", "HEAD"]).is_some(), "{} is not in a git repository", root.display());
    let commit = format!("{revision}^{{commit}}");
    let commit = git(root, &["rev-parse", "--verify", "--quiet", &commit]);
    let commit =
        commit.ok_or_else(|| anyhow::anyhow!("git knows no revision `{revision}`: see `git log --oneline`"))?;
    let commit = commit.trim();
    // Names are relative to `root`, wherever in the repository that is.
    let names = git(root, &["ls-tree", "-r", "-z", "--name-only", commit]).unwrap_or_default();
    let yaml = names.split('\0').filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"));
    let read = yaml.filter_map(|name| Some((name.to_string(), git(root, &["show", &format!("{commit}:./{name}")])?)));
    Ok(read.collect())
}
