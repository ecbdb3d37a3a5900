//! Looks at test splits, over all experiments: kept in `reports/test-looks.csv`, a line a look, sorted, so that it can be
//! committed and that two people's files merge. A look is a model whose test scores were shown to people.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Look {
    /// Digest of the split: its images and labels.
    pub test_split: String,
    pub experiment: String,
    pub arm: String,
    /// Key of the node that scored it.
    pub model: String,
    pub how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Validation had chosen, and the run went to its end.
    Selection,
    /// `report --unseal`, before the run's end.
    Unsealed,
}

/// What there is to say of one report's test splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Looks {
    /// Distinct models.
    pub models: u64,
    /// Experiments that they belong to.
    pub experiments: u64,
    /// Of the models, those that were looked at before a run's end.
    pub unsealed: u64,
}

pub fn path(reports: &Path) -> PathBuf {
    reports.join("test-looks.csv")
}

/// Those on record; none without a file.
pub fn read(path: &Path) -> Result<BTreeSet<Look>> {
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let wrong = || format!("reading {}; restore it from git, or delete it to start anew", path.display());
    let mut rows = csv::Reader::from_path(path).with_context(wrong)?;
    rows.deserialize().collect::<Result<_, _>>().with_context(wrong)
}

/// Adds `new` to the file; the looks at `test_splits` that are then on record. The file changes only where something is new.
pub fn add(path: &Path, new: BTreeSet<Look>, test_splits: &[String]) -> Result<Looks> {
    let mut all = read(path)?;
    let before = all.len();
    all.extend(new);
    if all.len() > before {
        let write = || -> Result<()> {
            std::fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
            let partial = path.with_extension("csv.partial");
            let mut rows = csv::Writer::from_path(&partial)?;
            all.iter().try_for_each(|look| rows.serialize(look))?;
            rows.flush()?;
            drop(rows);
            Ok(std::fs::rename(&partial, path)?)
        };
        write().with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(count(&all, test_splits))
}

pub fn count(all: &BTreeSet<Look>, test_splits: &[String]) -> Looks {
    let of = || all.iter().filter(|look| test_splits.contains(&look.test_split));
    let distinct = |names: BTreeSet<&str>| names.len() as u64;
    Looks {
        models: distinct(of().map(|look| look.model.as_str()).collect()),
        experiments: distinct(of().map(|look| look.experiment.as_str()).collect()),
        unsealed: distinct(of().filter(|look| look.how == How::Unsealed).map(|look| look.model.as_str()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(split: &str, experiment: &str, model: &str, how: How) -> Look {
        let [test_split, experiment, model] = [split, experiment, model].map(str::to_owned);
        Look { test_split, experiment, arm: "a, \"b\"".to_owned(), model, how }
    }

    #[test]
    fn looks_add_up_over_experiments_and_are_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(&dir.path().join("reports"));
        let splits = ["s".to_owned()];
        let first = BTreeSet::from([look("s", "one", "m1", How::Selection), look("t", "one", "m9", How::Selection)]);
        assert_eq!(add(&path, first.clone(), &splits).unwrap(), Looks { models: 1, experiments: 1, unsealed: 0 });
        let text = std::fs::read_to_string(&path).unwrap();
        add(&path, first, &splits).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the same looks change nothing");
        let second = BTreeSet::from([look("s", "two", "m2", How::Unsealed), look("s", "two", "m2", How::Selection)]);
        assert_eq!(add(&path, second, &splits).unwrap(), Looks { models: 2, experiments: 2, unsealed: 1 });
        assert!(text.starts_with("test_split,experiment,arm,model,how\ns,one,"), "{text}");
    }

    #[test]
    fn a_broken_file_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path());
        std::fs::write(&path, "test_split,experiment,arm,model,how\ns,e,a,m,<<<<<<<\n").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("test-looks.csv") && error.contains("git"), "{error}");
    }
}
