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
