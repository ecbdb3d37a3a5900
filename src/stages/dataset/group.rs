//! `group_by`: which images belong together.

use anyhow::{Context, Result, ensure};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Candidate, Column, list_some};

/// What images of one group have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// A column of the table or the Parquet files; a field of the `.json` members of tar files.
    Column(Column),
    /// A regular expression that matches a part of every image's path: the group is what its first parentheses hold, or else
    /// all that matches.
    Regex(String),
}

impl GroupBy {
    pub(super) fn column(&self) -> Option<&Column> {
        if let GroupBy::Column(column) = self { Some(column) } else { None }
    }

    /// The column's name, where it must have one.
    pub(super) fn column_name(&self) -> Result<Option<&str>> {
        match self {
            GroupBy::Regex(_) => Ok(None),
            GroupBy::Column(Column::Name(name)) => Ok(Some(name)),
            GroupBy::Column(Column::Number(number)) => {
                anyhow::bail!("`group_by: {{ column: {number} }}`: name the column, these files have no numbered ones")
            }
        }
    }

    /// Groups the candidates by their paths, if that is what is asked for.
    ///
    /// # Errors
    /// When the expression is none or does not match a path, or there is no column to group by.
    pub(super) fn complete(&self, candidates: &mut [Candidate]) -> Result<()> {
        let GroupBy::Regex(expression) = self else {
            ensure!(
                candidates.iter().all(|c| c.group.is_some()),
                "`group_by: {{ column: ... }}`, but there are no columns; group by `{{ regex: ... }}` on the paths"
            );
            return Ok(());
        };
        let regex = Regex::new(expression).with_context(|| format!("`group_by`: `{expression}` is no expression"))?;
        let mut without = Vec::new();
        for candidate in candidates {
            let found = regex.captures(&candidate.path).and_then(|found| found.get(1).or_else(|| found.get(0)));
            match found {
                Some(group) => candidate.group = Some(group.as_str().to_owned()),
                None => without.push(candidate.path.clone()),
            }
        }
        ensure!(
            without.is_empty(),
            "`group_by: {{ regex: {expression} }}` does not match {} paths: {}",
            without.len(),
            list_some(&without)
        );
        Ok(())
    }
}
