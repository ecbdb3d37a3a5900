//! `tar`: samples of tar files, as WebDataset writes them. Members whose names agree up to the first dot are one sample:
//! `00017.jpg` and `00017.cls`, or `00017.json`.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Candidate, Found, GroupBy, Params, folder::says_image, list_some, matching, named, numbered};
use crate::{artifact::Split, images::source};

/// Tar files of samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// A file relative to the project's root, or a pattern: `shards/train-*.tar`.
    pub files: String,
    /// The label: the ending of the member that is it (`cls`), or a field of the `.json` member (`json.label`).
    #[serde(default = "label")]
    pub label: String,
    /// The split these images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

fn label() -> String {
    "cls".into()
}

/// The members of one sample, by ending.
struct Sample<'a> {
    key: &'a str,
    members: Vec<(&'a str, &'a str, &'a [u8])>,
}

pub(super) fn scan(parts: &[Part], root: &Path, params: &Params) -> Result<Found> {
    let group_by = params.group_by.as_ref().map(GroupBy::column_name).transpose()?.flatten();
    let (mut candidates, mut files, mut notes) = (Vec::new(), BTreeSet::new(), Vec::new());
    for part in parts {
        for (file, path) in matching(root, &part.files)? {
            let tar = source::tar::Tar::open(&path)?;
            let mut without = Vec::new();
            for sample in samples(&tar) {
                let reading = || format!("sample `{}` of {}", sample.key, path.display());
                let Some(image) = sample.image().with_context(reading)? else {
                    without.push(sample.key);
                    continue;
                };
                let label = sample.value(&part.label).with_context(reading)?;
                let field = group_by.map(|field| sample.value(&format!("json.{field}")));
                let group = field.transpose().with_context(reading)?;
                candidates.push(Candidate { path: format!("{file}#{image}"), label, split: part.split, group });
            }
            if !without.is_empty() {
                notes.push(format!("{} samples of {file} have no image: {}", without.len(), list_some(&without)));
            }
            files.insert(path);
        }
    }
    ensure!(!candidates.is_empty(), "no images in the tar files: a sample is `key.jpg` and `key.cls`, or `key.json`");
    let classes = match &params.class_names {
        Some(names) => named(&mut candidates, names)?,
        None => numbered(&candidates),
    };
    Ok(Found { classes, candidates, notes, files: Some(files) })
}

/// Neighbouring members of one key.
fn samples(tar: &source::tar::Tar) -> Vec<Sample<'_>> {
    let mut samples: Vec<Sample<'_>> = Vec::new();
    for (name, bytes) in tar.members() {
        let base = name.rfind('/').map_or(0, |slash| slash + 1);
        // Hidden files, as archives from some systems hold.
        let Some(dot) = name[base..].find('.').filter(|dot| *dot > 0) else { continue };
        let (key, ending) = (&name[..base + dot], &name[base + dot + 1..]);
        match samples.last_mut().filter(|sample| sample.key == key) {
            Some(sample) => sample.members.push((ending, name, bytes)),
            None => samples.push(Sample { key, members: vec![(ending, name, bytes)] }),
        }
    }
    samples
}

impl Sample<'_> {
    fn image(&self) -> Result<Option<&str>> {
        let is_one = |ending: &str| says_image(&ending.to_lowercase());
        let images: Vec<&str> =
            self.members.iter().filter(|(ending, ..)| is_one(ending)).map(|(_, name, _)| *name).collect();
        match images[..] {
            [] => Ok(None),
            [image] => Ok(Some(image)),
            _ => bail!("several images: {}", list_some(&images)),
        }
    }

    fn member(&self, ending: &str) -> Result<&str> {
        let found = self.members.iter().find(|(own, ..)| *own == ending);
        let endings = || list_some(&self.members.iter().map(|(own, ..)| *own).collect::<Vec<_>>());
        let (.., bytes) = found.with_context(|| format!("no member `.{ending}`; there are: {}", endings()))?;
        std::str::from_utf8(bytes).with_context(|| format!("`.{ending}` is not UTF-8 text"))
    }

    /// The text of the member with that ending, or of a field: `json.label`.
    fn value(&self, written: &str) -> Result<String> {
        let Some((ending, field)) = written.split_once('.').filter(|(ending, _)| *ending == "json") else {
            return Ok(self.member(written)?.trim().to_owned());
        };
        let fields: Value = serde_json::from_str(self.member(ending)?).context("`.json`")?;
        match fields.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
            _ => bail!("`.json` has no text or number `{field}`"),
        }
    }
}
