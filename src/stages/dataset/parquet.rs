//! `parquet`: images and labels from columns of Parquet files.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Candidate, Found, GroupBy, Params, matching, named, numbered};
use crate::{
    artifact::Split,
    images::source::{self, member},
};

/// Parquet files of equal columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// A file relative to the project's root, or a pattern: `data/train-*.parquet`.
    pub files: String,
    /// Column of the images: a struct of `bytes` and `path`, or bytes.
    #[serde(default = "image")]
    pub image: String,
    /// Column of the labels: texts, or numbers whose names the file may hold.
    #[serde(default = "label")]
    pub label: String,
    /// The split these images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

fn image() -> String {
    "image".into()
}

fn label() -> String {
    "label".into()
}

pub(super) fn scan(parts: &[Part], root: &Path, params: &Params) -> Result<Found> {
    let group_by = params.group_by.as_ref().map(GroupBy::column_name).transpose()?.flatten();
    let (mut candidates, mut files, mut names) = (Vec::new(), BTreeSet::new(), params.class_names.clone());
    for part in parts {
        for (file, path) in matching(root, &part.files)? {
            let parquet = source::parquet::Parquet::open(&path)?;
            let labels = parquet.texts(&part.label)?;
            let groups = group_by.map(|column| parquet.texts(column)).transpose()?;
            let own = parquet.class_names(&part.label);
            ensure!(
                params.class_names.is_some() || own.is_none() || names.is_none() || own == names,
                "{} names its classes differently than the files before; give `class_names`",
                path.display()
            );
            names = names.or(own);
            for (row, label) in labels.into_iter().enumerate() {
                candidates.push(Candidate {
                    path: format!("{file}#{}/{}", part.image, member(row, parquet.rows())),
                    label,
                    split: part.split,
                    group: groups.as_ref().map(|groups| groups[row].clone()),
                });
            }
            files.insert(path);
        }
    }
    let classes = match &names {
        Some(names) => named(&mut candidates, names)?,
        None => numbered(&candidates),
    };
    Ok(Found { classes, candidates, notes: Vec::new(), files: Some(files) })
}
