//! `arrays`: images and labels from IDX, `.npy` and `.npz` files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Candidate, Found, Params, named, numbered};
use crate::{
    artifact::{Split, reading::Limits},
    images::source::{
        arrays::{Array, Arrays},
        container, member,
    },
};

/// An array of images [n, height, width] or [n, height, width, channels], and one of labels [n].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// A file, relative to the project's root; an array of an `.npz` after a `#`: `mnist.npz#x_train`.
    pub images: String,
    /// Likewise.
    pub labels: String,
    /// The split these images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

pub(super) fn scan(parts: &[Part], root: &Path, params: &Params) -> Result<Found> {
    let limits = params.reading().limits;
    let (mut candidates, mut files) = (Vec::new(), BTreeSet::new());
    for part in parts {
        let labels = with(root, &part.labels, limits, &mut files, Array::labels)?;
        let count = with(root, &part.images, limits, &mut files, |array| {
            array.layout()?;
            Ok(array.len())
        })?;
        ensure!(count == labels.len(), "{} has {count} images, {} {} labels", part.images, part.labels, labels.len());
        let separator = if container(&part.images).is_some() { '/' } else { '#' };
        for (index, label) in labels.into_iter().enumerate() {
            candidates.push(Candidate {
                path: format!("{}{separator}{}", part.images, member(index, count)),
                label: label.to_string(),
                split: part.split,
                group: None,
            });
        }
    }
    let classes = match &params.class_names {
        Some(names) => named(&mut candidates, names)?,
        None => numbered(&candidates),
    };
    Ok(Found { classes, candidates, notes: Vec::new(), files: Some(files) })
}

/// The array that `written` names, used.
fn with<T>(
    root: &Path,
    written: &str,
    limits: Limits,
    files: &mut BTreeSet<PathBuf>,
    use_it: impl FnOnce(&Array) -> Result<T>,
) -> Result<T> {
    let (file, name) = container(written).map_or((written, None), |(file, name)| (file, Some(name)));
    let path = root.join(file);
    ensure!(path.is_file(), "there is no file {}", path.display());
    let used = Arrays::open(&path, limits)?.with(name, use_it).with_context(|| format!("arrays of {}", path.display()));
    files.insert(path);
    used
}
